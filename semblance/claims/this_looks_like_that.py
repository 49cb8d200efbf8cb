"""This looks like that: a classifier of prototypical parts is as good as a plain one, and points at what it used.

MNIST: 12,800 training digits; three 3 x 3 convolutions with batch norm (16, 32, 64; map 7 x 7), 700 steps as a plain
classifier; then 64 dimensions, 5 parts a class, 200 warm steps and two cycles (500 and 250 joint steps at 3e-4 for the
backbone, onto parts, last layer); batches of 64, two seeds. Blanked pixels become black.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from semblance.claims.ledger import Run, at_least, at_most, claim, exactly
from semblance.data.dataset import ArrayDataset
from semblance.data.load import load
from semblance.data.moments import shape_of
from semblance.data.prepare import Prepare
from semblance.encoders.vision.stagenet import on_images
from semblance.geometry.spaces import Euclidean
from semblance.heads.prototypes.image_parts import ImageParts
from semblance.learning.parts import INIT, Budget, Feed, Network, Parts, chance
from semblance.learning.project import PutOntoParts
from semblance.recipes.prototype_heads import image_parts as recipe
from semblance.recipes.registry import Recipe
from semblance.space.model import assemble

DIGITS, TEST, BLANKED, SIDE = 12_800, 5_000, 400, 10
PLAIN, WARM, JOINT, LATER = 700, 200, 500, 250
MAP = 7


@claim(
    "this-looks-like-that",
    parts={
        "(a) accuracy after the last cycle": at_least(0.96),
        "(a) accuracy lost to the plain classifier": at_most(0.02),
        "(a) cost of the first push": at_least(0.02),
        "(a) cost of the second push": at_most(0.01),
        "(a) share of the first loss that the last layer repairs": at_least(0.5),
        "(b) exact: prototypes against the map at their places": at_most(1e-5),
        "(b) prototypes whose picture is of another class": exactly(0),
        "(b) exact: points of an answer against the logit": at_most(1e-4),
        "(c) fall of similarity, blanked at its place, times that at a random one": at_least(2),
        "(c) predictions changed, blanked at its place, times that at a random one": at_least(1.5),
    },
    data=("mnist",),
    seeds=(0, 1),
    broken="prototypes are put onto pictures of the next class; one seed",
    files=(
        "heads/prototypes/image_parts.py",
        "heads/prototypes/similarities.py",
        "learning/project.py",
        "objectives/parts.py",
        "recipes/prototype_heads.py",
    ),
    minutes=4.0,
)
def this_looks_like_that(run: Run) -> None:
    """A network that answers by parts it can show is nearly as good as one that cannot, and what it shows it uses."""
    data, test_x, test_y = digits()
    found: dict[str, list[float]] = {name: [] for name in run.parts}
    for seed in run.seeds[:1] if run.broken else run.seeds:
        network, steps, plain = staged(run, data, test_x, test_y, seed)
        _, joint, pushed, refitted, later, again, last = steps
        run.baseline(f"plain classifier, seed {seed}", plain)
        found["(a) accuracy after the last cycle"].append(last)
        found["(a) accuracy lost to the plain classifier"].append(plain - last)
        found["(a) cost of the first push"].append(joint - pushed)
        found["(a) cost of the second push"].append(later - again)
        found["(a) share of the first loss that the last layer repairs"].append(
            (refitted - pushed) / max(joint - pushed, 1e-9)
        )
        for part, value in {**exact(network, data, test_x), **blanked(network, test_x, seed)}.items():
            found[part].append(value)
    for part, values in found.items():
        run.report(part, values)
    if not run.broken:
        without = staged(run, data, test_x, test_y, run.seeds[0], cluster=0.0)[1][-1]
        run.baseline("accuracy without what cluster and separation cost", without)


def digits() -> tuple[ArrayDataset, Tensor, Tensor]:
    """Training digits as data, and prepared test digits with their labels."""
    whole = load("mnist")
    rows, asked = whole.splits["train"][:DIGITS], whole.splits["test"][:TEST]
    data = replace(whole.subset(rows), splits={"train": np.arange(len(rows))})
    prepare = Prepare(shape_of(data), True)
    labels = torch.from_numpy(np.asarray(whole.targets["labels"])[asked])
    return data, prepare(torch.from_numpy(whole.x[asked])), labels


def small(cluster: float | None = None) -> Recipe:
    """The recipe with the catalogue's three convolutions."""
    terms = {} if cluster is None else {"cluster": cluster, "separation": 0.0}
    made = recipe(parts=5, dim=64, plain=PLAIN, warm=WARM, joint=JOINT, later=LATER, **terms)
    return replace(
        made,
        encoder=on_images("half", widths=(16, 32, 64), depths=(1, 1, 1), strides=(2, 2, 1), geometry=Euclidean()),
    )


