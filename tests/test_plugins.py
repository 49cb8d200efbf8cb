"""Methods of other packages: listed without being imported, used by name, and harmless when they are broken."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

import semblance as sb
from semblance import plugins
from semblance.app import cli
from semblance.app.flags import run
from semblance.contracts import Report
from semblance.data import plugged
from semblance.data.domains import built, infer
from semblance.errors import Failed, SemblanceError
from semblance.memory.by_name import index_named, index_names
from semblance.recipes.registry import build, others, own, row_of, told_name, write_shipped
from semblance.space.methods import index, report, report_names

METHODS = '''
from dataclasses import replace
from pathlib import Path
import numpy as np
from semblance.data.assemble import assemble
from semblance.data.domains import Domain
from semblance.memory.exact import Exact
from semblance.recipes.registry import build, recipe
from semblance.reports import TableReport

@recipe(entry="simsiam", paper="of this test", domains=("vectors", "{stem}-tallies"))
def {stem}_halved(part: float = 0.5):
    """semblance fit vectors.npy --recipe {stem}-halved"""
    return build("as-is")

def load(path, seed=0, **_):
    return assemble("{stem}-tallies", np.loadtxt(path, ndmin=2, dtype=np.float32), seed=seed)

TALLIES = Domain("{stem}-tallies", "tallies", frozenset({{".{stem}", ".csv"}}), load=load, makes="{makes}")

class Listing(Exact):
    pass

def lengths(space):
    return TableReport("Lengths", "as long as they are", ({{"item": 1, "length": 2.0}},), "item", ("length",))
'''
POINTS = """[semblance.recipes]
{stem}-halved = {stem}:{stem}_halved
[semblance.domains]
{stem}-tallies = {stem}:TALLIES
[semblance.indexes]
{stem}-listing = {stem}:Listing
[semblance.reports]
{stem}-lengths = {stem}:lengths
"""


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Installs packages of one module for this test: entry points, and the module's code."""
    place = tmp_path / "site"
    place.mkdir()
    monkeypatch.syspath_prepend(place)
    monkeypatch.setattr(plugins, "_WARNED", set())
    made = []

    def one(stem: str, points: str = POINTS, code: str = METHODS, package: str = "", makes: str = "") -> Path:
        about = place / f"{(package or stem).replace('-', '_')}-1.2.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package or stem}\nVersion: 1.2\n")
        (about / "entry_points.txt").write_text(points.format(stem=stem))
        (place / stem).mkdir()
        (place / stem / "__init__.py").write_text(code.format(stem=stem, makes=makes))
        plugins._installed.cache_clear()
        made.append(stem)
        return place / stem

    yield one
    plugins._installed.cache_clear()
    plugged._row.cache_clear()
    for stem in made:
        sys.modules.pop(stem, None)


