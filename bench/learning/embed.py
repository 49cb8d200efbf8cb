"""Embedding throughput at batch 512: `Model.embed` on stored pictures against the bare encoder on prepared tensors.

The bare encoder does nothing but its forward pass, in the same precision and memory format. Two encoders: the small net,
where everything around it shows most, and the width-32 ResNet-18. On 4,096 pictures of the CIFAR-10 subset.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bench.harness import bench, times

UNITS, BATCH = 4096, 512


def embed(backbone: str, bare: bool) -> dict[str, float]:
    import torch

    from semblance.data.load import load, shape_of
    from semblance.data.views import Prepare
    from semblance.learning.devices import autocast, keep_pages, precision_for

    keep_pages()  # for both: this is about what stands around the encoder
    from semblance.recipes.branches import simsiam
    from semblance.space.model import Model, assemble

    dataset = load("cifar10-subset")
    rows = dataset.splits["train"][:UNITS]
    shape = shape_of(dataset)
    recipe = simsiam("small") if backbone == "small" else simsiam(backbone, width=32)
    network, prepare = assemble(recipe, shape, 0), Prepare(shape)
    precision = precision_for(torch.device("cpu"))
    network.eval().to(memory_format=precision.memory_format)
    if bare:
        x = prepare(torch.from_numpy(dataset.x[rows])).contiguous(memory_format=precision.memory_format)

        def step() -> None:
            with torch.inference_mode(), autocast(torch.device("cpu"), precision):
                for block in x.split(BATCH):
                    network.encoder.embed({"x": block})

    else:
        model = Model(network, shape, prepare, "simsiam", {}, device="cpu", precision=precision.name)

        def step() -> None:
            for _ in model.embed_blocks(dataset, rows):
                pass

    got = times(step, 3 if backbone != "small" else 7)
    return {**got, "images a second": UNITS / got["cpu"]}


ARMS = {
    f"{name} {backbone}": lambda backbone=backbone, name=name: embed(backbone, name == "bare")
    for backbone in ("small", "resnet18-small-image")
    for name in ("bare", "ours")
}

if __name__ == "__main__":
    bench(
        __file__,
        ARMS,
        baseline="bare small",
        targets={
            f"embedding keeps 0.9 of the bare {b}'s throughput": (f"ours {b} / bare {b}", 0.9)
            for b in ("small", "resnet18-small-image")
        },
        notes="4,096 pictures of 32x32 in blocks of 512, the precision of the device's table, one core",
    )
