"""Claim of neural graph fingerprints: with large random weights they are near where hashed ones are; learned ones serve
their task better than small random ones, and their entries can be read."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold

from semblance.claims.graph_settings import reordered
from semblance.claims.ledger import Run, at_least, below, claim
from semblance.data.load import load
from semblance.data.relational import RelationalDataset
from semblance.encoders.graphs.fingerprints import Circular, Fingerprint, Fragment, fragments, tanimoto
from semblance.geometry.graph import Graph
from semblance.recipes.graph_fingerprints import neural_fingerprint as recipe
from semblance.space.model import Model
from semblance.space.training import train

LENGTH, LONG, LAYERS, HIDDEN = 50, 2048, 4, 64
LARGE = 30.0
MOLECULES, PAIRS, BLOCK = 2000, 2000, 100
EPOCHS, RATE = 20, 3e-3
NITROGEN, OXYGEN, MUTAGENIC = 5, 6, 1
"""Columns of MUTAG's atoms, by their counts, and the class that is more than half of it."""
STRONGEST = 20


@claim(
    "neural-graph-fingerprints",
    parts={
        "NCI1, correlation of Tanimoto distances, hashed and large random weights": at_least(0.6),
        "NCI1 accuracy, learned over small random weights": at_least(0.02),
        "NCI1 accuracy, learned over circular fingerprints of equal length": at_least(-0.03),
        "largest change of an entry when atoms are reordered": below(1e-5),
        "largest distance of the mass per atom from R + 1": below(1e-5),
        "MUTAG, nitro groups among the strongest fragments over all fragments": at_least(1.3),
    },
    data=("nci1", "mutag"),
    seeds=(0, 1, 2, 3, 4),
    broken="the weights stay small and random: they are not scaled, and only the head learns",
    files=(
        "encoders/graphs/fingerprints.py",
        "encoders/graphs/subtrees.py",
        "encoders/graphs/stack.py",
        "recipes/graph_fingerprints.py",
        "recipes/graph_readouts.py",
    ),
)
def neural_graph_fingerprints(run: Run) -> None:
    """Fingerprints whose layers have large random weights give the distances that hashed ones give. Learned, they classify
    molecules better than with small random weights and about as well as hashed ones of their length, and the entry that
    speaks most for mutagenicity stands for nitro groups. Seeds are folds of 2,000 molecules of NCI1, and of MUTAG."""
    whole = load("nci1")
    data = whole.subset(np.sort(np.random.default_rng(281).permutation(len(whole))[:MOLECULES]))
    few = run.seeds[:3]
    run.report(
        "NCI1, correlation of Tanimoto distances, hashed and large random weights",
        [correlation(data, seed, 1.0 if run.broken else LARGE) for seed in few],
    )
    run.report("largest change of an entry when atoms are reordered", [moved(data, seed) for seed in few])
    run.report("largest distance of the mass per atom from R + 1", [mass(data, seed) for seed in few])

    y, rows = data.targets["labels"], np.arange(len(data))
    folds = list(StratifiedKFold(len(run.seeds), shuffle=True, random_state=0).split(rows, y))
    frozen = [accuracy(data, fold, seed, True) for seed, fold in zip(run.seeds, folds, strict=True)]
    learned = frozen if run.broken else [accuracy(data, f, s, False) for s, f in zip(run.seeds, folds, strict=True)]
    hashed = {length: [regression(data, fold, length) for fold in folds] for length in (LENGTH, LONG)}
    run.report("NCI1 accuracy, learned over small random weights", np.subtract(learned, frozen).tolist())
    gap = np.subtract(learned, hashed[LENGTH]).tolist()
    run.report("NCI1 accuracy, learned over circular fingerprints of equal length", gap)
    run.baseline("NCI1 accuracy, learned", learned)
    run.baseline("NCI1 accuracy, small random weights", frozen)
    for length, values in hashed.items():
        run.baseline(f"NCI1 accuracy, circular fingerprints of {length} bits", values)

    molecules = load("mutag")
    shares = [nitro(molecules.with_split(seed % 10), seed, run.broken) for seed in few]
    run.report("MUTAG, nitro groups among the strongest fragments over all fragments", [s[0] for s in shares])
    run.baseline("MUTAG, the same over fragments of equal radius", [s[1] for s in shares])


