"""What tests share: `needs`, which asks for a named data set."""

from __future__ import annotations

import json
import os
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import settings

# Times on a busy machine say nothing about the code; the seeds are fixed so that a failure is everyone's.
settings.register_profile("semblance", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("semblance")


def data_folder() -> Path:
    """Where the shared data sets lie: SEMBLANCE_DATA, else ../shared/data beside the checkout."""
    given = os.environ.get("SEMBLANCE_DATA")
    return Path(given) if given else Path(__file__).parents[2] / "shared" / "data"


def present(name: str) -> bool:
    """Whether the index of the data folder lists this set and its file lies there, or a library brings it."""
    index = data_folder() / "index.json"
    if not index.exists():
        return False
    known = json.loads(index.read_text())
    return any(row["name"] == name and (data_folder() / row["file"]).exists() for row in known["sets"]) or any(
        row["name"] == name and find_spec(row["library"]) is not None for row in known["bundled"]
    )


def needs(*names: str) -> None:
    """Skip a test whose data set is absent, with the command that fetches it; under CI=true that is a failure."""
    for name in names:
        if not present(name):
            message = f"data set {name!r} is absent: semblance data get {name}"
            if os.environ.get("CI") == "true":
                pytest.fail(message)
            pytest.skip(message)
