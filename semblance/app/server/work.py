"""Work: the process of one job. It reads what to do from its input, as JSON, and writes events, one a line.

    {"event": "progress" | "line" | "point" | "run" | "rows" | "result" | "error", "content": {...}}

Ctrl-C (which is how a job is stopped) ends a training as it does on the command line: what was done is saved.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from semblance.errors import SemblanceError
from semblance.places import keep_compiled

OFTEN = 0.2
"""Seconds between two words about progress."""


def tell(event: str, **content: Any) -> None:
    """One event."""
    from semblance.app.flags import plain

    sys.stdout.write(json.dumps({"event": event, "content": plain(content)}) + "\n")
    sys.stdout.flush()


class Progress:
    """Tells how far it is, not too often, and what has been written to a log meanwhile."""

    def __init__(self, log: Path | None = None, event: str = "point", pick: Callable[[dict[str, Any]], Any] = dict):
        self.log, self.event, self.pick = log, event, pick
        self._told, self._read = 0.0, 0

    def __call__(self, done: int, total: int, text: str = "") -> None:
        if time.monotonic() - self._told < OFTEN and done < total:
            return
        self._told = time.monotonic()
        tell("progress", done=done, total=total, text=text)
        self.follow()

    def follow(self) -> None:
        """The lines that the log has got since."""
        if self.log is None or not self.log.is_file():
            return
        with self.log.open("rb") as file:
            file.seek(self._read)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                self._read += len(line)
                try:
                    found = self.pick(json.loads(line))
                except (ValueError, KeyError):
                    continue
                tell(self.event, **found)


def fit(spec: dict[str, Any]) -> None:
    """Learn a space."""
    from semblance.space import fit as fitting

    out = Path(spec["out"])
    progress = Progress(out.with_name(out.name + ".fitting") / "log.jsonl")
    given = {key: spec[key] for key in ("epochs", "label", "domain") if spec.get(key) is not None}
    telling: dict[str, Any] = {"progress": progress, "say": lambda line: tell("line", text=line)}
    with fitting.fit(
        spec["data"], spec.get("recipe"), out=out, seed=spec["seed"], **given, **spec["settings"], **telling
    ) as space:
        progress.log = space.path / "log.jsonl"
        progress.follow()
        tell("result", space=str(space.path), info=space.info)


def rank(spec: dict[str, Any]) -> None:
    """Compare methods."""
    import numpy as np

    from semblance.space.rank import rank as ranked

    def run(line: dict[str, Any]) -> dict[str, Any]:
        value = float(np.mean(line["scores"]))
        return {"recipe": line["recipe"], "seed": line["seed"], "value": value, "seconds": line["seconds"]}

    out = Path(spec["out"])
    progress = Progress(out / "runs.jsonl", "run", run)
    given = {key: spec[key] for key in ("epochs", "label", "domain", "seeds") if spec.get(key) is not None}
    telling: dict[str, Any] = {"progress": progress, "say": lambda line: tell("line", text=line)}
    found = ranked(spec["data"], spec.get("recipes") or None, out=out, seed=spec["seed"], **given, **telling)
    progress.follow()
    tell("rows", **found.to_dict())
    tell("result", ranking=str(out), verdict=str(found))


def umap(spec: dict[str, Any]) -> None:
    """Lay a space out in two dimensions."""
    from semblance.app.server import derived, projection
    from semblance.memory.store import Store

    with Store.open(spec["space"]) as store:
        tell("progress", done=0, total=2, text=f"laying out {len(store):,} items")
        xy, said = projection.umap(store.view.source, str(store.manifest["geometry"]), spec["seed"])
    derived.write(Path(spec["folder"]), "umap", spec["key"], {"x": xy[0], "y": xy[1]}, said)
    tell("progress", done=2, total=2, text="done")


def neighbours(spec: dict[str, Any]) -> None:
    """Everybody's nearest, once."""
    from semblance.app.server import derived, neighbourhoods
    from semblance.memory.store import Store

    def progress(done: int, total: int) -> None:
        tell("progress", done=done, total=total, text="nearest of everybody")

    with Store.open(spec["space"]) as store:
        found = neighbourhoods.everybody(store.view.source, str(store.manifest["geometry"]), progress)
    positions, distances = found
    arrays = {"positions": positions, "distances": distances}
    derived.write(Path(spec["folder"]), "neighbours", spec["key"], arrays, {"items": len(positions)})


WORK = {"fit": fit, "rank": rank, "umap": umap, "neighbours": neighbours}


def main() -> int:
    """0 done; 130 stopped; else it failed, and the last event says why."""
    keep_compiled()
    # Whoever serves from a script's background hands on that interrupts are ignored: a job could not be asked to save.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    spec = json.loads(sys.stdin.read())
    try:
        os.nice(5)  # whoever looks at the page comes first
        WORK[spec["kind"]](spec)
    except SemblanceError as error:
        tell("error", text=" ".join(str(error).split()))
        return error.code
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
