"""The command line: what it prints for people and for programs, and one line for whatever goes wrong."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.datasets import load_digits

from semblance.app import cli
from semblance.app.flags import run


def call(capsys, *arguments):
    """Exit code, stdout and stderr of a command."""
    capsys.readouterr()
    code = run(cli.app, [str(a) for a in arguments])
    said = capsys.readouterr()
    return code, said.out, said.err


def answer(capsys, *arguments, code=0):
    """What a command prints with --json."""
    found, out, err = call(capsys, *arguments, "--json")
    assert found == code, err
    return json.loads(out)


@pytest.fixture(scope="session")
def vectors(tmp_path_factory):
    """A table of 120 labelled digits as vectors, with one more column."""
    x, y = load_digits(return_X_y=True)
    path = tmp_path_factory.mktemp("data") / "vectors.parquet"
    columns = {
        "vector": x[:120].tolist(),
        "kind": [f"digit {c}" for c in y[:120]],
        "year": [1990 + i % 30 for i in range(120)],
    }
    pq.write_table(pa.table(columns), path)
    return path


@pytest.fixture(scope="session")
def pictures(tmp_path_factory):
    """100 digits as an .npz of images with labels."""
    digits = load_digits()
    path = tmp_path_factory.mktemp("data") / "pictures.npz"
    np.savez(path, x=(digits.images[:100] * 15).astype(np.uint8), y=digits.target[:100])
    return path


@pytest.fixture(scope="session")
def space(vectors, tmp_path_factory):
    """A space of the vectors as they are."""
    out = tmp_path_factory.mktemp("spaces") / "vectors.space"
    assert run(cli.app, ["fit", str(vectors), "--label", "kind", "--out", str(out), "--no-evaluate", "-q"]) == 0
    return out


@pytest.fixture(scope="session")
def learned(pictures, tmp_path_factory):
    """A space learned from pictures in one epoch, with its picture of neighbours."""
    out = tmp_path_factory.mktemp("spaces") / "pictures.space"
    picture = out.parent / "neighbours.png"
    arguments = [
        "fit",
        pictures,
        "-r",
        "simclr",
        "--set",
        "batch=32",
        "--epochs",
        2,
        "--out",
        out,
        "--neighbours",
        picture,
    ]
    assert run(cli.app, [str(a) for a in [*arguments, "-q"]]) == 0
    return out


# --- fit --------------------------------------------------------------------------------------------------------------


def test_fit_answers_with_the_documented_object(capsys, pictures, tmp_path):
    out = tmp_path / "p.space"
    found = answer(
        capsys, "fit", pictures, "-r", "simclr", "--set", "batch=32", "--epochs", 1, "--seed", 3, "--out", out
    )
    assert list(found) == ["schema", *cli.FIT]
    assert found["schema"] == 1 and found["space"] == str(out) and found["units"] == 100 and found["seed"] == 3
    assert found["domain"] == "images" and found["recipe"] == "simclr" and found["epochs"] == 1
    assert found["interrupted"] is False and found["loss"] > 0


def test_fit_prints_the_evaluation_with_the_raw_input_beside_it(capsys, pictures, tmp_path):
    code, out, _ = call(
        capsys, "fit", pictures, "--recipe", "simclr", "--set", "batch=32", "--epochs", 1, "--out", tmp_path / "s"
    )
    assert code == 0
    assert "100 images by simclr, seed 0, 1 epochs" in out
    assert re.search(r"knn5 +5-nn accuracy +\d\.\d{3} +\d\.\d{3} to \d\.\d{3} +\d\.\d{3}", out)
    assert (tmp_path / "s" / "loss.png").stat().st_size > 5000


def test_epochs_are_an_option_and_a_setting_of_a_recipe_but_only_once(capsys, pictures, tmp_path):
    common = ["fit", pictures, "-r", "simclr", "--set", "batch=32"]
    found = answer(capsys, *common, "--set", "epochs=1", "--out", tmp_path / "s")
    assert found["epochs"] == 1
    for more, told in (
        (["--set", "epochs=2", "--epochs", 1], "--epochs 1 and --set epochs=2 differ"),
        (["--set", "epochs=few"], "epochs is 'few': give a whole number"),
    ):
        code, _, err = call(capsys, *common, *more, "--out", tmp_path / "t")
        assert code == 2
        assert told in err


def test_the_pictures_of_a_fit_are_written(learned):
    from PIL import Image

    for path in (learned.parent / "neighbours.png", learned / "loss.png"):
        with Image.open(path) as picture:
            assert min(picture.size) > 300 and len(np.unique(np.asarray(picture))) > 10


def test_a_space_is_drawn_after_a_fit_and_beside_an_evaluation(capsys, tmp_path):
    np.save(tmp_path / "few.npy", np.random.default_rng(0).normal(size=(40, 5)).astype(np.float32))
    code, out, _ = call(capsys, "fit", tmp_path / "few.npy", "--out", tmp_path / "s", "--plot", tmp_path / "a.png")
    assert code == 0 and "two dimensions" in out
    assert call(capsys, "evaluate", tmp_path / "s", "--plot", tmp_path / "b.png")[0] == 0
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    code, _, err = call(capsys, "evaluate", tmp_path / "s", "--plot", tmp_path / "b.nonsense")
    assert code == 1 and "b.nonsense could not be written" in err


def test_a_recipe_file_is_run_again(capsys, space, tmp_path):
    first = json.loads((space / "recipe.json").read_text())
    found = answer(capsys, "fit", "--from", space / "recipe.json", "--out", tmp_path / "again.space")
    again = json.loads((tmp_path / "again.space" / "recipe.json").read_text())
    assert found["recipe"] == "as-is" and found["units"] == 120
    assert again["hash"] == first["hash"] and again["data"] == first["data"]


def test_a_dry_run_says_what_it_takes_and_writes_nothing(capsys, pictures, tmp_path):
    found = answer(capsys, "fit", pictures, "-r", "simclr", "--set", "batch=32", "--dry-run", "--out", tmp_path / "x")
    assert {"units", "recipe", "epochs", "minutes", "memory_mb"} <= set(found["dry_run"])
    assert found["dry_run"]["units"] == 100
    timed = answer(capsys, "fit", pictures, "-r", "simclr", "--set", "batch=32", "--dry-run", "--time", "90s")
    assert timed["dry_run"]["minutes"] == 1.5 and timed["dry_run"]["epochs"] is None
    assert list(tmp_path.iterdir()) == []


# --- search, evaluate, embed ------------------------------------------------------------------------------------------


def test_search_by_id_answers_with_the_documented_object(capsys, space):
    found = answer(capsys, "search", space, "--id", "0", "-k", 3)
    assert set(found) == {"schema", "matches", "recall", "plan", "results"}
    assert len(found["results"]) == 3 and found["recall"] == 1
    assert set(found["results"][0]) == {"id", "distance", "attributes"}
    assert found["results"][0]["attributes"]["year"] >= 1990
    distances = [r["distance"] for r in found["results"]]
    assert distances == sorted(distances)


def test_several_queries_have_a_list_of_answers(capsys, space):
    found = answer(capsys, "search", space, "--id", "0", "1", "2", "--where", "year < 2000")
    assert len(found) == 3 and all(one["schema"] == 1 for one in found)
    assert all(r["attributes"]["year"] < 2000 for one in found for r in one["results"])


def test_search_by_vector_finds_the_vector(capsys, space, tmp_path):
    x = load_digits().data
    np.save(tmp_path / "one.npy", x[5])
    np.save(tmp_path / "two.npy", x[5:7])
    assert answer(capsys, "search", space, tmp_path / "one.npy", "-k", 1)["results"][0]["id"] == "5"
    found = answer(capsys, "search", space, tmp_path / "two.npy", "-k", 1)
    assert [one["results"][0]["id"] for one in found] == ["5", "6"]


def test_search_prints_a_table_for_people(capsys, space):
    code, out, _ = call(capsys, "search", space, "--id", "0", "-k", 2)
    assert code == 0 and "exact scan" in out and re.search(r"\d+ +0\.\d{4} ", out)


def test_evaluate_answers_with_all_metrics_and_no_nan(capsys, learned):
    found = answer(capsys, "evaluate", learned)
    assert set(found["metrics"]) == set(cli.tables.METRICS) - {"zeroshot"}  # which takes a table of attributes
    for metric in found["metrics"].values():
        assert metric is None or set(metric) == {"value", "low", "high", "baseline"}
    assert 0 <= found["metrics"]["knn5"]["low"] <= found["metrics"]["knn5"]["value"] <= found["metrics"]["knn5"]["high"]


@pytest.mark.parametrize("kind", [".parquet", ".npy", ".npz", ".safetensors"])
def test_embed_writes_ids_and_vectors(capsys, space, vectors, tmp_path, kind):
    out = tmp_path / f"z{kind}"
    found = answer(capsys, "embed", space, vectors, "-o", out)
    assert found == {"schema": 1, "out": str(out), "units": 120, "dim": 64}
    assert [path.name for path in tmp_path.iterdir()] == [out.name]
    if kind == ".parquet":
        table = pq.read_table(out)
        assert table.column_names == ["id", "vector"] and table.column("id")[7].as_py() == "7"
        z = np.stack(table.column("vector").to_numpy(zero_copy_only=False))
    elif kind == ".safetensors":
        from safetensors.numpy import load_file

        z = load_file(out)["vectors"]
    else:
        z = np.load(out) if kind == ".npy" else np.load(out)["vectors"]
    x = load_digits().data[:120]
    np.testing.assert_allclose(z, x / np.linalg.norm(x, axis=1, keepdims=True), atol=1e-5)


# --- recipes, rank, reproduce, data -----------------------------------------------------------------------------------


def test_recipes_list_the_whole_catalogue(capsys):
    found = answer(capsys, "recipes")
    keys = {"name", "entry", "family", "title", "domains", "needs", "makes", "rank", "state", "package"}
    assert all(set(row) == keys for row in found["recipes"])
    assert len({row["entry"] for row in found["recipes"]} - {None}) == 356


def test_recipes_are_narrowed_by_what_they_learn_from_and_what_they_need(capsys):
    asked = answer(capsys, "recipes", "--domain", "graph", "--needs", "labels")["recipes"]
    assert {"gcn", "gat"} <= {row["name"] for row in asked}
    assert all("graph" in row["domains"] and row["needs"] == ["labels"] for row in asked)
    free = answer(capsys, "recipes", "--domain", "graph", "--needs", "nothing")["recipes"]
    assert {"node2vec", "fastrp"} <= {row["name"] for row in free} and all(row["needs"] == [] for row in free)
    assert "did you mean graph" in call(capsys, "recipes", "--domain", "grap")[2]
    assert "did you mean labels" in call(capsys, "recipes", "--needs", "lables")[2]


def test_recipes_are_filtered_and_one_tells_its_settings(capsys):
    assert {r["family"] for r in answer(capsys, "recipes", "--family", "vision")["recipes"]} == {"vision"}
    assert {r["state"] for r in answer(capsys, "recipes", "--state", "planned")["recipes"]} == {"planned"}
    one = answer(capsys, "recipes", "simclr")["recipes"]
    assert len(one) == 1 and one[0]["settings"]["temperature"] > 0
    code, out, _ = call(capsys, "recipes", "simclr")
    assert code == 0 and "temperature" in out


def test_rank_answers_with_rows_and_tests(capsys, pictures, tmp_path):
    options = ["-r", "simclr", "--set", "simclr.batch=32", "--seeds", 1, "--epochs", 1, "--out", tmp_path / "r.rank"]
    found = answer(capsys, "rank", pictures, *options)
    assert set(found) == {"schema", "rows", "tests"}
    assert {"simclr", "raw input"} == {row["recipe"] for row in found["rows"]}
    assert (tmp_path / "r.rank" / "rank.png").exists()
    code, out, _ = call(capsys, "rank", pictures, *options)
    assert code == 0 and "is best by knn5" in out


def test_every_method_of_a_rank_table_is_tested_against_the_best(capsys):
    from semblance.app import tables

    span = {"metric": "knn5", "low": 0.0, "high": 1.0, "seeds": 1, "seconds": 0.0}
    rows = [{"recipe": name, "value": value, **span} for name, value in (("a", 0.9), ("b", 0.8), ("c", 0.5))]
    tests = [
        {"a": "a", "b": "b", "difference": 0.1, "p_holm": 0.75},
        {"a": "a", "b": "c", "difference": 0.4, "p_holm": 0.25},
        {"a": "b", "b": "c", "difference": 0.3, "p_holm": 0.5},
    ]
    tables.ranking(rows, tests)
    out = capsys.readouterr().out
    assert "+0.100, p = 0.75" in out and "+0.400, p = 0.25" in out and "+0.300" not in out


def test_reproduce_without_running_says_what_would_be_measured(capsys):
    found = answer(capsys, "reproduce", "simsiam", "--dry-run")["dry_run"]
    assert found["entry"] == "simsiam" and found["parts"] and found["broken"] and found["minutes"] <= 5


@pytest.mark.parametrize(
    "broken, shown, code", [(False, True, 0), (False, False, 1), (True, False, 0), (True, True, 1)]
)
def test_reproduce_exits_by_whether_the_verdict_is_as_it_should_be(capsys, monkeypatch, broken, shown, code):
    from semblance.claims import ledger

    declared = ledger.Claim("simsiam", "What it says.", {"a": ledger.at_least(1)}, lambda r: r.report("a", shown), "no")
    monkeypatch.setattr(ledger, "load_claim", lambda entry: declared)
    found = answer(capsys, "reproduce", "simsiam", "--seed", 9, *(["--broken"] if broken else []), code=code)
    assert found["verdict"] == ("shown" if shown else "not shown") and found["seeds"] == [9]


def test_data_verbs_list_describe_get_and_draw(capsys, tmp_path):
    sets = answer(capsys, "data", "list", "--domain", "images")["sets"]
    assert {"digits", "mnist"} <= {row["name"] for row in sets} and {row["domain"] for row in sets} == {"images"}
    described = answer(capsys, "data", "describe", "digits")
    assert described["n"] == 1797 and sum(described["classes"].values()) == 1797
    assert answer(capsys, "data", "get", "digits")["present"] is True
    assert answer(capsys, "data", "views", "digits", "-r", "simclr", "-o", tmp_path / "v.png")["recipe"] == "simclr"
    assert (tmp_path / "v.png").stat().st_size > 5000


# --- mistakes ---------------------------------------------------------------------------------------------------------

MISTAKES = {
    "no such path": (["fit", "no/such/folder"], "no/such/folder"),
    "no data": (["fit"], "fit needs data"),
    "no such option": (["fit", "digits", "--epoch", "3"], "--epochs"),
    "no such verb": (["fti", "digits"], "fti"),
    "no such recipe": (["fit", "digits", "-r", "simclrr", "-o", "OUT"], "did you mean simclr"),
    "no such setting": (
        ["fit", "digits", "-r", "simclr", "--set", "temprature=1", "-o", "OUT"],
        "did you mean temperature",
    ),
    "no value": (["fit", "digits", "--set", "temperature"], "--set key=value"),
    "wrong kind": (["fit", "digits", "-r", "simclr", "--set", "dim=many", "-o", "OUT"], "'many'"),
    "no such device": (["fit", "digits", "--device", "tpu"], "did you mean cpu"),
    "no duration": (["fit", "digits", "--time", "soon"], "90s, 5m or 1h"),
    "no duration at all": (["fit", "digits", "--time", "0s"], "'0s'"),
    "epochs below zero": (["fit", "digits", "--epochs", "-1"], "-1"),
    "no such space": (["search", "no.space", "x"], "no.space"),
    "not a space": (["evaluate", "."], "."),
    "kind of file": (["embed", "SPACE", "digits", "-o", "z.txt"], ".txt"),
    "no such folder": (["embed", "SPACE", "digits", "-o", "no/such/z.npy"], "no/such"),
    "no such id": (["search", "SPACE", "--id", "4711"], "'4711'"),
    "no such query": (["search", "SPACE", "nowhere.png"], "nowhere.png"),
    "k of zero": (["search", "SPACE", "--id", "0", "-k", "0"], "k is 0"),
    "unknown column": (["search", "SPACE", "--id", "0", "--where", "yaer > 3"], "year"),
    "bad syntax": (["search", "SPACE", "--id", "0", "--where", "year >"], "year >"),
    "injection": (["search", "SPACE", "--id", "0", "--where", "1=1; DROP TABLE items"], "where"),
    "no such family": (["recipes", "--family", "visoin"], "did you mean vision"),
    "no such state": (["recipes", "--state", "done"], "planned"),
    "no such entry": (["reproduce", "simsia"], "did you mean simsiam"),
    "no recipe named": (["rank", "digits", "--set", "lr=1"], "RECIPE.lr=1"),
    "no such set": (["data", "describe", "mnits"], "did you mean mnist"),
    "no such domain": (["data", "list", "--domain", "image"], "did you mean images"),
    "views of vectors": (["data", "views", "iris"], "no recipe draws views"),
    "recipe without views": (["data", "views", "digits", "-r", "rni"], "takes no images"),
    "recipe of pictures without views": (["data", "views", "digits", "-r", "triplet-network"], "no views"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_costs_one_line_and_exit_code_2(capsys, name, space, tmp_path, monkeypatch):
    arguments, hint = MISTAKES[name]
    arguments = [{"SPACE": str(space), "OUT": str(tmp_path / "out.space")}.get(a, a) for a in arguments]
    monkeypatch.chdir(tmp_path)
    code, out, err = call(capsys, *arguments)
    assert code == 2, err
    assert out == "" and err.count("\n") == 1 and hint in err and "Traceback" not in err
    assert list(tmp_path.iterdir()) == [], "something half-written remains"


def test_an_array_of_objects_is_refused_as_a_query(capsys, space, tmp_path):
    np.save(tmp_path / "q.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    code, _, err = call(capsys, "search", space, tmp_path / "q.npy")
    assert code == 2 and err.count("\n") == 1 and "q.npy" in err
    np.save(tmp_path / "q.npy", np.zeros((2, 2, 2)))
    assert "[2, 2, 2]" in call(capsys, "search", space, tmp_path / "q.npy")[2]


def test_neighbours_of_vectors_cannot_be_drawn(capsys, vectors, tmp_path):
    code, _, err = call(capsys, "fit", vectors, "--out", tmp_path / "v", "--neighbours", tmp_path / "n.png", "-q")
    assert code == 2 and "vectors" in err and err.count("\n") == 1


def test_what_nobody_foresaw_is_one_line_and_a_traceback_only_when_asked(capsys, monkeypatch):
    from semblance.claims import states

    def fail(*_):
        raise RuntimeError("two\nlines")

    monkeypatch.setattr(states, "rows", fail)
    code, out, err = call(capsys, "recipes")
    assert code == 1 and out == "" and err.count("\n") == 1
    assert "internal error, RuntimeError: two lines" in err and "--verbose" in err
    assert "Traceback" in call(capsys, "recipes", "--verbose")[2]


def test_an_interrupted_fit_says_so_and_exits_with_130(capsys, monkeypatch):
    from semblance.errors import Interrupted
    from semblance.space import fit

    def stop(*_, **__):
        raise Interrupted("stopped in epoch 2, saved to x; go on with --resume")

    monkeypatch.setattr(sys.modules["semblance.space.fit"], "fit", stop)
    assert callable(fit)
    code, out, err = call(capsys, "fit", "digits", "--json")
    assert code == 130 and json.loads(out)["interrupted"] is True and "--resume" in err


def test_results_go_to_stdout_and_notes_to_stderr_unless_quiet(capsys, vectors, tmp_path):
    loud = call(capsys, "fit", vectors, "--no-evaluate", "--out", tmp_path / "a")
    quiet = call(capsys, "fit", vectors, "--no-evaluate", "--out", tmp_path / "b", "-q")
    assert loud[0] == quiet[0] == 0
    assert "vectors" in loud[2] and quiet[2] == ""
    assert loud[1].splitlines()[0].startswith(str(tmp_path / "a"))


@pytest.mark.parametrize("verb", ["fit", "embed", "search", "evaluate", "rank", "recipes", "reproduce", "data list"])
def test_every_verb_has_the_global_flags_and_an_example(capsys, verb):
    code, out, _ = call(capsys, *verb.split(), "--help")
    assert code == 0 and "Example: semblance " + verb in out
    assert all(flag in out for flag in ("--json", "--seed", "--device", "-q", "--verbose"))
    assert ("--dry-run" in out) == (verb in ("fit", "embed", "rank", "reproduce"))


def test_the_installed_command_answers():
    done = subprocess.run([sys.executable, "-m", "semblance", "--version"], capture_output=True, text=True)
    assert done.returncode == 0 and re.fullmatch(r"semblance \d+\.\d+\.\d+\n", done.stdout)
    piped = subprocess.run(
        f"{sys.executable} -m semblance.app.cli recipes | head -1", shell=True, capture_output=True, text=True
    )
    assert piped.stderr == "" and "methods" in piped.stdout


def test_the_documented_fields_are_the_printed_ones():
    from semblance.claims.evidence import checkout

    page = (checkout() / "docs" / "json.md").read_text()
    for name in (*cli.FIT, *cli.tables.METRICS):
        assert f"`{name}`" in page, f"docs/json.md does not name {name}"


def documented_commands():
    """Every `semblance ...` line of the pages for people."""
    from semblance.claims.evidence import checkout

    text = "\n".join((checkout() / page).read_text() for page in ("README.md", "CONTRIBUTING.md"))
    lines = re.findall(r"^semblance (?!=)(.+)$", text, re.M) + re.findall(r"`semblance ([^`]+)`", text)
    return [line.split("   #")[0].strip() for line in lines]


@pytest.mark.parametrize("line", documented_commands())
def test_the_commands_in_the_documentation_exist(capsys, line):
    words = shlex.split(line)
    verb = words[:2] if words[0] == "data" else words[:1]
    code, out, _ = call(capsys, *verb, "--help")
    assert code == 0
    for option in (word for word in words if re.match(r"--?[a-z]", word)):
        assert re.search(rf"(^|[ ,/]){re.escape(option)}\b", out, re.M), f"{' '.join(verb)} has no {option}"
