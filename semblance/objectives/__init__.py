"""What a representation is asked to be good at. An objective owns what trains along and is dropped afterwards.

across_batch.py      the classifier answers for items alone and for items that have looked at their batch
adversarial.py       embeddings spread as normal draws, as far as a discriminator can tell
bank.py              candidates that outlive the batch
batch_and_queue.py   keys of the batch and of earlier ones, where no slow copy makes them
branches.py          several views of an item, one to be told from another in feature space
candidates.py        among whom a row of the contrast core finds its neighbours
captions.py          weak supervision from paired text: across modalities, or by the concepts it names
classify.py          cross-entropy of the network's own head
clusters.py          points, a few codes, and an assignment of the one to the other
codes.py             what a view says of itself as a distribution over learned directions
coding_rate.py       how many nats it takes to write features down, altogether and by parts
compatible.py        a new network whose embeddings may stand beside those of an old one
constrained.py       codes that gather around centres, a few labels or links saying who goes with whom
contrast.py          bring neighbours together, by matching two neighbour distributions
contrast_table.py    published methods as (p, kernel of q, candidates), after I-Con's
distil/              a student learns what a teacher answers
divergences.py       between rows of two neighbour distributions: KL, total variation, Jensen-Shannon
drawn_edges.py       edges that an encoder drew, those of nodes which came out right rewarded
graph_contrast.py    contrast on a graph of the whole training set
hyperedges.py        sets that belong together shall score higher than sets that do not
hypergraph_contrast.py  two views of a hypergraph, at the level of nodes, hyperedges and memberships
hypergraph_generation.py  memberships or features that are masked, told from the rest
judgements.py        what was said of a pair is to be read off its two embeddings
kernels.py           how near two learned points are
leave_one_out.py     the nearest neighbours vote, and an item shall be told right
lift.py              a loss of embeddings becomes an objective of items or of views
likelihood.py        an encoder that says how likely a unit is shall find the training units likely
links.py             what is related shall score higher than what is not
log_sums.py          logarithms of sums of exponentials of products, without the matrix of products
masked_branches.py   views with hidden patches, rebuilt from the patches that are seen
masks.py             which tokens of a picture are hidden, and which are seen
mined.py             a triplet loss over what a rule finds among the embeddings of a batch
mixture.py           the losses of several experts, weighed by how much each counts for a unit
montage.py           patches of all pictures of a batch, shuffled and put together as pictures
nested.py            a prefix of an embedding has a head and codes of its own
neighbours.py        who is near whom in the data
pairwise.py          links under a learned score of pairs, those asked about being out of sight
multi_similarity.py  an item's likes and unlikes, each weighed by how far it is from where it should be
of_nodes.py          targets of the nodes within graphs, alone or with targets of the graphs
parts.py             prototypes of places near their own class's pictures and far from the others'
penalised.py         what an encoder asks for beside the task, added to the loss
pretext.py           change the input, and predict from the changed input what was done to it
pretexts/            tasks that the data sets itself: a menu whose rows are poses, readings, heads and scores
profiles.py          from its embedding a node shall tell its neighbours
projector.py         the small perceptron between an embedding and the space where an objective compares
proxies.py           a short vector for every label, learned along and remembered
reassigned.py        clusters of the network's own features, renewed every few epochs
regress.py           squared error of predicted numbers
set_links.py         sets that met shall score higher, at the moment when they did, than sets that did not
sphere.py            a classifier whose classes are directions, trained in order to be thrown away
spread.py            no item is to be too near to another
streamed.py          contrast of many rows, without a matrix of rows by candidates
summaries.py         a node goes with what sums up its graph, one of shuffled features does not
targets.py           fixed points that features are to meet, each owned by one item
teachers.py          views ask, and other networks' answers to other views are the targets
token_teachers.py    a slow copy says what class token and hidden patches should have been
triplets.py          an anchor is to be nearer to its like than to its unlike
walk_contrast.py     a node shall find those that it meets on walks
turned.py            the identity, whose gradient points the other way
words.py             which visual words a picture holds, told from small parts of it
"""

from semblance.lazy import lazy

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "Lifted": "lift",
        "on_items": "lift",
        "on_views": "lift",
        "perceptron": "projector",
        "Links": "links",
        "Mixture": "mixture",
        "StructureDistillation": "distil.structure",
        "SoftLabels": "distil.structure",
        "Adversarial": "adversarial",
        "Likelihood": "likelihood",
        "Rebuilt": "profiles",
        "Pairwise": "pairwise",
        "Hyperedges": "hyperedges",
        "HypergraphContrast": "hypergraph_contrast",
        "HypergraphGeneration": "hypergraph_generation",
        "Contrast": "contrast",
        "WalkContrast": "walk_contrast",
        "Bank": "bank",
        "Queue": "bank",
        "InstanceDiscrimination": "bank",
        "Branches": "branches",
        "Across": "captions",
        "CrossEntropy": "classify",
        "DrawnEdges": "drawn_edges",
        "Summaries": "summaries",
        "Episode": "clusters",
        "OfNodes": "of_nodes",
        "Penalised": "penalised",
        "Pretext": "pretext",
        "Change": "pretext",
        "NoiseTargets": "targets",
        "Reassigned": "reassigned",
        "Proxies": "proxies",
        "Sphere": "sphere",
        "AcrossBatch": "across_batch",
        "RateReduction": "coding_rate",
        "Compatible": "compatible",
        "ConstrainedClusters": "constrained",
        "Teachers": "teachers",
        "TokenTeachers": "token_teachers",
        "Nested": "nested",
        "MaskedBranches": "masked_branches",
        "BagsOfWords": "words",
        "Vocabulary": "words",
        "SquaredError": "regress",
        "Triplets": "triplets",
        "Mined": "mined",
        "MultiSimilarity": "multi_similarity",
        "Siamese": "triplets",
    },
)
