"""What Ray costs where one machine would do: a step of simsiam on the CIFAR-10 subset here, and on Ray with one worker.

`seconds` is a step's in the middle one of the epochs after the first; `start_seconds` is all that is not training: Ray's
start, the way of the data to the worker and of the model back. `local` and `ray` train on both cores, of which Ray's own
processes take a tenth of one; `local_1` and `ray_1` train on one thread and leave them the other core. `two`: two workers,
half a batch each, one core each.
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


def fitted(on, workers=None, threads=2):
    def run():
        import numpy as np
        import torch

        from semblance.data.load import load
        from semblance.learning.devices import keep_pages
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
            keep_pages()  # as `fit` does
            torch.set_num_threads(threads)
            train(data, recipe, **given)
        else:
            import ray

            from semblance.space.cluster import fit_on

            ray.init(num_cpus=threads, include_dashboard=False, log_to_driver=False)
            with tempfile.TemporaryDirectory() as folder:
                fit_on(on, workers, data, recipe, folder=Path(folder), resume=False, on_step=None, **given)
        wall = time.monotonic() - begun
        step = median(late - early for early, late in pairwise(history)) / (ITEMS // BATCH)
        return {"seconds": step, "cpu": step, "start_seconds": wall - history[-1]}

    return run


if __name__ == "__main__":
    bench(
        __file__,
        {
            "local": fitted("local"),
            "ray": fitted("ray", 1),
            "local_1": fitted("local", threads=1),
            "ray_1": fitted("ray", 1, threads=1),
            "two": fitted("ray", 2),
        },
        baseline="local",
        targets={
            "a step on Ray with one worker, at most 1.1 of a step here": ("ray / local", 1 / 1.1),
            "the same where Ray has a core for itself": ("ray_1 / local_1", 1 / 1.1),
        },
        rounds=3,
        cores=2,
        notes="`cpu` repeats the clock: the worker is another process",
    )
