"""A survey's categories of graph neural networks, and the recipe that stands for each name.

    graph_model("recurrent", "gated", "nodes")    ->    a recipe for `train`

Families: recurrent; spectral and spatial convolution, training and pooling of both; autoencoders that embed or generate;
spatio-temporal. A name is a recipe with settings; nothing is written twice. A task is what the recipe is asked:

    nodes       a class of every node of one graph
    graphs      a class of every graph
    links       which nodes are linked, from the products of their states
    generation  more graphs like these
    forecast    a number of every node of a window (`node_labels`)

Names that have no recipe of their own are settings of one: the sum, mean and maximum over nodes are gin with that read-out.
Reference: Wu et al. 2021, A Comprehensive Survey on Graph Neural Networks, arXiv:1901.00596.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from semblance.data.relational import Whole
from semblance.data.samplers import Shuffled
from semblance.errors import unknown
from semblance.learning.backprop import Backprop
from semblance.objectives.links import Links
from semblance.recipes.graph_networks import answer, error
from semblance.recipes.graph_temporal import forecasting
from semblance.recipes.registry import Recipe, Stage, build


@dataclass(frozen=True)
class Row:
    """inputs: what is read beside the edges; pooling: how graphs get smaller; readout: how a graph is read; cost: of a
    pass, V nodes, E edges, K steps, T measurements; tasks: the first is the recipe's own."""

    family: str
    name: str
    recipe: str
    tasks: tuple[str, ...]
    inputs: str = "features"
    pooling: str = "none"
    readout: str = "none"
    cost: str = "E"
    settings: Mapping[str, Any] = field(default_factory=dict)


NODES = ("nodes", "graphs", "links")
"""What a stack of layers can be asked."""
ALONE = ("nodes",)
TABLE = (
    Row("recurrent", "fixed-point", "graph-fixed-point", NODES, cost="E per step until settled"),
    Row("recurrent", "gated", "graph-gated", NODES, cost="K E"),
    Row("recurrent", "steady-state", "graph-steady-state", NODES, cost="K E"),
    Row("spectral", "spectral-cnn", "spectral-cnn", ALONE, cost="V^2 once, then V K"),
    Row("spectral", "cheb-net", "cheb-net", NODES, cost="K E"),
    Row("spectral", "gcn", "gcn", NODES),
    Row("spectral", "adaptive-gcn", "adaptive-gcn", NODES, cost="V^2"),
    Row("spatial", "nn4g", "nn4g", NODES),
    Row("spatial", "diffusion-cnn", "diffusion-cnn", ALONE, cost="K E"),
    Row("spatial", "sage", "sage", NODES),
    Row("spatial", "sage-pool", "sage-pool", NODES),
    Row("spatial", "sage-lstm", "sage-lstm", NODES, cost="E, one neighbour after the other"),
    Row("spatial", "gat", "gat", NODES),
    Row("spatial", "monet", "monet", NODES, cost="K E"),
    Row("spatial", "gin", "gin", ("graphs",), readout="sum over nodes and layers"),
    Row("training", "full-batch", "gcn", ALONE, cost="E, all states at once"),
    Row("training", "neighbours", "sage-sampled", ALONE, cost="fan-out^layers per unit"),
    Row("training", "layers", "fast-gcn", ALONE, cost="sample size per batch"),
    Row("training", "clusters", "gcn-clustered", ALONE, cost="edges within the blocks"),
    Row("pooling", "sum", "gin", ("graphs",), readout="sum", settings={"readout": "sum"}),
    Row("pooling", "mean", "gin", ("graphs",), readout="mean", settings={"readout": "mean"}),
    Row("pooling", "max", "gin", ("graphs",), readout="max", settings={"readout": "max"}),
    Row("pooling", "set-to-set", "set-to-set", ("graphs",), readout="attention, several times", cost="E + K V"),
    Row("pooling", "sort", "sort-pool", ("graphs",), readout="the first k in order", cost="E + V log V"),
    Row("pooling", "dense", "diff-pool", ("graphs",), pooling="assignment", readout="mean and max", cost="V^2"),
    Row("pooling", "top-k", "sparse-hierarchical", ("graphs",), pooling="of largest score", readout="mean and max"),
    Row("embedding", "autoencoder", "graph-autoencoder", ("links",)),
    Row("embedding", "variational", "variational-graph-autoencoder", ("links",)),
    Row("embedding", "adversarial", "adversarial-graph-autoencoder", ("links",)),
    Row("embedding", "sdne", "sdne", ("links",), inputs="nothing", cost="E + batch V"),
    Row("embedding", "walks", "deepwalk", ("links",), inputs="nothing", cost="steps of walks"),
    Row("generation", "one-shot", "graph-vae", ("generation",), readout="mean", cost="V^2"),
    Row("generation", "edge-by-edge", "graph-rnn", ("generation",), inputs="nothing", readout="last state", cost="V^2"),
    Row("spatio-temporal", "graph-gru", "graph-gru", ("forecast", "graphs"), "series", readout="mean", cost="T K E"),
    Row("spatio-temporal", "gated", "graph-gated-time", ("forecast", "graphs"), "series", readout="mean", cost="T K E"),
    Row(
        "spatio-temporal",
        "dilated",
        "graph-dilated-time",
        ("forecast", "graphs"),
        "series",
        readout="mean",
        cost="T V^2",
    ),
)


def row_of(family: str, name: str) -> Row:
    """The row of a name, or an error that tells the nearest."""
    if family not in {row.family for row in TABLE}:
        raise unknown("family of graph networks", family, {row.family for row in TABLE})
    found = {row.name: row for row in TABLE if row.family == family}
    if name not in found:
        raise unknown(f"{family} network", name, found)
    return found[name]


def graph_model(family: str, name: str, task: str | None = None, **settings: Any) -> Recipe:
    """The recipe of a name, asked its own task or another one that it can be asked; settings are the recipe's."""
    row = row_of(family, name)
    task = row.tasks[0] if task is None else task
    if task not in row.tasks:
        raise unknown(f"task of {name}", task, row.tasks)
    made = build(row.recipe, **{**row.settings, **settings})
    if task == "forecast":
        return forecasting(made)
    if task == row.tasks[0] or (row.tasks[0] == "forecast" and task == "graphs"):
        return made
    return _of_graphs(made) if task == "graphs" else _of_links(made)


def _of_graphs(made: Recipe) -> Recipe:
    """A recipe of nodes asked about graphs: their pooled states, a linear map, batches."""
    stage = Stage(made.stages[0].rule, error, Shuffled(32))
    return replace(made, head=answer(made.encoder), stages=(stage,), memory="batch")


def _of_links(made: Recipe) -> Recipe:
    """A recipe of nodes asked which of them are linked."""
    rule: Backprop = replace(made.stages[0].rule, best="", patience=0)
    stage = Stage(rule, lambda shape: Links("cross-entropy"), Whole())
    return replace(made, head=None, stages=(stage,))


def table() -> list[dict[str, str]]:
    """Family, name, recipe, tasks, inputs, pooling, read-out and cost of every name."""
    columns = ("family", "name", "recipe", "inputs", "pooling", "readout", "cost")
    return [{c: getattr(row, c) for c in columns} | {"tasks": ", ".join(row.tasks)} for row in TABLE]
