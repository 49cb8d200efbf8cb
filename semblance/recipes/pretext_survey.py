"""Survey of pretexts: any tasks of the menu on one data set, the same steps for each, one table with intervals.

    survey("photos/", ["rotation", "jigsaw", "colourisation"])

Every task starts from the same net, drawn by the seed, and takes the same number of steps of the same size. Beside them
stand the net as it was drawn and, where the data has labels, one trained on them. What a frozen net is worth is then asked
in one of these ways, unit by unit of the test part, so that differences have intervals too (paired over seed and unit):

    linear, nonlinear   is a linear probe right, or one of three layers
    knn                 do the 20 nearest vote right
    retrieval           how precisely are the units of its label found, on average
    few                 is the nearest class mean right, of five labels a class
    views               is its other view its nearest (all that can be asked without labels)

Reference: Jing & Tian 2020, arXiv:1902.06162."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from semblance.analysis.fine_tuning import drawn_module, perceptron_scores
from semblance.analysis.probes import class_scores
from semblance.analysis.retrieval import label_precision, neighbours
from semblance.analysis.task_survey import SUPERVISED, UNTRAINED, Survey, surveyed
from semblance.data.dataset import ArrayDataset
from semblance.data.load import load
from semblance.data.moments import shape_of
from semblance.data.prepare import Prepare
from semblance.data.samplers import Shuffled
from semblance.data.views import two_crops
from semblance.errors import SemblanceError, unknown
from semblance.heads.neighbours import decide, first_per_class, vote
from semblance.learning.devices import choose_device
from semblance.learning.parts import INIT, VIEWS, Budget, Feed, Network, Parts, chance, torch_chance
from semblance.objectives.pretexts.table import rows_of, suited
from semblance.recipes.pretext_menu import pretext
from semblance.recipes.registry import Recipe, recipe
from semblance.recipes.supervised import supervised
from semblance.recipes.theory import no_encoder

EIGHT = "colourisation,inpainting,super-resolution,relative-position,jigsaw,rotation,clustering,instance-discrimination"
NEAREST = 20

Features = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""Training features [N, d] and labels [N], test features [Q, d] and labels [Q]."""


def survey(
    data: Any,
    tasks: str | Sequence[str] | None = None,
    *,
    steps: int = 125,
    seeds: int = 1,
    seed: int = 0,
    items: int = 4000,
    batch: int = 128,
    lr: float = 3e-3,
    backbone: str = "small",
    width: int = 0,
    measure: str = "",
    ceiling: bool = True,
    device: str = "cpu",
    progress: Callable[[str], None] = lambda line: None,
) -> Survey:
    """Images (folder, name, array, dataset) and tasks of the menu (eight where none are named; on grey pictures seven) ->
    the report. `steps` are rounded up to whole epochs of at most `items` training units; `measure` is one of those above,
    without it linear, or views where the data has no classes. `ceiling`: whether a net learns from labels, too, where there
    are some; `device`: auto, cpu, cuda or mps."""
    dataset = load(data)
    if not isinstance(dataset, ArrayDataset) or dataset.domain != "images":
        raise SemblanceError(
            f"pretexts are asked of images, and this data is {dataset.domain}: give a folder of pictures"
        )
    for name, given, least in (("steps", steps, 1), ("seeds", seeds, 1), ("items", items, 2)):
        if given < least:
            raise SemblanceError(f"{name} is {given}: give {least} or more")
    rows = rows_of(EIGHT if tasks is None else tasks)
    rows = suited(rows, dataset.x.shape[1]) if tasks is None else rows
    dataset = _some(dataset, items, seed)
    labels = dataset.targets.get("labels")
    classes = labels is not None and labels.ndim == 1 and labels.dtype.kind == "i" and len(dataset.classes) > 1
    measure = measure or ("linear" if classes else "views")
    if measure != "views" and measure not in MEASURES:
        raise unknown("measure", measure, [*MEASURES, "views"])
    if measure != "views" and not classes:
        raise SemblanceError(f"measure {measure!r} asks for classes, and the data has none: take measure='views'")
    if not len(dataset.splits["test"]):
        raise SemblanceError("the data has no test units to be asked of: give more items, or splits of its own")
    axes: dict[str, Any] = {"backbone": backbone, "width": width, "batch": batch, "lr": lr, "least": 1}
    made = {name: pretext(task=name, **axes) for name in rows}
    made |= {SUPERVISED: supervised(**axes)} if classes and ceiling else {}
    made = {UNTRAINED: next(iter(made.values())), **made}
    epochs = -(-steps // len(Shuffled(batch).epoch(len(dataset.splits["train"]), None, chance(0))))
    scores: dict[str, np.ndarray] = {}
    facts: dict[str, dict[str, Any]] = {}
    for name, one in made.items():
        begun, each, losses = time.monotonic(), [], []
        for s in range(seed, seed + seeds):
            network, prepare, loss = trained(dataset, one, s, 0 if name == UNTRAINED else epochs, device)
            each.append(_scores(network, prepare, dataset, measure, s))
            losses.append(loss)
        scores[name] = np.stack(each)
        start, end = (
            float(np.mean([half(loss) for loss in losses])) if losses[0] else None for half in (_first, _last)
        )
        spent = round(time.monotonic() - begun, 2)
        facts[name] = {"start": start, "end": end, "steps": len(losses[0]), "seconds": spent}
        progress(f"{name}: {measure} {scores[name].mean():.3f}")
    kinds = {name: (row.family, row.kind) for name, row in rows.items()}
    return surveyed(dataset.name or "data", measure, scores, facts, kinds, seed)


def trained(
    data: ArrayDataset, made: Recipe, seed: int, epochs: int, device: str = "cpu"
) -> tuple[Network, Prepare, list[float]]:
    """The recipe's net of this seed after so many epochs, how it is fed, and the loss of every step."""
    shape, (stage,), where = shape_of(data), made.stages, choose_device(device)
    prepare = Prepare(shape, made.standardise)
    network = drawn_module(lambda: Network(made.encoder(shape), None if made.head is None else made.head(shape)), seed)
    network.to(where)
    losses: list[float] = []
    if epochs:
        assert stage.objective is not None
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(chance(seed, INIT, 1).integers(2**63)))
            objective: nn.Module = stage.objective(shape).to(where)
        feed = Feed(data, data.splits["train"], stage.batches, prepare, stage.views, where)
        budget = Budget(epochs, seed=seed, on_step=lambda done, of, metrics: losses.append(metrics["loss"]))
        for _ in stage.rule.run(Parts(network, objective), feed, budget):
            pass  # the rule is a generator: it learns while its epochs are asked for
    return network.eval(), prepare, losses


