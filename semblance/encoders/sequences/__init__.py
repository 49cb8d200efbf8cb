"""Encoders of sequences, sets and bags of vectors.

bags.py        a row of a table read as a bag of equal parts, or of windows over letters
hopfield.py    retrieval of stored patterns by steps of an update: attention is one step
pushed.py      what becomes of every token's own movement on its way through a transformer
text.py        the pieces of a text as vectors, mixed by a transformer, pooled into one
transformer.py tokens that look at one another, block after block
"""

from semblance.lazy import lazy

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "Hopfield": "hopfield",
        "HopfieldPooling": "hopfield",
        "HopfieldLayer": "hopfield",
        "retrieve": "hopfield",
        "energy": "hopfield",
        "Transformer": "transformer",
        "TextEncoder": "text",
        "Bags": "bags",
        "MotifBags": "bags",
        "Prototypes": "bags",
    },
)
