"""From a representation to an answer: classes, neighbours, prototypes. A head does not know how it is trained.

batch_attention.py  while training, the items of a batch look at one another
prototypes/       heads that answer by one point per class
classify.py       scores per class from an embedding, and predictions averaged over crops and sizes of one image
clusters.py       the answer of a network whose embedding already scores clusters
experts.py        a weak expert answers where it is confident, and leaves the rest to a stronger one
frozen.py         a trained encoder is taken as it is, and a linear machine learns the new task from its features
last_layer.py     scores from a last layer that needs the states of all nodes
layer_sweep.py    which stage of a frozen encoder serves a new task best, as a report
links.py          a score of pairs of nodes, from their states and what they have in common
match_text.py     what is asked of a pair of texts, of their embeddings or of both read at once
neighbours.py     the labels of the nearest stored items vote, alone or mixed with a classifier
of_nodes.py       answers for every node of several graphs, and for the graphs
patches.py        each patch of the query looks for its like
perceptron.py     a hidden layer before a linear head
regress.py        numbers from an embedding
scores.py         the embedding is the answer: a coordinate for each class
worded.py         a linear head whose classes are known by words: copied rows, items found by words
"""

from semblance.lazy import lazy

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "Linear": "classify",
        "predict_crops": "classify",
        "LastLayer": "last_layer",
        "Confidence": "experts",
        "Mixed": "experts",
        "PairScores": "links",
        "vote": "neighbours",
        "NeighbourMix": "neighbours",
        "PairSoftmax": "match_text",
        "CrossEncoder": "match_text",
        "rerank": "match_text",
        "FrozenSVM": "frozen",
        "OffTheShelf": "frozen",
        "LayerSweep": "layer_sweep",
        "layer_sweep": "layer_sweep",
        "EveryNode": "of_nodes",
        "EveryNumber": "of_nodes",
        "NodesAndGraphs": "of_nodes",
        "PatchRetrieval": "patches",
        "Hidden": "perceptron",
        "Regress": "regress",
        "Scores": "scores",
        "Clusters": "clusters",
        "ClassMeans": "prototypes.class_means",
        "copied": "worded",
        "direction": "worded",
    },
)
