"""Four ways of learning on the CIFAR-10 subset, views included, beside plain float32 PyTorch loops of the same methods.

The loops are what one writes with PyTorch and kornia: the small net (mae: a transformer on patches) as modules, kornia's
views of a whole batch at once, a tensor in memory, the recipe's batch, widths, optimiser and rate. Ours is
`space.training.train` with the recipe, so the loop, the sampler and the watch for collapse are in the figure. An image is
counted once, though two views of it are encoded. Two steps are warm-up.
"""

from __future__ import annotations

import copy
import dataclasses
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bench.harness import bench

STEPS = int(os.environ.get("STEPS", "30"))
WARM = 2
MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)


def small_net():
    """Four 3x3 convolutions -> 128 features."""
    from torch import nn

    layers, width = [], 3
    for out, stride in ((32, 2), (64, 2), (128, 2), (128, 1)):
        layers += [nn.Conv2d(width, out, 3, stride, 1, bias=False), nn.BatchNorm2d(out), nn.ReLU(inplace=True)]
        width = out
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())


def perceptron(*widths, last=False):
    """Linear layers with batch norm and ReLU between them; `last`: a norm without scale at the end, too."""
    from torch import nn

    layers = []
    for i, out in enumerate(widths[1:]):
        inner = i < len(widths) - 2
        layers.append(nn.Linear(widths[i], out, bias=not inner and not last))
        layers += [nn.BatchNorm1d(out), nn.ReLU(inplace=True)] if inner else []
    return nn.Sequential(*layers, *([nn.BatchNorm1d(widths[-1], affine=False)] if last else []))


def simsiam():
    """Batch 64, SGD at 0.05: the views predict one another."""
    import torch
    import torch.nn.functional as F

    encoder, projector = small_net(), perceptron(128, 256, 256, 256, last=True)
    predictor = perceptron(256, 64, 256)
    weights = [p for part in (encoder, projector, predictor) for p in part.parameters()]

    def loss(x1, x2):
        z1, z2 = projector(encoder(x1)), projector(encoder(x2))
        p1, p2 = predictor(z1), predictor(z2)
        return -(F.cosine_similarity(p1, z2.detach()).mean() + F.cosine_similarity(p2, z1.detach()).mean()) / 2

    return loss, torch.optim.SGD(weights, 0.05, momentum=0.9, weight_decay=1e-4), lambda: None


def simclr():
    """Batch 128, Adam at 1e-3: an item's other view among all views of the batch."""
    import torch
    import torch.nn.functional as F

    encoder, projector = small_net(), perceptron(128, 128, 128)
    weights = [*encoder.parameters(), *projector.parameters()]

    def loss(x1, x2):
        z = F.normalize(projector(encoder(torch.cat([x1, x2]))), dim=1)
        logits = (z @ z.T / 0.5).fill_diagonal_(-1e9)
        return F.cross_entropy(logits, torch.arange(len(z)).roll(len(x1)))

    return loss, torch.optim.Adam(weights, 1e-3), lambda: None


def byol():
    """Batch 64, SGD at 0.05: a slow copy answers."""
    import torch
    import torch.nn.functional as F
    from torch import nn

    online = nn.Sequential(small_net(), perceptron(128, 256, 256))
    predictor, target = perceptron(256, 64, 256), copy.deepcopy(online).requires_grad_(False)
    weights = [*online.parameters(), *predictor.parameters()]

    def loss(x1, x2):
        p1, p2 = predictor(online(x1)), predictor(online(x2))
        with torch.no_grad():
            t1, t2 = target(x1), target(x2)
        return -(F.cosine_similarity(p1, t2).mean() + F.cosine_similarity(p2, t1).mean()) / 2

    def follow():
        with torch.no_grad():
            for slow, fast in zip(target.parameters(), online.parameters(), strict=True):
                slow.mul_(0.99).add_(fast, alpha=0.01)

    return loss, torch.optim.SGD(weights, 0.05, momentum=0.9, weight_decay=1e-4), follow


