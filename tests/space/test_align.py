"""Two spaces, one query."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import semblance as sb
from semblance.errors import SemblanceError
from semblance.memory.unpaired import Plan
from semblance.space.align import align
from semblance.space.aligned import Aligned

RNG = np.random.default_rng(0)
X = RNG.normal(size=(200, 8)).astype(np.float32)
WIDE = (X @ np.linalg.qr(RNG.normal(size=(12, 12)))[0][:8]).astype(np.float32)
QUICK = Plan(width=8, hidden=8, backbone=1, steps=2, batch=16)


def written(at: Path, ids: list[str], x: np.ndarray, **columns: list) -> None:
    """A space of these vectors."""
    table = {"key": ids, **{f"v{d}": x[:, d] for d in range(x.shape[1])}, **columns}
    pq.write_table(pa.table(table), at.with_suffix(".parquet"))
    sb.fit(at.with_suffix(".parquet"), recipe="as-is", id_column="key", out=at).close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Spaces a and b of items in common, another width and order; c of other names; flat, where all items are one."""
    at = tmp_path_factory.mktemp("aligned")
    ids = [f"i{i}" for i in range(200)]
    order = RNG.permutation(200)[:160]
    written(at / "a.space", ids, X, year=[str(1900 + i) for i in range(200)])
    written(at / "b.space", [ids[i] for i in order] + [f"only{i}" for i in range(5)], WIDE[[*order, 0, 1, 2, 3, 4]])
    written(at / "c.space", [f"k{i}" for i in range(200)], WIDE)
    written(at / "twin.space", ids, X[:, ::-1].copy())
    written(at / "flat.space", ids, np.ones_like(X))
    return at


@pytest.mark.parametrize("method", ["relative", "procrustes"])
def test_one_query_searches_both_spaces(folder: Path, method: str) -> None:
    with align(folder / "a.space", folder / "b.space", method=method) as both:
        assert both.quality is not None and both.quality.top1 == 1
        assert both.fitted == 128 and both.quality.pairs == 32
        inside = both.spaces[1].ids[7]
        found = both.search(inside, k=3)
        assert found.ids[0] == ("b", inside)  # the first space that knows it asks, and its counterpart is the nearest
        assert ("a", inside) not in found.ids
        assert found.results[0]["distance"] < 1e-3
        back = both.search("only2", k=1)
        assert back.ids == [("a", "i2")]
        assert both.search(inside, k=1, of="b").ids == [("a", inside)]
        by_vector = both.search(both.spaces[1].vectors[7], k=2)
        assert {name for _, name in by_vector.ids} == {inside}
        assert found.matches == 200 + 165 - 1
        assert "100.0%" in str(both)


def test_a_mapping_pairs_items_of_other_names(folder: Path) -> None:
    pairs = {f"i{i}": f"k{i}" for i in range(50)}
    with align(folder / "a.space", folder / "c.space", method="procrustes", pairs=pairs) as both:
        assert both.fitted == 40 and both.quality is not None and both.quality.pairs == 10
        assert both.search("i123", k=1).ids == [("c", "k123")]


def test_without_pairs_all_that_are_known_judge(folder: Path) -> None:
    steps: list[tuple[int, int, str]] = []
    with sb.align(
        folder / "a.space",
        folder / "b.space",
        method="vec2vec",
        plan=QUICK,
        runs=2,
        progress=lambda *told: steps.append(told),
    ) as both:
        assert both.fitted == 0 and both.quality is not None and both.quality.pairs == 160
        assert len(both.search("i3", k=4).ids) == 4
        assert steps[-1] == (2, 2, "translating")
    with align(folder / "a.space", folder / "c.space", method="vec2vec", plan=QUICK, runs=1) as both:
        assert both.quality is None
        assert "not judged" in str(both)


