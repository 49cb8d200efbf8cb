"""Every catalogue entry's claim, as a run that prints evidence and can fail, in a file named like the entry.

evidence.py    what a claim's run left behind, whether it still speaks of the code at hand, and the page made from
ledger.py      a claim is a function that measures what its paper says, against rules that were written before the
settings.py    the data, nets, views and probes that claims share, under one name each
states.py      what `semblance recipes` and `sb.recipes()` list, without torch
ENTRY.py       the claim of one entry
"""

from semblance.lazy import lazy

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "claim": "ledger",
        "Run": "ledger",
        "Rule": "ledger",
        "at_least": "ledger",
        "at_most": "ledger",
        "above": "ledger",
        "below": "ledger",
        "within": "ledger",
        "exactly": "ledger",
        "reproduce": "ledger",
        "rows": "states",
    },
)
