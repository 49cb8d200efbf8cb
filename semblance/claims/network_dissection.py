"""Network dissection: single units stand for objects that nobody taught them, and the network's work rests on them.

Classifier: scenes 32 x 32, noise 0.15, two of four shapes, the class their pair (6); three 5 x 5 convolutions (16, 32, 32),
the largest value of each of the last 32 maps; 8,000 scenes, 8 epochs. Generator: scenes 16 x 16, a red disk above with
probability 0.6, a green block on the ground likewise; adversarial, 2,000 steps of 64; 32 units at 8 x 8; objects are found
by colour.
"""

from __future__ import annotations

import itertools

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semblance.analysis.units import Dissection, accuracy_without, attack, dissect, edited, importance
from semblance.claims.ledger import Run, at_least, at_most, claim, exactly
from semblance.claims.scene_settings import SceneNet, accuracy, logits, made, taught
from semblance.data.scenes import SHAPES, Scenes, ground_scenes, shape_scenes

SCENES, TEST, MASKED, ATTACKED, EPOCHS, STEPS = 8_000, 1_200, 800, 200, 8, 2_000
MADE, CODE, BEST, APPEARS = 600, 16, 8, 4
PAIRS = list(itertools.combinations(range(4), 2))
KINDS = ("disk", "block")


@claim(
    "network-dissection",
    parts={
        "(a) units with IoU above 0.04": at_least(8),
        "(a) objects without a unit": exactly(0),
        "(a) units that shuffled masks name": exactly(0),
        "(b) fall of accuracy on an object's classes without its 4 best units, least": at_least(0.10),
        "(b) the same, mean": at_least(0.45),
        "(b) fall of accuracy on the other classes, largest": at_most(0.08),
        "(c) mean balanced accuracy without the 8 most important units": at_most(0.80),
        "(c) mean balanced accuracy without the 20 least important units": at_least(0.87),
        "(d) detectors of what only the target class has rise, share": at_least(0.9),
        "(d) detectors of what only the true class has fall, share": at_least(0.9),
        "(e) area left without an object's 8 best units, larger of two": at_most(0.30),
        "(e) the other object's area then, smaller of two": at_least(0.80),
        "(e) images in which the inserted object appears, smaller of two": at_least(0.70),
        "(e) the same above random units": at_least(0.15),
        "(e) disks inserted above, times those on the ground": at_least(1.2),
    },
    data=("synthetic: scenes of two shapes, scenes with disk and block",),
    seeds=(0,),
    broken="the masks are those of other scenes, and classes have each other's units; without the generator",
    files=("analysis/units.py", "data/scenes.py", "claims/scene_settings.py"),
    minutes=4.0,
)
def network_dissection(run: Run) -> None:
    """Units of a classifier and of a generator stand for objects; without them the answer or the object is gone."""
    (seed,) = run.seeds
    scenes, test = (drawn(seed + i * 1000, n) for i, n in enumerate((SCENES, TEST)))
    net = made(seed, 6, widths=(16, 32, 32), read="max")
    taught(net, scenes.x, labels(scenes), seed, EPOCHS)
    run.baseline("accuracy on scenes of two shapes", accuracy(net, test.x, labels(test)))
    classifier(run, net, scenes, test)
    if not run.broken:  # the twin stops at the classifier, whose parts fail already
        generator(run, seed)


def drawn(seed: int, count: int) -> Scenes:
    """Scenes with exactly two shapes to be seen."""
    found = shape_scenes(count, seed, objects=2, noise=0.15, radius=(4, 6))
    whole = found.present.sum(1) == 2
    return Scenes(found.x[whole], found.masks[whole], found.kinds)


def labels(scenes: Scenes) -> np.ndarray:
    """[N], which pair."""
    number = {pair: k for k, pair in enumerate(PAIRS)}
    return np.array([number[tuple(np.flatnonzero(row).tolist())] for row in scenes.present])


def seen_masks(run: Run, masks: np.ndarray) -> np.ndarray:
    """The masks, or in the sabotaged twin those of other pictures."""
    return np.roll(masks, 1, axis=0) if run.broken else masks


