"""Message passing on the nodes of a graph. What differs is the layer, and how deep and wide it is stacked.

gcn              a node is the weighted mean of itself and its neighbours, after a linear map
sage             a node and the mean of its neighbours have linear maps of their own
gat              a node scores its neighbours and takes their weighted mean, several heads side by side
gin-nodes        a node plus the sum of its neighbours, through a perceptron
pna-nodes        mean, maximum, minimum and deviation of the neighbours' messages, each scaled by the degree
sir-gcn-nodes    the mean of messages that bend a linear map of sender and receiver

Two skeletons: `classified_nodes`, whose last layer scores and passes messages too; and `deep`, states of one width
behind a linear map of the features, from which a linear map answers. Whole graphs are in `graph_pooled.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

from torch import nn

from semblance.data.dataset import Shape
from semblance.data.relational import Whole
from semblance.encoders.graphs.attention import Attention
from semblance.encoders.graphs.contextual import Contextual
from semblance.encoders.graphs.entrance import Entrance
from semblance.encoders.graphs.message import Convolution, Sage, Sum
from semblance.encoders.graphs.principal import Aggregated
from semblance.encoders.graphs.stack import Initial, Stack
from semblance.errors import unknown
from semblance.heads.classify import Linear
from semblance.heads.last_layer import LastLayer
from semblance.heads.regress import Regress
from semblance.learning.backprop import Backprop
from semblance.objectives.classify import CrossEntropy
from semblance.objectives.regress import SquaredError
from semblance.recipes.backbones import width_of
from semblance.recipes.registry import Recipe, Stage, recipe

Layer = Callable[[int, int], nn.Module]  # features in, features out
Encoder = Callable[[Shape], Stack]
DEGREES = 64
"""Width of the one-hot degree that stands in for features."""


def classified_nodes(
    layer: Layer,
    rule: Backprop,
    hidden: int,
    layers: int,
    dropout: float,
    activation: str = "relu",
    last: Layer | None = None,
) -> Recipe:
    """Layers of one kind over the whole graph, the last of which scores the classes. The space holds the states before
    it."""

    def encoder(shape: Shape) -> Stack:
        initial, width = start("auto", shape)
        stacked = [layer(a, b) for a, b in pairwise([width, *[hidden] * (layers - 1)])]
        return Stack(stacked, activation=activation, input_dropout=dropout, initial=initial)

    def head(shape: Shape) -> LastLayer:
        return LastLayer((last or layer)(hidden, shape.classes), dropout)

    stage = Stage(rule=rule, objective=lambda shape: CrossEntropy(), batches=Whole())
    return Recipe(encoder=encoder, head=head, stages=(stage,), memory="data")


def deep(
    layer: Callable[[Shape], nn.Module],
    hidden: int,
    layers: int,
    dropout: float = 0.0,
    residual: bool = True,
    readout: str = "mean",
    norm: str | None = "batch",
    input_dropout: float = 0.0,
) -> Encoder:
    """A linear map of the features, then layers that keep its width."""

    def encoder(shape: Shape) -> Stack:
        return Stack(
            [layer(shape) for _ in range(layers)],
            norm=norm,
            dropout=dropout,
            residual=residual,
            inputs=hidden,
            initial=Entrance(shape, hidden, input_dropout),
            readout=readout,
        )

    return encoder


def scored_nodes(encoder: Encoder, rule: Backprop) -> Recipe:
    """A linear map answers from every node's state; the whole graph in every step."""
    return Recipe(encoder, (Stage(rule, error, Whole()),), answer(encoder), memory="data")


def answer(encoder: Encoder) -> Callable[[Shape], Linear | Regress]:
    """A linear map of the embedding: class scores, or a number where the labels are numbers."""

    def head(shape: Shape) -> Linear | Regress:
        width = width_of(encoder, shape)
        if shape.classes:
            return Linear(width, shape.classes)
        return Regress(width, *(shape.facts.get(name, float("nan")) for name in ("label_mean", "label_std")))

    return head


def error(shape: Shape) -> CrossEntropy | SquaredError:
    """What fits the labels."""
    return CrossEntropy() if shape.classes else SquaredError()


def start(kind: str, shape: Shape) -> tuple[nn.Module | None, int]:
    """Initial features and their width: given, constant or degree (one-hot); auto: given where the data has some, else
    degree."""
    kinds = {"given": shape.item[0], "constant": 1, "degree": DEGREES}
    if kind == "auto":
        kind = "given" if shape.item[0] else "degree"
    if kind not in kinds:
        raise unknown("initial features", kind, [*kinds, "auto"])
    return None if kind == "given" else Initial(kind, kinds[kind]), kinds[kind]


def adam(lr: float, weight_decay: float, epochs: int, patience: int = 0, halve_every: int = 0) -> Backprop:
    """Adam, and the epoch of best validation; the rate stays, or is halved every so many epochs."""
    times = range(halve_every, epochs, halve_every) if halve_every else ()
    return Backprop(
        "adam",
        lr=lr,
        weight_decay=weight_decay,
        schedule="steps" if times else "constant",
        milestones=tuple(epoch / epochs for epoch in times),
        gamma=0.5,
        epochs=epochs,
        best="accuracy",
        patience=patience,
    )


def perceptron(inputs: int, hidden: int, depth: int = 2) -> nn.Module:
    """Linear, batch norm and ReLU, linear; of depth 1 a single linear map."""
    if depth == 1:
        return nn.Linear(inputs, hidden)
    between: list[nn.Module] = []
    for _ in range(depth - 1):
        between += [nn.Linear(inputs, hidden), nn.BatchNorm1d(hidden), nn.ReLU()]
        inputs = hidden
    return nn.Sequential(*between, nn.Linear(hidden, hidden))


