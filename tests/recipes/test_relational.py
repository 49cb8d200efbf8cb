"""Encoders of recipes whose units are related: the contract of every encoder, and that numbering decides nothing."""

from __future__ import annotations

import pytest

from semblance.data.domains import RELATIONAL
from semblance.recipes.registry import build, own
from semblance.testing import check_encoder
from tests.recipes.test_contract import QUICK

BY_NUMBER = {"renumbered": "every node has a vector of its own, which is found by its number"}
SOLVED = {**BY_NUMBER, "embeds": "its vectors are zeros until its rule fills them in"}
DRAWN = {"renumbered": "every node has random directions of its own, drawn in the order of numbers"}
ONE_MESH = {"gradients": "the units are vertices, and what the last layer tells edges and faces reaches no vertex"}
EXCUSED = {
    "lightgcn": BY_NUMBER,
    "matrix-factorisation": BY_NUMBER,
    "sheaf4rec": BY_NUMBER,
    "fastrp": DRAWN,
    "star-fastrp": DRAWN,
    "graph-rnn": {
        "gradients": "the unit that tells links answers a likelihood, not the embedding",
        "renumbered": "of nodes that look alike the one of lower number is read first",
    },
    "graph-vae": {"gradients": "the decoder answers a likelihood, not the embedding"},
    "graph-dilated-time": {"renumbered": "a sensor's place in the learned graph is found by its number"},
    "sage-lstm": {"renumbered": "neighbours are read in an order that is counted from their numbers"},
    "sdne": BY_NUMBER,
    "graph-mixer": {"renumbered": "where a graph is cut, and which patch is which, follows its numbering"},
    "cat-walk": {"renumbered": "a node's walks are drawn by its number"},
    "scrawl": {**ONE_MESH, "renumbered": "a cell's walks are drawn by its number"},
    "rni": {"renumbered": "a node's draws follow its place in its graph"},
    "node2vec": SOLVED,
    "deepwalk": SOLVED,
    "graphlet-orbits": SOLVED,
    "line": SOLVED,
    "musae": SOLVED,
    "swivel": SOLVED,
    "hyperbolic-tree": SOLVED,
    "h-mds": SOLVED,
    "distance-points": SOLVED,
    "vqgraph-teacher": {"gradients": "what reads a state back from its code is held by the penalty alone"},
    "stable": {"gradients": "what reads the nodes learns in a stage of its own, and rests afterwards"},
    "neural-snowflake": {"gradients": "which edges are drawn learns by the objective's reward alone"},
    "cw-cnn": ONE_MESH,
    "cw-at": ONE_MESH,
}
"""Promises without a meaning for a recipe's encoder, each with the reason."""
NAMES = [(name, domain) for name, row in own().items() for domain in row.domains if domain in RELATIONAL]


@pytest.mark.parametrize(("name", "domain"), NAMES)
def test_the_encoder_of_a_recipe_keeps_its_promises(name: str, domain: str) -> None:
    check_encoder(build(name, **QUICK.get(name, {})).encoder, domain, excused=EXCUSED.get(name))
