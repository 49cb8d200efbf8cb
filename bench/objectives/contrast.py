"""Contrast of 8,192 rows of 128 numbers, loss and gradient, beside the plain N x N way, one thread; and of 65,536.

plain, tiles, low (bfloat16 products): pairs of views, temperature 0.1. groups: 1,024 labels of 8. clip: two sets of 4,096.
cold: the labels at a temperature of 0.002, where every row
keeps its own maximum. many: 65,536 rows, and their peak memory.
`error` is that of the gradient against float64's, `memory_mb` the peak of the process above what it held before.
"""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bench.harness import bench, times

N, MANY, WIDTH = (int(os.environ.get(k, v)) for k, v in (("ROWS", 8192), ("MANY", 65536), ("WIDTH", 128)))


def a_batch(n):
    import torch

    draws = torch.Generator().manual_seed(0)
    centre = torch.randn(n // 2, WIDTH, generator=draws)
    z = torch.cat([centre, centre]) + 0.5 * torch.randn(n, WIDTH, generator=draws)
    item = torch.arange(n // 2).repeat(2)
    return z, {"item": item, "view": torch.arange(2).repeat_interleave(n // 2), "labels": item // 4}


def plain(temperature, pairs):
    """N x N, as it is usually written: `pairs` [N] of the other view, or labels [N]."""
    import torch
    import torch.nn.functional as F

    def loss(x):
        z = F.normalize(x, dim=1)
        scores = (z @ z.T / temperature).masked_fill(torch.eye(len(z), dtype=torch.bool), -torch.inf)
        return F.cross_entropy(scores, pairs)

    return loss


def plain_labels(temperature, labels):
    import torch
    import torch.nn.functional as F

    def loss(x):
        z = F.normalize(x, dim=1)
        itself = torch.eye(len(z), dtype=torch.bool)
        near = (labels[:, None] == labels) & ~itself
        log_q = (z @ z.T / temperature).masked_fill(itself, torch.finfo(z.dtype).min).log_softmax(1)
        return -((log_q * near).sum(1) / near.sum(1)).mean()

    return loss


def plain_clip(temperature):
    import torch
    import torch.nn.functional as F

    def loss(x):
        a, b = F.normalize(x, dim=1).chunk(2)
        scores, own = a @ b.T / temperature, torch.arange(len(a))
        return (F.cross_entropy(scores, own) + F.cross_entropy(scores.T, own)) / 2

    return loss


def measured(loss, x, truth=None, repeats=3):
    """Seconds of a value and its gradient, memory of the first, error of the gradient."""
    import resource

    import torch

    found = {}

    def step():
        z = x.clone().requires_grad_()
        loss(z).backward()
        found["gradient"] = z.grad

    small = x[:64].clone().requires_grad_()  # libraries are loaded before memory is read
    (small @ small.T).softmax(1).sum().backward()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    taken = times(step, repeats, warmup=0 if repeats == 1 else 1)
    memory = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1e3
    error = 0.0
    if truth is not None:
        wide = x.double().requires_grad_()
        truth(wide).backward()
        error = float((found["gradient"].double() - wide.grad).norm() / wide.grad.norm())
    assert torch.isfinite(found["gradient"]).all()
    return {**taken, "memory_mb": memory, "error": error}


def pairs_of(n):
    import torch

    return torch.arange(n).roll(n // 2)


def arm(make, truth=None, n=N, repeats=3):
    def run():
        x, batch = a_batch(n)
        loss, check = make(batch), None if truth is None else truth(batch)
        return measured(loss, x, check, repeats)

    return run


def ours_of(neighbours, temperature, n=N, **how):
    def make(batch):
        from semblance.objectives import neighbours as known
        from semblance.objectives.candidates import other_views, others
        from semblance.objectives.contrast import Contrast
        from semblance.objectives.kernels import Cosine

        among = other_views if how.get("clip") else others
        rest = {k: v for k, v in how.items() if k != "clip"}
        loss = Contrast(getattr(known, neighbours), Cosine(temperature), candidates=among, **rest)
        return lambda x: loss(x, batch)

    return make


def of_pairs(temperature):
    return lambda batch: plain(temperature, pairs_of(len(batch["item"])))


def of_labels(temperature):
    return lambda batch: plain_labels(temperature, batch["labels"])


def of_two_sets(temperature):
    return lambda batch: plain_clip(temperature)


ARMS = {
    "plain": arm(of_pairs(0.1), of_pairs(0.1)),
    "tiles": arm(ours_of("other_view", 0.1), of_pairs(0.1)),
    "low": arm(ours_of("other_view", 0.1, products="bfloat16"), of_pairs(0.1)),
    "plain_groups": arm(of_labels(0.1), of_labels(0.1)),
    "groups": arm(ours_of("same_label", 0.1), of_labels(0.1)),
    "plain_clip": arm(of_two_sets(0.1), of_two_sets(0.1)),
    "clip": arm(ours_of("other_view", 0.1, clip=True), of_two_sets(0.1)),
    "plain_cold": arm(of_labels(0.002), of_labels(0.002)),
    "cold": arm(ours_of("same_label", 0.002), of_labels(0.002)),
    "many": arm(ours_of("other_view", 0.1), n=MANY, repeats=1),
    "many_low": arm(ours_of("other_view", 0.1, products="bfloat16"), n=MANY, repeats=1),
}

if __name__ == "__main__":
    bench(
        __file__,
        ARMS,
        baseline="plain",
        targets={
            "float32 tiles against the matrix": ("tiles / plain", 4.0),
            "bfloat16 products against the matrix": ("low / plain", 6.5),
            "labels against the matrix": ("groups / plain_groups", 4.0),
            "two sets against the matrix": ("clip / plain_clip", 1.5),
            "seconds for 65,536 rows": ("many", 35.0),
            "seconds for 65,536 rows, bfloat16": ("many_low", 20.0),
        },
        rounds=3,
        notes="the matrix costs the page faults of half a gigabyte on its first call, which is not counted; bounds of "
        "error 1e-6 (float32) and 5e-3 (bfloat16), of memory a twentieth of plain's and 200 MB for 65,536 rows",
    )
