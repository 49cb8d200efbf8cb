"""`semblance embed ... -o NAME.space`: what it writes, says and refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from semblance.app import cli
from semblance.space.space import load


def call(capsys: Any, *arguments: object) -> tuple[int, str, str]:
    code = cli.run(cli.app, [str(a) for a in arguments])
    said = capsys.readouterr()
    return code, said.out, said.err


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A space of vectors as they are, and more vectors beside it."""
    folder = tmp_path_factory.mktemp("made")
    chance = np.random.default_rng(0)
    np.save(folder / "x.npy", chance.normal(size=(60, 5)))
    np.save(folder / "more.npy", chance.normal(size=(90, 5)))
    assert (
        cli.run(cli.app, ["fit", str(folder / "x.npy"), "--out", str(folder / "x.space"), "--no-evaluate", "-q"]) == 0
    )
    return folder


def test_a_new_space_is_written_searched_and_replaced_when_told_to(capsys: Any, made: Path, tmp_path: Path) -> None:
    arguments = ("embed", made / "x.space", made / "more.npy", "-o", tmp_path / "more.space")
    code, out, _ = call(capsys, *arguments, "--dry-run")
    assert code == 0 and out == "units 90, dim 5, parts 1, megabytes 0.0\n" and not list(tmp_path.iterdir())
    code, out, err = call(capsys, *arguments)
    assert code == 0 and out == f"{tmp_path / 'more.space'}: 90 items of 5 numbers in 1 part\n"
    assert err.startswith("domain: vectors (array [90, 5])")
    assert call(capsys, "search", tmp_path / "more.space", "--id", "7", "-k", 3)[0] == 0
    code, _, err = call(capsys, *arguments)
    assert code == 2 and "already holds a space: give --overwrite" in err
    code, out, _ = call(capsys, *arguments, "--overwrite", "--json")
    assert code == 0
    told = {"schema": 1, "out": str(tmp_path / "more.space"), "units": 90, "dim": 5, "parts": 1, "resumed": 0}
    assert json.loads(out) == told
    with load(tmp_path / "more.space") as space:
        assert space.recipe == "as-is" and len(space) == 90 and space.check() == []


@pytest.mark.parametrize("flag", [["--on", "ray"], ["--workers", "2"], ["--overwrite"]])
def test_flags_of_a_new_space_are_refused_where_a_file_is_written(capsys: Any, made: Path, flag: list[str]) -> None:
    code, _, err = call(capsys, "embed", made / "x.space", made / "more.npy", "-o", made / "z.npy", *flag)
    assert code == 2 and "are of a new space: give --out z.space" in err and not (made / "z.npy").exists()