def staged(
    run: Run, data: ArrayDataset, x: Tensor, y: Tensor, seed: int, cluster: float | None = None
) -> tuple[Network, list[float], float]:
    """The recipe's stages one by one: the network, the accuracy after each from the second on, and the plain one's."""
    made, shape = small(cluster), shape_of(data)
    network, prepare = assemble(made, shape, seed), Prepare(shape, True)
    accuracies, plain = [], 0.0
    for number, stage in enumerate(made.stages):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(chance(seed, INIT, number + 1).integers(2**63)))
            objective = None if stage.objective is None else stage.objective(shape)
        shown = data
        if run.broken and isinstance(stage.rule, PutOntoParts):
            shown = replace(data, targets={"labels": (np.asarray(data.targets["labels"]) + 1) % 10})
        feed = Feed(shown, data.splits["train"], stage.batches, prepare)
        list(stage.rule.run(Parts(network, objective), feed, Budget(seed=seed)))
        network.eval()
        with torch.no_grad():
            if number == 0:
                z = torch.cat([objective.side(network.embed({"x": part}), {}) for part in x.split(500)])
                plain = float((z.argmax(1) == y).float().mean())
                continue
            answers = torch.cat([network({"x": part}) for part in x.split(500)])
        accuracies.append(float((answers.argmax(1) == y).float().mean()))
    run.progress(f"seed {seed}: plain {plain:.4f}, then {[round(a, 4) for a in accuracies]}")
    return network, accuracies, plain


@torch.no_grad()
def exact(network: Network, data: ArrayDataset, x: Tensor) -> dict[str, float]:
    """Part (b)."""
    head: ImageParts = network.head
    prepare = Prepare(shape_of(data), True)
    pictures = prepare(torch.from_numpy(data.x[head.source.numpy()]))
    z = head.maps(network.encoder({"x": pictures}))
    at = torch.arange(len(z))
    there = z[at, :, head.place[:, 0], head.place[:, 1]]
    labels = torch.from_numpy(np.asarray(data.targets["labels"])[head.source.numpy()])
    worst = 0.0
    for one in x[:20, None]:
        told = network.encoder({"x": one})
        logits = head(told, {})[0]
        for c in range(len(logits)):
            worst = max(worst, abs(sum(e.points for e in head.explain(told, c)) - float(logits[c])))
    return {
        "(b) exact: prototypes against the map at their places": float((there - head.prototypes).abs().max()),
        "(b) prototypes whose picture is of another class": int((labels != head.owner).sum()),
        "(b) exact: points of an answer against the logit": worst,
    }


@torch.no_grad()
def blanked(network: Network, x: Tensor, seed: int) -> dict[str, float]:
    """Part (c): 10 x 10 pixels around the place of the prototype with most points, and around a random place."""
    head, rng = network.head, np.random.default_rng([seed, 3])
    x = x[:BLANKED]
    heat = head.similarity(head.distances(head.maps(network.encoder({"x": x}))))
    scores, at = heat.flatten(2).max(2)
    logits = F.linear(scores, head.weight)
    answer = logits.argmax(1)
    rows = torch.arange(len(x))
    strongest = (scores * head.weight[answer]).argmax(1)
    where = at[rows, strongest]
    spots = {"own": where, "random": torch.from_numpy(rng.integers(0, MAP * MAP, len(x)))}
    fall, changed = {}, {}
    for name, spot in spots.items():
        seen, step = x.clone(), 28 // MAP
        for one, place in zip(seen, spot.tolist(), strict=True):
            top, left = (p * step + step // 2 - SIDE // 2 for p in divmod(place, MAP))
            one[:, max(top, 0) : top + SIDE, max(left, 0) : left + SIDE] = x.min()
        after = head.scores(network.encoder({"x": seen}))
        fall[name] = float((scores - after)[rows, strongest].mean())
        changed[name] = float((F.linear(after, head.weight).argmax(1) != answer).float().mean())
    return {
        "(c) fall of similarity, blanked at its place, times that at a random one": fall["own"]
        / max(fall["random"], 1e-9),
        "(c) predictions changed, blanked at its place, times that at a random one": changed["own"]
        / max(changed["random"], 1e-9),
    }
