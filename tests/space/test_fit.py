from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import semblance as sb
from semblance.data.dataset import ArrayDataset
from semblance.data.load import load as load_data
from semblance.errors import SemblanceError
from semblance.space.fit import fit, refit
from semblance.space.plan import plan

KILLS = int(os.environ.get("SEMBLANCE_KILLS", "10"))
ROOT = Path(__file__).parents[2]


def pictures(n: int = 96) -> ArrayDataset:
    digits = load_data("digits")
    return digits.subset(np.arange(n))


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A .npz of 96 scans with labels, so that a space can find its source again."""
    data = pictures()
    np.savez(tmp_path / "scans.npz", x=np.asarray(data.x)[:, 0], y=data.targets["labels"])
    return tmp_path / "scans.npz"


def test_a_fitted_space_holds_every_unit_its_split_its_label_and_a_picture(files: Path, tmp_path: Path) -> None:
    with fit(files, "supervised", out=tmp_path / "a.space", epochs=1) as space:
        table = space.attributes()
        assert len(space) == 96
        assert set(table.column("split").to_pylist()) == {"train", "test"}
        assert set(table.column("label").to_pylist()) == {str(i) for i in range(10)}
        assert space.store.thumbnail(space.ids[0]).startswith(b"\x89PNG")
        assert {p.name for p in (tmp_path / "a.space").iterdir()} >= {
            "space.db",
            "segments",
            "model",
            "log.jsonl",
            "README.md",
        }
        line = json.loads((tmp_path / "a.space" / "log.jsonl").read_text().splitlines()[0])
        assert line["schema"] == 1
        assert line["loss"] > 0
    assert not (tmp_path / "a.space.fitting").exists()


def test_fit_tells_what_its_json_promises(files: Path, tmp_path: Path) -> None:
    with fit(files, "simclr", out=tmp_path / "a.space", epochs=1, seed=4) as space:
        promised = "space domain units recipe seed epochs seconds loss device precision interrupted"
        assert set(promised.split()) <= set(space.info)
        assert (space.info["recipe"], space.info["seed"], space.info["epochs"]) == ("simclr", 4, 1)


def test_labelled_pictures_get_supcon_unlabelled_ones_simclr_and_vectors_as_is(tmp_path: Path) -> None:
    labelled = pictures()
    unlabelled = np.asarray(labelled.x)[:, 0]
    assert plan(labelled, epochs=0)["recipe"] == "supcon"
    assert plan(unlabelled, epochs=0)["recipe"] == "simclr"
    assert plan(np.ones((4, 3), np.float32) + np.eye(4, 3, dtype=np.float32), epochs=0)["recipe"] == "as-is"


def test_the_plan_says_units_epochs_minutes_and_memory_and_writes_nothing(files: Path, tmp_path: Path) -> None:
    before = sorted(tmp_path.iterdir())
    told = plan(files, "simclr", epochs=3)
    assert (told["units"], told["epochs"], told["recipe"]) == (96, 3, "simclr")
    assert told["minutes"] >= 0
    assert told["memory_mb"] > 50
    assert sorted(tmp_path.iterdir()) == before


def test_the_same_recipe_file_runs_again_to_the_same_vectors(files: Path, tmp_path: Path) -> None:
    with (
        fit(files, "supervised", out=tmp_path / "a.space", epochs=1, seed=2, device="cpu") as one,
        refit(one.path / "recipe.json", None, out=tmp_path / "b.space") as two,
    ):
        np.testing.assert_array_equal(one.vectors, two.vectors)
        assert one.ids == two.ids


def test_a_module_of_ones_own_makes_a_space(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(1, 6, 3), nn.ReLU())
    model = sb.wrap(module, lambda x: x.float() / 255, item=(1, 8, 8))
    with fit(pictures(), model, out=tmp_path / "own.space") as space:
        assert space.vectors.shape == (96, 6)
        first = space.vectors.copy()
        assert 0 <= space.evaluate(pictures())["metrics"]["view_recall1"]["value"] <= 1
    with pytest.raises(SemblanceError, match="transform of yours"), sb.load(tmp_path / "own.space", module) as alone:
        _ = alone.model  # the module alone would be fed with something else than it was fitted on
    with sb.load(tmp_path / "own.space", module=model) as again:
        np.testing.assert_allclose(again.model.embed(pictures()), first, atol=1e-5)
    with sb.load(tmp_path / "own.space") as without, pytest.raises(SemblanceError, match="module"):
        _ = without.model


def test_a_space_is_not_replaced_unasked_and_is_replaced_whole_when_asked(files: Path, tmp_path: Path) -> None:
    with fit(files, "supervised", out=tmp_path / "a.space", epochs=1) as space:
        before = space.vectors.copy()
    with pytest.raises(SemblanceError, match="--overwrite"):
        fit(files, "supervised", out=tmp_path / "a.space", epochs=1)
    with fit(files, "supervised", out=tmp_path / "a.space", epochs=1, seed=1, overwrite=True) as space:
        assert not np.array_equal(before, space.vectors)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"recipe": "simsam"}, "simsiam"),
        ({"recipe": "as-is"}, "vectors"),
        ({"recipe": "simclr", "temprature": 0.1}, "temperature"),
        ({"recipe": "simclr", "device": "tpu"}, "device"),
        ({"recipe": "simclr", "label": "nonsense"}, "nonsense"),
    ],
)
def test_a_wrong_call_says_what_is_right_and_leaves_nothing_behind(
    files: Path, tmp_path: Path, changes: dict, words: str
) -> None:
    with pytest.raises(SemblanceError, match=words):
        fit(files, out=tmp_path / "a.space", epochs=1, **changes)
    assert not (tmp_path / "a.space").exists()


def test_labels_of_one_class_only_are_refused_with_the_recipes_that_need_none(tmp_path: Path) -> None:
    x = np.asarray(pictures().x)[:, 0]
    np.savez(tmp_path / "one.npz", x=x, y=np.zeros(len(x), int))
    with pytest.raises(SemblanceError, match="simclr"):
        fit(tmp_path / "one.npz", "supcon", out=tmp_path / "a.space")
    with pytest.raises(SemblanceError, match="needs labels"):
        fit(x, "supcon", out=tmp_path / "a.space")


def test_a_folder_with_other_files_is_not_touched(files: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(SemblanceError, match="other files"):
        fit(files, "supervised", out=tmp_path / "mine", epochs=1)
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["letter.txt"]


SCRIPT = """
import os, random, signal, sys, time
import numpy as np
import torch
import semblance as sb
from semblance.errors import SemblanceError
from semblance.space.fit import fit

