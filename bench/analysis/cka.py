"""Alignment of two representations and what chance makes of it, beside the plain ways, one thread.

10,000 items, 2,048 features on either side, float32: both estimators of CKA together, in units of one product X^T Y and
beside Gram matrices; the error is that against float64. 500 items: the law of all orders beside 1,000 drawn ones.
1,000,000 items of 256 features from memory-mapped files: the peak of the process's memory.
"""

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bench.harness import bench, times

ITEMS, FEATURES, LONG = 10_000, 2_048, 1_000_000


def sides(dtype="float32"):
    import torch

    draws = torch.Generator().manual_seed(0)
    common = torch.randn(ITEMS, 64, generator=draws)

    def one():
        signal = common @ torch.randn(64, FEATURES, generator=draws) / 8
        return (torch.relu(signal + 0.7 * torch.randn(ITEMS, FEATURES, generator=draws)) + 0.3).to(
            getattr(torch, dtype)
        )

    return one(), one()


def product():
    x, y = sides()
    return times(lambda: x.T @ y, 3)


def ours():
    from semblance.analysis.hsic import Side, alignment

    x, y = sides()
    wide = alignment(*(Side(side.double(), "x") for side in (x, y)))
    found = []

    def run():
        found[:] = alignment(Side(x, "x"), Side(y, "y"))

    taken = times(run, 3)
    return {**taken, "error": max(abs(a - b) for a, b in zip(found, wide, strict=True))}


def gram():
    """The common way: n x n matrices, each estimator on its own."""
    x, y = sides()
    n = ITEMS

    def biased():
        k, m = x @ x.T, y @ y.T
        k, m = (a - a.mean(0) - a.mean(1, keepdim=True) + a.mean() for a in (k, m))
        return (k * m).sum() / ((k * k).sum().sqrt() * (m * m).sum().sqrt())

    def unbiased():
        k, m = (a.fill_diagonal_(0) for a in (x @ x.T, y @ y.T))

        def h(a, b):
            ends = a.sum() * b.sum() / ((n - 1) * (n - 2))
            return (a * b).sum() + ends - 2 * (a.sum(0) @ b.sum(0)) / (n - 2)

        return h(k, m) / (h(k, k) * h(m, m)).sqrt()

    return times(lambda: (biased(), unbiased()), 1)


def matrices():
    import numpy as np

    from semblance.analysis.comparison import u_centred

    rng = np.random.default_rng(0)
    return rng, u_centred(rng.normal(size=(500, 64))), u_centred(rng.normal(size=(500, 32)))


def law():
    from semblance.analysis.permutation_law import Law

    _, k, m = matrices()
    Law(k, m)
    return times(lambda: Law(k, m).p(float((k * m).sum())), 5)


def draws():
    import numpy as np

    rng, k, m = matrices()

    def run():
        orders = (rng.permutation(500) for _ in range(1000))
        return np.mean([(k * m[np.ix_(p, p)]).sum() for p in orders])

    return times(run, 3)


def stream():
    import resource

    import numpy as np

    from semblance.analysis.hsic import Side, alignment

    with tempfile.TemporaryDirectory() as folder:
        rng, held = np.random.default_rng(0), []
        for name in "xy":
            with open(f"{folder}/{name}.npy", "wb") as file:  # a mapped file would count as this process's memory
                header = {"descr": "<f4", "fortran_order": False, "shape": (LONG, 256)}
                np.lib.format.write_array_header_1_0(file, header)
                for _ in range(0, LONG, 20_000):
                    file.write(rng.normal(size=(20_000, 256)).astype(np.float32).tobytes())
            held.append(np.load(f"{folder}/{name}.npy", mmap_mode="r"))
        taken = times(lambda: alignment(*(Side(side, "x") for side in held)), 1)
    return {**taken, "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20}


if __name__ == "__main__":
    bench(
        __file__,
        {"product": product, "ours": ours, "gram": gram, "law": law, "draws": draws, "stream": stream},
        baseline="gram",
        targets={
            "both estimators at most 2.6 products": ("ours / product", 1 / 2.6),
            "both estimators against Gram matrices": ("ours / gram", 4.5),
            "the law against 1,000 draws": ("law / draws", 40),
        },
        rounds=3,
        notes="stream: the peak of resident memory, two mapped files of 1 GB each and all libraries included",
    )
