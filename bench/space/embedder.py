"""What the scikit-learn estimator costs beside training: `Embedder.fit_transform` against reading, `train` and `embed`.

Digits as pictures under `supervised`, and as vectors under `icon`; `sb.fit` does the same and writes a
space. All start from the same arrays.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bench.harness import bench, times

EPOCHS = {"supervised": 3, "icon": 100}  # seconds each


def run(kind: str, recipe: str) -> dict[str, float]:
    import numpy as np
    from sklearn.datasets import load_digits

    import semblance as sb
    from semblance.data.load import load
    from semblance.learning.devices import keep_pages
    from semblance.recipes.registry import build
    from semblance.space.training import train

    keep_pages()  # as sb.fit does; for all, since it is not what is measured
    digits = load_digits()
    vectors = recipe == "icon"
    x = digits.data.astype(np.float32) if vectors else (digits.images * 15).astype(np.uint8)
    y = digits.target
    everything = np.concatenate([np.full(len(x) - 1, "train"), ["test"]])

    def plain() -> None:
        dataset = load({"x": x, "y": y, "split": everything})
        train(dataset, build(recipe), epochs=EPOCHS[recipe], device="auto", precision="auto", name=recipe).embed(
            dataset
        )

    def estimator() -> None:
        sb.Embedder(recipe, epochs=EPOCHS[recipe]).fit_transform(x, y)

    def space() -> None:
        with tempfile.TemporaryDirectory() as folder:
            given = {"x": x, "y": y, "split": everything}
            sb.fit(given, recipe, out=Path(folder) / "a.space", epochs=EPOCHS[recipe]).close()

    return times({"train": plain, "embedder": estimator, "fit": space}[kind], 3)


ARMS = {
    f"{kind} {recipe}": lambda kind=kind, recipe=recipe: run(kind, recipe)
    for recipe in ("supervised", "icon")
    for kind in ("train", "embedder", "fit")
}

if __name__ == "__main__":
    bench(
        __file__,
        ARMS,
        baseline="train supervised",
        targets={
            f"the estimator keeps 0.98 of {what}'s speed, {recipe}": (f"embedder {recipe} / {what} {recipe}", 0.98)
            for recipe in ("supervised", "icon")
            for what in ("train", "fit")
        },
        notes="1,797 digits, 3 epochs of `supervised` or 100 of `icon`, one core; fit also writes the space",
    )
