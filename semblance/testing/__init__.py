"""Checks of what a component promises, for the tests of whoever writes one: plain functions that raise AssertionError.

dataset.py     what every dataset promises, and a small one of every domain
encoder.py     what every encoder promises
index.py       what every index promises: the answers of a scan, through additions, removals and a save
promises.py    one promise after the other, and a line that says which one was broken
recipe.py      what every recipe promises
related.py     the small data sets whose units are related
report.py      what every report promises
"""

from semblance.lazy import lazy

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "check_recipe": "recipe",
        "check_encoder": "encoder",
        "check_index": "index",
        "check_report": "report",
        "check_dataset": "dataset",
        "small": "dataset",
        "short": "recipe",
    },
)
