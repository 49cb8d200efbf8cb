"""Propagation filters that look far: over many steps, over steps of earlier iterations, along edges and against them.

dagnn           class scores after every one of many steps, and a gate by which each node takes what suits it
dgmlp           features propagated until each node is smooth enough, then a transformation of any depth
lazy-gnn        one step of personalised PageRank an iteration, from where the last iteration ended
faber-net       powers of a directed graph's operator and of its transpose, a matrix for each
dir-resolv-net  the same with powers of the resolvent of its Laplacian, which strong edges do not throw off
"""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from semblance.data.dataset import Shape
from semblance.data.graph_blocks import NodeBlocks
from semblance.data.relational import Whole
from semblance.encoders.graphs.holomorphic import BothWays
from semblance.encoders.graphs.inputs import InputLinear, width_of_features
from semblance.encoders.graphs.lazy import Lazy, LazyPropagation
from semblance.encoders.graphs.propagate import Filter, Gate, Propagation, Weights
from semblance.encoders.graphs.smoothing import NodeAdaptive
from semblance.encoders.graphs.stack import Stack
from semblance.encoders.graphs.transform import Transform
from semblance.heads.classify import Linear
from semblance.heads.scores import Scores
from semblance.learning.backprop import Apart, Backprop
from semblance.objectives.classify import CrossEntropy
from semblance.recipes.graph_filters import trained
from semblance.recipes.graph_networks import adam, answer, error, start
from semblance.recipes.registry import Recipe, Stage, recipe


@recipe(entry="dagnn", paper="Liu et al. 2020, arXiv:2007.09296", domains="graph", needs="labels")
def dagnn(
    hidden: int = 64,
    depth: int = 10,
    operator: str = "symmetric-loops",
    dropout: float = 0.8,
    lr: float = 0.01,
    weight_decay: float = 5e-3,
    epochs: int = 200,
    patience: int = 0,
) -> Recipe:
    """semblance fit cora --recipe dagnn

    operator   symmetric-loops or row-loops; the paper takes dropout 0.5 and weight decay 0.02 for citeseer
    """

    def encoder(shape: Shape) -> Propagation:
        before = nn.Sequential(
            InputLinear(width_of_features(shape), hidden, dropout=dropout),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, shape.classes),
        )
        return Propagation(Filter(depth, Gate(shape.classes), operator=operator), shape.classes, before)

    stage = Stage(adam(lr, weight_decay, epochs, patience), lambda shape: CrossEntropy(), Whole())
    # The gate weighs class scores, so the space holds these: no linear map may follow it.
    return Recipe(encoder=encoder, head=lambda shape: Scores(), stages=(stage,), memory="data")


@recipe(entry="dgmlp", paper="Zhang et al. 2022, arXiv:2108.00955", domains="graph", needs="labels")
def dgmlp(
    hidden: int = 64,
    propagations: int = 20,
    transformations: int = 6,
    temperature: float = 1.0,
    by: str = "distance",
    join: str = "residual",
    dropout: float = 0.5,
    lr: float = 0.01,
    weight_decay: float = 5e-4,
    epochs: int = 200,
    patience: int = 0,
) -> Recipe:
    """semblance fit cora --recipe dgmlp

    transformations   linear maps, the last of which scores the classes
    temperature, by   of the weight of a step at a node: its distance to the stationary state, or its smoothing level
    join              of the layers: residual, plain or dense
    """

    def encoder(shape: Shape) -> Propagation:
        width = width_of_features(shape)
        after = Transform(width, hidden, transformations - 1, join, dropout)
        steps = Filter(propagations, Weights([1.0] * (propagations + 1)), NodeAdaptive(temperature, by))
        return Propagation(steps, after.dim, after=after)

    def head(shape: Shape) -> Linear:
        return Linear(hidden if transformations > 1 else width_of_features(shape), shape.classes)

    stage = Stage(adam(lr, weight_decay, epochs, patience), lambda shape: CrossEntropy(), Whole())
    return Recipe(encoder=encoder, head=head, stages=(stage,), memory="data")


