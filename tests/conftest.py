"""What tests share: `needs` (asks for a named data set), `two_cores` (Ray on this machine), the settings of hypothesis."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from semblance.data import named

# Times on a busy machine say nothing about the code; the seeds are fixed so that a failure is everyone's.
settings.register_profile("semblance", deadline=None, derandomize=True, max_examples=50, database=None)
settings.load_profile("semblance")

# A cluster that a test starts would ask for a token from then on, and what another test began before has none.
os.environ.setdefault("RAY_AUTH_MODE", "disabled")
os.environ.setdefault("RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S", "240")  # a loaded machine starts processes slowly
os.environ.setdefault("RAY_worker_niceness", "0")  # 15 by default: beside other tests its workers would wait for ever
# A shell ignores interrupts for what it runs behind, and every process inherits that; some tests interrupt themselves.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def needs(*names: str) -> None:
    """Skip a test whose data set is absent, with the command that fetches it; under CI=true that is a failure."""
    present = {row.name: row.present for row in named.data_list()}
    for name in names:
        if not present[name]:
            message = f"data set {name!r} is absent: semblance data get {name}"
            if os.environ.get("CI") == "true":
                pytest.fail(message)
            pytest.skip(message)


@pytest.fixture(scope="module")
def two_cores(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Ray on this machine with two cores, whatever it has; its workers can import the tests of this module."""
    ray = pytest.importorskip("ray")
    folders = [Path(__file__).parents[1], Path(__file__).parent, request.path.parent]
    known = {"PYTHONPATH": os.pathsep.join(map(str, folders))}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        ray.init(
            num_cpus=2,
            include_dashboard=False,
            log_to_driver=False,
            object_store_memory=200 << 20,
            runtime_env={"env_vars": known},
        )
        yield ray
        ray.shutdown()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test named after an address has another name in every process, and several processes then agree on none."""
    lost = [item.nodeid for item in items if " at 0x" in item.nodeid]
    if lost:
        raise pytest.UsageError(f"tests named after an address: {', '.join(lost[:3])}: give ids=")
