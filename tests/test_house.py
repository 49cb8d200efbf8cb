"""The house: rooms that say what they hold, one public list, a table that is the code's, and a start without torch."""

from __future__ import annotations

import ast
import doctest
import importlib
import inspect
import json
import pkgutil
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest
from conftest import needs

import semblance
from semblance.recipes import registry

PACKAGE = Path(semblance.__file__).parent
PACKAGES = sorted(str(p.parent.relative_to(PACKAGE)) for p in PACKAGE.rglob("__init__.py"))
ROOMS = [p for p in PACKAGES if p != "."]
MODULES = sorted(m.name for m in pkgutil.walk_packages(semblance.__path__, "semblance.") if not m.ispkg)


def python(code: str) -> str:
    """What a fresh interpreter prints."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


HEAVY = "print([m for m in ('torch', 'scipy', 'sklearn', 'matplotlib', 'pandas', 'kornia') if m in sys.modules])"


@pytest.mark.parametrize(
    "code",
    [
        "import semblance",
        "import semblance as sb; sb.recipes()",
        "import semblance.errors, semblance.contracts, semblance.data.dataset, semblance.recipes.registry",
        "import semblance as sb; sb.data.list()",
        "from semblance.app.cli import main; sys.argv[1:] = ['--help']\ntry: main()\nexcept SystemExit: pass",
        "from semblance.app.cli import main; sys.argv[1:] = ['fit', '--help']\ntry: main()\nexcept SystemExit: pass",
    ],
)
def test_starting_loads_neither_torch_nor_scipy(code):
    assert python(f"import sys; {code}\n{HEAVY}").splitlines()[-1] == "[]"


@pytest.mark.parametrize("code", ["import semblance", "from semblance.app import cli; cli.run(cli.app, ['--help'])"])
def test_starting_takes_less_than_half_the_time_of_loading_torch(code):
    """Some 0.2 s; told by processor time in one run, since machines differ, and one machine from hour to hour."""

    def seconds(what: str) -> float:
        clock = f"import time; begun = time.process_time(); {what}\nprint(time.process_time() - begun)"
        return min(float(python(clock).splitlines()[-1]) for _ in range(3))

    assert seconds(code) < seconds("import torch") / 2


def test_the_public_list_is_what_can_be_imported():
    assert set(semblance.__all__) == {
        *(
            "fit",
            "load",
            "embed",
            "rank",
            "compare",
            "align",
            "shards",
            "explain",
            "wrap",
            "report",
            "survey",
            "recipes",
            "data",
            "Model",
            "Space",
            "Embedder",
            "SemblanceError",
        ),
    }
    found = {name: getattr(semblance, name) for name in semblance.__all__}
    assert all(callable(found[name]) for name in semblance.__all__ if name != "data")
    assert {"load", "list", "describe"} <= set(dir(semblance.data))
    assert semblance.__version__ == tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text())["project"]["version"]
    with pytest.raises(AttributeError, match="no attribute 'fitt'"):
        _ = semblance.fitt


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_hands_on_its_names_and_says_what_each_file_holds(room):
    module = importlib.import_module(f"semblance.{room.replace('/', '.')}")
    for name in module.__all__:
        assert getattr(module, name) is not None
    entries = registry.catalogue()
    claims = {e["id"].replace("-", "_") for e in entries} if room == "claims" else set()
    for path in (PACKAGE / room).iterdir():
        listed = path.suffix == ".py" or (path / "__init__.py").exists()
        if listed and path.stem != "__init__" and path.stem.strip("_") not in claims:
            assert f"{path.name}{'/' if path.is_dir() else ''} " in module.__doc__, f"{room} does not list {path.name}"


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_table_holds_nothing_else(room):
    body = ast.parse((PACKAGE / room / "__init__.py").read_text()).body
    assert [type(node) for node in body] == [ast.Expr, ast.ImportFrom, ast.Assign]


def test_a_submodule_named_like_its_function_can_be_called():
    assert isinstance(importlib.import_module("semblance.data.load"), ModuleType)
    assert semblance.data.load("digits").name == "digits"
    assert len(semblance.recipes()) >= 356


@pytest.fixture
def toy(monkeypatch, tmp_path):
    """A package with a table of four names, one of them that of the submodule it stands in."""
    files = {
        "__init__": "from semblance.lazy import lazy\n__getattr__, __dir__, __all__ = lazy(__name__, "
        "{'half': 'half', 'third': 'parts:a_third', 'parts': 'parts:', 'gone': 'parts:nothing'})",
        "half": "def half(x, by=2):\n    return x / by",
        "parts": "def a_third(x):\n    return x / 3",
    }
    (tmp_path / "toy").mkdir()
    for name, text in files.items():
        (tmp_path / "toy" / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("toy")
    for name in [n for n in sys.modules if n.split(".")[0] == "toy"]:
        del sys.modules[name]


def test_lazy_names_import_when_they_are_asked_for(toy):
    assert "toy.half" not in sys.modules
    assert toy.half(6) == 3 and toy.third(6) == 2
    assert set(dir(toy)) >= {"half", "third", "parts"}
    assert isinstance(toy.parts, ModuleType) and toy.parts.a_third(3) == 1


def test_an_imported_submodule_answers_a_call_like_its_function(toy):
    module = importlib.import_module("toy.half")
    assert toy.half is module and module(6, by=3) == 2 and module.half(6) == 3
    assert not callable(importlib.import_module("toy.parts"))


@pytest.mark.parametrize("name", ["gone", "unknown"])
def test_a_lazy_name_that_is_not_there_is_an_attribute_error(toy, name):
    with pytest.raises(AttributeError):
        getattr(toy, name)


@pytest.mark.parametrize("name", MODULES)
def test_every_module_says_what_it_is_and_its_examples_run(name):
    module = importlib.import_module(name)
    assert (inspect.getdoc(module) or "").strip(), f"{name} has no docstring"
    assert doctest.testmod(module).failed == 0


def test_the_shipped_table_is_the_decorators():
    shipped = json.loads(registry.TABLE.read_text())
    code = [json.loads(json.dumps(vars(row))) for row in registry.decorated().values()]
    assert shipped == code, "run python -m semblance.recipes.registry"


def test_every_recipe_belongs_to_an_entry_or_is_free_and_builds():
    entries = {row["id"] for row in registry.catalogue()}
    for name, row in registry.own().items():
        assert row.entry is None or row.entry in entries
        assert isinstance(registry.build(name), registry.Recipe)


def test_the_shipped_catalogue_is_whole():
    rows = registry.catalogue()
    assert len(rows) == len({row["id"] for row in rows}) == len({row["n"] for row in rows}) == 356
    for row in rows:
        assert list(row) == ["id", "n", "title", "year", "family", "rank", "kind", "room"]
        assert row["rank"] in (1, 2, 3) and 1930 < row["year"] < 2030 and row["title"].strip() == row["title"]


def test_needs_lets_a_present_set_pass_and_ci_does_not_forgive_an_absent_one(monkeypatch, tmp_path):
    needs("digits")
    monkeypatch.setenv("SEMBLANCE_DATA", str(tmp_path))
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="semblance data get mnist"):
        needs("mnist")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="semblance data get mnist"):
        needs("mnist")


def test_what_is_kept_with_a_structure_has_a_name_of_its_own():
    """`structure.once(name, make)` is a memory that all who read a structure share: one name, one thing."""
    house, places = Path(semblance.__file__).parent, {}
    for path in house.rglob("*.py"):
        for name in re.findall(r"\.once\(\s*\"([^\"]+)\"", path.read_text()):
            places.setdefault(name, set()).add(path.relative_to(house).as_posix())
    several = {name: files for name, files in places.items() if len(files) > 1}
    assert several == {
        "graphs": {"geometry/cells.py", "geometry/graph.py"},  # of complexes and of graphs
        "pairs": {"encoders/topology/set_walks.py", "geometry/pairs.py"},  # of hypergraphs, and of graphs
    }
