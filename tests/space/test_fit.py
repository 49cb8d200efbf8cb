from __future__ import annotations

import json
import os
import random
import shutil
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
        assert {p.name for p in (tmp_path / "a.space").iterdir()} >= {"space.db", "segments", "model", "log.jsonl", "README.md"}
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
    with fit(files, "supervised", out=tmp_path / "a.space", epochs=1, seed=2, device="cpu") as one:
        with refit(one.path / "recipe.json", None, out=tmp_path / "b.space") as two:
            np.testing.assert_array_equal(one.vectors, two.vectors)
            assert one.ids == two.ids


def test_a_module_of_ones_own_makes_a_space(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(1, 6, 3), nn.ReLU())
    model = sb.wrap(module, lambda x: x.float() / 255, item=(1, 8, 8))
    with fit(pictures(), model, out=tmp_path / "own.space") as space:
        assert space.vectors.shape == (96, 6)
        first = space.vectors.copy()
    with sb.load(tmp_path / "own.space", module=module) as again:
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


def _start(files: Path, out: Path, *more: str) -> subprocess.Popen[bytes]:
    script = (
        "import sys; from semblance.space.fit import fit; from semblance.errors import SemblanceError\n"
        "try: fit(sys.argv[1], 'supervised', out=sys.argv[2], epochs=int(sys.argv[3]), seed=int(sys.argv[4]),"
        " overwrite=True, resume='resume' in sys.argv, checkpoint_seconds=0.0, device='cpu', say=print).close()\n"
        "except SemblanceError as error: print(error, file=sys.stderr); sys.exit(error.code)\n"
    )
    return subprocess.Popen(
        [sys.executable, "-c", script, str(files), str(out), *more],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_killed_at_any_moment_a_fit_leaves_the_old_space_or_the_new(files: Path, tmp_path: Path) -> None:
    target = tmp_path / "a.space"
    begun = time.monotonic()
    assert _start(files, target, "2", "0").wait() == 0
    whole = time.monotonic() - begun
    with sb.load(target) as space:
        old = space.vectors.copy()
    assert _start(files, tmp_path / "new.space", "2", "1").wait() == 0
    with sb.load(tmp_path / "new.space") as space:
        new = space.vectors.copy()
    rng = random.Random(0)
    outcomes = set()
    for _ in range(KILLS):
        child = _start(files, target, "2", "1")
        time.sleep(rng.uniform(0.3, 1.05) * whole)
        child.send_signal(signal.SIGKILL)
        child.wait()
        with sb.load(target) as space:
            found = space.vectors
            assert np.array_equal(found, old) or np.array_equal(found, new)
            outcomes.add(bool(np.array_equal(found, new)))
            assert len(space.search(space.ids[0], k=3).results) == 3
        if np.array_equal(found, new):
            shutil.rmtree(target)
            assert _start(files, target, "2", "0").wait() == 0


def test_ctrl_c_says_where_the_state_lies_and_resume_reaches_the_same_vectors(files: Path, tmp_path: Path) -> None:
    assert _start(files, tmp_path / "whole.space", "40", "0").wait() == 0
    child = _start(files, tmp_path / "a.space", "40", "0")
    log = tmp_path / "a.space.fitting" / "log.jsonl"
    while child.poll() is None and not (log.exists() and len(log.read_text().splitlines()) >= 2):
        time.sleep(0.01)
    child.send_signal(signal.SIGINT)
    _, errors = child.communicate(timeout=60)
    assert child.returncode == 130, errors
    assert b"--resume" in errors
    assert not (tmp_path / "a.space").exists()
    assert _start(files, tmp_path / "a.space", "40", "0", "resume").wait() == 0
    with sb.load(tmp_path / "whole.space") as one, sb.load(tmp_path / "a.space") as two:
        np.testing.assert_array_equal(one.vectors, two.vectors)