def _some(data: ArrayDataset, items: int, seed: int) -> ArrayDataset:
    """At most so many training units, and half as many test units, drawn by the seed."""
    kept = []
    for part, most in (("train", items), ("test", max(2, items // 2))):
        rows = data.splits[part]
        kept.append(rows if len(rows) <= most else np.sort(chance(seed, len(rows)).choice(rows, most, replace=False)))
    return data if sum(map(len, kept)) == len(data) else data.subset(np.concatenate(kept))


def _scores(network: Network, prepare: Prepare, data: ArrayDataset, measure: str, seed: int) -> np.ndarray:
    """[test units], the higher the better."""
    if measure == "views":
        rows, views = data.splits["test"], two_crops()
        x = torch.from_numpy(np.ascontiguousarray(data.x[rows]))
        # The same two views of a unit for every task and seed.
        pair = [_read(network, views(x, torch_chance(0, VIEWS, view), prepare)) for view in range(2)]
        position, _ = neighbours(pair[0], pair[1], 1, "cosine")
        return np.asarray(position[:, 0] == np.arange(len(rows)), float)
    y = np.asarray(data.targets["labels"])
    parts = [data.splits[part][y[data.splits[part]] >= 0] for part in ("train", "test")]
    z = [_read(network, prepare(torch.from_numpy(np.ascontiguousarray(data.x[rows])))) for rows in parts]
    return MEASURES[measure]((z[0], y[parts[0]], z[1], y[parts[1]]), seed)


def _read(network: Network, x: torch.Tensor) -> np.ndarray:
    where = next(network.parameters()).device
    with torch.inference_mode():
        return torch.cat([network.embed({"x": block.to(where)}).float().cpu() for block in x.split(512)]).numpy()


def _linear(of: Features, seed: int) -> np.ndarray:
    logits, _ = class_scores(of[0], of[1], of[2], seed)
    return np.asarray(logits.argmax(1) == of[3], float)


def _nonlinear(of: Features, seed: int) -> np.ndarray:
    return np.asarray(perceptron_scores(of[0], of[1], of[2], seed).argmax(1) == of[3], float)


def _knn(of: Features, seed: int) -> np.ndarray:
    position, similarity = neighbours(of[2], of[0], min(NEAREST, len(of[0])), "cosine")
    found = of[1][position]
    return np.asarray(decide(vote(found, similarity, int(of[1].max()) + 1), found).numpy() == of[3], float)


def _retrieval(of: Features, seed: int) -> np.ndarray:
    return label_precision(*of)


def _few(of: Features, seed: int) -> np.ndarray:
    order = chance(seed, 5).permutation(len(of[1]))
    kept = order[first_per_class(of[1][order], 5)]
    unit = of[0][kept] / np.linalg.norm(of[0][kept], axis=1, keepdims=True).clip(1e-12)
    classes = np.unique(of[1])
    means = np.stack([unit[of[1][kept] == k].mean(0) for k in classes])
    position, _ = neighbours(of[2], means, 1, "cosine")
    return np.asarray(classes[position[:, 0]] == of[3], float)


MEASURES: dict[str, Callable[[Features, int], np.ndarray]] = {
    "linear": _linear,
    "nonlinear": _nonlinear,
    "knn": _knn,
    "retrieval": _retrieval,
    "few": _few,
}


def _first(losses: list[float]) -> float:
    return losses[0]


def _last(losses: list[float]) -> float:
    return float(np.mean(losses[-5:]))


@recipe(entry="ssl-survey", paper="Jing & Tian 2020, arXiv:1902.06162", domains=(), makes="report")
def ssl_survey(
    data: str = "digits",
    tasks: str = "inpainting,relative-position,jigsaw,rotation",
    steps: int = 11,
    seeds: int = 1,
    items: int = 4000,
    batch: int = 128,
    lr: float = 3e-3,
    backbone: str = "small",
    measure: str = "",
) -> Recipe:
    """semblance reproduce ssl-survey    # on pictures of yours: semblance survey photos/ -t rotation -t jigsaw"""

    def report() -> Survey:
        given: dict[str, Any] = {"items": items, "batch": batch, "lr": lr, "backbone": backbone, "measure": measure}
        return survey(data, tasks, steps=steps, seeds=seeds, **given)

    return Recipe(encoder=no_encoder("ssl-survey"), makes="report", report=report)
