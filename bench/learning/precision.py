"""Does bfloat16 learn what float32 learns? SimSiam at one seed in both precisions, judged by the same k-NN.

    python bench/learning/precision.py --backbone small --images 10000 --epochs 20 --seeds 3

Writes bench/results/precision-BACKBONE-IMAGES.json: accuracy (20 nearest of the training images, test images of the
CIFAR-10 subset) per seed and precision, and the difference, which is to stay within 0.5 points if bfloat16 is to be the
default where the processor has it. Embedding is in the precision of training, as a user's would be. Finished runs are
kept, so that a stopped comparison goes on.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
import torch

from semblance.data.dataset import ArrayDataset
from semblance.data.load import load
from semblance.geometry.nearest import nearest
from semblance.heads.neighbours import vote
from semblance.learning.devices import keep_pages
from semblance.recipes.registry import build
from semblance.space.training import train

sys.path.append(str(Path(__file__).resolve().parents[1]))
from harness import RESULTS, machine


def subset(images: int) -> ArrayDataset:
    """The first training images of the CIFAR-10 subset (its order is class-balanced by drawing) and all test images."""
    data = load("cifar10-subset")
    rng = np.random.default_rng(0)
    kept = np.sort(rng.permutation(data.splits["train"])[:images])
    return data.subset(np.concatenate([kept, data.splits["test"]]))


def accuracy(data: ArrayDataset, backbone: str, width: int, epochs: int, seed: int, precision: str) -> dict[str, float]:
    """k-NN accuracy after training, and how long it took."""
    begun = time.perf_counter()
    recipe = build("simsiam", backbone=backbone, width=width, batch=256)
    model = train(data, recipe, epochs=epochs, seed=seed, precision=precision)
    seconds = time.perf_counter() - begun
    train_z, test_z = (model.embed(data, data.splits[part]) for part in ("train", "test"))
    index, similarity = nearest(test_z, train_z, 20)
    labels = data.targets["labels"]
    guess = vote(labels[data.splits["train"]][index], similarity, 10).argmax(1).numpy()
    return {"knn20": float((guess == labels[data.splits["test"]]).mean()), "seconds": round(seconds, 1)}


def main() -> None:
    """Run what is missing and write the comparison."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--backbone", default="small")
    parser.add_argument("--width", type=int, default=0)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    keep_pages()
    torch.set_num_threads(1)
    path = RESULTS / f"precision-{given.backbone}-{given.images}.json"
    runs: dict[str, dict[str, float]] = json.loads(path.read_text())["runs"] if path.exists() else {}
    data = subset(given.images)
    for seed in range(given.seeds):
        for precision in ("bfloat16", "float32"):
            key = f"{precision}, seed {seed}"
            if key not in runs:
                runs[key] = accuracy(data, given.backbone, given.width, given.epochs, seed, precision)
                print(key, runs[key], flush=True)
            done = [s for s in range(given.seeds) if {f"bfloat16, seed {s}", f"float32, seed {s}"} <= set(runs)]
            lost = [100 * (runs[f"float32, seed {s}"]["knn20"] - runs[f"bfloat16, seed {s}"]["knn20"]) for s in done]
            report = {
                "what": f"SimSiam, {given.backbone} (width {given.width or 'own'}), {given.images} images, "
                f"{given.epochs} epochs",
                "runs": runs,
                "points_lost_by_bfloat16": {"per_seed": lost, "mean": float(np.mean(lost)) if lost else None},
                "target": "mean within 0.5 points",
                "machine": machine(1),
            }
            path.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
