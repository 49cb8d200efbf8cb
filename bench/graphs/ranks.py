"""Which method suits which graph: `semblance rank` over six sets, one budget a set, three seeds.

    python bench/graphs/ranks.py [--out DIR] [SET ...]      finished runs are kept in DIR and not run again

Writes bench/results/ranks.json and docs/graph-ranks.svg. The budget is `rank`'s own: 200 epochs where an epoch is one
step over a whole graph, 20 where it is a pass over batches; a method's settings are its recipe's. docs/graphs.md reads
the table.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import semblance as sb
from bench.harness import RESULTS, ROOT, machine
from semblance.figures import Drawn
from semblance.space.rank import BASELINES

SETS: dict[str, tuple[str, tuple[str, ...]]] = {
    "wisconsin": (
        "labels",
        (
            "mlp",
            "gcn",
            "gat",
            "sage",
            "appnp",
            "gpr-gnn",
            "favard-gnn",
            "dir-resolv-net",
            "sir-gcn-nodes",
            "neural-sheaf-diffusion",
            "sheaf-appnp",
        ),
    ),
    "cora": (
        "labels",
        ("mlp", "gcn", "gat", "sage", "sgc", "appnp", "dagnn", "lazy-gnn", "distilled", "deepwalk", "fastrp", "musae"),
    ),
    "tolokers": ("labels", ("mlp", "gcn", "gat", "sage", "sgc", "gpr-gnn", "favard-gnn", "fastrp")),
    "proteins": (
        "labels",
        (
            "gin",
            "pna",
            "sir-gcn",
            "rni",
            "neural-fingerprint",
            "circular-fingerprint",
            "wl-subtree",
            "sparse-hierarchical",
            "sort-pool",
        ),
    ),
    "cocitation-cora": (
        "labels",
        (
            "hgnn",
            "hgnn-plus",
            "hnhn",
            "unigcn",
            "unigat",
            "all-deep-sets",
            "phenomnn-simple",
            "clique-expanded",
            "lighthgnn",
            "star-fastrp",
        ),
    ),
    "college-msg": (
        "links",
        # All that read events without features, beside the heuristics of neighbourhoods.
        ("deepwalk", "node2vec", "line", "swivel", "fastrp", "graphlet-orbits", "cat-walk"),
    ),
}
# A minute a run instead of epochs: 200 epochs of cat-walk over the messages take a quarter of an hour.
SECONDS = {"college-msg": 60.0}
WORDS = {"knn5": "share that 5 neighbours label rightly", "auc": "AUC beside pairs without an edge"}


def ranked(name: str, folder: Path) -> dict[str, Any]:
    """One table, with what every method took."""
    task, recipes = SETS[name]
    found = sb.rank(
        name, recipes, task=task, seeds=3, seconds=SECONDS.get(name), out=folder / f"{name}.rank", say=print
    )
    print(f"{name}: {found}", flush=True)
    return {"set": name, "task": task, **found.to_dict(), "sentence": str(found)}


def drawn(tables: list[dict[str, Any]], path: Path) -> None:
    """Six panels, the best on top, what is not learned in grey."""
    figure = Drawn(figsize=(10, 9.5), layout="constrained")
    for axes, table in zip(figure.subplots(3, 2).flat, tables, strict=False):
        rows = table["rows"][::-1]
        for place, row in enumerate(rows):
            spread = [[row["value"] - row["low"]], [row["high"] - row["value"]]]
            plain = row["recipe"] in BASELINES
            axes.errorbar(
                row["value"],
                place,
                xerr=spread,
                fmt="s" if plain else "o",
                color="0.5" if plain else "#0072b2",
                capsize=2,
                markersize=4,
            )
        axes.set_yticks(range(len(rows)), [row["recipe"] for row in rows], fontsize=8)
        axes.set_title(f"{table['set']}, {table['task']}", fontsize=10)
        axes.set_xlabel(WORDS.get(rows[0]["metric"], rows[0]["metric"]), fontsize=8)
        axes.tick_params(axis="x", labelsize=8)
        axes.grid(axis="x", alpha=0.3)
    figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "sets", nargs="*", default=list(SETS), help=f"of {', '.join(SETS)}; the result is written when all are asked"
    )
    parser.add_argument("--out", type=Path, default=Path("ranks"))
    given = parser.parse_args()
    tables = [ranked(name, given.out) for name in given.sets]
    if list(given.sets) == list(SETS):
        (RESULTS / "ranks.json").write_text(json.dumps({"machine": machine(1), "tables": tables}, indent=1) + "\n")
        drawn(tables, ROOT / "docs" / "graph-ranks.svg")
