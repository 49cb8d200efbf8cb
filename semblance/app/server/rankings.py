"""Rankings: what `rank` and `fit` left in files, for people to look at: the table of methods, and training curves."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import numpy as np
from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from semblance.analysis.intervals import bootstrap_mean, compare_rows
from semblance.app.server.answers import answer
from semblance.app.server.held import Held
from semblance.app.server.problems import Problem
from semblance.app.server.state import ERRORS, Here, Server, Us, reading
from semblance.app.server.working import MISSING, as_json

router = APIRouter(tags=["jobs"])
LARGEST, POINTS = 64 << 20, 5_000
"""Bytes of a log that is read; points of a curve that are sent, evenly thinned."""


def folders(us: Server) -> dict[str, Path]:
    """Rankings beside the spaces, and where jobs write them, by name."""
    places = dict.fromkeys([us.root, *(served.path.parent for served in us.spaces)])
    found: dict[str, Path] = {}
    for place in places:
        for path in sorted(place.glob("*.rank")):
            if (path / "runs.jsonl").is_file():
                found.setdefault(path.name.removesuffix(".rank"), path)
    return found


def lines_of(path: Path) -> list[dict[str, Any]]:
    """The whole lines of a log."""
    try:
        if path.stat().st_size > LARGEST:
            raise Problem(
                "too-large", f"{path.name} has more than {LARGEST:,} bytes", "read it on the server's machine"
            )
        text = path.read_text("utf-8", "replace")
    except OSError:
        return []
    return [line for line in map(as_json, text.splitlines()) if line is not None]


@router.get("/api/rankings")
async def rankings(us: Us) -> Response:
    """All rankings."""

    def tell() -> Response:
        said = []
        for name, path in folders(us).items():
            runs = lines_of(path / "runs.jsonl")
            changed = datetime.datetime.fromtimestamp((path / "runs.jsonl").stat().st_mtime, datetime.UTC)
            recipes = list(dict.fromkeys(str(run.get("recipe")) for run in runs))
            said.append({"name": name, "recipes": recipes, "runs": len(runs), "changed": changed.isoformat()})
        return answer({"rankings": said})

    return await run_in_threadpool(tell)


@router.get("/api/rankings/{name}", responses=MISSING)
async def ranking(us: Us, name: str) -> Response:
    """The table of one ranking: methods with intervals, best first, and their paired tests."""

    def tell() -> Response:
        found = folders(us)
        if name not in found:
            raise Problem("not-found", f"there is no ranking {name[:64]!r}", "GET /api/rankings lists them")
        return answer({"name": name, **table_of(lines_of(found[name] / "runs.jsonl"))})

    return await run_in_threadpool(tell)


def table_of(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Rows and tests from finished runs; methods are tested against one another where they have the same seeds."""
    by_recipe: dict[str, dict[int, dict[str, Any]]] = {}
    for run in runs:
        if isinstance(run.get("scores"), list) and run["scores"] and isinstance(run.get("recipe"), str):
            by_recipe.setdefault(run["recipe"], {})[int(run.get("seed", 0))] = run
    rows, scores = [], {}
    for name, seeds in by_recipe.items():
        kept = [np.asarray(seeds[seed]["scores"], float) for seed in sorted(seeds)]
        size = len(kept[-1])  # runs of another version of the data have other units
        table = np.stack([one for one in kept if len(one) == size])
        scores[name] = table
        value, low, high = bootstrap_mean(table, seed=0)
        seconds = float(np.mean([float(run.get("seconds", 0.0)) for run in seeds.values()]))
        row = {"recipe": name, "value": value, "low": low, "high": high, "seeds": len(table), "seconds": seconds}
        rows.append({**row, "measures": seeds[max(seeds)].get("measures", {})})
    rows.sort(key=lambda row: -row["value"])
    shapes = {table.shape for table in scores.values()}
    tests = (
        compare_rows({row["recipe"]: scores[row["recipe"]] for row in rows}, seed=0)
        if len(shapes) == 1 < len(rows)
        else []
    )
    told = [
        {"recipe": run["recipe"], "seed": seed, "value": float(np.mean(run["scores"])), "seconds": run.get("seconds")}
        for seeds in by_recipe.values()
        for seed, run in sorted(seeds.items())
    ]
    metric = next(iter(rows[0]["measures"]), None) if rows else None
    return {"metric": metric, "rows": rows, "tests": tests, "runs": told}


@router.get("/api/spaces/{space}/curves", responses=ERRORS)
async def curves(here: Here) -> Response:
    """The training curve of the fit."""

    def tell(held: Held) -> Response:
        points = [{k: v for k, v in line.items() if k != "schema"} for line in lines_of(here.path / "log.jsonl")]
        step = max(1, -(-len(points) // POINTS))
        return answer({"points": [*points[:-1:step], *points[-1:]] if points else []}, held.headers)

    return await reading(here, tell)
