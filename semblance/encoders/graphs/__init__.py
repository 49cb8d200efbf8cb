"""Encoders of graphs: states of nodes, and vectors of graphs.

aggregators.py   a neighbourhood's messages as one or several summaries
alone.py         a node by its own features, the graph never looked at
attending.py     static attention as one compiled step
attention.py     how much a node takes from each neighbour, scored from both
bases.py         polynomials of an operator: Chebyshev's, Bernstein's, learned, optimal for the features
by_blocks.py     powers of an operator on disk, a block of rows at a time
coarsen.py       a graph made smaller between its layers, and read at every size
codes.py         every neighbourhood as one entry of a codebook
contextual.py    messages that depend on who listens
holomorphic.py   filters along the edges of a directed graph and against them; functions of its operator
hops.py          what lies so many steps away, side by side instead of summed
in_turn.py       neighbours read one after the other by a recurrent unit
inputs.py        the first linear map, of dense features or of sparse bags of words
cooccurrence.py  who is met near whom, as a matrix given or implied, and its factors
edge_sampling.py  skip-gram over drawn edges, of first and second order
attributed.py    nodes by the features of those some steps away; other graphs join
visits.py        a walk's nodes and the features around, as pairs
sharded.py       PMI of sparse counts, shard by shard, with a bound for pairs never met
windows.py       how often two things stand near each other in sequences
implied.py       the matrix that skip-gram factorises, and its training with everything counted
drawn.py         random features of nodes, and the mean over their draws
edge_features.py features of a pair of nodes
experts.py       several encoders of the same nodes side by side
fingerprints.py  molecules as histograms over neighbourhoods, hashed or learned
graphlets.py     how often two nodes sit together in small subgraphs, by where in them
graphlet_counts.py  the counting of it
held_out.py      how well embeddings tell labels: what solvers choose settings by
projection.py    powers of the walk matrix on a very sparse random matrix
edge_by_edge.py  a graph as a sequence of nodes and their links, each told from those before
eigenbasis.py    filters learned over the spectrum itself
entrance.py      the first state of a node, a linear map of its features
fused.py         a sum over neighbours, a linear map, a bias and a ReLU as one step
layered.py       layers one after the other, and a mix of all their states
latent.py        edges drawn from a metric that learns
lazy.py          propagation spread over the iterations of training, with a memory of every node
message.py       messages linear in their source: convolution, sum, GraphSAGE
mixture.py       messages weighted by Gaussian bumps over where a neighbour lies
mixing.py        tokens of one graph tell each other what they know, whatever their distance
normed.py        layer norm of what a layer answers
one_shot.py      a graph from one vector, all edges at once
operators.py     a graph as a sparse matrix that moves features
orders.py        orders of a graph's nodes by its structure
patched.py       a graph as tokens, one a patch, that are mixed as those of an image
positions.py     where a node is: returns of walks, entries of eigenvectors
placed.py        nodes so placed that the distances in the graph are kept
paths.py         the paths that start at a node, each read as a sequence
principal.py     several aggregators, each scaled by the degree
profiles.py      a node as the row of its neighbours, through a perceptron
propagate.py     filters: a polynomial of an operator, before or after a small network
recurrent.py     one layer applied again and again, until states settle or some steps have passed
residual_graph.py  a layer over the given edges and over a graph learned from the states
readout.py       one vector of a graph from the states of its nodes
refine.py        from an observed graph to a better one: edges dropped, added, weighed
robust.py        a network over a refined graph
refinement.py    colour refinement: what message passing can tell apart
skip_gram.py     which columns are met near which rows, told from drawn noise: one compiled pass
scaled.py        a map of summaries scaled by the degree
statistics.py    several summaries of linear messages in one pass
set_readouts.py  one vector of a graph by asking its nodes again and again, or in an order
smoothing.py     where propagation ends, and filters that stop at every node by itself
stack.py         layers over one graph, initial features, and what a node or a graph is in the end
substructures.py a graph as a bag of pieces that overlap, each a graph of its own
temporal.py      what nodes have measured step by step, as one state a node
transform.py     linear maps and ReLUs on every node, plain, residual or dense
subtrees.py      a graph as the counts of its nodes' neighbourhood trees, without learning
table.py         a vector of its own for every node
variational.py   an embedding with an uncertainty, near the standard normal distribution
"""

from semblance.lazy import lazy

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "Convolution": "message",
        "Sum": "message",
        "Sage": "message",
        "Attention": "attention",
        "PathLayer": "paths",
        "paths": "paths",
        "Aggregated": "principal",
        "Contextual": "contextual",
        "as_convolution": "contextual",
        "as_sum": "contextual",
        "aggregate": "aggregators",
        "pool": "readout",
        "Entrance": "entrance",
        "Stack": "stack",
        "Initial": "stack",
        "embedded": "stack",
        "operator_of": "operators",
        "Filter": "propagate",
        "Propagation": "propagate",
        "FixedPoint": "recurrent",
        "Gated": "recurrent",
        "SteadyState": "recurrent",
        "Bumps": "eigenbasis",
        "Mixture": "mixture",
        "ResidualGraph": "residual_graph",
        "Hearing": "hops",
        "InTurn": "in_turn",
        "SetToSet": "set_readouts",
        "Sorted": "set_readouts",
        "Variational": "variational",
        "Profiles": "profiles",
        "OneShot": "one_shot",
        "EdgeByEdge": "edge_by_edge",
        "Temporal": "temporal",
        "Patched": "patched",
        "patches": "substructures",
        "Positions": "positions",
        "Layered": "layered",
        "LazyPropagation": "lazy",
        "BothWays": "holomorphic",
        "NodeAdaptive": "smoothing",
        "stationary": "smoothing",
        "Transform": "transform",
        "InputLinear": "inputs",
        "colours": "refinement",
        "wl_distinguishes": "refinement",
        "subtree_kernel": "refinement",
        "Table": "table",
        "Experts": "experts",
        "Alone": "alone",
        "Codes": "codes",
        "Tokenised": "codes",
        "CoOccurrence": "cooccurrence",
        "SkipGram": "cooccurrence",
        "Singular": "cooccurrence",
        "RandomProjection": "projection",
        "EdgeSampling": "edge_sampling",
        "Attributed": "attributed",
        "Sharded": "sharded",
        "Placed": "placed",
        "Latent": "latent",
        "refined": "refine",
        "Robust": "robust",
        "orbit_adjacencies": "graphlets",
        "Coarsened": "coarsen",
        "edge_features": "edge_features",
        "Circular": "fingerprints",
        "Fingerprint": "fingerprints",
        "fragments": "fingerprints",
        "tanimoto": "fingerprints",
        "Drawn": "drawn",
        "Averaged": "drawn",
    },
)
