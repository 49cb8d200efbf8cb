"""Table: what the peers' harness measured, in one file and one picture.

    python peers.py --ours ours:build --out RUN.json ...      # with this folder on PYTHONPATH, once for each kind of data
    python bench/memory/table.py RUN.json [RUN.json ...]      # writes bench/results/filtered.json, docs/filtered-search.png

`--ours` may be given twice: both are taken as ours and the better one counts. A run's table has a line for each peer and
recall, queries per second by selectivity, `r0.87` where 0.87 was the best recall. Below it are the ratios of ours to the
best of all peers and to the best packaged store, the goals they are held to, and what the window paper published.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterable
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from harness import RESULTS, ROOT, machine

RECALLS = ("0.95", "0.99")
STORES = ("zvec", "lancedb", "chroma", "duckdb", "sqlite_vec", "qdrant")
LEAST = {"clustered": {"0.95": (1.3, 2.0), "0.99": (1.0, 2.0)}, "diffuse": {"0.95": (1.0, 0), "0.99": (1.0, 0)}}
"""Ratio to the best peer: never below, and in the median."""
STORE_GOALS = ((0, 0, 2.5), (1, 3, 15), (4, 6, 25), (7, 99, 60))
"""Ratio to the best store from 2^-first to 2^-last, at recall 0.95."""
PAPER = {
    "paper": "Engels, Landrum, Yu, Dhulipala & Shun 2024, Approximate Nearest Neighbor Search with Window Filters",
    "published": "up to 75 times the queries per second of the best baseline at the same recall (abstract); its baselines "
    "are pre-filtering, post-filtering and filtered graphs; its own code was not run here",
    "beside it": "`times HNSW`: ours over the better of faiss' HNSW with a selector and with a larger k and dropping",
}
Row = dict[str, Any]


def is_ours(name: str) -> bool:
    return name.startswith("ours:")


def speed(rows: dict[str, Row], names: Iterable[str], recall: str) -> float | None:
    """The most queries per second that one of them reaches at this recall."""
    found = [rows[name][f"qps@{recall}"] for name in names if f"qps@{recall}" in rows[name]]
    return max(found, default=None)


def ratio(rows: dict[str, Row], names: list[str], recall: str) -> float | None:
    mine, theirs = speed(rows, filter(is_ours, rows), recall), speed(rows, names, recall)
    return None if mine is None or theirs is None else round(mine / theirs, 2)


def summary(run: dict[str, Any]) -> dict[str, Any]:
    """One run of the harness."""
    args, results, wide = run["args"], run["results"], list(run["selectivity"])
    by_width = {width: {name: rows[width] for name, rows in results.items() if width in rows} for width in wide}
    peers = [name for name in results if not is_ours(name)]
    stores = [name for name in peers if name.startswith(STORES)]
    graphs = [name for name in peers if name.startswith("faiss_hnsw")]
    table: dict[str, Any] = {}
    for recall in RECALLS:
        lines = {
            name: {w: rows[w].get(f"qps@{recall}", f"r{rows[w]['best_recall']:.2f}") for w in wide if w in rows}
            for name, rows in results.items()
        }
        table[recall] = {
            "queries per second": lines,
            "ours / best peer": {w: ratio(by_width[w], peers, recall) for w in wide},
            "ours / best store": {w: ratio(by_width[w], stores, recall) for w in wide},
            "times HNSW": {w: ratio(by_width[w], graphs, recall) for w in wide},
            "best peer": {w: best(by_width[w], peers, recall) for w in wide},
        }
    kept = {name: args[name] for name in ("n", "d", "k", "labels", "shape", "mode", "nq", "repeats", "clock")}
    return {"data": kept, "peers": run["peers"], "recall": table, "goals": goals(table, args)}


def best(rows: dict[str, Row], names: list[str], recall: str) -> str | None:
    found = [name for name in names if f"qps@{recall}" in rows.get(name, {})]
    return max(found, key=lambda name: rows[name][f"qps@{recall}"], default=None)


def goals(table: dict[str, Any], args: dict[str, Any]) -> list[dict[str, Any]]:
    """What was asked of the run and whether it was reached; what has no peer in the run is left out."""
    lines = []
    for recall in RECALLS:
        found = {w: r for w, r in table[recall]["ours / best peer"].items() if r is not None}
        if found:
            least, middle = LEAST[args["shape"]][recall] if args["mode"] == "window" else (1.3, 0)
            where = min(found, key=lambda w: found[w])
            what = f"at recall {recall} at least {least}x of the best peer, {middle}x in the median"
            half = median(found.values())
            met = found[where] >= least and half >= middle
            lines.append({"goal": what, "least": found[where], "at": where, "median": half, "reached": met})
    found = {w: r for w, r in table["0.95"]["ours / best store"].items() if r is not None and w.startswith("2^-")}
    for first, last, least in STORE_GOALS:
        inside = [r for w, r in found.items() if first <= int(w[3:]) <= last]
        if inside:
            what = f"at least {least}x of the best store, 2^-{first} to 2^-{last}"
            lines.append({"goal": what, "least": min(inside), "reached": min(inside) >= least})
    return lines


def picture(run: dict[str, Any], path: Path) -> None:
    """Queries per second over selectivity, a panel for each recall."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, 2, figsize=(11, 4.6), sharey=True)
    for panel, recall in zip(panels, RECALLS, strict=True):
        panel.set_prop_cycle(color=plt.get_cmap("tab20").colors)
        for name, rows in sorted(run["results"].items(), key=lambda line: is_ours(line[0])):
            points = [
                (run["selectivity"][w], row[f"qps@{recall}"]) for w, row in rows.items() if f"qps@{recall}" in row
            ]
            if points:
                style = {"color": "black", "linewidth": 2.6} if is_ours(name) else {"linewidth": 1.1, "alpha": 0.85}
                label = "semblance" if is_ours(name) else name
                panel.plot(*zip(*sorted(points), strict=True), marker="o", markersize=3, label=label, **style)
        panel.set(xscale="log", yscale="log", title=f"recall@{run['args']['k']} ≥ {recall}")
        panel.set_xlabel("share of the items that the condition lets through")
        panel.set_xlim(1.3, min(run["selectivity"].values()) / 1.3)
        panel.grid(alpha=0.25, which="major")
    panels[0].set_ylabel("queries per second of one core")
    panels[1].legend(fontsize=7, loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
    args = run["args"]
    figure.suptitle(
        f"{args['n']:,} vectors of {args['d']} numbers, labels {args['labels']}, {args['shape']}", fontsize=10
    )
    figure.tight_layout()
    figure.savefig(path, dpi=130)


def show(part: dict[str, Any]) -> None:
    """The tables of a run, as lines."""
    print(", ".join(f"{name} {value}" for name, value in part["data"].items()))
    for recall, table in part["recall"].items():
        wide = list(table["ours / best peer"])
        print(f"\nrecall {recall:<19}" + "".join(f"{w:>10}" for w in wide))
        for name, line in table["queries per second"].items():
            cells = [line.get(w, "") for w in wide]
            shown = [f"{c:>10.0f}" if isinstance(c, float) and math.isfinite(c) else f"{c:>10}" for c in cells]
            print(f"{name:<26}" + "".join(shown))
        for name in ("ours / best peer", "ours / best store", "times HNSW"):
            print(f"{name:<26}" + "".join(f"{'' if r is None else r:>10}" for r in table[name].values()))
    for goal in part["goals"]:
        print(("reached: " if goal["reached"] else "MISSED:  ") + json.dumps(goal))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="*", type=Path, help="none: this help")
    parser.add_argument("--out", type=Path, default=RESULTS / "filtered.json")
    parser.add_argument("--picture", type=Path, default=ROOT / "docs" / "filtered-search.png", help="of the first run")
    given = parser.parse_args()
    if not given.runs:
        parser.print_help()
        return
    runs = [json.loads(path.read_text()) for path in given.runs]
    whole = {"benchmark": "filtered", "machine": machine(1), "window paper": PAPER, "runs": [summary(r) for r in runs]}
    for part in whole["runs"]:
        show(part)
    given.out.write_text(json.dumps(whole, indent=1) + "\n")
    picture(runs[0], given.picture)


if __name__ == "__main__":
    main()
