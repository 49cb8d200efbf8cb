"""Every catalogue entry's claim, as a run that prints evidence and can fail, in a file named like the entry.

captioned_digits.py  two digits on a canvas, and a sentence that says what they are
coloured_digits.py  digits large or small, in one of four colours: classes known by attributes
drawings.py         characters of alphabets that were never seen, and pairs of them
every.py            many claims as a queue of runs, on one machine or on a cluster
evidence.py         results/ENTRY.json, what is stale, and docs/EVIDENCE.md
ledger.py           `@claim`, the rules of its parts, and the runs that keep or break them
perceptrons.py      MNIST as rows for claims on perceptrons, and who is right
staged.py           a recipe with its first stage changed: other views, other batches, a sabotaged objective
settings.py         the data, nets, views and probes that claims share, under one name each
signed_digits.py    digits as most trial figures of the vision catalogue used them
digit_nets.py       digit nets of any seed, and what their layers say of test digits
graph_settings.py   what claims on whole graphs share: the same graphs with their nodes in another order
link_settings.py    what claims on links share: edges in three parts, hit rates
node_settings.py    what claims on embeddings of nodes share: halves of the labels, how a class is told
text_settings.py    what claims on texts share: pieces of four sets, pairs of the STS benchmark and their scores
scene_settings.py   nets on drawn scenes, as claims about looking into networks share them
states.py           the state of every recipe, as `semblance recipes` lists it
ENTRY.py            the claim of one entry
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
