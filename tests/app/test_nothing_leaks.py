"""Nothing leaves the machine, and nothing is written but where the user said: no socket is opened, and files change in the
output folder and in the cache only, while a space is learned, asked, judged, changed and handed on.

Python tells of what it does itself (audit hooks); what libraries write past it is found by looking at the folders.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

WATCH = """
import json, os, sys

WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
sockets, written, started = [], [], []

def place(path, fd=-1):
    "An absolute path; of one that is relative to an open folder, from that folder on."
    if not isinstance(path, (str, bytes, os.PathLike)) or path in ("", ":memory:"):
        return
    path = os.fsdecode(path)
    if path.startswith("file:"):
        path = path.removeprefix("file:").partition("?")[0]
    base = os.readlink(f"/proc/self/fd/{fd}") if isinstance(fd, int) and fd >= 0 else os.getcwd()
    written.append(os.path.normpath(os.path.join(base, path)))

def hook(event, given):
    if event.startswith("socket.") and event != "socket.gethostname":
        sockets.append(f"{event} {given!r}")
    elif event in ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn"):
        started.append(repr(given[:2]))
    elif event == "open":
        path, mode, flags = given
        if set(mode or "") & set("wax+") or (flags or 0) & WRITES:
            place(path)
    elif event in ("os.mkdir", "os.remove", "os.rmdir", "os.utime", "os.chmod"):
        place(given[0], given[-1])
    elif event in ("os.rename", "os.link"):
        place(given[0], given[2])
        place(given[1], given[3])
    elif event in ("os.symlink", "os.truncate", "sqlite3.connect"):
        place(given[event == "os.symlink"])

sys.addaudithook(hook)
"""
SAID = """
for fd in os.listdir("/proc/self/fd") if os.path.isdir("/proc/self/fd") else ():
    try:
        held = os.readlink(f"/proc/self/fd/{fd}")
    except OSError:
        continue
    if held.startswith("socket:"):
        sockets.append(held)
sys.__stdout__.write("\\n" + json.dumps({"sockets": sockets, "written": sorted(set(written)), "started": started}))
"""
WORK = """
import numpy as np
import semblance as sb

with sb.fit("pictures", recipe="simclr", batch=16, least=1, epochs=1, out="out/p.space") as space:
    space.search(space.ids[0], k=3, where="split = 'train'")
    space.search("pictures/a/0.png", k=3)
    space.evaluate()
    space.classify(space.ids[0])
    space.remove(space.ids[:2])
    space.add("more")
    space.compact()
    space.to_arrow()
    space.export("out/z.parquet")
sb.load("out/p.space").close()
x = np.random.default_rng(0).normal(size=(9000, 16)).astype(np.float32)
with sb.fit(x, recipe="as-is", out="out/v.space") as space:
    space.search(x[:3], k=5, where="split = 'train'")
    space.search(x[:3], k=5)
"""
BY_COMMANDS = """
from semblance.app import cli
from semblance.app.flags import run
for line in (
    "fit pictures --recipe as-is --domain images --out out/p.space",
    "fit pictures --recipe supervised --set least=1 --epochs 1 --out out/p.space",
    "search out/p.space pictures/a/0.png -k 3",
    "evaluate out/p.space --json",
    "report out/p.space memory -o out/m.html",
    "recipes --state shown -q",
    "data list",
    "data get mnist",
    "doctor",
):
    assert run(cli.app, line.split()) == (2 if "as-is" in line else 0), line
"""


@pytest.fixture
def home(tmp_path):
    """A working folder with pictures, and everything that a program might write to by itself beside it."""
    rng = np.random.default_rng(0)
    for part, count in (("pictures/a", 20), ("pictures/b", 20), ("more", 3)):
        (tmp_path / "work" / part).mkdir(parents=True)
        for number in range(count):
            pixels = rng.integers(0, 255, (16, 16, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "work" / part / f"{number}.png")
    for name in ("work/out", "home", "temporary", "cache"):
        (tmp_path / name).mkdir(exist_ok=True)
    return tmp_path


def watched(home: Path, work: str) -> dict[str, list[str]]:
    """What a script opened, wrote and started."""
    # torch tells its children by TORCHINDUCTOR_CACHE_DIR where it would have written itself.
    told = ("XDG_", "SEMBLANCE_", "COV", "MPL", "TORCH")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(told)}
    places = {
        "HOME": home / "home",
        "TMPDIR": home / "temporary",
        "SEMBLANCE_CACHE": home / "cache",
        "XDG_CACHE_HOME": home / "cache",
        "XDG_CONFIG_HOME": home / "settings",
    }
    environment = {
        **kept,
        **{key: str(place) for key, place in places.items()},
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    found = subprocess.run(
        [sys.executable, "-c", WATCH + work + SAID], capture_output=True, text=True, env=environment, cwd=home / "work"
    )
    assert found.returncode == 0, found.stderr
    return json.loads(found.stdout.splitlines()[-1])


def strays(home: Path, written: list[str]) -> list[str]:
    """What was written elsewhere than to the output folder, the cache, and the compiled code beside its source."""
    allowed = [home / "work" / "out", home / "cache", Path(os.devnull)]
    # Empty folders: matplotlib looks for its settings in one, torch makes one for a compiler when an optimiser is made.
    allowed += [home / "settings" / "matplotlib", *(home / "temporary").glob("torchinductor_*")]
    return [
        path
        for path in written
        if not any(Path(path).is_relative_to(place) for place in allowed)
        and path != str(home / "settings")
        and "__pycache__" not in Path(path).parts
        and not (
            Path(path).parent == home / "temporary" and len(Path(path).name) == 8
        )  # Python tries whether it may write
    ]


def left(folder: Path) -> list[str]:
    return sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file())


@pytest.mark.parametrize("work", [WORK, BY_COMMANDS], ids=["in Python", "by commands"])
def test_no_socket_is_opened_and_nothing_is_written_elsewhere(home, work):
    before = left(home / "work")
    found = watched(home, work)
    assert found["sockets"] == []
    assert [line for line in found["started"] if "fc-list" not in line] == []  # by which matplotlib finds fonts
    assert strays(home, found["written"]) == []
    assert left(home / "home") == left(home / "temporary") == left(home / "settings") == []
    assert [file for file in left(home / "work") if not file.startswith("out")] == before
    assert any(file.startswith("images") for file in left(home / "cache"))


@pytest.mark.parametrize(
    ("work", "kind"),
    [
        ("import socket; socket.socket()", "sockets"),
        ("import socket\ntry: socket.getaddrinfo('localhost', 1)\nexcept OSError: pass", "sockets"),
        ("open('elsewhere.txt', 'w').close()", "written"),
        ("os.mkdir(os.path.expanduser('~/.semblance'))", "written"),
        ("import sqlite3; sqlite3.connect('elsewhere.db').close()", "written"),
        ("import subprocess; subprocess.run(['true'])", "started"),
    ],
)
def test_the_watch_sees_what_it_has_to_see(home, work, kind):
    found = watched(home, work)
    assert (strays(home, found["written"]) if kind == "written" else found[kind]) != []
