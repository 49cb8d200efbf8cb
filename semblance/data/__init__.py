"""What comes in: domains, loaders, datasets, views, samplers. Nothing here trains.

alike.py       batches of places that look alike: hard negatives without a search in every batch
arrays.py      arrays by role -> a dataset, for .npy and .npz files, arrays in memory and named sets
assemble.py    what every loader does once it has arrays, a name per unit and what is known of each
beyond.py      compiled passes over rows of nearness: which negatives lie beyond a positive
blocks.py      a compiled loop over many rows, shared out to threads in blocks
captions.py    what somebody wrote of each picture, beside it
cells.py       meshes, oriented simplices and boundary matrices -> a complex
class_tables.py  a row of numbers for every class, which describes it
community_graphs.py  graphs of communities: many edges inside, few between
concepts.py    captions -> classes: the concepts that each names
curation/      what of a pool to learn from: scores, filters, weights
dataset.py     units with their ids, targets, attributes and splits, read by position
decoded.py     image files -> one array of bytes, in bounded memory
domains.py     which kind of data each input is, its default recipe, and what `rank` compares on it
duplicates.py  items so alike that they are one
edge_columns.py  which columns of a table are edges, memberships or interactions
edge_lists.py  rows of edges, memberships or interactions -> a relational dataset
edge_tables.py  edge lists read batch by batch, whatever names their nodes have
edges.py       edges as people have them -> a graph whose every edge is checked
even.py        every label equally often, however many items it has
folder_parts.py  a folder of images as stretches of its sorted listing
formula_graphs.py  graphs of formulas in pairs that colour refinement cannot tell apart
graph_families.py  families of random graphs: the shapes on which methods are compared
graph_facts.py  what a graph is like: counts told in a line, and what a method can be held to
graph_files.py  files of relational domains, and who reads them
graph_generators.py  graphs drawn by rules, whose targets are computed exactly
graph_objects.py  graphs in memory: arrays by role, sparse matrices, PyG Data, networkx
graph_blocks.py  batches that together hold every node of a graph once
graph_views.py   the same nodes with some links and features left out
graph_splits.py  splits of nodes and graphs: published ones, folds, random ones of any shares
hyperedge_negatives.py  sets that are no hyperedges, of the sizes of some that are
hypergraph_views.py  the same nodes and hyperedges with something left out
heat.py        heat on a ring of sensors, as windows of measurements
images.py      images in a folder, with what their places, their heads and a table beside them say
incidence.py   which node lies in which hyperedge, checked
interactions.py  users and items as one graph, and ratings held out of it
judged.py      pairs of units of which somebody said how alike they are, and batches of them
known.py       every batch holds some units of which something is known
known_graphs.py  named sets of the relational domains
labels.py      labels as people have them -> one of three columns of numbers
listing.py     the files a source is made of, kept on disk, and what changed since
layer_samples.py  batches of nodes with one sample of sources for all of them
link_splits.py  hidden edges, and pairs without one, for link prediction
load.py        whatever the user has -> a dataset, with the domain inferred and said
map_style.py   map-style datasets of torch -> arrays by role
mining.py      which triples of a batch are worth looking at
moments.py     what lazy parts need to know of the data before they are built
motion.py      films of pictures: one picture seen by a camera that moves over it
named.py       real data known by name, bundled with a library or lying in the data folder
neighbour_samples.py  batches of nodes with a sampled part of their surroundings
networkx_graphs.py  graphs of networkx -> arrays by role
node_tables.py  a table of nodes beside a file of edges
parts.py       a source larger than memory as stretches that any process can read by itself
partitions.py  a graph in the parts that PyG's Partitioner writes
pasted.py      a blob of one picture lies on another, and moves
pictures.py    any file pillow reads, or an array -> uint8 [C, H, W] of the asked size
pieces.py      texts cut into numbered pieces, and texts of different lengths as one array
plugged.py     domains of other packages: loaders for kinds of files that ours do not read
prepare.py     from stored units to what encoders read, x -> (x - mean) / std per channel or column
regular_graphs.py  graphs whose nodes all look alike to colour refinement, rings that ask about both sides
relate.py      what every loader of graphs does once it has a structure, features and labels
relational.py  units that are related: nodes, graphs, cells, with what relates them
samplers.py    which units stand together in a batch
scenes.py      drawn pictures in which it is known to the pixel what is where
semi_hard.py   semi-hard triples of large batches, from the embeddings themselves
sounds.py      what a picture sounds like when it is scanned
spheres.py     spheres before a picture, whose depth and normals are known
sidecar.py     what else is known of each file, joined by its name
splits.py      which units are learned from and which are kept to judge with
streaming.py   batches from data that is read in stretches, mixed within what is open at a time
tables.py      CSV, Parquet and data frames of any library, and which of their columns is what
table_files.py  Parquet and Arrow files read from a row to a row
table_parts.py  tables, one or a folder of them, as stretches of their rows
text_views.py  a text as it might also have been written, with some words left out
texts.py       a column of a table, lines, files or strings -> texts, and pairs of texts
timed_sets.py  sets of nodes that are asked about at a moment: will they meet?
tu_folder.py   many graphs in the format of the TU collection
vectors.py     arrays and tables of numbers -> float32 [N, d], every value finite
views.py       one item as it might also have looked
views_shown.py  views of texts and graphs as a person sees them
windows.py     a picture as overlapping windows, each a view of its own
warp.py        pictures under an affine map of coordinates and an affine map of colours, in one compiled pass
"""

from semblance.lazy import lazy

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "load": "load",
        "filter": "curation.filter:filter_pool",
        "list": "named:data_list",
        "describe": "named",
        "get": "named",
        "ArrayDataset": "dataset",
        "RelationalDataset": "relational",
        "Shape": "dataset",
        "Prepare": "prepare",
        "Views": "views",
        "default_views": "views",
        "two_crops": "views",
        "cifar_views": "views",
        "digit_views": "views",
        "Shuffled": "samplers",
        "Whole": "relational",
        "Balanced": "samplers",
        "Episodes": "samplers",
        "Triples": "samplers",
        "Pairs": "samplers",
        "Mining": "mining",
        "SemiHard": "semi_hard",
        "Alike": "alike",
        "Even": "even",
        "Known": "known",
        "Streaming": "streaming",
        "NeighbourSamples": "neighbour_samples",
        "NodeBlocks": "graph_blocks",
        "ClusterSamples": "neighbour_samples",
        "TextViews": "text_views",
        "Pieces": "pieces",
        "Judged": "judged",
        "GivenPairs": "judged",
        "TimedSets": "timed_sets",
        "asked_of": "timed_sets",
        "conversations": "timed_sets",
        "hide_edges": "link_splits",
        "default_recipe": "domains",
        "rank_set": "domains",
    },
)
