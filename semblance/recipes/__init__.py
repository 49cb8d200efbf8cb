"""Named compositions of all the rooms before: here a paper is a configuration.

attribution.py   networks made to be looked into: maps fine enough to show why two pictures are near
as_is.py         embeddings that exist already
backbones.py     a backbone by name, and the width that objectives and heads will meet
batch_attention.py  attention across the batch while training: batchformer
branches.py      two views of a picture, one predicting the other, without negatives
captions.py      what is written of pictures: clip, catlip
filtered.py      what of a pool is learned from, chosen first: data-filtering-network
cascade.py       features learned without labels, then questions to people about samples
catalogue.py     the catalogue's table as shipped
class_geometry.py what classes come to in the last layers, foretold: neural-collapse
coding_rate.py   features spread over subspaces, one for each group: cpp
constrained.py   codes that rebuild pictures and gather around centres: clusternet, deep-k-means
contrast.py      who counts as a neighbour, and among how many one is chosen: simclr, supcon and kin
frozen.py        a net learns some labels, then a linear machine on its frozen features answers
graph_autoencoders.py  nodes from what can be rebuilt of the graph: variational and adversarial ones, sdne
graph_coarsening.py  whole graphs made smaller between layers: sparse-hierarchical, diff-pool
graph_cooccurrence.py  edges, features, sparse counts, as a vector for every node: line, musae, swivel
graph_cells.py   numbers and classes of cell complexes: cw-cnn, cw-at
graph_classics.py  further convolutions of the surveys: spectral-cnn, adaptive-gcn, nn4g, diffusion-cnn, monet and kin
graph_deep_filters.py  filters that look far, or along edges and against them: dagnn, dgmlp, lazy-gnn, faber-net
graph_distances.py points whose distances are the graph's: hyperbolic-tree, h-mds, distance-points
graph_codebook.py  neighbourhoods as entries of a codebook, which a perceptron learns too: vqgraph
graph_distilled.py  a network that reads structure teaches one that does not: distilled, lighthgnn
graph_refined.py nodes on a graph that was mended first, by embeddings learned without labels: stable
graph_latent.py  message passing over edges drawn from a learned metric: neural-snowflake
graph_drawn.py   message passing from random features: rni
graph_energies.py  hypergraph networks that descend an energy: phenomnn, phenomnn-simple
graph_expanded.py  any method of graphs on a hypergraph's pairs: clique-expanded
graph_fingerprints.py  molecules as histograms over neighbourhoods: neural-fingerprint, circular-fingerprint
graph_filters.py a polynomial of the graph's operator in a small network: sgc, appnp, gpr-gnn and kin
graph_hypergraph_members.py  published hypergraph networks: hgnn-plus, hnhn, unigcn, unigat, all-deep-sets and kin
graph_hypergraph_space.py  the design space of hypergraph networks: hypergraph-network, -links, -contrast, -generation
graph_generation.py  graphs by learning to make more of them: graph-vae, graph-rnn
graph_hypergraphs.py  nodes and their hyperedges: hgnn
graph_links.py   a learned score of pairs of nodes: ncn, ncnc
graph_mixture.py  a perceptron beside a network on the graph, whoever is sure answers: mowst
graph_networks.py  message passing on nodes: gcn, sage, gat, gin-nodes, pna-nodes, sir-gcn-nodes
graph_paths.py      whole graphs by the paths in them: pathnn
graph_patches.py  whole graphs cut into patches whose tokens are mixed: graph-mixer, graph-vit
graph_pooled.py   message passing on whole graphs: gin, pna, sir-gcn
graph_read.py     read-outs that learn: set-to-set, sort-pool
graph_recurrent.py  one layer applied again and again: graph-fixed-point, graph-gated, graph-steady-state
graph_samples.py  networks that learn from parts of a graph: sage-sampled, gcn-clustered
graph_readouts.py  answers of whole graphs through a hidden layer
graph_set_walks.py  sets of nodes by their walks over hyperedges, backward in time: cat-walk
graph_sheaves.py  diffusion over sheaves: neural-sheaf-diffusion, connection-sheaf, sheaf-network
graph_sheaf_filters.py  propagation along a sheaf: sheaf-appnp
graph_simplicial_walks.py  walks over the cells of a complex, read by 1-D convolutions: scrawl
graph_taxonomy.py  the categories of a survey and the recipes that stand for them
graph_temporal.py  nodes that measure something over time: graph-gru, graph-gated-time, graph-dilated-time
graph_unlabelled.py  graphs and hypergraphs without labels, without learning: wl-subtree, star-fastrp
graph_views.py   a node finds itself in another view of the graph: grace
graph_walk_contrast.py  nodes find those that they meet on walks: walk-contrast
graph_walks.py   who is met near whom, as a vector for every node: deepwalk, node2vec, fastrp, graphlet-orbits
hopfield.py      retrieval of stored patterns as an encoder: bags, words with motifs, small tables
known_answers.py  networks analysed, made-up ones whose answer is known: feature-complexity, latent-dynamics
landscape.py     the loss around a point, where the answer is known: intrinsic-dimension
leave_one_out.py labels asked of what is near, classes may stay in pieces: look
masked.py        a few patches are seen and the rest rebuilt: mae, macrl, cropmae
memory.py        a frozen encoder, and a space whose stored items vote
mined.py         batches put together by label: facenet, global-proxy-mining
montage.py       patches of a batch, shuffled and put together: jigsaw-clustering
neighbours.py    nearest neighbours beside a trained classifier
plugged.py       recipes of other packages, by entry points
pretext.py       a task that the data sets itself, whose features are kept
pretext_menu.py  the menu of pretexts, alone or several on one trunk: pretext, multi-task-ssl
pretext_survey.py  any tasks of the menu at equal steps, one table with intervals: ssl-survey
prototype_heads.py classifiers that answer by parts of pictures, or by keys, that they store
prototypes.py    tasks of a few support items, the nearest mean answers
reassigned.py    clusters of the features themselves, alone or times turns: deepcluster, deeper-cluster
recommender.py   links and items from who is linked to whom: lightgcn, matrix-factorisation, graph-autoencoder
recommender_sheaf.py  links and items over a learned sheaf: sheaf4rec
representations.py what digit nets have in common: convergent-learning, cortex-comparison, frechet-distance-audit
registry.py      `@recipe`, the table that is read without torch, settings and their check
rows.py          a row of the table of recipes, and tables on disk
sampling.py      batches put together in another way: a setting of every recipe that shuffles
sphere.py        directions of classes, trained to be thrown away: hyperspherical
supervised.py    a backbone, a linear head, cross-entropy
targets.py       points that features are to meet: noise-as-targets
teachers.py      a view asks, slow copies or balanced codes answer: moco, tribyol, swav, dino, vicreg, barlow-twins
texts.py         one encoder reads every text: sentence-bert, simcse
theory.py        recipes without data: a report computed from an equation
token_teachers.py  a copy that sees whole pictures says what tokens should be: franca
translation.py   codes relative to training items, so that fits can be compared: relative; vec2vec as a report
triplets.py      embeddings in which like is nearer than unlike
untrained.py     a network as it was drawn: what training has to beat
uses.py          what each method reads of a graph beside its edges
windows.py       embeddings as they are, found again within a window of an attribute
words.py         visual words of a picture, told from parts of it: obow
zero_shot.py     classes known by description alone, as a report: zero-shot-survey
"""

from semblance.lazy import lazy

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "Recipe": "registry",
        "Stage": "registry",
        "recipe": "registry",
        "build": "registry",
    },
)