torch.set_num_threads(1)
data, out, kind = sys.argv[1:4]

def run(seed, epochs, target=out, resume=False):
    return fit(data, "supervised", out=target, epochs=epochs, seed=seed, overwrite=True, resume=resume,
               checkpoint_seconds=0.0, device="cpu").close()

def vectors(target=out):
    with sb.load(target) as space:
        assert len(space.search(space.ids[0], k=3).results) == 3
        return np.array(space.vectors)

if kind == "once":
    try:
        run(0, 4, resume=sys.argv[4:] == ["resume"])
    except SemblanceError as error:
        print(error, file=sys.stderr)
        sys.exit(error.code)
else:
    known = {}
    for seed in (1, 0):
        begun = time.monotonic()
        run(seed, 2)
        whole = time.monotonic() - begun
        known[seed] = vectors()
    # A machine that grows busier or quieter while this runs would see only one outcome: the moments of the kills then
    # move later or earlier, and there are more of them, until both were met.
    rng, old, seen, scale, kills = random.Random(0), 0, set(), 1.2, 0
    while kills < int(kind) or (len(seen) < 2 and kills < 10 * int(kind)):
        kills += 1
        child = os.fork()
        if child == 0:
            run(1 - old, 2)
            os._exit(0)
        time.sleep(rng.uniform(0.0, scale) * whole)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        found = vectors()
        now = [seed for seed, kept in known.items() if np.array_equal(found, kept)]
        assert len(now) == 1, "neither the old space nor the new"
        stayed = now[0] == old
        seen.add(stayed)
        scale *= 1.15 if stayed else 0.9
        old = now[0]
    print("old and new" if len(seen) == 2 else "only one kind")
"""


def start(files: Path, out: Path, *more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(files), str(out), *more],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_killed_at_any_moment_a_fit_leaves_the_old_space_or_the_new(files: Path, tmp_path: Path) -> None:
    child = start(files, tmp_path / "a.space", str(KILLS))
    output, errors = child.communicate(timeout=600)
    assert child.returncode == 0, errors
    assert output.strip() == "old and new", "the kills did not meet both outcomes: nothing was tested"


def test_ctrl_c_says_where_the_state_lies_and_resume_reaches_the_same_vectors(files: Path, tmp_path: Path) -> None:
    whole = start(files, tmp_path / "whole.space", "once")
    child = start(files, tmp_path / "a.space", "once")
    log = tmp_path / "a.space.fitting" / "log.jsonl"
    while child.poll() is None and not (log.exists() and len(log.read_text().splitlines()) >= 1):
        time.sleep(0.005)
    child.send_signal(signal.SIGINT)
    _, errors = child.communicate(timeout=300)
    assert child.returncode == 130, errors
    assert "--resume" in errors
    assert not (tmp_path / "a.space").exists()
    again = start(files, tmp_path / "a.space", "once", "resume")
    assert again.wait(timeout=300) == whole.wait(timeout=100) == 0
    with sb.load(tmp_path / "whole.space") as one, sb.load(tmp_path / "a.space") as two:
        np.testing.assert_array_equal(one.vectors, two.vectors)


def test_a_recipe_file_of_a_newer_format_or_of_a_module_is_refused_in_one_line(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.eye(8, 4, dtype=np.float32) + 1)
    with fit(tmp_path / "x.npy", sb.wrap(nn.Flatten(), domain="vectors", item=(4,)), out=tmp_path / "a.space") as space:
        record = space.path / "recipe.json"
    with pytest.raises(SemblanceError, match=r"give it again, as recipe=sb.wrap\(module\)"):
        refit(record, out=tmp_path / "b.space")
    said = json.loads(record.read_text())
    record.write_text(json.dumps({**said, "format": 99}))
    with pytest.raises(SemblanceError, match="format 99 and this version reads up to 1: update Semblance"):
        refit(record, out=tmp_path / "b.space")


def test_a_version_of_a_recipe_is_fitted_stored_and_run_again(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.random.default_rng(0).standard_normal((40, 4)).astype(np.float32))
    with fit(tmp_path / "x.npy", "icon@1", out=tmp_path / "a.space", epochs=1) as space:
        assert space.recipe == "icon" and space.store.recipe["recipe"] == "icon@1"  # today's is told without its number
        assert json.loads(space.store.read_model()[1]["semblance"])["recipe"] == "icon@1"
        with refit(space.path / "recipe.json", out=tmp_path / "b.space") as again:
            np.testing.assert_array_equal(again.vectors, space.vectors)
    with pytest.raises(SemblanceError, match="no version '9' of recipe icon: there is icon@1, or plain icon"):
        fit(tmp_path / "x.npy", "icon@9", out=tmp_path / "c.space")
