"""The soak of bench/app/serve.py, shortened: everything there is, for seconds, without an error."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def test_some_seconds_of_everything_end_without_an_error():
    command = [sys.executable, "bench/app/serve.py", "soak", "--items", "2000", "--minutes", "0.1"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=600)
    assert done.returncode == 0, done.stderr
    said, _ = json.JSONDecoder().raw_decode(done.stdout)
    assert said["soak"]["failed"] == 0 and said["soak"]["answers"] > 20 and len(said["soak"]["memory"]) > 2
