"""Claim of the graph ViT and MLP-Mixer: tokens of patches see what message passing cannot tell apart and what is too far
away for it, at a cost in proportion to the graph.

Seeds are the folds of the circulant graphs. The answer about a ring is read at the first marked node, for the mixer from
the token of the patch in whose block that lies.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from semblance.claims.ledger import Run, above, at_least, at_most, below, claim, exactly
from semblance.contracts import Batch
from semblance.data.dataset import Shape
from semblance.data.graph_generators import both_ways
from semblance.data.regular_graphs import labelled_rings, rook_and_shrikhande, shuffled, skip_links
from semblance.data.relational import RelationalDataset
from semblance.encoders.graphs.positions import walks
from semblance.geometry.graph import Graph
from semblance.heads.of_nodes import EveryNode
from semblance.objectives.classify import CrossEntropy
from semblance.objectives.of_nodes import OfNodes
from semblance.recipes.backbones import width_of
from semblance.recipes.graph_patches import graph_mixer, graph_vit
from semblance.recipes.graph_pooled import gin
from semblance.recipes.registry import Recipe
from semblance.space.model import Model, assemble
from semblance.space.training import train

HIDDEN = 64
FITTED = {"hidden": 32, "batch": 8, "epochs": 40, "lr": 2e-3}
"""Of the networks that learn the circulant graphs, of which 90 teach."""
RINGS = {"train": 1600, "val": 100, "test": 300}
ON_RINGS = {"hidden": 32, "layers": 3, "batch": 32, "epochs": 40, "lr": 3e-3}
"""The perceptron over tokens must find a sum that does not ask which of the 8 places a token has. A first run of this claim
had hidden layers of MLP-Mixer's widths: it found none by the end on seed 2 (0.90, 1.00, 0.51; on seeds 101 to 103 0.89 to
0.91). With those of the public code seeds 101 to 103 begin to learn three times as early and reach 0.95 to 1."""
OF_PATCHES = {"patches": 8, "mixers": 2, "positions": "none"}
DRAWS, FEW = 50, 8
"""Partitions of the 16 nodes, into so many patches: into 32 every node would be a block of its own."""
SIZES = (500, 1000, 2000, 4000, 8000)


@claim(
    "graph-vit-mlp-mixer",
    parts={
        "CSL accuracy, mixer": at_least(0.90),
        "CSL accuracy, ViT": at_least(0.90),
        "CSL accuracy, GIN without encodings": exactly(0.10),
        "CSL, largest difference between outputs of that GIN": below(1e-3),
        "standard errors between rook 4 x 4 and Shrikhande": above(5),
        "rings, accuracy of the mixer": at_least(0.90),
        "rings, accuracy of GIN with 3 layers": at_most(0.60),
        "slope of forward time over nodes, log-log": at_most(1.2),
    },
    data=("synthetic: CSL circulant graphs", "synthetic: labelled rings"),
    seeds=(0, 1, 2, 3, 4),
    broken="tokens are not mixed, and neither nodes nor patches have positions",
    files=(
        "data/neighbour_samples.py",
        "data/regular_graphs.py",
        "encoders/graphs/mixing.py",
        "encoders/graphs/patched.py",
        "encoders/graphs/positions.py",
        "encoders/graphs/substructures.py",
        "recipes/graph_patches.py",
    ),
)
def graph_vit_mlp_mixer(run: Run) -> None:
    """Cut into overlapping patches whose tokens are mixed as those of an image, graphs are told apart that message passing
    takes for one another, nodes learn of what is twenty steps away, and the cost grows with the graph and no faster."""
    kept = {"positions": "none", "mixers": 0} if run.broken else {}
    made = {"mixer": graph_mixer(**{**FITTED, **kept}), "ViT": graph_vit(**{**FITTED, **kept})}
    seeds = run.seeds[:2] if run.broken else run.seeds
    folds = [skip_links().with_split(fold % 5) for fold in seeds]
    for name, recipe in made.items():
        run.report(f"CSL accuracy, {name}", [of_graphs(d, recipe, s)[0] for s, d in zip(seeds, folds, strict=True)])
    plain = [of_graphs(d, gin(initial="constant", epochs=4), s) for s, d in zip(seeds, folds, strict=True)]
    run.report("CSL accuracy, GIN without encodings", [found for found, _ in plain])
    run.report("CSL, largest difference between outputs of that GIN", max(apart(m, folds[0]) for _, m in plain))
    told = [
        of_graphs(with_walks(d), gin(epochs=FITTED["epochs"], batch=8), s)[0] for s, d in zip(seeds, folds, strict=True)
    ]
    run.baseline("CSL accuracy, GIN with the same encodings", told)

    found, same = zip(*(separated(seed, bool(run.broken)) for seed in seeds), strict=True)
    run.report("standard errors between rook 4 x 4 and Shrikhande", min(found))
    run.baseline("standard errors between rook 4 x 4 and the same numbered otherwise", same)

    rings = [(seed, labelled_rings(RINGS, seed=seed)) for seed in seeds[:3]]
    mixer = graph_mixer(**{**ON_RINGS, **OF_PATCHES, **kept})
    run.report("rings, accuracy of the mixer", [of_nodes(data, mixer, seed) for seed, data in rings])
    passing = gin(**ON_RINGS)
    run.report("rings, accuracy of GIN with 3 layers", [of_nodes(data, passing, seed) for seed, data in rings])

    seconds = [forward_seconds(size) for size in SIZES]
    run.report("slope of forward time over nodes, log-log", float(np.polyfit(np.log(SIZES), np.log(seconds), 1)[0]))
    run.baseline("forward seconds at 8,000 nodes", seconds[-1])


def of_graphs(data: RelationalDataset, recipe: Recipe, seed: int) -> tuple[float, Model]:
    """Accuracy on the test graphs at the epoch of best validation, and the model."""
    model = train(data, recipe, seed=seed)
    rows = data.splits["test"]
    answers = np.array(model.predict(data.subset(rows)))
    return float((answers == np.array(data.classes)[data.targets["labels"][rows]]).mean()), model


def apart(model: Model, data: RelationalDataset) -> float:
    """The largest difference between embeddings of two graphs, over their mean length."""
    z = model.embed(data)
    return float(np.ptp(z, axis=0).max() / np.linalg.norm(z, axis=1).mean())


def with_walks(data: RelationalDataset) -> RelationalDataset:
    """The encodings as features."""
    return replace(data, x=walks(data.graph).numpy().astype(np.float32))


@torch.no_grad()
def separated(seed: int, broken: bool) -> tuple[float, float]:
    """Over random partitions and numberings: the distance of the mean outputs of the two graphs in standard errors, in the
    coordinate where it is largest; and that of two series of the same graph. Constant input, random weights."""
    recipe = graph_mixer(
        hidden=HIDDEN, patches=1 if broken else FEW, positions="none", mixers=0 if broken else 4, drop=0
    )
    encoder = assemble(recipe, Shape("graphs", (1,), 2, 1), seed=seed).encoder.eval()
    rng = np.random.default_rng([107, 2, seed])
    rook, other = rook_and_shrikhande()
    series = [torch.cat([drawn(encoder, graph, rng) for _ in range(DRAWS)]) for graph in (rook, other, rook)]
    return errors(series[0], series[1]), errors(series[0], series[2])


def drawn(encoder: torch.nn.Module, graph: Graph, rng: np.random.Generator) -> Tensor:
    """[1, dim]: what a random numbering is embedded to; in eval mode the partition follows the numbering."""
    one = replace(shuffled(graph, rng)[0], member=torch.zeros(graph.num_nodes, dtype=torch.int64))
    z: Tensor = encoder.embed({"graph": one, "x": torch.ones(graph.num_nodes, 1)})  # type: ignore[operator]
    return z


def errors(one: Tensor, other: Tensor) -> float:
    """[n, d] twice -> the largest distance of means over its standard error."""
    spread = ((one.double().var(0) + other.double().var(0)) / len(one)).sqrt()
    away = (one.double().mean(0) - other.double().mean(0)).abs()
    return float((away / spread.clamp(min=1e-6)).max())


def of_nodes(data: RelationalDataset, recipe: Recipe, seed: int) -> float:
    """Accuracy at the marked nodes of the test rings."""
    head: Callable[[Shape], EveryNode] = lambda shape: EveryNode(node_width(recipe, shape), 2)  # noqa: E731
    stage = replace(recipe.stages[0], objective=lambda shape: OfNodes(CrossEntropy()))
    network = train(data, replace(recipe, head=head, stages=(stage,)), seed=seed).network.eval()
    rows, right = data.splits["test"], []
    with torch.no_grad():
        for part in np.array_split(rows, 8):
            batch: Batch = data.read(part)
            wanted = torch.as_tensor(batch["node_labels"])
            answered = network(batch).argmax(1)
            right.append((answered == wanted)[wanted >= 0])
    return float(torch.cat(right).float().mean())


def node_width(recipe: Recipe, shape: Shape) -> int:
    """Of the states of nodes, which for both encoders is that of the embedding."""
    return width_of(recipe.encoder, shape)


def forward_seconds(nodes: int) -> float:
    """The fastest of five passes over a random graph of mean degree 4, partition included."""
    rng = np.random.default_rng([107, nodes])
    graph = both_ways(rng.integers(0, nodes, (2, 2 * nodes)), nodes)
    encoder = assemble(graph_mixer(hidden=HIDDEN, positions="none"), Shape("graphs", (8,), 2, 1), seed=0).encoder.eval()
    taken = []
    with torch.no_grad():
        for _ in range(5):
            anew = Graph(graph.edge_index, nodes, member=torch.zeros(nodes, dtype=torch.int64))
            begun = time.perf_counter()
            encoder.embed({"graph": anew, "x": torch.ones(nodes, 8)})
            taken.append(time.perf_counter() - begun)
    return min(taken)