def classifier(run: Run, net: SceneNet, scenes: Scenes, test: Scenes) -> None:
    """Parts (a) to (d)."""
    x = torch.from_numpy(scenes.x[:MASKED])
    masks = seen_masks(run, scenes.masks[:MASKED])
    found = dissect(lambda x: net.maps(x, 3), x.split(200), np.split(masks, MASKED // 200), SHAPES)
    run.progress(str(found))
    run.report("(a) units with IoU above 0.04", int((found.named >= 0).sum()))
    run.report("(a) objects without a unit", sum(count == 0 for count in found.count.values()))
    run.report("(a) units that shuffled masks name", found.shuffled)

    layer = net.layers[7]
    seen, y = torch.from_numpy(test.x), torch.from_numpy(labels(test))
    right = (logits(net, seen).argmax(1) == y).float()
    own_falls, other_falls = [], []
    for k in range(4):
        with edited(layer, found.best(k, 4)):
            fall = right - (logits(net, seen).argmax(1) == y).float()
        has = torch.from_numpy(test.present[:, k])
        own_falls.append(float(fall[has].mean()))
        other_falls.append(float(fall[~has].mean()))
    rng = np.random.default_rng([run.seeds[0], 5])
    with edited(layer, rng.permutation(32)[:4].tolist()):
        run.baseline(
            "fall of accuracy without 4 random units",
            float((right - (logits(net, seen).argmax(1) == y).float()).mean()),
        )
    run.progress(f"falls {np.round(own_falls, 2)}, others {np.round(other_falls, 2)}")
    run.report("(b) fall of accuracy on an object's classes without its 4 best units, least", min(own_falls))
    run.report("(b) the same, mean", float(np.mean(own_falls)))
    run.report("(b) fall of accuracy on the other classes, largest", max(other_falls))

    worth = importance(net, layer, 32, x, torch.from_numpy(labels(scenes)[:MASKED]), 6)
    order = worth.argsort(0, descending=True)
    if run.broken:
        order = order.flip(1)  # another class's units
    without = [
        [accuracy_without(net, layer, order[part, c].tolist(), seen, y, c) for c in range(6)]
        for part in (slice(0, 8), slice(12, None))
    ]
    run.report("(c) mean balanced accuracy without the 8 most important units", float(np.mean(without[0])))
    run.report("(c) mean balanced accuracy without the 20 least important units", float(np.mean(without[1])))
    only = [accuracy_without(net, layer, order[8:, c].tolist(), seen, y, c) for c in range(6)]
    run.baseline("mean balanced accuracy with the 8 most important units alone", float(np.mean(only)))
    attacked(run, net, found, seen[:ATTACKED], y[:ATTACKED])


def attacked(run: Run, net: SceneNet, found: Dissection, x: Tensor, y: Tensor) -> None:
    """Part (d): peaks of detectors before and after an attack to the next class but one."""
    target = (y + 1 + torch.arange(len(y)) % 5) % 6
    moved = attack(net, x, target, c=5.0, margin=2.0, steps=60, lr=0.02)
    with torch.no_grad():
        before, after = (net.maps(part, 3).amax((2, 3)) for part in (x, moved))
        run.baseline("attacks that reach their class", float((net(moved).argmax(1) == target).float().mean()))
    run.baseline("root mean square of the attack's change", float((moved - x).square().mean().sqrt()))
    holds = torch.zeros(6, 4, dtype=torch.bool)
    for k, pair in enumerate(PAIRS):
        holds[k, list(pair)] = True
    change = (after - before) / before.std(0).clamp_min(1e-6)
    rise, fall, rest = [], [], []
    for unit, k in enumerate(found.named.tolist()):
        if k < 0:
            continue
        wanted, true = holds[target, k], holds[y, k]
        rise.append(change[wanted & ~true, unit])
        fall.append(change[true & ~wanted, unit])
        rest.append(change[true == wanted, unit])
    ups, downs = (torch.cat(part) if part else torch.zeros(1) for part in (rise, fall))
    run.report("(d) detectors of what only the target class has rise, share", float((ups > 0).float().mean()))
    run.report("(d) detectors of what only the true class has fall, share", float((downs < 0).float().mean()))
    for name, values in (("rise", ups), ("fall", downs), ("rest", torch.cat(rest) if rest else torch.zeros(1))):
        run.baseline(f"mean change of peaks in deviations, {name}", float(values.mean()))


class Generator(nn.Module):
    """Codes [N, 16] -> pictures [N, 3, 16, 16]; `middle` answers with 32 units at 8 x 8."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Linear(CODE, 64 * 16), nn.Unflatten(1, (64, 4, 4)), nn.BatchNorm2d(64), nn.ReLU())
        self.middle = nn.Sequential(
            nn.Upsample(scale_factor=2), nn.Conv2d(64, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU()
        )
        self.last = nn.Sequential(
            nn.Upsample(scale_factor=2),
            nn.Conv2d(32, 24, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(24, 3, 3, padding=1),
            nn.Sigmoid(),
        )

    def forward(self, z: Tensor) -> Tensor:
        found: Tensor = self.last(self.middle(self.first(z)))
        return found


def critic() -> nn.Sequential:
    """Pictures -> one number."""
    return nn.Sequential(
        nn.Conv2d(3, 24, 3, padding=1, stride=2),
        nn.LeakyReLU(0.2),
        nn.Conv2d(24, 48, 3, padding=1, stride=2),
        nn.LeakyReLU(0.2),
        nn.Flatten(),
        nn.Linear(48 * 16, 1),
    )


def adversarial(seed: int) -> Generator:
    """A generator of ground scenes."""
    real = torch.from_numpy(ground_scenes(4_000, seed).x)
    rng = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        makes, judges = Generator(), critic()
    optimisers = [torch.optim.Adam(part.parameters(), lr=1e-3, betas=(0.5, 0.99)) for part in (makes, judges)]
    for step in range(STEPS):
        for optimiser in optimisers:
            for group in optimiser.param_groups:
                group["lr"] = 1e-3 * min(1.0, 2 * (1 - step / STEPS))
        rows = torch.randint(len(real), (64,), generator=rng)
        fake = makes(torch.randn(64, CODE, generator=rng))
        loss = F.softplus(-judges(real[rows])).mean() + F.softplus(judges(fake.detach())).mean()
        optimisers[1].zero_grad(set_to_none=True)
        loss.backward()
        optimisers[1].step()
        optimisers[0].zero_grad(set_to_none=True)
        F.softplus(-judges(fake)).mean().backward()
        optimisers[0].step()
    return makes.eval()


def objects(x: Tensor) -> Tensor:
    """Pictures -> bool [N, 2, 16, 16]: disk (red) and block (green), by colour."""
    red, green = x[:, 0], x[:, 1]
    return torch.stack([(red > 0.6) & (green < 0.4), (green > 0.6) & (red < 0.4)], 1)


@torch.no_grad()
def generator(run: Run, seed: int) -> None:
    """Part (e)."""
    with torch.enable_grad():
        net = adversarial(seed)
    z = torch.randn(MADE, CODE, generator=torch.Generator().manual_seed(seed + 1))
    before = objects(net(z))
    area = before.sum((2, 3)).float()
    for k, kind in enumerate(KINDS):
        run.baseline(f"generated pictures with a {kind}", float((area[:, k] >= APPEARS).float().mean()))

    def units(z: Tensor) -> Tensor:
        found: Tensor = net.middle(net.first(z))
        return found

    masks = before.numpy()
    found = dissect(units, z.split(200), np.split(masks, MADE // 200), KINDS)
    run.progress(str(found))
    maps = units(z)
    inside = F.interpolate(torch.from_numpy(masks).float(), size=(8, 8), mode="area")
    level = torch.einsum("nuhw,nkhw->ku", maps, inside) / inside.sum((0, 2, 3)).clamp_min(1)[:, None]
    rng = np.random.default_rng([seed, 7])
    random = [rng.permutation(32)[:BEST].tolist() for _ in range(5)]
    left, other, appears, by_chance = [], [], [], []
    for k, kind in enumerate(KINDS):
        best = found.best(k, BEST)
        with edited(net.middle, best):
            after = objects(net(z)).sum((2, 3)).float()
        left.append(float(after[:, k].sum() / area[:, k].sum()))
        other.append(float(after[:, 1 - k].sum() / area[:, 1 - k].sum()))
        kept = []
        for some in random:
            with edited(net.middle, some):
                kept.append(float(objects(net(z)).sum((2, 3)).float()[:, k].sum() / area[:, k].sum()))
        run.baseline(f"area of {kind} left without 8 random units", kept)
        without = z[area[:, k] < APPEARS]
        appears.append(inserted(net, without, best, level[k, best], k, rng).ge(APPEARS).float().mean().item())
        by_chance.append(
            float(
                np.mean(
                    [inserted(net, without, s, level[k, s], k, rng).ge(APPEARS).float().mean().item() for s in random]
                )
            )
        )
    run.progress(
        f"left {np.round(left, 3)}, other {np.round(other, 3)}, appears {np.round(appears, 3)}, {np.round(by_chance, 3)}"
    )
    run.report("(e) area left without an object's 8 best units, larger of two", max(left))
    run.report("(e) the other object's area then, smaller of two", min(other))
    run.report("(e) images in which the inserted object appears, smaller of two", min(appears))
    run.report("(e) the same above random units", float(np.min(np.subtract(appears, by_chance))))
    for k, kind in enumerate(KINDS):
        without, best = z[area[:, k] < APPEARS], found.best(k, BEST)
        high, low = (inserted(net, without, best, level[k, best], k, rng, rows).mean() for rows in ((1, 2), (5, 6)))
        ratio = float(high / low.clamp_min(1e-6))
        if kind == "disk":
            run.report("(e) disks inserted above, times those on the ground", ratio)
        else:
            run.baseline("blocks inserted above, times those on the ground", ratio)


def inserted(
    net: Generator,
    z: Tensor,
    units: list[int],
    level: Tensor,
    k: int,
    rng: np.random.Generator,
    rows: tuple[int, ...] = (),
) -> Tensor:
    """[N], the area of the object once these units have been set in a 2 x 2 patch of each picture, at a random place, or in
    one of these rows."""
    where = torch.zeros(len(z), 1, 8, 8, dtype=torch.bool)
    top = rng.choice(rows, len(z)) if rows else rng.integers(0, 7, len(z))
    for one, down, right in zip(where, top, rng.integers(0, 7, len(z)), strict=True):
        one[:, down : down + 2, right : right + 2] = True
    with edited(net.middle, units, level, where):
        return objects(net(z))[:, k].sum((1, 2)).float()
