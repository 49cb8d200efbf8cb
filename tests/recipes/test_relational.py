"""Encoders of recipes whose units are related: the contract of every encoder, and that numbering decides nothing."""

from __future__ import annotations

import pytest

from semblance.data.domains import RELATIONAL
from semblance.recipes.registry import build, own
from semblance.testing import check_encoder

OWN_VECTORS = {"renumbered": "every node has a vector of its own, which is found by its number"}
EXCUSED = {"lightgcn": OWN_VECTORS, "matrix-factorisation": OWN_VECTORS, "node2vec": OWN_VECTORS}
"""Promises without a meaning for a recipe's encoder, each with the reason."""
NAMES = [(name, domain) for name, row in own().items() for domain in row.domains if domain in RELATIONAL]


@pytest.mark.parametrize(("name", "domain"), NAMES)
def test_the_encoder_of_a_recipe_keeps_its_promises(name: str, domain: str) -> None:
    check_encoder(build(name).encoder, domain, excused=EXCUSED.get(name))
