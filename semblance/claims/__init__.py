"""Every catalogue entry's claim as a run that prints evidence and can fail, in a file named like the entry.

ledger.py      `@claim`, the rules of its parts, the run, and `python -m semblance.claims.ledger ENTRY`
evidence.py    results/ENTRY.json: reading, writing, what is stale, docs/EVIDENCE.md
states.py      every catalogue entry and free configuration with its state
"""

from semblance.lazy import lazy

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "claim": "ledger",
        "at_least": "ledger",
        "at_most": "ledger",
        "below": "ledger",
        "within": "ledger",
        "exactly": "ledger",
        "Run": "ledger",
    },
)
