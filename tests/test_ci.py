"""What `.ci/run` makes of the runs it starts: its exit status and last line, with a make and a python that only speak."""

import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / ".ci" / "run"


@pytest.mark.skipif(not SCRIPT.exists(), reason="not a checkout")
@pytest.mark.parametrize(
    ("test", "docs", "sample", "status", "last"),
    [
        ("echo 3 passed, 2 skipped", "true", "echo 2 passed, 0 failed", 0, "5 passed, 0 failed"),
        ("echo 3 passed in 5 s", "true", "echo no claim to sample", 0, "3 passed, 0 failed"),
        ("echo 3 passed, 1 failed, 2 errors; exit 1", "true", "echo never run", 1, "3 passed, 3 failed"),
        ("echo 3 passed", "true", "echo 1 passed, 1 failed; exit 1", 1, "4 passed, 1 failed"),
        ("echo lint: long line; exit 1", "true", "echo never run", 1, "0 passed, 1 failed"),
        ("echo 3 passed", "echo lost link; exit 1", "echo 1 passed", 1, "4 passed, 1 failed"),
    ],
)
def test_the_last_line_counts_and_the_status_tells(tmp_path, test, docs, sample, status, last):
    make = f'if [ "$1" = test ]; then {test}; else {docs}; fi'
    for name, body in {"bin/make": make, ".venv/bin/python": sample}.items():
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text(f"#!/bin/sh\n{body}\n")
        (tmp_path / name).chmod(0o755)
    (tmp_path / ".ci").mkdir()
    shutil.copy(SCRIPT, tmp_path / ".ci" / "run")
    found = subprocess.run(
        [tmp_path / ".ci" / "run"],
        env={"PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (found.returncode, found.stdout.splitlines()[-1]) == (status, last), found.stderr
