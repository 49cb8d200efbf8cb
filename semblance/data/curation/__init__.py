"""What to learn from: a pool of items, scores that say how good each is, and what is kept.

filter.py      keep the top share, or what is above a threshold; score in shards that are stored; report
report.py      what a filter kept, of whom, and how right it was
rules.py       scores that need no learning: words in captions, sides of pictures, chance, several scores as one
weighing.py    batches by score: drawn by weight, from the best to all, or so many however many there are
"""

from semblance.lazy import lazy

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "filter_pool": "filter",
        "scored": "filter",
        "kept": "filter",
        "threshold_of": "filter",
        "FilterReport": "report",
        "Rules": "rules",
        "Drawn": "rules",
        "Mean": "rules",
        "Weighed": "weighing",
        "Widening": "weighing",
        "Shown": "weighing",
    },
)
