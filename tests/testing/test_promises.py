"""The checks for other packages: our own components pass, and every promise can be broken by one made to break it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import torch
from torch import nn

import semblance as sb
from semblance.encoders.vectors import Flat, Identity
from semblance.errors import SemblanceError
from semblance.geometry.spaces import Euclidean
from semblance.memory.exact import Exact
from semblance.memory.filtered import Filtered
from semblance.memory.window_index import WindowIndex
from semblance.recipes import registry
from semblance.recipes.backbones import backbone_of
from semblance.reports import TableReport
from semblance.testing import check_dataset, check_encoder, check_index, check_recipe, check_report, small
from semblance.testing.related import SMALL, renumbered

# --- indexes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("geometry", ["cosine", "euclidean"])
def test_our_indexes_keep_their_promises(geometry):
    check_index(lambda: Filtered(6, geometry), Filtered.load, geometry=geometry)
    windows = ("year between 2003 and 2004", "year > 2005")
    make = lambda: WindowIndex(6, "year", geometry, "flat", cutoff=10)  # noqa: E731
    check_index(make, WindowIndex.load, geometry=geometry, conditions=windows)


class Listed(Exact):
    """An index that is right; those below each do one thing wrong."""

    wrong = ""

    def add(self, ids, vectors, attributes=None):
        if self.wrong == "twice":
            rows = [row for row, name in enumerate(ids) if name not in self._known]
            if len(rows) < len(ids) == len(vectors):
                return super().add([ids[row] for row in rows], vectors[rows], attributes.take(rows))
        return super().add(ids, vectors, attributes)

    def remove(self, ids):
        if self.wrong == "forgets nothing":
            return None
        return super().remove([i for i in ids if i in self._known] if self.wrong == "strangers" else ids)

    def search(self, queries, k, where=None):
        if self.wrong == "no where":
            where = None
        ids, far = super().search(queries, k + (self.wrong == "second"), where)
        if self.wrong == "second":
            ids, far = [line[1:] for line in ids], [line[1:] for line in far]
        if self.wrong == "squares":
            far = [line**2 for line in far]
        if self.wrong == "backwards":
            ids, far = [line[::-1] for line in ids], [line[::-1] for line in far]
        return ids, far

    def save(self, path):
        if self.wrong == "saves once" and path.exists():
            return None
        return super().save(path)


@pytest.mark.parametrize(
    ("wrong", "promise"),
    [
        ("twice", "refused"),
        ("forgets nothing", "nearest"),
        ("strangers", "refused"),
        ("no where", "nearest"),
        ("second", "nearest"),
        ("squares", "nearest"),
        ("backwards", "nearest"),
        ("saves once", "saved"),
    ],
)
def test_an_index_that_breaks_a_promise_is_told_which(wrong, promise):
    class Wrong(Listed):
        pass

    Wrong.wrong = wrong
    with pytest.raises(AssertionError, match=f"the index Wrong breaks the promise '{promise}'"):
        check_index(lambda: Wrong(6, "euclidean"), Wrong.load)


def test_recall_below_what_is_promised_is_told_in_figures():
    class Second(Listed):
        wrong = "second"

    check_index(lambda: Second(6, "euclidean"), Second.load, recall=0.3, excused=dict.fromkeys(["few", "refused"], "k"))
    with pytest.raises(AssertionError, match=r"0\.\d+ of the true nearest were found, 0.95 are promised"):
        check_index(lambda: Second(6, "euclidean"), Second.load, recall=0.95)


def test_an_index_without_conditions_has_to_refuse_them():
    with pytest.raises(AssertionError, match="a condition: was not refused"):
        check_index(lambda: Exact(6, "euclidean"), Exact.load, conditions=())
    with pytest.raises(AssertionError, match="a dict is no Index"):
        check_index(dict, Exact.load)


# --- encoders ---------------------------------------------------------------------------------------------------------


def test_our_encoders_keep_their_promises():
    check_encoder(lambda shape: Identity(shape.item[0]), "vectors")
    check_encoder(lambda shape: Flat(64, (16, 8)), small("vectors"))
    check_encoder(backbone_of("small", 0), "images")


class Linear(nn.Module):
    """An encoder that is right; those below each do one thing wrong."""

    wrong = ""

    def __init__(self):
        super().__init__()
        self.map, self.unused = nn.Linear(64, 4), nn.Linear(4, 4)
        self.unused.requires_grad_(self.wrong == "unused")
        self.dim, self.geometry = 4.0 if self.wrong == "dim" else 4, Euclidean()
        self.hidden = torch.rand(4) if self.wrong == "hidden" else torch.zeros(4)

    def forward(self, batch):
        return self.map(batch["x"]) + self.hidden.to(batch["x"].dtype)

    def embed(self, batch):
        if self.wrong == "changes x":
            batch["x"].mul_(0.5)
        z = self.forward(batch)
        if self.wrong == "companions":
            z = z - z.mean(0)
        if self.wrong == "noise":
            z = z + torch.rand_like(z)
        if self.wrong == "float":
            z = z.half().float()
        if self.wrong == "collapse":
            z = z * 0
        if self.wrong == "none" and not len(z):
            raise RuntimeError("no items")
        return z


@pytest.mark.parametrize(
    ("wrong", "promise"),
    [
        ("dim", "says"),
        ("collapse", "embeds"),
        ("companions", "alone"),
        ("noise", "alone"),
        ("changes x", "input"),
        ("none", "none"),
        ("unused", "gradients"),
        ("hidden", "kept"),
    ],
)
def test_an_encoder_that_breaks_a_promise_is_told_which(wrong, promise):
    class Wrong(Linear):
        pass

    check_encoder(lambda shape: Linear())
    Wrong.wrong = wrong
    with pytest.raises(AssertionError, match=f"the encoder Wrong breaks the promise '{promise}'"):
        check_encoder(lambda shape: Wrong())


def test_a_promise_is_excused_with_a_reason_that_is_printed(capsys):
    class Wrong(Linear):
        wrong = "unused"

    check_encoder(lambda shape: Wrong(), excused={"gradients": "its second map is for later"})
    assert "its second map is for later" in capsys.readouterr().out
    with pytest.raises(SemblanceError, match="gradients"):
        check_encoder(lambda shape: Linear(), excused={"gradient": "?"})


@pytest.mark.parametrize(
    ("make", "data", "says"),
    [
        (lambda shape: object(), "vectors", "no Encoder"),
        (lambda shape: Linear(), "points", "no small data set"),
        (lambda shape: Linear(), small("vectors").subset(np.arange(3)), "has 3 items"),
    ],
)
def test_what_cannot_be_checked_is_said(make, data, says):
    with pytest.raises((AssertionError, SemblanceError), match=says):
        check_encoder(make, data)


class Neighbours(nn.Module):
    """A right encoder of related units; those below each do one thing wrong."""

    wrong = ""

    def __init__(self, shape):
        super().__init__()
        self.dim, self.geometry = 3, Euclidean()
        self.map = nn.Linear(shape.item[0], 3)

    def forward(self, batch):
        (source, target), h = batch["graph"].edge_index, self.map(batch["x"])
        if self.wrong == "place":
            h = h + torch.arange(len(h))[:, None]
        return h.index_add(0, target, h[source])

    def embed(self, batch):
        z, graph = self.forward(batch), batch["graph"]
        if graph.member is None:
            z = z[batch["nodes"]]
        elif self.wrong == "first":  # of every graph its first node
            z = z[torch.searchsorted(graph.member, torch.arange(graph.num_graphs))]
        else:
            z = z.new_zeros(graph.num_graphs, 3).index_add(0, graph.member, z)
        return z - z.mean(0) if self.wrong == "companions" and len(z) else z


@pytest.mark.parametrize(
    ("domain", "wrong", "promise"),
    [
        ("graph", "place", "renumbered"),
        ("graphs", "place", "alone"),
        ("graphs", "first", "renumbered"),
        ("graph", "companions", "alone"),
        ("events", "companions", "alone"),
    ],
)
def test_an_encoder_of_related_units_that_breaks_a_promise_is_told_which(domain, wrong, promise):
    class Wrong(Neighbours):
        pass

    check_encoder(Neighbours, domain)
    Wrong.wrong = wrong
    with pytest.raises(AssertionError, match=f"the encoder Wrong breaks the promise '{promise}'"):
        check_encoder(Wrong, domain)


@pytest.mark.parametrize("domain", sorted(SMALL))
def test_the_small_related_data_sets_keep_their_promises(domain):
    check_dataset(SMALL[domain])
    data = small(domain)
    other, unit = renumbered(data)
    if domain in ("graph", "events"):
        assert sorted(unit) == list(range(len(data))) and (unit != np.arange(len(data))).any()
        assert np.array_equal(other.graph.rows().degree, data.graph.rows().degree[unit])
        assert np.array_equal(other.x, data.x[unit])


# --- recipes ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def tried(monkeypatch):
    """Registers a recipe under the name `tried` for this test."""

    def register(function, **more):
        function.__name__ = "tried"
        registry.recipe(**{"entry": None, "paper": "of this test", "domains": "vectors", **more})(function)
        row = function.row
        monkeypatch.setattr(registry, "own", lambda: {"tried": row})
        monkeypatch.setattr("semblance.testing.recipe.own", lambda: {"tried": row})
        return row

    yield register
    registry._DECORATED.pop("tried", None)


def encoder_with(wrong):
    class Wrong(Linear):
        pass

    Wrong.wrong = wrong
    as_is = registry.build("as-is")
    return replace(as_is, encoder=lambda shape: Wrong())


@pytest.mark.parametrize(
    ("wrong", "promise"), [("collapse", "learns"), ("companions", "alone"), ("hidden", "back"), ("noise", "alone")]
)
def test_a_recipe_that_breaks_a_promise_is_told_which(tried, wrong, promise):
    made = encoder_with(wrong)

    def recipe():
        """semblance fit x --recipe tried"""
        return made

    tried(recipe)
    with pytest.raises(AssertionError, match=f"the recipe 'tried' on vectors breaks the promise '{promise}'"):
        check_recipe("tried")


def test_chance_from_elsewhere_is_found(tried):
    good = encoder_with("")

    def encoder(shape):
        made = good.encoder(shape)
        np.random.default_rng().normal(size=3)
        with torch.no_grad():
            made.map.bias.copy_(torch.from_numpy(np.random.normal(size=4)))
        return made

    def recipe():
        """semblance fit x --recipe tried"""
        return replace(good, encoder=encoder)

    tried(recipe)
    with pytest.raises(AssertionError, match=r"'repeats'.*other values"):
        check_recipe("tried")


def test_a_recipe_that_does_not_describe_itself_is_told(tried):
    good = encoder_with("")

    def recipe(shape=(1, 2)):
        """semblance fit x --recipe tried"""
        return good

    tried(recipe)
    with pytest.raises(AssertionError, match=r"'described'.*shape of the settings"):
        check_recipe("tried")

    def other():
        """A recipe."""
        return good

    tried(other)
    with pytest.raises(AssertionError, match=r"begins with 'A recipe.'"):
        check_recipe("tried")


def test_a_table_that_is_not_the_code_is_found(tried, monkeypatch):
    good = encoder_with("")

    def recipe(dim: int = 3):
        """semblance fit x --recipe tried"""
        return good

    row = tried(recipe)
    monkeypatch.setattr("semblance.testing.recipe.own", lambda: {"tried": replace(row, settings={"dim": 4})})
    with pytest.raises(
        AssertionError, match=r"'listed'.*settings stand otherwise.*python -m semblance.recipes.registry"
    ):
        check_recipe("tried")


@pytest.mark.parametrize(("name", "more"), [("simsam", {}), ("as-is", {"dataset": small("images")})])
def test_a_wrong_call_is_answered(name, more):
    with pytest.raises(SemblanceError, match=r"simsiam|vectors"):
        check_recipe(name, **more)


# --- reports and data sets --------------------------------------------------------------------------------------------


def a_report(**more):
    given = {"title": "T", "verdict": "All is well.", "rows": ({"k": 1, "v": 2.0},), "x": "k", "lines": ("v",), **more}
    return TableReport(**given)


class Outside(TableReport):
    def save(self, path):
        path.write_text("<p>All is well.</p>" + 100 * " " + '<script src="https://example.org/x.js"></script>')


class Empty(TableReport):
    def plot(self):
        from matplotlib.figure import Figure

        return Figure()


def test_our_reports_keep_their_promises():
    check_report(a_report())


@pytest.mark.parametrize(
    ("made", "promise"),
    [
        (a_report(verdict="two\nlines"), "verdict"),
        (a_report(verdict=""), "verdict"),
        (Outside("T", "V", ({"k": 1, "v": 2.0},), "k", ("v",)), "page"),
        (Empty("T", "V", ({"k": 1, "v": 2.0},), "k", ("v",)), "picture"),
    ],
)
def test_a_report_that_breaks_a_promise_is_told_which(made, promise):
    with pytest.raises(AssertionError, match=f"breaks the promise '{promise}'"):
        check_report(made)


def test_our_data_sets_keep_their_promises(tmp_path):
    check_dataset(lambda: sb.data.load("digits"))
    (tmp_path / "t.csv").write_text("a,b,label\n" + "".join(f"{i},{i * i},{'xy'[i % 2]}\n" for i in range(30)))
    check_dataset(lambda: sb.data.load(tmp_path / "t.csv"))


@pytest.mark.parametrize(
    ("change", "promise"),
    [
        (lambda d: {"ids": d.ids[1:]}, "aligned"),
        (lambda d: {"ids": ["same"] * len(d)}, "named"),
        (lambda d: {"splits": {"test": np.arange(5)}}, "parts"),
        (lambda d: {"splits": {"train": np.arange(5), "test": np.arange(4, 9)}}, "parts"),
        (lambda d: {"x": np.full_like(d.x, np.nan)}, "reads"),
        (lambda d: {"fingerprint": str(np.random.default_rng().random())}, "repeats"),
        (lambda d: {"attributes": pa.table({"row": [1]})}, "aligned"),
    ],
)
def test_a_data_set_that_breaks_a_promise_is_told_which(change, promise):
    data = small("vectors")
    with pytest.raises(AssertionError, match=f"breaks the promise '{promise}'"):
        check_dataset(lambda: replace(data, **change(data)))
