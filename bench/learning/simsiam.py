"""SimSiam on the CIFAR-10 subset: width-32 ResNet-18 with a 3x3 stem, batch 256, views included, images a second.

The peers are what one writes with PyTorch and kornia: the same network, loss, optimiser and views, fed from a tensor in
memory. `plain` is float32; `plain-bf16` adds autocast and channels_last. Ours are `space.training.train` with the recipe
`simsiam`, so the loop, the sampler and the watch for collapse are in the figure; `ours-float32` for where only float32 is
allowed, `ours-bf16` for where the table of devices
chooses it. One step is warm-up. An image is counted once, though two views of it are encoded.
"""

from __future__ import annotations

import itertools
import sys
import time
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bench.harness import bench, times

BATCH, WIDTH, DIM, HIDDEN, LR = 256, 32, 512, 128, 0.03
STEPS = 4


def plain(dtype: str = "float32") -> dict[str, float]:
    """A PyTorch loop with kornia's views."""
    import kornia.augmentation as K
    import torch
    import torch.nn.functional as F
    from torch import nn

    from semblance.data.load import load

    half = dtype == "bfloat16"
    layout = torch.channels_last if half else torch.contiguous_format
    dataset = load("cifar10-subset")
    data = torch.from_numpy(dataset.x[dataset.splits["train"]])
    torch.manual_seed(0)

    class Block(nn.Module):
        def __init__(self, width_in: int, width_out: int, stride: int):
            super().__init__()
            self.conv1 = nn.Conv2d(width_in, width_out, 3, stride, 1, bias=False)
            self.norm1, self.norm2 = nn.BatchNorm2d(width_out), nn.BatchNorm2d(width_out)
            self.conv2 = nn.Conv2d(width_out, width_out, 3, 1, 1, bias=False)
            self.shortcut = nn.Sequential()
            if stride > 1 or width_in != width_out:
                self.shortcut = nn.Sequential(
                    nn.Conv2d(width_in, width_out, 1, stride, bias=False), nn.BatchNorm2d(width_out)
                )

        def forward(self, x):
            y = F.relu(self.norm1(self.conv1(x)), inplace=True)
            return F.relu(self.norm2(self.conv2(y)) + self.shortcut(x), inplace=True)

    blocks, width = [], WIDTH
    for out, stride in ((WIDTH, 1), (2 * WIDTH, 2), (4 * WIDTH, 2), (8 * WIDTH, 2)):
        blocks += [Block(width, out, stride), Block(out, out, 1)]
        width = out
    encoder = nn.Sequential(
        nn.Conv2d(3, WIDTH, 3, 1, 1, bias=False),
        nn.BatchNorm2d(WIDTH),
        nn.ReLU(inplace=True),
        *blocks,
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )
    projector = nn.Sequential(
        nn.Linear(width, DIM, bias=False),
        nn.BatchNorm1d(DIM),
        nn.ReLU(inplace=True),
        nn.Linear(DIM, DIM, bias=False),
        nn.BatchNorm1d(DIM),
        nn.ReLU(inplace=True),
        nn.Linear(DIM, DIM, bias=False),
        nn.BatchNorm1d(DIM, affine=False),
    )
    predictor = nn.Sequential(
        nn.Linear(DIM, HIDDEN, bias=False), nn.BatchNorm1d(HIDDEN), nn.ReLU(inplace=True), nn.Linear(HIDDEN, DIM)
    )
    model = nn.ModuleList([encoder, projector, predictor]).to(memory_format=layout)
    optimizer = torch.optim.SGD(model.parameters(), LR, momentum=0.9, weight_decay=1e-4)
    mean, std = torch.tensor([0.4914, 0.4822, 0.4465]), torch.tensor([0.2470, 0.2435, 0.2616])
    views = K.AugmentationSequential(
        K.RandomResizedCrop((32, 32), scale=(0.3, 1.0)),
        K.RandomHorizontalFlip(),
        K.ColorJitter(0.4, 0.4, 0.4, 0.1, p=0.8),
        K.RandomGrayscale(p=0.2),
        K.Normalize(mean, std),
    )

    def loss_of(x1, x2):
        z1, z2 = projector(encoder(x1)), projector(encoder(x2))
        p1, p2 = predictor(z1), predictor(z2)
        return -(F.cosine_similarity(p1, z2.detach()).mean() + F.cosine_similarity(p2, z1.detach()).mean()) / 2

    order = torch.randperm(len(data))
    wall, cpu = [], []
    for step in range(STEPS + 1):
        w, c = time.perf_counter(), time.process_time()
        x = data[order[step * BATCH : (step + 1) * BATCH]].float() / 255
        x1, x2 = (views(x).contiguous(memory_format=layout) for _ in range(2))
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            loss = loss_of(x1, x2)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss.item()
        wall.append(time.perf_counter() - w)
        cpu.append(time.process_time() - c)
    return figures(wall[1:], cpu[1:])