def told(call):
    """The result of a call, or the mistake that it answers with, and the warnings about other packages that it gave."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result = call()
        except SemblanceError as error:
            result = error
    return result, [str(w.message) for w in caught if issubclass(w.category, plugins.PluginWarning)]


def test_a_package_is_listed_with_its_name_and_not_imported(install, capsys):
    install("firstly", package="firstly-methods")
    row = next(r for r in sb.recipes() if r["name"] == "firstly-halved")
    assert row["package"] == "firstly-methods" and row["domains"] is None and row["entry"] is None
    assert run(cli.app, ["recipes"]) == 0
    assert "firstly-methods" in capsys.readouterr().out
    assert index_names()["firstly-listing"] == report_names()["firstly-lengths"] == "firstly-methods"
    assert "firstly" not in sys.modules


def test_a_shipped_table_tells_all_of_it_before_the_import(install):
    install("tabled")
    path = write_shipped("tabled")
    assert path.name == plugins.TABLE
    sys.modules.pop("tabled")
    row = others()["tabled-halved"]
    assert row.settings == {"part": 0.5} and row.domains == ("vectors", "tabled-tallies") and row.makes == "model"
    assert row.entry is None, "evidence of a catalogue entry speaks of our code only"
    assert "tabled" not in sys.modules


def test_help_and_import_do_not_even_look_for_packages(install, tmp_path):
    folder = install("unseen", code="raise SystemExit('imported')")
    code = (
        f"import sys; sys.path.insert(0, {str(folder.parent)!r}); import semblance\n"
        "from semblance.app import cli; cli.run(cli.app, ['--help'])\n"
        "print('unseen' in sys.modules, 'importlib.metadata' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.splitlines()[-1] == "False False"


def test_a_recipe_of_another_package_is_fitted_kept_and_opened(install, tmp_path):
    install("fitted")
    x = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    sb.fit(x, recipe="fitted-halved", part=0.25, out=tmp_path / "f.space").close()
    with sb.load(tmp_path / "f.space") as space:
        assert space.recipe == "fitted-halved" and space.manifest["recipe"] == "fitted-halved@1"
        np.testing.assert_allclose(space.model.embed(x[:3]), space.vectors[:3], atol=1e-6)
        assert index(space, "fitted-listing").search(space.vectors[:1], 1)[0] == [["0"]]
        found = report(space, "fitted-lengths")
        assert isinstance(found, Report) and str(found) == "as long as they are"
    with pytest.raises(SemblanceError, match="takes a float"):
        build("fitted-halved", part="much")
    with pytest.raises(SemblanceError, match="part"):
        build("fitted-halved", prat=0.5)
    assert row_of("fitted-halved@1").settings == {"part": 0.5}
    assert told_name("fitted-halved@1") == "fitted-halved"


def test_a_space_opens_without_the_package_and_says_which_recipe_it_lacks(install, tmp_path):
    install("gone")
    sb.fit(np.eye(12, dtype=np.float32), recipe="gone-halved", out=tmp_path / "g.space").close()
    for file in (tmp_path / "site").rglob("entry_points.txt"):
        file.unlink()
    plugins._installed.cache_clear()
    with sb.load(tmp_path / "g.space") as space:
        assert len(space.search("3", k=2).ids) == 2  # an item asks by its own vector
        assert space.store.recipe["environment"]["gone"] == "1.2"
        with pytest.raises(SemblanceError, match="recipe 'gone-halved', which is not here: install the package"):
            space.model.embed(np.eye(12, dtype=np.float32))


def test_a_kind_of_file_of_another_package_is_read(install, tmp_path):
    install("counted")
    path = tmp_path / "week.counted"
    np.savetxt(path, np.arange(40).reshape(20, 2))
    dataset = sb.data.load(path)
    assert dataset.domain == infer(path) == "counted-tallies" and dataset.x.shape == (20, 2)
    assert dataset.source == str(path) and dataset.name == "week"
    assert "package counted" in dataset.notes[0]
    assert sb.data.load(path, domain="counted-tallies").fingerprint == dataset.fingerprint
    with pytest.raises(SemblanceError, match=r"images.*counted-tallies|counted-tallies.*images"):
        built("talies")
    with pytest.raises(SemblanceError, match="labels="):
        sb.data.load(path, labels=[1] * 20)
    path.write_text("no numbers")
    with pytest.raises(Failed, match=r"week\.counted could not be read by the package counted"):
        sb.data.load(path)


def test_a_domain_of_another_package_is_learned_searched_added_to_and_judged(install, tmp_path):
    install("owned")
    x = np.random.default_rng(0).normal(size=(60, 3))
    np.savetxt(tmp_path / "all.owned", x)
    np.savetxt(tmp_path / "one.owned", x[7:8])
    np.savetxt(tmp_path / "new.owned", x[:5] + 9)
    with pytest.raises(SemblanceError, match="owned-tallies has no default recipe: name one by --recipe"):
        sb.fit(tmp_path / "all.owned", out=tmp_path / "o.space")
    for known in ("one of the package", "owned-halved"):  # before and after a table says what the recipe takes
        with pytest.raises(SemblanceError, match=f"takes images; this data is owned-tallies: use {known}"):
            sb.fit(tmp_path / "all.owned", recipe="simclr", out=tmp_path / "o.space")
        write_shipped("owned")
    with sb.fit(tmp_path / "all.owned", recipe="owned-halved", out=tmp_path / "o.space") as space:
        assert space.manifest["domain"] == "owned-tallies"
        assert space.search(str(tmp_path / "one.owned"), k=1).ids == ["7"]
        assert len(space.add(tmp_path / "new.owned", ids=list("abcde"))) == 5 and len(space) == 65
        assert space.evaluate()["metrics"]["uniformity"]["value"] is not None
    assert len(sb.load(tmp_path / "o.space").embed(tmp_path / "new.owned")[0]) == 5


@pytest.mark.parametrize(
    ("makes", "says"),
    [("vectors", "made the domain wrong-tallies and not a dataset of the domain vectors"), ("x", "makes 'x'")],
)
def test_a_domain_that_makes_another_than_it_says_is_told(install, tmp_path, makes, says):
    install("wrong", makes=makes)
    (tmp_path / "n.wrong").write_text("1 2\n3 4\n")
    with pytest.raises(Failed, match=f"package wrong.*{says}|{says}.*package wrong"):
        sb.data.load(tmp_path / "n.wrong", domain="wrong-tallies")


def test_files_that_we_read_stay_ours(install, tmp_path):
    install("greedy")
    path = tmp_path / "n.csv"
    path.write_text("a,b\n1,2\n3,4\n5,6\n")
    assert sb.data.load(path).domain == "vectors"
    other = tmp_path / "n.strange"
    other.write_text("x")
    error, lines = told(lambda: sb.data.load(other))
    assert "of no known kind" in str(error)
    assert lines == [".csv files of the package greedy are left out: semblance reads them itself"]


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("raise ImportError('no such library')", "no such library"),
        ("import sys; sys.exit(3)", "SystemExit"),
        ("1 / 0", "ZeroDivisionError"),
        ("", "no attribute 'broken_halved'"),
        ("broken_halved = 3", "no function under @recipe"),
        ("def broken_halved(", "SyntaxError"),
    ],
)
def test_a_package_that_cannot_be_imported_is_named_and_costs_nothing_else(install, tmp_path, code, says):
    install("broken", code=code)
    assert len(sb.recipes()) > 350
    with pytest.raises(Failed, match=f"package broken .*{says}"):
        sb.fit(np.eye(12, dtype=np.float32), recipe="broken-halved", out=tmp_path / "b.space")
    (tmp_path / "n.broken").write_text("1 2")
    error, lines = told(lambda: sb.data.load(tmp_path / "n.broken"))
    assert "of no known kind" in str(error) and len(lines) == 1 and "package broken" in lines[0]
    for call in (lambda: index_named("broken-listing", 3), lambda: report(None, "broken-lengths")):
        with pytest.raises(Failed, match="package broken"):
            call()
    with sb.fit(np.eye(12, dtype=np.float32), recipe="as-is", out=tmp_path / "ours.space") as space:
        assert len(space) == 12


def test_the_doctor_names_what_works_and_what_is_broken(install, capsys):
    install("sound")
    install("broken", code="raise ImportError('no such library')")
    capsys.readouterr()
    assert run(cli.app, ["doctor", "--json"]) == 0
    packages = json.loads(capsys.readouterr().out)["packages"]
    assert "sound-halved (sound 1.2)" in packages["recipes"] and "sound-listing (sound 1.2)" in packages["indexes"]
    (line,) = (line for line in packages["reports"] if line.startswith("broken-lengths"))
    assert "(broken 1.2), broken: " in line and "no such library" in line


@pytest.mark.parametrize(
    ("points", "says"),
    [
        ("[semblance.recipes]\nsimclr = {stem}:x\n", "recipe 'simclr' of the package odd .* semblance has that name"),
        ("[semblance.reports]\nmemory = {stem}:x\n", "report 'memory' of the package odd .* semblance has that name"),
        ("[semblance.recipes]\nno equals sign\n", "package odd offers nothing, its entry points are damaged"),
        ("[semblance.recipe]\nx = {stem}:x\n", "package odd offers 'x' in semblance.recipe.*groups are recipes"),
        ("[semblance.recipes]\nx@2 = {stem}:x\n", "package odd offers 'x@2'"),
    ],
)
def test_a_strange_entry_point_costs_one_warning_and_its_own_name(install, points, says):
    install("odd", points)
    _, lines = told(lambda: (sb.recipes(), report_names(), build("as-is"), sb.recipes(), report_names()))
    assert len(lines) == 1
    assert re.search(says, lines[0]), lines
    assert set(own()) <= {row["name"] for row in sb.recipes()}
    assert row_of("simclr").module.startswith("semblance.")


def test_of_two_packages_with_one_name_neither_gets_it_and_both_are_named(install):
    points = "[semblance.recipes]\nshared = {stem}:{stem}_halved\n{stem}-halved = {stem}:{stem}_halved\n"
    install("here", points)
    install("there", points)
    rows, lines = told(lambda: {row["name"] for row in sb.recipes()})
    assert "shared" not in rows and {"here-halved", "there-halved"} <= rows
    assert len(lines) == 1 and "here and there" in lines[0]
    with pytest.raises(SemblanceError, match="no recipe 'shared'"):
        row_of("shared")


def test_a_decorated_name_of_ours_is_never_replaced_by_a_package(install):
    code = METHODS + '\n@recipe(entry=None, paper="theirs", domains="images")\ndef simclr():\n    """mine"""\n'
    install("sly", code=code)
    build("sly-halved")
    assert build("simclr").encoder is not None
    assert row_of("simclr").paper != "theirs"


def test_a_damaged_table_leaves_the_names(install):
    folder = install("torn")
    (folder / plugins.TABLE).write_text('[{"name": "torn-halved"}]')
    rows, lines = told(lambda: {row["name"]: row for row in sb.recipes()})
    assert rows["torn-halved"]["makes"] is None
    assert len(lines) == 1 and "package torn" in lines[0]
    assert row_of("torn-halved").makes == "model"


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: index_named("exakt", 3), "exact"),
        (lambda: index_named("exact", 3, dims=3), "does not take these settings"),
        (lambda: report(None, "memery"), "memory"),
        (lambda: write_shipped("json"), "offers no recipes"),
        (lambda: write_shipped("ast"), "is one file"),
    ],
)
def test_wrong_names_are_answered(call, says):
    with pytest.raises(SemblanceError, match=says):
        call()
