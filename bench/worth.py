"""Is what was learned without labels worth having? The simclr preset against the raw pixels, on three sets.

    python bench/worth.py [digits] [mnist] [cifar10-subset]

digits: 1,200 and 597 (the objectives catalogue's split), at most 60 s of training; knn5 at least 1 point and
    fewshot5_all at least 8 points above raw pixels.
mnist: the first 10,000 and 2,000, at most 3 minutes; knn5 at least 0.96 and above raw pixels.
cifar10-subset: at most 10 minutes; the linear probe at least 10 points above raw pixels.
Training takes what torch takes of the machine's cores. Writes bench/results/worth.json, a set at a time.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from semblance.analysis.judge import judge
from semblance.claims.settings import digits_split
from semblance.data.dataset import ArrayDataset
from semblance.data.load import load
from semblance.learning.devices import keep_pages
from semblance.recipes.registry import build
from semblance.space.training import train

sys.path.append(str(Path(__file__).resolve().parent))
from harness import RESULTS, machine

METRICS = ("knn1", "knn5", "knn20", "linear", "fewshot5_all")
# set: settings of simclr, its epochs, seconds allowed, {metric: least points above raw pixels}, {metric: least value}
SETS: dict[str, tuple[dict[str, Any], int, float, dict[str, float], dict[str, float]]] = {
    "digits": ({}, 32, 60, {"knn5": 1, "fewshot5_all": 8}, {}),
    "mnist": ({"temperature": 0.2}, 16, 180, {"knn5": 0}, {"knn5": 0.96}),
    "cifar10-subset": ({}, 45, 600, {"linear": 10}, {}),
}


def first(name: str) -> ArrayDataset:
    """The set with the split that was asked for."""
    data = load(name)
    if name == "digits":
        train_rows, test_rows = digits_split()
        return replace(data, splits={"train": train_rows, "test": test_rows})
    if name == "mnist":
        return data.subset(np.concatenate([data.splits["train"][:10_000], data.splits["test"][:2_000]]))
    return data


def measured(name: str) -> dict[str, Any]:
    """Train without labels, judge with them, beside the raw pixels; and what was asked."""
    settings, epochs, allowed, margins, least = SETS[name]
    data = first(name)
    begun = time.perf_counter()
    model = train(data, build("simclr", **settings), epochs=epochs)
    seconds = time.perf_counter() - begun
    rows = {part: data.splits[part] for part in ("train", "test")}
    labels = data.targets["labels"]
    raw = {part: np.asarray(data.x[at], np.float32).reshape(len(at), -1) / 255 for part, at in rows.items()}
    metrics = judge(
        model.embed(data, rows["train"]),
        labels[rows["train"]],
        model.embed(data, rows["test"]),
        labels[rows["test"]],
        raw_train=raw["train"],
        raw_test=raw["test"],
        names=METRICS,
    )
    ahead = {m: 100 * (metrics[m]["value"] - metrics[m]["baseline"]) for m in METRICS}
    reached = {f"{m} at least {v:g} points above raw pixels": ahead[m] >= v for m, v in margins.items()}
    reached |= {f"{m} at least {v:g}": metrics[m]["value"] >= v for m, v in least.items()}
    reached[f"at most {allowed:g} s"] = seconds <= allowed
    return {
        "recipe": "simclr",
        "settings": settings,
        "epochs": epochs,
        "seed": 0,
        "seconds": round(seconds, 1),
        "threads": torch.get_num_threads(),
        "metrics": {m: {k: metrics[m][k] for k in ("value", "low", "high", "baseline")} for m in METRICS},
        "reached": reached,
    }


def main() -> None:
    """The sets named on the command line, or all."""
    keep_pages()
    path = RESULTS / "worth.json"
    found = json.loads(path.read_text()) if path.exists() else {}
    for name in sys.argv[1:] or SETS:
        found[name] = measured(name)
        print(name, json.dumps(found[name], indent=1), flush=True)
        path.write_text(json.dumps({**found, "machine": machine(torch.get_num_threads())}, indent=1) + "\n")


if __name__ == "__main__":
    main()