def ours(precision: str) -> dict[str, float]:
    """The recipe through the loop, as `fit` runs it."""
    import dataclasses

    from semblance.data.load import load
    from semblance.learning.devices import keep_pages

    keep_pages()
    from semblance.recipes.branches import simsiam
    from semblance.space.training import train

    dataset = load("cifar10-subset")
    rows = dataset.splits["train"][: BATCH * (STEPS + 1)]
    dataset = dataclasses.replace(dataset, splits={"train": rows})
    marks = [(time.perf_counter(), time.process_time())]
    recipe = simsiam("resnet18-small-image", width=WIDTH, dim=DIM, hidden=HIDDEN, batch=BATCH, lr=LR)
    stage = recipe.stages[0]
    sampler = getattr(stage.batches, "sampler", stage.batches)  # one epoch is once through the rows
    recipe = dataclasses.replace(recipe, stages=(dataclasses.replace(stage, batches=sampler),))
    train(
        dataset,
        recipe,
        epochs=1,
        precision=precision,
        on_step=lambda done, total, metrics: marks.append((time.perf_counter(), time.process_time())),
    )
    marks = marks[1:]  # the first step is warm-up, and what lies before it is set-up
    wall, cpu = ([b[i] - a[i] for a, b in itertools.pairwise(marks)] for i in (0, 1))
    return figures(wall, cpu)


def rates() -> dict[str, float]:
    """What this CPU does: a 3x3 convolution of the net, forward and backward, in GFLOP per processor second."""
    import torch

    from semblance.learning.devices import keep_pages

    keep_pages()
    got = {}
    for dtype in (torch.float32, torch.bfloat16):
        layout = torch.channels_last
        layer = torch.nn.Conv2d(64, 64, 3, 1, 1, bias=False).to(dtype=dtype, memory_format=layout)
        x = torch.randn(BATCH, 64, 16, 16, dtype=dtype).to(memory_format=layout).requires_grad_()

        def step(layer: torch.nn.Module = layer, x: torch.Tensor = x) -> None:
            layer(x).sum().backward()

        took = times(step, 9, 2)
        got[f"{dtype} GFLOP/s".removeprefix("torch.")] = 6 * BATCH * 64 * 64 * 9 * 16 * 16 / took["cpu"] / 1e9
    return {**took, **got}


def figures(wall: list[float], cpu: list[float]) -> dict[str, float]:
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {"seconds": median(wall), "cpu": median(cpu), "images a second": BATCH / median(cpu), "peak GB": peak}


ARMS = {
    "plain": plain,
    "plain-bf16": lambda: plain("bfloat16"),
    "ours-float32": lambda: ours("float32"),
    "ours-bf16": lambda: ours("bfloat16"),
    "rates": rates,
}

if __name__ == "__main__":
    import torch

    from semblance.learning.devices import precision_for

    chosen = {"float32": "ours-float32", "bfloat16": "ours-bf16"}[precision_for(torch.device("cpu")).name]
    bench(
        __file__,
        ARMS,
        baseline="plain",
        targets={
            "ours, precision of the table, against plain float32": (f"{chosen} / plain", 2.5),
            "ours, precision of the table, against plain bf16 + channels_last": (f"{chosen} / plain-bf16", 1.05),
            "ours in float32 against plain float32": ("ours-float32 / plain", 1.35),
        },
        notes="SimSiam, CIFAR-10 subset, ResNet-18 of width 32, batch 256, views included; seconds per step, one core. "
        "2.5 presupposes bfloat16 products at twice the float32 rate or more: the arm `rates` says what this CPU does.",
    )
