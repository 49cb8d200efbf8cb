"""Views of a graph under contrast: a node is to find itself in the other view.

grace    pairs and features left out; a network of two convolutions
"""

from __future__ import annotations

from semblance.data.dataset import Shape
from semblance.data.graph_views import GraphViews
from semblance.data.relational import Whole
from semblance.encoders.graphs.message import Convolution
from semblance.encoders.graphs.stack import Stack
from semblance.learning.backprop import Backprop
from semblance.objectives.contrast import Contrast
from semblance.objectives.kernels import Cosine
from semblance.objectives.lift import Lifted, on_views
from semblance.objectives.neighbours import other_view
from semblance.objectives.projector import perceptron
from semblance.recipes.graph_networks import start
from semblance.recipes.registry import Recipe, Stage, recipe


@recipe(entry=None, paper="Zhu et al. 2020, arXiv:2006.04131", domains="graph")
def grace(
    dim: int = 128,
    hidden: int = 256,
    edges: float = 0.3,
    features: float = 0.3,
    nodes: int = 1024,
    temperature: float = 0.4,
    lr: float = 1e-3,
    weight_decay: float = 1e-5,
    epochs: int = 100,
) -> Recipe:
    """semblance fit cora --recipe grace    # edges, features: the shares that a view leaves out; nodes: asked in a step"""

    def encoder(shape: Shape) -> Stack:
        initial, width = start("auto", shape)
        return Stack([Convolution(width, hidden), Convolution(hidden, dim)], activate_last=False, initial=initial)

    def objective(shape: Shape) -> Lifted:
        return on_views(Contrast(other_view, Cosine(temperature)), perceptron((dim, dim, dim), hidden_norm=False))

    rule = Backprop("adam", lr=lr, weight_decay=weight_decay, schedule="constant", epochs=epochs)
    stage = Stage(rule, objective, Whole(), GraphViews(2, edges, features, nodes))
    return Recipe(encoder=encoder, stages=(stage,), standardise=False, memory="data")