@recipe(entry="lazygnn", paper="Xue et al. 2023, arXiv:2302.01503", domains="graph", needs="labels")
def lazy_gnn(
    hidden: int = 64,
    steps: int = 1,
    restart: float = 0.1,
    renew: float = 0.5,
    renew_gradient: float = 0.5,
    depth: int = 10,
    norm: bool = True,
    dropout: float = 0.5,
    lr: float = 0.01,
    weight_decay: float = 5e-3,
    blocks: int = 0,
    epochs: int = 200,
    patience: int = 0,
) -> Recipe:
    """semblance fit cora --recipe lazy-gnn

    steps    of propagation an iteration; depth: of those that embed
    renew    share of what is new beside the memory of the last iteration; renew_gradient the same, backward
    blocks   of nodes, one a step; 0: the whole graph
    """

    def encoder(shape: Shape) -> Propagation:
        between = [nn.BatchNorm1d(hidden)] if norm else []
        before = nn.Sequential(InputLinear(width_of_features(shape), hidden, dropout=dropout), *between, nn.ReLU())
        nodes = int(shape.facts.get("nodes", 0))
        layer = Lazy(nodes, hidden, steps, restart, renew, renew_gradient, depth)
        return LazyPropagation(layer, hidden, before, nn.Dropout(dropout))

    batches = NodeBlocks(blocks) if blocks else Whole()
    stage = Stage(trained(lr, weight_decay, epochs, patience), lambda shape: CrossEntropy(), batches)
    return Recipe(encoder=encoder, head=lambda shape: Linear(hidden, shape.classes), stages=(stage,), memory="data")


def layers_and_answer(
    layer: Callable[[int], nn.Module], hidden: int, layers: int, jump: str, dropout: float, rule: Backprop
) -> Recipe:
    """Layers of one width joined by `jump`, and a linear map. `layer` gets the number of its inputs."""

    def encoder(shape: Shape) -> Stack:
        initial, width = start("auto", shape)
        stacked = [layer(hidden if i else width) for i in range(layers)]
        return Stack(stacked, activation=None, dropout=dropout, jump=jump, initial=initial)

    return Recipe(encoder, (Stage(rule, error, Whole()),), answer(encoder), memory="data")


def adamw(lr: float, weight_decay: float, imaginary_decay: float, layers: int, epochs: int, patience: int) -> Backprop:
    """AdamW at a constant rate, the epoch of best validation; imaginary parts decay by themselves."""
    return Backprop(
        "adamw",
        lr=lr,
        weight_decay=weight_decay,
        schedule="constant",
        epochs=epochs,
        best="accuracy",
        patience=patience,
        apart=tuple(Apart(f"network.encoder.layers.{i}.imaginary", lr, imaginary_decay) for i in range(layers)),
    )


@recipe(entry="holonets", paper="Koke & Cremers 2024, arXiv:2310.02232", domains="graph", needs="labels")
def faber_net(
    hidden: int = 64,
    layers: int = 2,
    depth: int = 2,
    exponent: float = 0.25,
    damping: str = "halving",
    constant: bool = False,
    balance: float = 0.5,
    learn_balance: bool = False,
    complex_weights: bool = False,
    unit_rows: bool = False,
    jump: str = "max",
    dropout: float = 0.2,
    lr: float = 0.01,
    weight_decay: float = 5e-4,
    imaginary_decay: float = 5e-4,
    epochs: int = 200,
    patience: int = 0,
) -> Recipe:
    """semblance fit chameleon --directed --recipe faber-net

    exponent   of the degrees: 0.25 or 0.5; damping of order k: halving (2^-k), inverse (1 / k) or none
    constant   whether order 0 is there; balance: the share of the edges' own direction
    jump       last, max or concatenation of the layers
    Accuracy over 3 splits, hidden 32, 120 epochs: chameleon 0.605, squirrel 0.350; without directions 0.532 and 0.284.
    """

    def layer(inputs: int) -> BothWays:
        return BothWays(
            inputs,
            hidden,
            depth,
            exponent=exponent,
            damping=damping,
            constant=constant,
            balance=balance,
            learn_balance=learn_balance,
            complex_weights=complex_weights,
            unit_rows=unit_rows,
        )

    rule = adamw(lr, weight_decay, imaginary_decay, layers, epochs, patience)
    return layers_and_answer(layer, hidden, layers, jump, dropout, rule)


@recipe(entry="holonets", paper="Koke & Cremers 2024, arXiv:2310.02232", domains="graph", needs="labels")
def dir_resolv_net(
    hidden: int = 64,
    layers: int = 2,
    depth: int = 1,
    constant: bool = False,
    balance: float = 0.5,
    learn_balance: bool = False,
    complex_weights: bool = False,
    unit_rows: bool = False,
    jump: str = "max",
    dropout: float = 0.2,
    lr: float = 0.01,
    weight_decay: float = 5e-4,
    imaginary_decay: float = 5e-4,
    epochs: int = 200,
    patience: int = 0,
) -> Recipe:
    """semblance fit wisconsin --directed --recipe dir-resolv-net

    The Laplacian is factorised once: for graphs of some thousand nodes.
    """

    def layer(inputs: int) -> BothWays:
        return BothWays(
            inputs,
            hidden,
            depth,
            basis="resolvent",
            damping="none",
            constant=constant,
            balance=balance,
            learn_balance=learn_balance,
            complex_weights=complex_weights,
            unit_rows=unit_rows,
        )

    rule = adamw(lr, weight_decay, imaginary_decay, layers, epochs, patience)
    return layers_and_answer(layer, hidden, layers, jump, dropout, rule)
