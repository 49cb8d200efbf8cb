"""Claim of GIN: sums over neighbours tell apart exactly what colour refinement does; means and maxima do not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from semblance.claims.ledger import Run, above, at_least, at_most, below, claim, exactly
from semblance.data.dataset import Shape
from semblance.data.graph_generators import inseparable_pairs, random_pairs
from semblance.data.load import load
from semblance.data.relational import RelationalDataset
from semblance.encoders.graphs.refinement import wl_distinguishes
from semblance.encoders.graphs.stack import Stack
from semblance.geometry.graph import Graph, joined
from semblance.recipes.graph_pooled import gin as recipe
from semblance.space.model import Model, assemble
from semblance.space.training import train

SHOWN = 1e-5  # what a pair that refinement separates has to differ by
BUTTERFLY = {"mean": ("ab", "aabb"), "max": ("abb", "aab")}  # neighbourhoods that each cannot separate


@claim(
    "gin",
    parts={
        "pairs told apart otherwise than by colour refinement": exactly(0),
        "smallest difference of a pair that refinement separates": above(SHOWN),
        "largest difference of a pair that it does not": below(1e-6),
        "difference of {a, b} and {a, a, b, b} under mean": below(1e-6),
        "difference of {a, b, b} and {a, a, b} under max": below(1e-6),
        "smaller difference of the two under sum": above(SHOWN),
        "IMDB-B test accuracy, sum": at_least(0.65),
        "IMDB-B distance of mean with mean read-out from the majority class": at_most(0.02),
        "NCI1 training accuracy of sum with a perceptron over mean with one layer": at_least(0.03),
    },
    data=("imdb-binary", "nci1"),
    broken="the sums of GIN are replaced by means, over neighbours and in the read-out",
    files=(
        "encoders/graphs/message.py",
        "encoders/graphs/stack.py",
        "encoders/graphs/refinement.py",
        "recipes/graph_pooled.py",
        "data/graph_generators.py",
    ),
)
def gin(run: Run) -> None:
    """With random weights GIN separates two graphs exactly where colour refinement does; means and maxima cannot separate
    neighbourhoods that sums can. Without features sums classify the graphs of IMDB-B and means cannot; on NCI1 sums with
    perceptrons fit the training graphs better than means with single layers. Seeds are folds 0, 1, 2 of IMDB-B."""
    how = "mean" if run.broken else "sum"
    pairs = random_pairs(200) + list(inseparable_pairs().values())
    told = np.array([wl_distinguishes(*pair) for pair in pairs])
    far = np.array([difference(pair, how) for pair in pairs])
    run.report("pairs told apart otherwise than by colour refinement", float(((far > SHOWN) != told).sum()))
    run.report("smallest difference of a pair that refinement separates", far[told].min())
    run.report("largest difference of a pair that it does not", far[~told].max())
    run.baseline("pairs of 205 that refinement separates", float(told.sum()))
    run.report("difference of {a, b} and {a, a, b, b} under mean", of_neighbourhoods("mean", "mean"))
    run.report("difference of {a, b, b} and {a, a, b} under max", of_neighbourhoods("max", "max"))
    run.report("smaller difference of the two under sum", min(of_neighbourhoods(how, name) for name in BUTTERFLY))

    films = [load("imdb-binary").with_split(fold) for fold in run.seeds]
    run.report(
        "IMDB-B test accuracy, sum", [film_accuracy(d, fold, how) for fold, d in zip(run.seeds, films, strict=True)]
    )
    away = [abs(film_accuracy(d, fold, "mean") - majority(d)) for fold, d in zip(run.seeds, films, strict=True)]
    run.report("IMDB-B distance of mean with mean read-out from the majority class", away)
    run.baseline("IMDB-B majority class", [majority(d) for d in films])

    molecules = a_thousand()
    strong = [fitted(molecules, seed, how, 1 if run.broken else 2) for seed in run.seeds]
    weak = [fitted(molecules, seed, "mean", 1) for seed in run.seeds]
    gains = [a - b for a, b in zip(strong, weak, strict=True)]
    run.report("NCI1 training accuracy of sum with a perceptron over mean with one layer", gains)
    run.baseline("NCI1 training accuracy, sum with a perceptron", strong)
    run.baseline("NCI1 training accuracy, mean with one layer", weak)


def random_network(how: str, inputs: int) -> Stack:
    """GIN with the weights of seed 0, in float64."""
    read = "sum" if how == "sum" else how
    made = recipe(aggregator=how, readout=read, initial="constant" if inputs == 1 else "given")
    return assemble(made, Shape("graphs", (inputs,), 2, 1), seed=0).encoder.double().eval()


@torch.no_grad()
def difference(pair: tuple[Graph, Graph], how: str) -> float:
    """The largest difference between the embeddings of two graphs without features."""
    x = torch.ones(pair[0].num_nodes + pair[1].num_nodes, 1, dtype=torch.float64)
    network = random_network(how, 1)
    network.initial = None
    one, other = network.embed({"graph": joined(pair), "x": x})
    return float((one - other).abs().max())


@torch.no_grad()
def of_neighbourhoods(how: str, pair: str) -> float:
    """The difference, after one layer, of a node that sees the one or the other neighbourhood of two kinds of nodes. The
    nodes themselves are alike; mean and max are those of the neighbours alone."""
    layer = random_network(how, 2).layers[0]
    layer.pooled = False
    states = [layer(*seen(neighbours))[0] for neighbours in BUTTERFLY[pair]]
    return float((states[0] - states[1]).abs().max())


def seen(neighbours: str) -> tuple[Tensor, Graph]:
    """Features and graph of a node (of kind b) and its neighbours, a letter each."""
    kinds = torch.tensor([[1.0, 0.0] if kind == "a" else [0.0, 1.0] for kind in "b" + neighbours], dtype=torch.float64)
    count = len(neighbours)
    into = torch.stack([torch.arange(1, count + 1), torch.zeros(count, dtype=torch.int64)])
    return kinds, Graph(into, count + 1, directed=True)


def film_accuracy(data: RelationalDataset, fold: int, how: str) -> float:
    """Test accuracy on a fold from constant features, after the best of 40 epochs by the validation fold."""
    chosen = recipe(aggregator=how, readout=how, initial="constant", epochs=40)
    return accuracy(train(data, chosen, seed=fold), data, data.splits["test"])


def majority(data: RelationalDataset) -> float:
    """Test accuracy of the more frequent class in training."""
    labels = data.targets["labels"]
    return float((labels[data.splits["test"]] == np.bincount(labels[data.splits["train"]]).argmax()).mean())


def a_thousand() -> RelationalDataset:
    """1,000 random graphs of NCI1, all for training; what is kept is judged on the same."""
    whole = load("nci1")
    data = whole.subset(np.sort(np.random.default_rng(0).permutation(len(whole))[:1000]))
    every = np.arange(len(data))
    return replace(data, splits={"train": every, "val": every, "test": every[:0]})


def fitted(data: RelationalDataset, seed: int, how: str, depth: int) -> float:
    """Training accuracy after 60 epochs."""
    made = recipe(aggregator=how, depth=depth, epochs=60)
    rule = replace(made.stages[0].rule, best="")
    model = train(data, replace(made, stages=(replace(made.stages[0], rule=rule),)), seed=seed)
    return accuracy(model, data, data.splits["train"])


def accuracy(model: Model, data: RelationalDataset, rows: np.ndarray) -> float:
    """Of the classes that the model answers for these units."""
    answers = np.array(model.predict(data))[rows]
    return float((answers == np.array(data.classes)[data.targets["labels"][rows]]).mean())
