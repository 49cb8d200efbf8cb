"""Deconvnet: an activation carried back to pixels shows what it rests on, and pictures changed on purpose say the same.

Shape scenes of class-saliency: 6,000 of 32 x 32, noise 0.25; three 5 x 5 convolutions (16, 32, 32) with 2 x 2 pooling.
CIFAR-10 subset: the same net of (24, 48, 48) learns the classes 0 to 4; its linear layer is learned anew for 5 to 9 from
ten pictures of each, three draws, beside the whole net from scratch and a net that never learned.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semblance.analysis.deconvnet import (
    correspondence,
    energy_window,
    pooled,
    receptive_field,
    reconstruction,
    relative_change,
    strongest,
    transformed,
    unpooled,
)
from semblance.analysis.saliency import gradient, occluded, squares
from semblance.claims.ledger import Run, at_least, at_most, claim, exactly
from semblance.claims.scene_settings import SceneNet, accuracy, logits, made, taught, widened
from semblance.data.load import load
from semblance.data.scenes import shape_scenes

SCENES, TEST, UNITS, DRAWS, SHOTS = 6_000, 400, 24, 3, 10
WINDOW, SQUARE, MASK, OCCLUDED = 5, 7, 7, 200
CIFAR_EPOCHS, SHOT_STEPS = 6, 150


@claim(
    "deconvnet",
    parts={
        "(a) exact: pool(unpool(x)) less x": exactly(0),
        "(a) exact: reconstruction outside the receptive field": exactly(0),
        "(a) exact: reconstruction without ReLUs against the gradient": at_most(1e-6),
        "(b) fall of an activation without its window of most energy": at_least(0.25),
        "(b) the same for random windows of the field": at_most(0.10),
        "(c) change of layer 3 as a share of layer 1, shift by a pixel": at_most(0.5),
        "(c) change of layer 3 below the untrained net's": at_least(0.05),
        "(d) largest drop within 2 pixels of the object": at_least(0.85),
        "(e) Delta of layer 3 of the parts, least below random masks": at_least(0.08),
        "(f) retrained softmax above scratch": at_least(0.03),
        "(f) retrained softmax above random features": at_least(0.05),
    },
    data=("cifar10-subset", "synthetic: shape scenes"),
    seeds=(0,),
    broken="the nets are not trained",
    files=(
        "analysis/deconvnet.py",
        "analysis/saliency.py",
        "analysis/backward_rules.py",
        "data/scenes.py",
        "claims/scene_settings.py",
    ),
    minutes=4.0,
)
def deconvnet(run: Run) -> None:
    """What a convolutional net sees can be shown in pixels, and what is shown is what its answer rests on."""
    for part, error in exact().items():
        run.report(part, error)
    (seed,) = run.seeds
    epochs = 0 if run.broken else 6
    scenes, test = shape_scenes(SCENES, seed), shape_scenes(TEST, seed + 1000)
    y, x = test.present.argmax(1), torch.from_numpy(test.x)
    net, fresh = taught(made(seed, 4), scenes.x, scenes.present.argmax(1), seed, epochs), made(seed, 4).eval()
    run.baseline("accuracy on shape scenes", accuracy(net, test.x, y))

    best, elsewhere = blanked(net, x, seed)
    run.report("(b) fall of an activation without its window of most energy", best)
    run.report("(b) the same for random windows of the field", elsewhere)

    change = [layer_changes(one, x[:200]) for one in (net, fresh)]
    for name, one in zip(("trained", "untrained"), change, strict=True):
        for layer, value in enumerate(one, 1):
            run.baseline(f"relative change under a shift by a pixel, layer {layer}, {name}", value)
    run.report("(c) change of layer 3 as a share of layer 1, shift by a pixel", change[0][2] / change[0][0])
    run.report("(c) change of layer 3 below the untrained net's", change[1][2] - change[0][2])

    hidden = squares((32, 32), SQUARE, 2)
    drop = -occluded(lambda x: net(x).softmax(1), x[:OCCLUDED], hidden)[
        torch.arange(OCCLUDED), :, torch.from_numpy(y[:OCCLUDED])
    ]
    middles = torch.stack([mask.nonzero().float().mean(0).round().long() for mask in hidden])
    wide = torch.from_numpy(widened(test.masks[:OCCLUDED].any(1)))
    at = middles[drop.argmax(1)]
    run.report(
        "(d) largest drop within 2 pixels of the object",
        float(wide[torch.arange(OCCLUDED), at[:, 0], at[:, 1]].float().mean()),
    )

    parts, random, off = delta(net, seed)
    run.report("(e) Delta of layer 3 of the parts, least below random masks", random - max(parts))
    for name, value in (
        ("the largest of four parts", max(parts)),
        ("random masks", random),
        ("a fixed mask off the object", off),
    ):
        run.baseline(f"Delta of layer 3, {name}", value)

    kept, scratch, unlearned = transfer(run, seed)
    run.report("(f) retrained softmax above scratch", np.subtract(kept, scratch))
    run.report("(f) retrained softmax above random features", np.subtract(kept, unlearned))
    for name, values in (("retrained softmax", kept), ("from scratch", scratch), ("random features", unlearned)):
        run.baseline(f"five other classes, {SHOTS} pictures each, {name}", values)


def exact() -> dict[str, float]:
    """The identities, on random nets."""
    rng = torch.Generator().manual_seed(0)
    x = torch.rand(1, 3, 32, 32, generator=rng)
    y, switches = pooled(x, 2)
    again = pooled(unpooled(y, switches, (32, 32)), 2)[0]
    net, straight = made(0, 4).double(), made(0, 4, activation=nn.Identity).double()
    x = x.double()
    outside, off = 0.0, 0.0
    for place in ((0, 0), (3, 4), (7, 7)):
        found = reconstruction(net.upto(3), x, 5, place)
        field = receptive_field(net.upto(3), place, (32, 32))
        found[:, field.top : field.bottom, field.left : field.right] = 0
        outside = max(outside, float(found.abs().max()))

        def unit(x: Tensor, place: tuple[int, int] = place) -> Tensor:
            return straight.maps(x, 3)[:, 5, place[0], place[1]]

        with torch.no_grad():
            seed = float(unit(x)[0])
        plain = seed * gradient(unit, x)[0]
        off = max(off, float((reconstruction(straight.upto(3), x, 5, place) - plain).abs().max()))
    return {
        "(a) exact: pool(unpool(x)) less x": float((again - y).abs().max()),
        "(a) exact: reconstruction outside the receptive field": outside,
        "(a) exact: reconstruction without ReLUs against the gradient": off,
    }


def blanked(net: SceneNet, x: Tensor, seed: int) -> tuple[float, float]:
    """Mean relative fall over the units of layer 3 that answer to anything, each at its three strongest pictures."""
    rng = np.random.default_rng([seed, 1])
    with torch.no_grad():
        maps = net.maps(x, 3)
    best, elsewhere = [], []
    for unit in range(min(UNITS, maps.shape[1])):
        for picture, row, column in strongest(maps, unit, 3):
            before = float(maps[picture, unit, row, column])
            if before <= 1e-6:
                continue
            found = reconstruction(net.upto(3), x[picture : picture + 1], unit, (row, column))
            field = receptive_field(net.upto(3), (row, column), (32, 32))
            corners = [energy_window(found, WINDOW)]
            for _ in range(5):
                low, high = (field.top, field.left), (field.bottom, field.right)
                corners.append(
                    tuple(int(rng.integers(a, max(a, b - WINDOW) + 1)) for a, b in zip(low, high, strict=True))
                )  # type: ignore[arg-type]
            seen = x[picture].expand(len(corners), -1, -1, -1).clone()
            for one, (top, left) in zip(seen, corners, strict=True):
                one[:, top : top + WINDOW, left : left + WINDOW] = 0
            with torch.no_grad():
                after = net.maps(seen, 3)[:, unit, row, column]
            fall = ((before - after) / before).numpy()
            best.append(fall[0])
            elsewhere.append(fall[1:].mean())
    return float(np.mean(best)) if best else 0.0, float(np.mean(elsewhere)) if best else 0.0


def layer_changes(net: SceneNet, x: Tensor) -> list[float]:
    """Of the three pooled maps, under a shift by one pixel to the right."""
    moved = transformed(x, shift=(0, 1))
    return [float(relative_change(net.layers[: 3 * layer], x, moved).mean()) for layer in (1, 2, 3)]


def delta(net: SceneNet, seed: int) -> tuple[list[float], float, float]:
    """Delta of layer 3 when the same part of 60 centred objects is masked: top, bottom, left, right; when random places
    are, a different one in each; and when the same corner is."""
    scenes = shape_scenes(60, seed + 2000, radius=(6, 7), centred=True)
    x, rng = torch.from_numpy(scenes.x), np.random.default_rng([seed, 2])

    def without(corners: np.ndarray) -> Tensor:
        less = x.clone()
        for one, (top, left) in zip(less, corners, strict=True):
            one[:, top : top + MASK, left : left + MASK] = 0
        return less

    def value(corners: np.ndarray) -> float:
        return correspondence(net.layers, x, without(corners))

    middle = 16 - MASK // 2
    parts = [(middle - 5, middle), (middle + 5, middle), (middle, middle - 5), (middle, middle + 5)]
    found = [value(np.tile(part, (len(x), 1))) for part in parts]
    return found, value(rng.integers(0, 32 - MASK + 1, (len(x), 2))), value(np.tile((1, 1), (len(x), 1)))


def transfer(run: Run, seed: int) -> tuple[list[float], list[float], list[float]]:
    """Accuracies on five classes from ten pictures of each: what other five classes taught, kept under a new softmax; the
    whole net from scratch; a net that never learned, under a new softmax."""
    data = load("cifar10-subset")
    y = np.asarray(data.targets["labels"])
    x = torch.from_numpy(data.x).float() / 255
    x = x - x[data.splits["train"]].mean((0, 2, 3), keepdim=True)
    train, test = (data.splits[name] for name in ("train", "test"))
    first = train[y[train] < 5]
    axes = {"widths": (24, 48, 48)}
    learned = taught(made(seed, 5, **axes), x[first], y[first], seed, 0 if run.broken else CIFAR_EPOCHS)
    run.baseline("accuracy on the five classes learned", accuracy(learned, x[test[y[test] < 5]], y[test[y[test] < 5]]))
    other = test[y[test] >= 5]
    found: tuple[list[float], list[float], list[float]] = ([], [], [])
    for draw in range(DRAWS):
        rng = np.random.default_rng([seed, 3, draw])
        shots = np.concatenate([rng.permutation(train[y[train] == k])[:SHOTS] for k in range(5, 10)])
        unlearned = made(seed + 10 + draw, 5, **axes)
        for values, net in zip((found[0], found[2]), (learned, unlearned), strict=True):
            z, seen = (torch.cat([net.features(p).detach() for p in x[rows].split(250)]) for rows in (shots, other))
            z, seen = F.normalize(z, dim=1), F.normalize(seen, dim=1)
            head = taught(nn.Linear(z.shape[1], 5), z, y[shots] - 5, draw, SHOT_STEPS, batch=50, lr=0.05)
            values.append(float((logits(head, seen).argmax(1).numpy() == y[other] - 5).mean()))
        whole = taught(
            made(seed + 20 + draw, 5, **axes), x[shots], y[shots] - 5, draw, SHOT_STEPS / 2, batch=50, lr=1e-3
        )
        found[1].append(accuracy(whole, x[other], y[other] - 5))
        run.progress(f"draw {draw}: {found[0][-1]:.3f}, {found[1][-1]:.3f}, {found[2][-1]:.3f}")
    return found
