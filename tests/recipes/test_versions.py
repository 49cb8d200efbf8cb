"""A recipe's name is a promise of its defaults: `name@1` keeps what version 1 had."""

from __future__ import annotations

import pytest

from semblance.errors import SemblanceError
from semblance.recipes import registry
from semblance.recipes.registry import Entry, Recipe, build, check_settings, recipe, row_of, stored_name, told_name


@pytest.fixture
def third(monkeypatch):
    """A recipe whose defaults changed twice: lr from 0.1 to 0.2 to 0.3, and a setting `warm` that came with version 2."""
    seen: list[dict] = []

    @recipe(
        entry=None,
        paper="of this test",
        domains="vectors",
        superseded={1: {"lr": 0.1, "warm": False}, 2: {"lr": 0.2}},
    )
    def drifting(lr: float = 0.3, dim: int = 8, warm: bool = True) -> Recipe:
        """as its settings say"""
        seen.append({"lr": lr, "dim": dim, "warm": warm})
        return Recipe(encoder=lambda shape: None)

    row: Entry = registry._DECORATED["drifting"][0]
    monkeypatch.setattr(registry, "table", lambda: {"drifting": row})
    yield seen
    registry._DECORATED.pop("drifting")


def test_a_version_has_the_defaults_it_was_made_with(third):
    assert row_of("drifting").version == 3
    assert row_of("drifting@3").settings == row_of("drifting").settings == {"lr": 0.3, "dim": 8, "warm": True}
    assert row_of("drifting@2").settings == {"lr": 0.2, "dim": 8, "warm": True}
    assert row_of("drifting@1").settings == {"lr": 0.1, "dim": 8, "warm": False}


def test_building_an_old_version_takes_its_defaults_and_the_settings_given(third):
    build("drifting")
    build("drifting@1")
    build("drifting@2", dim="16", lr=0.5)
    assert third == [
        {"lr": 0.3, "dim": 8, "warm": True},
        {"lr": 0.1, "dim": 8, "warm": False},
        {"lr": 0.5, "dim": 16, "warm": True},
    ]


def test_files_keep_the_version_and_people_read_it_where_it_is_not_todays(third):
    assert stored_name("drifting") == "drifting@3" and stored_name("drifting@1") == "drifting@1"
    assert told_name("drifting@3") == "drifting" and told_name("drifting@2") == "drifting@2"
    assert told_name("drifting") == "drifting@1"  # written before names had versions
    assert stored_name("") == told_name("") == ""


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("drifting@4", "no version '4' of recipe drifting: there is drifting@1 to drifting@3"),
        ("drifting@0", "no version '0'"),
        ("drifting@new", "no version 'new'"),
        ("drifting@", "no version ''"),
        ("drifing@1", "did you mean drifting"),
    ],
)
def test_a_version_that_does_not_exist_is_answered_with_those_that_do(third, name, says):
    for ask in (row_of, build, stored_name, lambda name: check_settings(name, {})):
        with pytest.raises(SemblanceError, match=says) as caught:
            ask(name)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("superseded", [{2: {"lr": 1.0}}, {1: {"rate": 1.0}}])
def test_a_table_of_old_defaults_that_has_gaps_or_strange_settings_is_a_mistake(superseded):
    with pytest.raises(AssertionError, match=r"versions are|no argument"):

        @recipe(entry=None, paper="", domains="vectors", superseded=superseded)
        def broken(lr: float = 0.1) -> Recipe:
            """never registered"""
            raise NotImplementedError


def test_every_shipped_recipe_can_be_asked_for_by_every_version_it_had():
    for name, row in registry.own().items():
        for version in range(1, row.version + 1):
            assert isinstance(build(f"{name}@{version}"), Recipe)
