"""A network that reads a graph or hypergraph teaches one that sees a node's features alone. To answer, the student touches
no edge, which is what makes it quick.

distilled          from the answers of any network for nodes, by its recipe's name (the teacher "gcn", "gat", "appnp", ...)
lighthgnn          from a hypergraph network, and on hyperedges where noise does not sway it

A target of another kind is handed to `student` (graph_codebook.py). Nodes that the teacher never saw are answered like any
others: fit on `dataset.subset(...)`, predict on the whole.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import nn

from semblance.data.dataset import Shape
from semblance.data.relational import Whole
from semblance.encoders.graphs.alone import Alone
from semblance.encoders.topology.hypergraph import as_hypergraph
from semblance.errors import SemblanceError
from semblance.heads.classify import Linear
from semblance.learning.backprop import Backprop
from semblance.learning.parts import Network
from semblance.learning.taught import Taught
from semblance.objectives.distil.hyperedges import ReliableHyperedges
from semblance.objectives.distil.structure import SoftLabels, StructureDistillation
from semblance.recipes.graph_networks import adam
from semblance.recipes.registry import Recipe, Stage, build, recipe, row_of

Target = Callable[[Shape], tuple[float, nn.Module]]
"""The weight of a target, and the target for data of a shape."""


def student(
    teacher: str,
    settings: dict[str, int],
    targets: Sequence[Target],
    labels: float,
    rule: Backprop,
    hidden: int,
    layers: int,
    dropout: float,
) -> Recipe:
    """A perceptron of `layers` hidden layers taught by a recipe: this file's skeleton. `settings` are the teacher's, where
    it has them."""
    row = row_of(teacher)
    if row.makes != "model" or "labels" not in row.needs:
        raise SemblanceError(f"{teacher!r} learns no labels, so it has no answers to teach: take gcn, sage, hgnn, ...")
    taught = build(teacher, **{name: value for name, value in settings.items() if name in row.settings})
    if taught.head is None:
        raise SemblanceError(f"{teacher!r} has no head, so it has no answers to teach: take gcn, sage, hgnn, ...")
    by_teacher = taught.head

    def objective(shape: Shape) -> StructureDistillation:
        if shape.domain not in row.domains:
            raise SemblanceError(
                f"the teacher {teacher!r} reads {' or '.join(row.domains)}, and this is {shape.domain}"
            )
        network = Network(taught.encoder(shape), by_teacher(shape))
        return StructureDistillation(network, [target(shape) for target in targets], labels)

    return Recipe(
        encoder=lambda shape: Alone(shape.item[0], hidden, layers, dropout=dropout),
        head=lambda shape: Linear(hidden, shape.classes),
        stages=(Stage(Taught(taught.stages, rule), objective, Whole()),),
        standardise=taught.standardise,
        memory="data",
    )


def soft_labels(weight: float, temperature: float) -> Target:
    """What the teacher answers for every node."""
    return lambda shape: (weight, SoftLabels(temperature, several=bool(shape.facts.get("several"))))


@recipe(entry=None, paper="Zhang et al. 2022, arXiv:2110.08727", domains="graph", needs="labels")
def distilled(
    teacher: str = "gcn",
    hidden: int = 128,
    layers: int = 1,
    labels: float = 0.0,
    temperature: float = 1.0,
    dropout: float = 0.5,
    lr: float = 0.01,
    weight_decay: float = 5e-4,
    epochs: int = 200,
    patience: int = 0,
) -> Recipe:
    """semblance fit cora --recipe distilled --set teacher=appnp

    teacher   a recipe for nodes that learns labels, with its own defaults
    labels    how much the labels count beside the teacher's answers
    """
    rule = adam(lr, weight_decay, epochs, patience)
    return student(teacher, {}, [soft_labels(1.0, temperature)], labels, rule, hidden, layers, dropout)


@recipe(entry="lighthgnn", paper="Feng et al. 2024, ICLR 2024", domains=("hypergraph", "graph"), needs="labels")
def lighthgnn(
    teacher: str = "hgnn",
    teacher_hidden: int = 32,
    plus: bool = True,
    hidden: int = 128,
    layers: int = 1,
    labels: float = 0.0,
    temperature: float = 1.0,
    noise: float = 1.0,
    dropout: float = 0.5,
    lr: float = 0.01,
    weight_decay: float = 5e-4,
    epochs: int = 200,
    patience: int = 0,
) -> Recipe:
    """semblance fit cocitation-cora --recipe lighthgnn

    plus     LightHGNN+: also on hyperedges, drawn by how little noise moves the teacher there
    labels   lambda: CE counts lambda, the teacher's answers 1 - lambda
    """
    if not 0 <= labels <= 1:
        raise SemblanceError(f"labels is {labels}, but it is the share that CE counts: give a number from 0 to 1")
    targets = [soft_labels(1 - labels, temperature)]
    if plus:
        targets.append(lambda shape: (1.0, ReliableHyperedges(as_hypergraph, temperature, noise)))
    rule = adam(lr, weight_decay, epochs, patience)
    return student(teacher, {"hidden": teacher_hidden}, targets, labels, rule, hidden, layers, dropout)
