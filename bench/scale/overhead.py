"""What Ray costs where one machine would do: a step of simsiam on the CIFAR-10 subset here, and on Ray with one worker.

`seconds` is a step's in the middle one of the epochs after the first; `start_seconds` is all that is not training: Ray's
start, the way of the data to the worker and of the model back. Both cores are given to each arm, since Ray's own processes
need a little of one. `two`: two workers, half a batch each, one core each.
"""

import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bench.harness import bench

EPOCHS, ITEMS, BATCH = 5, 2048, 256


def fitted(on, workers=None):
    def run():
        import numpy as np

        from semblance.data.load import load
        from semblance.space.training import train

        data = load("cifar10-subset")
        data.splits["train"] = np.asarray(data.splits["train"])[:ITEMS]
        history = []
        given = {
            "name": "simsiam",
            "settings": {"batch": BATCH},
            "epochs": EPOCHS,
            "on_epoch": lambda stage, metrics: history.append(metrics["seconds"]),
        }
        from semblance.recipes.registry import build

        recipe = build("simsiam", batch=BATCH)
        begun = time.monotonic()
        if on == "local":
            train(data, recipe, **given)
        else:
            from semblance.space.cluster import fit_on

            with tempfile.TemporaryDirectory() as folder:
                fit_on(on, workers, data, recipe, folder=Path(folder), resume=False, on_step=None, **given)
        wall = time.monotonic() - begun
        step = median(late - early for early, late in pairwise(history)) / (ITEMS // BATCH)
        return {"seconds": step, "cpu": step, "start_seconds": wall - history[-1]}

    return run


if __name__ == "__main__":
    bench(
        __file__,
        {"local": fitted("local"), "ray": fitted("ray", 1), "two": fitted("ray", 2)},
        baseline="local",
        targets={"a step on Ray with one worker, at most 1.1 of a step here": ("ray / local", 1 / 1.1)},
        rounds=3,
        cores=2,
        notes="`cpu` repeats the clock: the worker is another process",
    )