def mae():
    """Batch 128, AdamW at 1e-3: 16 of 64 patches are seen, two blocks rebuild the pixels of the others."""
    import torch
    from torch import nn

    def blocks(width, count):
        layer = nn.TransformerEncoderLayer(width, 4, 4 * width, 0.0, "gelu", batch_first=True, norm_first=True)
        return nn.TransformerEncoder(layer, count, norm=nn.LayerNorm(width), enable_nested_tensor=False)

    inward, encoder, decoder = nn.Linear(48, 64), blocks(64, 4), blocks(48, 2)
    narrow, outward = nn.Linear(64, 48), nn.Linear(48, 48)
    hidden, place, second = (nn.Parameter(torch.randn(*s) * 0.02) for s in ((48,), (64, 64), (64, 48)))
    parts = nn.ModuleList([inward, encoder, decoder, narrow, outward])

    def loss(x):
        patches = x.unfold(2, 4, 4).unfold(3, 4, 4).permute(0, 2, 3, 1, 4, 5).flatten(3).flatten(1, 2)  # [N, 64, 48]
        order = torch.rand(len(x), 64).argsort(1)
        seen, gone = order[:, :16, None], order[:, 16:, None]
        tokens = (inward(patches) + place).gather(1, seen.expand(-1, -1, 64))
        given = narrow(encoder(tokens))
        h = hidden.expand(len(x), 64, 48).scatter(1, seen.expand(-1, -1, 48), given) + second
        guess = outward(decoder(h)).gather(1, gone.expand(-1, -1, 48))
        wanted = (patches - patches.mean(2, keepdim=True)) / (patches.var(2, keepdim=True) + 1e-6).sqrt()
        return (guess - wanted.gather(1, gone.expand(-1, -1, 48))).square().mean()

    rule = torch.optim.AdamW([*parts.parameters(), hidden, place, second], 1e-3, weight_decay=0.05)
    return loss, rule, lambda: None


METHODS: dict[str, tuple[Callable, int, int]] = {  # the loop, its batch, views
    "simsiam": (simsiam, 64, 2),
    "simclr": (simclr, 128, 2),
    "byol": (byol, 64, 2),
    "mae": (mae, 128, 1),
}


def plain(name: str) -> dict[str, float]:
    """The loop: views of the batch by kornia, loss, gradient, step."""
    import kornia.augmentation as K
    import torch

    make, batch, views = METHODS[name]
    data, order = pictures(batch)
    torch.manual_seed(0)
    colours = (K.ColorJitter(0.4, 0.4, 0.4, 0.1, p=0.8), K.RandomGrayscale(p=0.2)) if views == 2 else ()
    crop = K.RandomResizedCrop((32, 32), scale=(0.3, 1.0) if views == 2 else (0.6, 1.0))
    draw = K.AugmentationSequential(
        crop, K.RandomHorizontalFlip(), *colours, K.Normalize(torch.tensor(MEAN), torch.tensor(STD))
    )
    loss_of, optimizer, follow = make()
    marks = []
    for step in range(WARM + STEPS):
        marks.append((time.perf_counter(), time.process_time()))
        x = data[order[step * batch : (step + 1) * batch]].float() / 255
        loss = loss_of(*(draw(x) for _ in range(views)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        follow()
        loss.item()
    marks.append((time.perf_counter(), time.process_time()))
    return figures(marks[WARM], marks[-1], batch)


def ours(name: str) -> dict[str, float]:
    """The recipe through the loop, as `fit` runs it."""
    from semblance.data.load import load
    from semblance.learning.devices import keep_pages
    from semblance.recipes.registry import build
    from semblance.space.training import train

    keep_pages()
    batch = METHODS[name][1]
    recipe, dataset = build(name), load("cifar10-subset")
    rows = dataset.splits["train"][: batch * (WARM + STEPS)]
    dataset = dataclasses.replace(dataset, splits={"train": rows})
    stage = recipe.stages[0]
    assert stage.batches.sampler.batch == batch
    # An epoch is once through the rows.
    recipe = dataclasses.replace(recipe, stages=(dataclasses.replace(stage, batches=stage.batches.sampler),))
    marks = []
    train(
        dataset,
        recipe,
        epochs=1,
        precision="auto",
        on_step=lambda done, total, metrics: marks.append((time.perf_counter(), time.process_time())),
    )
    return figures(marks[WARM - 1], (time.perf_counter(), time.process_time()), batch)


def pictures(batch: int):
    """The training pictures as one tensor, and an order of them."""
    import torch

    from semblance.data.load import load

    dataset = load("cifar10-subset")
    data = torch.from_numpy(dataset.x[dataset.splits["train"]])
    return data, torch.randperm(len(data), generator=torch.Generator().manual_seed(0))[: batch * (WARM + STEPS)]


def figures(start: tuple[float, float], end: tuple[float, float], batch: int) -> dict[str, float]:
    wall, cpu = ((b - a) / STEPS for a, b in zip(start, end, strict=True))
    return {"seconds": wall, "cpu": cpu, "images a second": batch / cpu}


def arm(how: Callable[[str], dict[str, float]], name: str) -> Callable[[], dict[str, float]]:
    return lambda: how(name)


ARMS = {f"{how}-{name}": arm(run, name) for name in METHODS for how, run in (("plain", plain), ("ours", ours))}

if __name__ == "__main__":
    bench(
        __file__,
        ARMS,
        baseline="plain-simsiam",
        targets={f"{name} against its plain loop": (f"ours-{name} / plain-{name}", 2.5) for name in METHODS},
        rounds=5,
        notes="CIFAR-10 subset, the recipes' own net, batch and optimiser, views included; seconds a step, one core. 2.5 "
        "presupposes bfloat16 products faster than float32's: in float32 (what `auto` takes where they are not) the "
        "convolutions of simclr alone, at the processor's full rate, are two fifths of the plain loop.",
    )
