"""The walk of docs/scale.md from a laptop to a cluster: its file is one for Ray, and each of its commands runs.

`ray up` is what its file says for the head and a worker, on this machine instead of others; `ray exec` is the command.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from faults.rayed import PATIENCE, SMALL, end, free
from PIL import Image

import semblance as sb

pytest.importorskip("ray")
ROOT = Path(__file__).parents[2]
FILE = ROOT / "docs" / "cluster.yaml"
COMMANDS = [
    line
    for code in re.findall(r"^```sh\n(.*?)^```$", (ROOT / "docs/scale.md").read_text(), re.MULTILINE | re.DOTALL)
    for line in code.splitlines()
]


def on_other_machines() -> dict[str, Any]:
    """The file with other host names in it."""
    said = yaml.safe_load(FILE.read_text())
    said["provider"] |= {"head_ip": "10.0.0.1", "worker_ips": ["10.0.0.2"]}
    return said


def test_the_file_is_one_for_ray_and_installs_what_is_here() -> None:
    from ray.autoscaler._private.util import prepare_config, validate_config

    prepared = prepare_config(on_other_machines())
    validate_config(prepared)
    assert prepared["available_node_types"]["local.cluster.node"]["min_workers"] == 1
    assert (
        f"semblance[ray]=={sb.__version__}" in FILE.read_text()
        and f"ray[default]=={version('ray')}" in FILE.read_text()
    )
    with pytest.raises(Exception, match="not valid"):
        validate_config({**prepared, "cluster_name": ["not valid"]})


class Here:
    """This machine instead of the cluster's."""

    def __init__(self, folder: Path, shared: Path):
        self.folder, self.shared = folder, shared
        self.ports = {"6379": free(), "10001": free()}
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        self.token = folder / "token"
        own = {"RAY_TMPDIR": str(folder), "RAY_AUTH_TOKEN_PATH": str(self.token), "RAY_HEAD_IP": "127.0.0.1"}
        own |= {"PYTHONPATH": str(ROOT), "PATH": path, "OMP_NUM_THREADS": "1"}
        others = {name: value for name, value in os.environ.items() if name not in ("RAY_ADDRESS", "RAY_AUTH_MODE")}
        self.environment = {**others, **own}

    def shell(self, line: str) -> str:
        """What a line of the walk or its file prints."""
        for port, own in self.ports.items():
            line = line.replace(port, own)
        line = line.replace("~/semblance/bin/", "").replace("/shared", str(self.shared)).replace("head:", "127.0.0.1:")
        done = subprocess.run(
            ["bash", "-c", line],
            cwd=self.shared,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        assert done.returncode == 0, f"{line}: {done.stdout[-2000:]} {done.stderr[-2000:]}"
        return done.stdout

    def up(self) -> None:
        said = on_other_machines()
        assert said["file_mounts"] == {"~/.ray/auth_token": "~/.ray/auth_token"}
        head, worker = (said[f"{kind}_start_ray_commands"] for kind in ("head", "worker"))
        assert head[0] == worker[0] == "~/semblance/bin/ray stop"  # it would stop others' clusters of this machine
        line = re.sub(r" --autoscaling-config=\S+", "", head[1])
        small = f"--num-cpus=1 {' '.join(SMALL)}"
        self.shell(f"{line} {small} --include-dashboard=false")
        self.shell(f"{worker[1]} {small} --node-manager-port=0")

    def down(self) -> None:
        """Ends what was started here: it has the folder in its environment."""
        end("RAY_TMPDIR", str(self.folder))


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Here]:
    chance = np.random.default_rng(0)
    for place in [f"photos/{kind}/{number}.png" for kind in ("cat", "dog") for number in range(12)]:
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        light = chance.normal(180 if "cat" in place else 70, 30, (8, 8, 3))
        Image.fromarray(light.clip(0, 255).astype(np.uint8)).save(tmp_path / place)
    with tempfile.TemporaryDirectory(prefix="sb-", ignore_cleanup_errors=True) as folder:
        machine = Here(Path(folder), tmp_path)
        try:
            yield machine
        finally:
            machine.down()


def test_each_command_of_the_walk_runs(here: Here) -> None:
    ran: list[str] = []
    there = False
    here.token.write_text("a token of " + "0123456789" * 4)  # as `ray get-auth-token --generate` leaves it at home
    # The first command of the page starts Ray on this machine; here it finds the cluster.
    for line in sorted(COMMANDS, key=lambda line: not line.startswith("ray up")):
        words = shlex.split(line)
        work = " --epochs 1" if "semblance fit" in line or "semblance rank" in line else ""
        work += " --set least=24" if "semblance fit" in line else ""
        if words[:4] == ["ray", "up", "-y", "cluster.yaml"]:
            here.up()
            there = True
        elif words[:4] == ["ray", "down", "-y", "cluster.yaml"]:
            here.down()
            there = False
        elif words[:3] == ["ray", "exec", "cluster.yaml"]:
            assert there and len(words) == 4
            said = here.shell(words[3] + work)
            assert "status" not in line or "2 node" in said or said.count("node_") >= 2, said
        else:
            assert "semblance" in words[:2] or words[:2] == ["ray", "get-auth-token"]
            here.shell(line + work)
        ran.append(line)
    assert sorted(ran) == sorted(COMMANDS) and len(COMMANDS) >= 6 and not there
    for name in ("all.space", "more.space"):
        with sb.load(here.shared / name) as space:
            assert len(space) == 24 and space.check() == []
    assert len((here.shared / "photos.rank/runs.jsonl").read_text().splitlines()) == 2
