"""Labelling as a recipe: features learned without labels, then questions to (simulated) people about samples."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from semblance.contracts import Metrics
from semblance.data.dataset import ArrayDataset, Shape
from semblance.data.duplicates import groups
from semblance.errors import SemblanceError, unknown
from semblance.heads.classify import Linear
from semblance.learning.label_cascade import NO, UNSURE, YES, Cascade, Rules, audit, fit_scorer
from semblance.learning.parts import Budget, Feed, Network, Parts, chance, torch_chance
from semblance.learning.workers import Simulated
from semblance.recipes.backbones import width_of
from semblance.recipes.registry import Recipe, Stage, build, recipe, table

ENDS = ("value", "low", "high")


class Labelled(Linear):
    """Yes or no, linearly, and what it was learned from: `made` [N] of the training units: 1 yes, 0 no, -1 unsure."""

    made: Tensor

    def __init__(self, dim: int):
        super().__init__(dim, 2, ("no", "yes"))
        self.register_buffer("made", torch.empty(0, dtype=torch.int8))
        self.register_load_state_dict_pre_hook(_room_for_labels)


def _room_for_labels(module: Labelled, state: dict[str, Tensor], prefix: str, *_: object) -> None:
    if prefix + "made" in state:
        module.made = torch.empty_like(state[prefix + "made"])


@dataclass(frozen=True)
class Asked:
    """The rule: a cascade over the embeddings of the training units, answered by people with this rate of errors."""

    rules: Rules
    positive: str
    workers: int
    answers: int
    error: float
    alike: float = 0.0
    epochs: int = 1

    def run(self, parts: Parts, data: Feed, budget: Budget) -> Iterator[Metrics]:
        """Yields after every round and the audit; in the end the head knows the labels and answers by them. Of units that
        are alike only the first is asked about, and the others get its label."""
        network = parts.network.to(data.device).eval()
        truth = self._truth(data)
        with torch.no_grad():
            z = torch.cat([network.embed(batch).float().cpu() for batch in data.in_order()]).numpy()
        first = groups(z, self.alike) if self.alike else np.arange(len(z))
        kept, of = np.unique(first, return_inverse=True)
        cascade = Cascade(z[kept], self.rules, budget.seed)
        people = Simulated(truth[kept], np.full(self.workers, self.error), self.answers, chance(budget.seed, 257))
        for found in cascade.run(people):
            yield {"epoch": float(len(cascade.rounds)), **{key: float(value) for key, value in vars(found).items()}}
        labels = cascade.labels[of]
        if {YES, NO} <= set(labels.tolist()):
            looked = audit(cascade.labels, people, chance(budget.seed, 259), answers=len(cascade.answers))
            judged = {"precision": looked.precision, "recall": looked.recall}
            named = {f"{name}_{end}": v for name, three in judged.items() for end, v in zip(ENDS, three, strict=True)}
            yield {"epoch": len(cascade.rounds) + 1.0, **named, "answers_per_item": looked.answers_per_item}
        self._learned(network, z, labels, budget.seed)

    def _truth(self, data: Feed) -> np.ndarray:
        names = list(data.dataset.classes)  # type: ignore[attr-defined]  # every dataset in hand has them
        wanted = self.positive or names[0]
        if wanted not in names:
            raise unknown("class", wanted, names)
        labels = data.labels
        if labels is None or (labels < 0).any():
            raise SemblanceError("simulated people know the truth of every unit: give data that is labelled throughout")
        truth: np.ndarray = labels == names.index(wanted)
        return truth

    def _learned(self, network: Network, z: np.ndarray, labels: np.ndarray, seed: int) -> None:
        head, known = network.head, labels != UNSURE
        head.made = torch.from_numpy(labels.copy())
        mean, scale = z[known].mean(0), max(float(z[known].std()), 1e-30)
        score = fit_scorer((z[known] - mean) / scale, labels[known] == YES, torch_chance(seed, 258), hidden=0)
        # A logistic regression is linear: its values at 0 and at the axes are all there is to it.
        at = score(np.concatenate([np.zeros((1, z.shape[1])), np.eye(z.shape[1])]).astype(np.float32))
        weight = (at[1:] - at[0]) / scale
        with torch.no_grad():
            head.map.weight.copy_(torch.from_numpy(np.stack([0 * weight, weight])))
            head.map.bias.copy_(torch.tensor([0.0, float(at[0] - weight @ mean)]))


def made(dataset: ArrayDataset, head: Labelled) -> ArrayDataset:
    """The data set that a cascade over `dataset` made: its training units with labels no and yes, -1 for the unsure."""
    found = dataset.subset(dataset.splits["train"])
    return replace(found, targets={"labels": head.made.numpy().astype(np.int64)}, classes=("no", "yes"))


@recipe(
    entry="lsun-cascade",
    paper="Yu et al. 2015, arXiv:1506.03365",
    domains="images",
    needs="labels",
    makes="dataset",
)
def lsun_cascade(
    positive: str = "",
    method: str = "rotnet",
    sample: int = 500,
    rest: int = 500,
    precision: float = 0.95,
    missed: float = 0.01,
    workers: int = 5,
    answers: int = 3,
    error: float = 0.05,
    known: int = 0,
    alike: float = 0.0,
    way: str = "majority",
    hidden: int = 64,
) -> Recipe:
    """semblance fit digits --recipe lsun-cascade --set positive=8    # people are asked: semblance label SPACE --cascade

    positive   the class that is asked about (the first)
    method     the recipe that learns the features; it gets no labels
    workers    simulated people, of whom `answers` answer every question and err at the rate `error`
    alike      the cosine from which on pictures count as copies of one (0: none do), 0.999 is usual
    """
    fitting = [name for name, r in table().items() if r.makes == "model" and "images" in r.domains and not r.needs]
    if method not in fitting:
        raise unknown("method that learns from images without labels", method, fitting)
    if not 0 <= error < 0.5:
        raise SemblanceError(
            f"error is {error}, but people who are wrong half the time say nothing: give 0 to below 0.5"
        )
    base = build(method)
    rules = Rules(sample=sample, rest=rest, precision=precision, missed=missed, way=way, hidden=hidden, known=known)

    def head(shape: Shape) -> Labelled:
        return Labelled(width_of(base.encoder, shape))

    asked = Stage(rule=Asked(rules, positive, workers, answers, error, alike))
    return replace(base, head=head, stages=(*base.stages, asked), makes="dataset", memory="data")