@recipe(entry=None, paper="Kipf & Welling 2017, arXiv:1609.02907", domains="graph", needs="labels")
def gcn(
    hidden: int = 64,
    layers: int = 2,
    dropout: float = 0.5,
    lr: float = 0.01,
    weight_decay: float = 5e-4,
    epochs: int = 200,
    patience: int = 0,
) -> Recipe:
    """semblance fit cora --recipe gcn"""
    # Paper: 16 hidden units, decay on the first layer alone; 64 and all of them do as well on Cora and better elsewhere.
    return classified_nodes(Convolution, adam(lr, weight_decay, epochs, patience), hidden, layers, dropout)


@recipe(entry=None, paper="Hamilton et al. 2017, arXiv:1706.02216", domains="graph", needs="labels")
def sage(
    hidden: int = 64,
    layers: int = 2,
    aggregator: str = "mean",
    dropout: float = 0.5,
    lr: float = 0.01,
    weight_decay: float = 5e-4,
    epochs: int = 200,
    patience: int = 0,
) -> Recipe:
    """semblance fit cora --recipe sage"""
    rule = adam(lr, weight_decay, epochs, patience)
    return classified_nodes(lambda a, b: Sage(a, b, aggregator), rule, hidden, layers, dropout)


@recipe(entry="gat", paper="Velickovic et al. 2018, arXiv:1710.10903", domains="graph", needs="labels")
def gat(
    hidden: int = 8,
    heads: int = 8,
    layers: int = 2,
    last_heads: int = 1,
    score: str = "static",
    dropout: float = 0.6,
    attention_dropout: float = 0.6,
    lr: float = 0.005,
    weight_decay: float = 5e-4,
    epochs: int = 300,
    patience: int = 100,
) -> Recipe:
    """semblance fit cora --recipe gat

    hidden   of a head; score: static, dynamic (GATv2) or constant
    """

    def layer(inputs: int, outputs: int) -> Attention:
        return Attention(inputs, outputs // heads, heads, score=score, dropout=attention_dropout)

    def last(inputs: int, outputs: int) -> Attention:
        return Attention(inputs, outputs, last_heads, concatenate=False, score=score, dropout=attention_dropout)

    rule = adam(lr, weight_decay, epochs, patience)
    return classified_nodes(layer, rule, hidden * heads, layers, dropout, activation="elu", last=last)


@recipe(entry="gin", paper="Xu et al. 2019, arXiv:1810.00826", domains="graph", needs="labels")
def gin_nodes(
    hidden: int = 64,
    layers: int = 2,
    aggregator: str = "sum",
    depth: int = 2,
    learn_epsilon: bool = False,
    dropout: float = 0.5,
    lr: float = 0.01,
    weight_decay: float = 5e-4,
    epochs: int = 200,
    patience: int = 0,
) -> Recipe:
    """semblance fit cora --recipe gin-nodes"""

    def layer(shape: Shape) -> Sum:
        update = perceptron(hidden, hidden, depth)
        return Sum(update, learn_epsilon=learn_epsilon, aggregator=aggregator, pooled=True)

    encoder = deep(layer, hidden, layers, dropout, residual=False, input_dropout=dropout)
    return scored_nodes(encoder, adam(lr, weight_decay, epochs, patience))


def principal(aggregators: str, scalers: str, towers: int, hidden: int) -> Callable[[Shape], Aggregated]:
    """PNA's layer for data of a shape; aggregators and scalers as words between commas."""

    def layer(shape: Shape) -> Aggregated:
        return Aggregated(
            hidden,
            hidden,
            shape.facts.get("log_degree", 0.0) or 1.0,
            words(aggregators),
            words(scalers),
            towers,
            divide=towers > 1,
        )

    return layer


def words(text: str) -> tuple[str, ...]:
    """
    >>> words("mean, max")
    ('mean', 'max')
    """
    return tuple(word.strip() for word in text.split(","))


@recipe(entry="pna", paper="Corso et al. 2020, arXiv:2004.05718", domains="graph", needs="labels")
def pna_nodes(
    hidden: int = 32,
    layers: int = 2,
    aggregators: str = "mean,max,min,std",
    scalers: str = "identity,amplification,attenuation",
    towers: int = 1,
    dropout: float = 0.5,
    lr: float = 0.01,
    weight_decay: float = 5e-4,
    epochs: int = 200,
    patience: int = 0,
) -> Recipe:
    """semblance fit cora --recipe pna-nodes"""
    encoder = deep(principal(aggregators, scalers, towers, hidden), hidden, layers, dropout, input_dropout=dropout)
    return scored_nodes(encoder, adam(lr, weight_decay, epochs, patience))


@recipe(entry="sir-gcn", paper="Lim, Goh & Lim 2024, arXiv:2403.12529", domains="graph", needs="labels")
def sir_gcn_nodes(
    hidden: int = 64,
    layers: int = 2,
    sigma: str = "relu",
    aggregator: str = "symmetric-mean",
    itself: bool = True,
    dropout: float = 0.5,
    lr: float = 0.01,
    weight_decay: float = 5e-4,
    epochs: int = 200,
    patience: int = 0,
) -> Recipe:
    """semblance fit cora --recipe sir-gcn-nodes"""

    def layer(shape: Shape) -> Contextual:
        return Contextual(hidden, hidden, sigma=sigma, aggregator=aggregator, itself=itself)

    encoder = deep(layer, hidden, layers, dropout, input_dropout=dropout)
    return scored_nodes(encoder, adam(lr, weight_decay, epochs, patience))
