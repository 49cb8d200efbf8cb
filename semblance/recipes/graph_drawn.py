"""Message passing on whole graphs whose nodes start from random features.

rni    a node plus the sum of its neighbours, linear maps of each, from features of which a share is drawn at random
"""

from __future__ import annotations

from torch import nn

from semblance.data.dataset import Shape
from semblance.data.samplers import Shuffled
from semblance.encoders.graphs.drawn import Averaged, Drawn
from semblance.encoders.graphs.entrance import Entrance
from semblance.encoders.graphs.message import Sage
from semblance.encoders.graphs.stack import Stack
from semblance.errors import SemblanceError
from semblance.recipes.graph_networks import adam, error
from semblance.recipes.graph_readouts import through
from semblance.recipes.registry import Recipe, Stage, recipe


@recipe(
    entry="random-node-initialisation", paper="Abboud et al. 2021, arXiv:2010.01179", domains="graphs", needs="labels"
)
def rni(
    share: float = 0.5,
    distribution: str = "normal",
    hidden: int = 64,
    layers: int = 8,
    readout: str = "max",
    draws: int = 4,
    batch: int = 50,
    lr: float = 5e-4,
    epochs: int = 150,
    patience: int = 0,
) -> Recipe:
    """semblance fit mutag --recipe rni

    share          of the first features that is drawn; the rest is a linear map of what is given, or of the degree
    distribution   normal, uniform, xavier-normal or xavier-uniform
    draws          whose answers are averaged when something is asked
    """
    if not 0 <= share <= 1:
        raise SemblanceError(f"share is {share}, but it is that of the features drawn at random: give 0 to 1")

    def encoder(shape: Shape) -> Averaged:
        drawn = round(share * hidden)
        given = Entrance(shape, hidden - drawn) if drawn < hidden else None
        # No normalisation: it would erase the variance that carries the signal.
        stack = Stack(
            [summed(hidden) for _ in range(layers)],
            activation="elu",
            initial=Drawn(drawn, given, distribution),
            readout=readout,
        )
        after = nn.Sequential(nn.Linear(hidden, hidden), nn.ELU(), nn.Linear(hidden, hidden // 2), nn.ELU())
        return Averaged(stack, after, hidden // 2, draws)

    # The head's two hidden layers are the encoder's: behind them a mean over draws is the mean of the answers.
    rule = adam(lr, 0.0, epochs, patience)
    return Recipe(encoder, (Stage(rule, error, Shuffled(batch)),), through(encoder, 0))


def summed(width: int) -> Sage:
    """A layer whose maps start as torch's do: Glorot's are wider, and eight sums over neighbours would multiply that into
    a loss of 5 at the start."""
    layer = Sage(width, width, "sum")
    layer.neighbours.reset_parameters()
    layer.itself.reset_parameters()
    return layer