def test_a_condition_holds_in_both_and_a_space_without_the_column_says_so(folder: Path) -> None:
    with align(folder / "a.space", folder / "b.space", pairs=50) as both:
        some = both.search("i3", k=400, where="year < '1910'")
        assert {name for space, name in some.ids} == {f"i{i}" for i in range(10)} - {"i3"}
        assert {space for space, _ in some.ids} == {"a"}
        assert some.notes[0].startswith("b has no match")
        everywhere = both.search("i3", k=400, where="split = 'test'")
        assert {space for space, _ in everywhere.ids} == {"a", "b"} and not everywhere.notes
        with pytest.raises(SemblanceError, match="yaer"):
            both.search("i3", where="yaer < '1910'")


@pytest.mark.parametrize("method", ["relative", "procrustes", "vec2vec"])
def test_what_is_saved_answers_the_same_wherever_it_is_moved(folder: Path, tmp_path: Path, method: str) -> None:
    settings = {"plan": QUICK, "runs": 1} if method == "vec2vec" else {"pairs": 30}
    with align(folder / "a.space", folder / "b.space", method=method, **settings) as both:
        both.save(folder / "both.align")
        before, said = both.search("i9", k=6).to_dict(), str(both)
    with Aligned.load(folder / "both.align") as again:
        assert again.search("i9", k=6).to_dict() == before
        assert str(again) == said
    (folder / "both.align").rename(tmp_path / "both.align")
    with pytest.raises(SemblanceError):
        Aligned.load(tmp_path / "both.align")
    with Aligned.load(tmp_path / "both.align", folder / "a.space", folder / "b.space") as again:
        assert again.search("i9", k=6).to_dict() == before
    with pytest.raises(SemblanceError, match="fitted again since"):
        Aligned.load(tmp_path / "both.align", folder / "twin.space", folder / "b.space")
    with pytest.raises(SemblanceError, match="no file"):
        Aligned.load(tmp_path / "neither.align")


def test_an_item_that_joins_or_goes_is_seen_at_once(folder: Path, tmp_path: Path) -> None:
    written(tmp_path / "d.space", [f"i{i}" for i in range(100)], X[:100])
    with align(tmp_path / "d.space", folder / "b.space", method="procrustes") as both:
        both.search("i3")
        with sb.load(tmp_path / "d.space") as other:
            other.remove(["i7"])
            other.add(X[150:151], ids=["new"])
        assert both.search("new", k=300).matches == 100 + 165 - 1
        assert ("d", "i7") not in both.search("i3", k=300).ids


def test_a_vector_that_may_be_of_either_space_has_to_be_told(folder: Path) -> None:
    with align(folder / "a.space", folder / "twin.space", method="procrustes") as both:
        with pytest.raises(SemblanceError, match="of='a' or of='twin'"):
            both.search(X[0])
        assert both.search(X[0], of="a", k=1).ids == [("a", "i0")]
        with pytest.raises(SemblanceError, match="space of this alignment"):
            both.search(X[0], of="c")
        with pytest.raises(SemblanceError, match="5 numbers"):
            both.translate(X[:, :5], "a")
        with pytest.raises(SemblanceError, match="neither space"):
            both.search("nowhere.png")
        with pytest.raises(SemblanceError, match="k is 0"):
            both.search("i0", k=0)


def test_bad_input_is_refused_with_its_remedy(folder: Path) -> None:
    a, b = folder / "a.space", folder / "b.space"
    with pytest.raises(SemblanceError, match=r"no item in common.*vec2vec"):
        align(a, folder / "c.space")
    with pytest.raises(SemblanceError, match="3 pairs are too few"):
        align(a, b, pairs=3)
    with pytest.raises(SemblanceError, match="161 pairs are asked for and 160"):
        align(a, b, pairs=161)
    with pytest.raises(SemblanceError, match="lacks, first 'zz'"):
        align(a, b, pairs={"zz": "i0"})
    with pytest.raises(SemblanceError, match="same vector for all"):
        align(a, folder / "flat.space", method="procrustes")
    with pytest.raises(SemblanceError, match="did you mean procrustes"):
        align(a, b, method="procustes")
    with pytest.raises(SemblanceError, match="setting of this method 'anchor': did you mean anchors"):
        align(a, b, anchor=3)
