"""Mining triples in a batch of 4,096 (1,024 labels of 4 items, 128 numbers) beside pytorch-metric-learning, one thread.

all: every triple with a < b <= a + 0.1. one: of each anchor the furthest positive and the nearest negative beyond it.
pairs: every positive's nearest negative beyond it, in units of one product of all with all (the peer refuses it).
`memory_mb` is the peak of the process above what it held before; `differs` counts triples that only one of the two found.
"""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bench.harness import bench, times

N, EACH, WIDTH, MARGIN = int(os.environ.get("ROWS", 4096)), 4, 128, 0.1


def a_batch():
    import torch
    import torch.nn.functional as F

    draws = torch.Generator().manual_seed(0)
    labels = torch.arange(N // EACH).repeat_interleave(EACH)
    centre = F.normalize(torch.randn(N // EACH, WIDTH, generator=draws))
    order = torch.randperm(N, generator=draws)
    return F.normalize(centre[labels] + 0.085 * torch.randn(N, WIDTH, generator=draws))[order], labels[order]


def of_peer(which):
    from pytorch_metric_learning.miners import BatchEasyHardMiner, TripletMarginMiner

    if which == "all":
        return TripletMarginMiner(MARGIN, "semihard")
    miner = BatchEasyHardMiner("hard", "semihard")
    return lambda z, y: (lambda a, p, _, n: (a, p, n))(*miner(z, y))


def of_ours(which):
    from semblance.data.semi_hard import SemiHard

    if which == "all":
        return SemiHard("all", margin=MARGIN, distance="euclidean")
    return SemiHard(positives="hardest" if which == "one" else "all", margin=None)


def measured(make, which, check=None):
    import resource

    z, labels = a_batch()
    rule = make(which)
    rule(z[:64], labels[:64] // 8)  # libraries and compiled code are there before memory is read
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    taken = times(lambda: rule(z, labels), 3 if make is of_peer else 10)
    memory = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1e3
    found = [
        set(((t[0] * N + t[1]) * N + t[2]).tolist())
        for t in (rule(z, labels), *([check(which)(z, labels)] if check else []))
    ]
    return {**taken, "memory_mb": memory, "found": len(found[0]), "differs": len(found[0] ^ found[-1])}


def product():
    z, _ = a_batch()
    return times(lambda: z @ z.T, 10)


ARMS = {
    "product": product,
    "peer_all": lambda: measured(of_peer, "all"),
    "all": lambda: measured(of_ours, "all", of_peer),
    "peer_one": lambda: measured(of_peer, "one"),
    "one": lambda: measured(of_ours, "one", of_peer),
    "pairs": lambda: measured(of_ours, "pairs"),
}

if __name__ == "__main__":
    bench(
        __file__,
        ARMS,
        baseline="product",
        targets={
            "all semi-hard triples against the peer's": ("all / peer_all", 15.0),
            "one an anchor against the peer's": ("one / peer_one", 5.0),
            "every positive's nearest beyond, at most 1.5 products": ("pairs / product", 1 / 1.5),
        },
        rounds=3,
        notes="bounds of memory: a hundredth of the peer's for all semi-hard triples; the same sets (differs 0)",
    )