def drawn(data: RelationalDataset, seed: int, length: int, scale: float, activation: str = "tanh") -> Fingerprint:
    """A fingerprint with the random weights of this seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Fingerprint(data.shape().item[0], LAYERS, HIDDEN, length, activation, scale=scale).eval()


@torch.no_grad()
def correlation(data: RelationalDataset, seed: int, scale: float) -> float:
    """Pearson's, of the two distances over random pairs of molecules."""
    encoder, hashes = drawn(data, seed, LONG, scale), Circular(LAYERS, LONG)
    blocks = [data.read(rows) for rows in np.array_split(np.arange(len(data)), len(data) // BLOCK)]
    a, b = np.random.default_rng([281, seed]).integers(0, len(data), (2, PAIRS))
    z, bits = (torch.cat([each.embed(batch) for batch in blocks]) for each in (encoder, hashes))
    return float(np.corrcoef(tanimoto(z[a], z[b]), tanimoto(bits[a], bits[b]))[0, 1])


@torch.no_grad()
def moved(data: RelationalDataset, seed: int) -> float:
    """Between fingerprints of 100 molecules and of the same with their atoms in another order."""
    part = data.subset(np.arange(BLOCK))
    encoder, rows = drawn(data, seed, LENGTH, 1.0, "relu"), np.arange(BLOCK)
    return float((encoder.embed(part.read(rows)) - encoder.embed(reordered(part, seed).read(rows))).abs().max())


@torch.no_grad()
def mass(data: RelationalDataset, seed: int) -> float:
    """Of 100 molecules."""
    batch = data.read(np.arange(BLOCK))
    total = drawn(data, seed, LENGTH, 1.0, "relu").embed(batch).double().sum(1)
    return float((total / batch["graph"].member.bincount() - (LAYERS + 1)).abs().max())


def accuracy(data: RelationalDataset, fold: tuple[np.ndarray, np.ndarray], seed: int, frozen: bool) -> float:
    """On a fold, at the best epoch by a tenth of the others; of the whole network, or of its head alone."""
    rest = np.random.default_rng([281, seed]).permutation(fold[0])
    split = {"val": np.sort(rest[: len(rest) // 10]), "train": np.sort(rest[len(rest) // 10 :]), "test": fold[1]}
    made = recipe(length=LENGTH, layers=LAYERS, hidden=HIDDEN, frozen=frozen, lr=RATE, epochs=EPOCHS)
    model = train(replace(data, splits=split), made, seed=seed)
    answers = np.array(model.predict(data.subset(fold[1])))
    return float((answers == np.array(data.classes)[data.targets["labels"][fold[1]]]).mean())


def regression(data: RelationalDataset, fold: tuple[np.ndarray, np.ndarray], length: int) -> float:
    """Logistic regression on circular fingerprints."""
    bits, y = Circular(LAYERS, length).embed(data.read(np.arange(len(data)))).numpy(), data.targets["labels"]
    return float(LogisticRegression(max_iter=1000).fit(bits[fold[0]], y[fold[0]]).score(bits[fold[1]], y[fold[1]]))


def nitro(data: RelationalDataset, seed: int, frozen: bool) -> tuple[float, float]:
    """How much oftener the fragments touch a nitro group that most activate the entry with the largest weight for
    mutagenicity: than all fragments, and than all of the same radii."""
    model = train(data, recipe(units=0, length=LENGTH, frozen=frozen, lr=RATE, epochs=50), seed=seed)
    strongest = explained(model, data)
    touched = touching(data)
    share = np.mean([bool(touched[f.atom, f.radius]) for f in strongest])
    return float(share / touched.mean()), float(share / touched.mean(0)[[f.radius for f in strongest]].mean())


def explained(model: Model, data: RelationalDataset) -> list[Fragment]:
    """The strongest fragments of the entry that speaks most for the mutagenic class."""
    weight = model.network.head.map.weight
    entry = int((weight[MUTAGENIC] - weight[1 - MUTAGENIC]).argmax())
    return fragments(model.network.encoder, data.read(np.arange(len(data))), entry, STRONGEST)


def touching(data: RelationalDataset) -> np.ndarray:
    """bool [V, R + 1]: whether an atom's neighbourhood of every radius holds an atom of a nitro group."""
    graph: Graph = data.graph
    kind = np.asarray(data.x).argmax(1)
    source, target = graph.edge_index.numpy()
    to_oxygen = np.bincount(target[kind[source] == OXYGEN], minlength=len(kind))
    centre = (kind == NITROGEN) & (to_oxygen == 2)
    of_group = centre.copy()
    of_group[source[centre[target] & (kind[source] == OXYGEN)]] = True
    found = [of_group]
    for _ in range(LAYERS):
        reached = found[-1].copy()
        np.logical_or.at(reached, target, found[-1][source])
        found.append(reached)
    return np.stack(found, 1)
