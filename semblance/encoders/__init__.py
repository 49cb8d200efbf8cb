"""From a domain to a representation: vectors, maps or tokens. An encoder does not know how it is trained.

ball.py       an encoder's read-out carried into the Poincare ball
files.py      networks that come as files: ONNX graphs, checkpoints, transformers folders
graphs/       encoders of graphs
onnx_graph.py an ONNX graph as a module
paired.py     an encoder of items and one of their captions, into one space
sequences/    encoders of sequences, sets and bags of vectors
topology/     encoders of hypergraphs, cell complexes and sheaves
vision/       encoders of images
vectors.py    vectors, and pictures read as one long vector: no notion of place, only coordinates
wrapped.py    encoders around encoders
"""

from semblance.lazy import lazy

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "Identity": "vectors",
        "Flat": "vectors",
        "Wrapped": "wrapped",
        "AtStage": "wrapped",
        "InBall": "ball",
        "Paired": "paired",
        "Hopfield": "sequences.hopfield",
        "HopfieldPooling": "sequences.hopfield",
        "HopfieldLayer": "sequences.hopfield",
        "stage_net": "vision.stagenet",
        "StageNet": "vision.stagenet",
    },
)
