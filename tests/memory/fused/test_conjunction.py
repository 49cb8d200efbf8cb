"""A condition that compiled code reads lets in what is found row by row: nulls, edges of blocks, stretches and unions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semblance.errors import SemblanceError
from semblance.memory.conditions import Compare, Condition, Parameter, conjuncts, with_values
from semblance.memory.filtered import Filtered
from semblance.memory.fused.conjunction import Conjunction
from semblance.memory.masks import Column, true_rows
from semblance.memory.where import bind, parse_where

COUNT, K = 1_500, 100
NAMES = ["id_", "kind", "score", "city", "ok"]


def columns(seed: int = 0) -> pa.Table:
    rng = np.random.default_rng(seed)

    def some(values: Any, share: float) -> pa.Array:
        return pa.array(values, mask=rng.random(COUNT) < share, from_pandas=True)

    return pa.table(
        {
            "id_": some(np.round(rng.normal(size=COUNT), 3), 0.05),  # the natural order: most distinct numbers
            "kind": some(rng.integers(-3, 9, COUNT), 0.1),
            "score": some(np.round(rng.random(COUNT), 2).astype(np.float32), 0.02),
            "city": some(
                np.array(["Oslo", "Bergen", "Rome", "Lima"])[rng.choice(4, COUNT, p=[0.6, 0.3, 0.08, 0.02])], 0.2
            ),
            "ok": some(rng.random(COUNT) < 0.5, 0.3),
        }
    )


@pytest.fixture(scope="module", params=[128, 8], ids=["all columns with an order", "one besides the natural one"])
def index(request: pytest.FixtureRequest) -> Filtered:
    made = Filtered(request.param, recall=1.0)
    vectors = np.random.default_rng(1).normal(size=(COUNT, made.dim)).astype(np.float32)
    made.add([str(row) for row in range(COUNT)], vectors, columns())
    made.build()
    (part,) = made._state.parts
    assert part.natural == "id_" and len(part.orders) == (5 if made.dim == 128 else 2)
    return made


def met(index: Filtered, tree: Condition) -> np.ndarray:
    """The numbers of the items for which the condition is true, row by row."""
    table = index._state.table
    return np.flatnonzero(true_rows(tree, {name: Column.of(table[name], name) for name in table.column_names}))


def check(index: Filtered, text: str, *values: Any) -> None:
    near = index.prepare(text)
    assert near._quick is not None
    tree = bind(index._parsed(index._state, text), values)
    rows, query = met(index, tree), np.random.default_rng(2).normal(size=index.dim).astype(np.float32)
    found, distances = near._quick(query, K, *values)
    (part,) = index._state.parts
    places = np.argsort(part.keys)[rows]
    scores = part.rows.vectors[places] @ (query / np.linalg.norm(query))
    assert len(found) == min(K, len(rows)), text
    np.testing.assert_allclose(distances, np.sort(1 - scores)[:K], atol=1e-5)
    assert set(found) <= set(rows) and len(set(found)) == len(found)


numbers = st.sampled_from([-4, -3, 0, 1, 2, 5, 8, 9, 0.5, -0.731, 1e9])
VALUES = {
    "id_": numbers, "kind": st.integers(-4, 9), "score": st.sampled_from([0, 1, 0.1, 0.25, 0.5, 0.77, 2.5]),
    "city": st.sampled_from(["Oslo", "Bergen", "Rome", "Lima", "nowhere", ""]), "ok": st.booleans(),
}  # fmt: skip


def written(value: object) -> str:
    return f"'{value}'" if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else repr(value)


@st.composite
def leaves(draw: st.DrawFn) -> str:
    name = draw(st.sampled_from(NAMES))
    value = VALUES[name].map(written)
    kind = draw(st.sampled_from(["compare", "compare", "between", "in", "null", "is"]))
    if kind == "between" and name != "ok":
        low, high = sorted(draw(st.tuples(VALUES[name], VALUES[name])))
        return f"{name} between {written(low)} and {written(high)}"
    if kind == "in":
        return f"{name} in ({', '.join(draw(st.lists(value, min_size=1, max_size=4)))})"
    if kind == "null":
        return f"{name} is {draw(st.sampled_from(['', 'not ']))}null"
    if kind == "is":
        return f"ok is {draw(st.sampled_from(['true', 'false']))}"
    return f"{name} {draw(st.sampled_from(['=', '<>', '<', '<=', '>', '>=']))} {draw(value)}"


texts = st.recursive(
    leaves(),
    lambda inner: st.one_of(
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: "(" + " and ".join(parts) + ")"),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: "(" + " or ".join(parts) + ")"),
        inner.map(lambda part: f"not ({part})"),
    ),
    max_leaves=8,
)


@given(text=texts)
@settings(max_examples=150, deadline=None)
def test_any_condition_over_ordered_columns_lets_in_what_it_does_row_by_row(index: Filtered, text: str) -> None:
    check(index, text)


@given(text=texts)
@settings(max_examples=60, deadline=None)
def test_values_for_question_marks_do_what_values_in_the_text_do(index: Filtered, text: str) -> None:
    state = index._state
    kinds = {field.name: field.type for field in state.table.schema}
    values: list[Any] = []

    def asked(value: Any) -> Any:
        values.append(value)
        return Parameter(len(values) - 1, "", pa.null())

    tree = parse_where(text, kinds)
    open_ = str(with_values(tree, asked))
    near = index.prepare(open_)
    if near._quick is None:  # a list of words that are neighbours is a stretch only once they are known
        return
    check(index, open_, *values)


SHAPES: list[tuple[str, tuple[Any, ...]]] = [
    ("id_ between ? and ? and (kind = ? or kind = ?)", (-0.5, 0.9, 3, 5)),
    ("id_ between ? and ? and (kind = ? or kind = ?)", (-0.5, 0.9, 5, 5)),
    ("id_ between ? and ? and kind in (?, ?, ?)", (-9, 9, 3, 4, 77)),
    ("kind = ? or kind = ?", (0, 8)),
    ("id_ > ? and not kind = ?", (0.1, 4)),
    ("id_ <= ? and kind <> ? and city is null", (0.1, 4)),
    ("id_ between ? and ? and score between ? and ?", (-1, 1, 0.2, 0.4)),
    ("score between ? and ? and id_ between ? and ?", (0.31, 0.32, -1, 1)),
    ("score >= ? and score < ? and id_ < ?", (0.1, 0.2, 2)),
    ("id_ < ? or id_ > ?", (-1.5, 1.5)),
    ("id_ between ? and ? and (kind = ? or score < ?)", (-0.5, 0.9, 3, 0.3)),
    ("(city = ? and kind > ?) or (city = ? and id_ is null)", ("Rome", 2, "Oslo")),
    ("city in (?, ?) and ok", ("Rome", "Lima")),
    ("not (kind = ? and ok)", (3,)),
    ("id_ is null and kind in (?, ?)", (1, 2)),
    ("id_ is null or kind is null", ()),
    ("ok is not true and kind < ?", (4,)),
]


@pytest.mark.parametrize(("text", "values"), SHAPES, ids=[text for text, _ in SHAPES])
def test_usual_shapes(index: Filtered, text: str, values: tuple[Any, ...]) -> None:
    check(index, text, *values)


def test_what_is_wrong_with_values_is_said_as_by_a_search(index: Filtered) -> None:
    near, query = index.prepare("id_ between ? and ? and (kind = ? or kind = ?)"), np.ones(index.dim, np.float32)
    for values, says in [
        ((1, 0, 3, 4), "larger end first"), ((0, 1, 3), "value"), ((0, 1, 3, 4, 5), "value"), ((0, 1, None, 4), "null"),
        ((0, 1, "three", 4), "'three'"), ((float("nan"), 1, 3, 4), "nan"), ((0, 1, 2**80, 4), "64 bits"),
        ((0, True, 3, 4), "true"),
    ]:  # fmt: skip
        with pytest.raises(SemblanceError, match=says) as caught:
            near(query, 5, *values)
        assert "\n" not in str(caught.value)
    bad = query.copy()
    bad[0] = np.nan
    with pytest.raises(SemblanceError, match="NaN"):
        near(bad, 5, 0, 1, 3, 4)
    assert near(query, 5, 0, 1, np.int16(3), 4.0)[0].tolist() == near(query, 5, 0, 1, 3, 4)[0].tolist()
    assert len(near(query, 5, 0, 1, 3.5, 77)[0]) == 0
    assert (
        index.prepare("score = ? and ok")(query, 500, 0.1)[0].tolist()
        == index.prepare("score = 0.1 and ok")(query, 500)[0].tolist()
    )


def test_what_is_no_stretch_is_read_row_by_row(index: Filtered) -> None:
    for text in (
        "city like '%e%' and kind = 3",
        "kind > id_",
        f"kind in ({', '.join(map(str, range(100, 200)))}) and ok",
    ):
        near = index.prepare(text)
        assert near._quick is None
        assert len(near(np.ones(index.dim, np.float32), COUNT)[0]) == len(met(index, index._parsed(index._state, text)))


def test_a_conjunction_knows_unions_of_one_column_and_keeps_leaves_off_the_stack(index: Filtered) -> None:
    (part,) = index._state.parts
    tree = index._parsed(
        index._state, "id_ > 0 and (kind = 1 or kind in (3, 4)) and (ok or score < 0.5 and (city = 'Rome' or ok))"
    )
    made = Conjunction.of(tree, part.columns, part.orders, part.natural)
    assert made is not None and made.names == ["id_", "kind", "city", "ok", "score"]
    assert [kind for _, _, kind, _ in made.conjuncts] == [1, 2 if "kind" in part.orders else 0, 0]
    assert made.depth == 1 and len(made.leaves) == 8 == len(made.program)
    assert all(isinstance(part, Compare) for part in conjuncts(tree)[:1])
