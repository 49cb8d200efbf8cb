"""What comes in: domains, loaders, datasets, views, samplers. Nothing here trains.

dataset.py     a dataset in hand: ids, targets, attributes, splits, read by position
"""

from semblance.lazy import lazy

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "ArrayDataset": "dataset",
        "Shape": "dataset",
    },
)
