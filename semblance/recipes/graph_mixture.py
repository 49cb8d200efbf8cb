"""A perceptron of a node's own features beside a network on the graph: each node is answered by whom it suits.

mowst    the perceptron answers where it is sure; both learn in turn, the network most from nodes that are left to it
"""

from __future__ import annotations

from semblance.data.dataset import Shape
from semblance.data.relational import Whole
from semblance.encoders.graphs.alone import Alone
from semblance.encoders.graphs.experts import Experts
from semblance.errors import SemblanceError
from semblance.heads.classify import Linear
from semblance.heads.experts import Confidence, Mixed
from semblance.learning.backprop import Backprop
from semblance.learning.mixture import InTurn
from semblance.objectives.mixture import Mixture
from semblance.recipes.graph_networks import adam
from semblance.recipes.registry import Recipe, Stage, build, recipe, row_of


def mixed(
    experts: tuple[Recipe, ...],
    rule: Backprop,
    confidence: str,
    power: float,
    joint: bool,
    through: bool,
    rounds: int,
    alone: bool,
    answer: str,
) -> Recipe:
    """Encoders and heads of several recipes, the weakest first: this file's skeleton. A cascade where there are more than
    two."""

    def encoder(shape: Shape) -> Experts:
        return Experts([expert.encoder(shape) for expert in experts])

    def head(shape: Shape) -> Mixed:
        heads = [expert.head(shape) for expert in experts if expert.head is not None]
        return Mixed(heads, [Confidence(confidence, power) for _ in heads[1:]], answer)

    learned = confidence == "learned"

    def names(expert: int) -> tuple[str, ...]:
        sure = (f"network.head.confidences.{expert}.",) if learned and expert < len(experts) - 1 else ()
        return (f"network.encoder.experts.{expert}.", f"network.head.heads.{expert}.", *sure)

    turns = InTurn(rule, tuple(names(expert) for expert in range(len(experts))), rounds, alone)
    stage = Stage(rule if joint else turns, lambda shape: Mixture(joint, through), Whole())
    return Recipe(encoder, (stage,), head, memory="data")


def perceptron(hidden: int, layers: int, dropout: float) -> Recipe:
    """The weak expert: features alone, and no rule of its own."""
    return Recipe(
        encoder=lambda shape: Alone(shape.item[0], hidden, layers, dropout=dropout),
        head=lambda shape: Linear(hidden, shape.classes),
    )


@recipe(entry="mowst", paper="Zeng et al. 2024, arXiv:2311.05185", domains="graph", needs="labels")
def mowst(
    strong: str = "gcn",
    hidden: int = 64,
    layers: int = 1,
    confidence: str = "variance",
    power: float = 1.0,
    joint: bool = False,
    through: bool = True,
    alone: bool = True,
    rounds: int = 3,
    answer: str = "mixture",
    dropout: float = 0.5,
    lr: float = 0.01,
    weight_decay: float = 5e-4,
    epochs: int = 200,
    patience: int = 0,
) -> Recipe:
    """semblance fit texas --recipe mowst

    strong       the network on the graph: a recipe for nodes (gcn, sage, gat, gin-nodes) with its own defaults
    confidence   of the perceptron: variance, entropy, or learned from both; power: to which it is taken
    joint        Mowst*: both learn at once from the mixture's answer
    through      whether the gradient passes the confidence
    alone        each learns by itself before the rounds
    answer       mixture, or drawn: on the mean over draws of one of the two
    epochs       of a turn; patience ends it early, and ends it too early where features are sparse and learning starts on a
                 plateau (Texas: 57% instead of 78% at a patience of 30)
    """
    row = row_of(strong)
    expert = build(strong)
    if "graph" not in row.domains or "labels" not in row.needs or expert.head is None:
        raise SemblanceError(
            f"{strong!r} is no network that answers for nodes of a graph: take gcn, sage, gat or gin-nodes"
        )
    rule = adam(lr, weight_decay, epochs, patience)
    experts = (perceptron(hidden, layers, dropout), expert)
    return mixed(experts, rule, confidence, power, joint, through, rounds, alone, answer)
