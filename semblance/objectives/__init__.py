"""What a representation is asked to be good at. An objective owns what trains along and is dropped afterwards.

bank.py              candidates that outlive the batch
branches.py          several views of an item, one of which has to be told from another in feature space
classify.py          cross-entropy of the network's own head
contrast.py          bring neighbours together, by matching two neighbour distributions
divergences.py       divergences between rows of two neighbour distributions: p [N, M] given, q as log q [N, M] ->
graph_contrast.py    contrast on a graph of the whole training set: the loss sees batches, its neighbours come
kernels.py           how near two learned points are
lift.py              a loss is a pure function of embeddings, `(z, batch) -> scalar`; an objective decides which
neighbours.py        who is near whom in the data
pretext.py           change the input, and predict from the changed input what was done to it
projector.py         the small perceptron between an embedding and the space where an objective compares
triplets.py          an anchor x is to be nearer to x+ than to x-, and only by how much that holds does a loss see
"""

from semblance.lazy import lazy

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "Lifted": "lift",
        "on_items": "lift",
        "on_views": "lift",
        "perceptron": "projector",
        "Contrast": "contrast",
        "Bank": "bank",
        "Queue": "bank",
        "InstanceDiscrimination": "bank",
        "Branches": "branches",
        "CrossEntropy": "classify",
        "Pretext": "pretext",
        "Change": "pretext",
        "Triplets": "triplets",
        "Siamese": "triplets",
    },
)
