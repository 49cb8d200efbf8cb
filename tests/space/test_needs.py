"""What a method needs is known before anything is trained: over the whole table, with what would do instead."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from semblance.data.moments import shape_of
from semblance.data.relational import Loaded
from semblance.errors import SemblanceError
from semblance.recipes.registry import build, own, row_of
from semblance.space.choose import candidates, choose
from semblance.space.needs import MISSING, SEVERAL, met, would_do
from semblance.testing import short
from semblance.testing import small as made

NEEDY = [(name, domain) for name, row in own().items() for domain in row.domains if row.needs]


@cache
def small(domain: str) -> Loaded:
    return made(domain)


@cache
def bare(domain: str) -> Loaded:
    """The small data set of a domain without labels, judgements and captions."""
    data = small(domain)
    left = {name: column for name, column in data.targets.items() if name != "labels"}
    return replace(data, targets=left, **{k: None for k in ("pairs", "captions") if getattr(data, k, None) is not None})


@pytest.mark.parametrize(("name", "domain"), NEEDY)
def test_data_without_what_a_method_needs_is_refused_with_what_is_missing_and_what_would_do(
    name: str, domain: str
) -> None:
    data = bare(domain)
    with pytest.raises(SemblanceError, match=r"needs labels|judged|captions") as refused:
        choose(data, name, {})
    line = str(refused.value)
    assert "\n" not in line and f"recipe {name!r}" in line
    if domain == "complex":
        assert line.endswith("no method here learns from complex without")
        return
    instead = line.rpartition("use ")[2].partition(" or ")[0].split(", ")
    assert name not in instead
    for other in instead:
        assert not row_of(other).needs and domain in row_of(other).domains


def test_what_would_do_is_what_the_data_meets_those_that_rank_takes_first() -> None:
    labelled = small("images")
    assert met(labelled) == {"labels", "judgements", "captions"} and not met(bare("images"))
    assert would_do(bare("images")).startswith("simclr, ") and "supcon" not in would_do(bare("images"))
    assert "supcon" in would_do(labelled).split(", ")
    assert "--needs nothing" in would_do(bare("images")) and "--needs" not in would_do(labelled)


def test_labels_of_one_class_teach_nothing() -> None:
    data = small("images")
    same = replace(data, targets={"labels": np.zeros(len(data), np.int64)})
    with pytest.raises(SemblanceError, match="two classes or more and the data has 1"):
        choose(same, "supcon", {})


@pytest.mark.parametrize("kind", ["several", "number"])
@pytest.mark.parametrize("name", [n for n, r in own().items() if r.domains[:1] == ("images",) and "labels" in r.needs])
def test_labels_of_a_kind_that_a_method_does_not_take_are_refused_by_their_kind(name: str, kind: str) -> None:
    labels = small("images").targets["labels"]
    column = labels[:, None] == np.arange(5) if kind == "several" else labels.astype(float)
    data = replace(small("images"), targets={"labels": column}, captions=None)
    if kind == "several" and name in SEVERAL:
        choose(data, name, {})
        return
    with pytest.raises(SemblanceError, match=r"several classes an item|labels are numbers") as refused:
        choose(data, name, {})
    assert "use simclr" in str(refused.value)
    assert name not in candidates(data)


def test_data_of_another_domain_is_told_which_methods_take_it() -> None:
    with pytest.raises(SemblanceError, match="takes graph; this data is images: use ") as refused:
        choose(small("images"), "gcn", {})
    assert len(str(refused.value)) < 400


@pytest.mark.parametrize("name", [n for n, row in own().items() if {"images", "vectors"} & set(row.domains)])
def test_what_an_objective_asks_for_the_table_says(name: str) -> None:
    row = row_of(name)
    # Words of captions and judged pairs become labels on the way.
    told = {*row.needs, *({"labels"} if {"judgements", "captions"} & set(row.needs) else ())}
    for domain in row.domains if row.makes != "report" else ():
        shape = shape_of(small(domain))
        for stage in build(name, **short(name)).stages:
            if stage.objective is not None:
                asked = getattr(stage.objective(shape), "needs", frozenset())
                assert asked & {"labels", *MISSING} <= told
