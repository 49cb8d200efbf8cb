"""ClusterNet: a few labels among many pictures say where an autoencoder's codes are to gather.

MNIST, 6,000 digits, small net to 10 numbers and its mirror; 5 epochs of reconstruction, shared by all that follows, and 5
together. Accuracy of the best matching of clusters and classes, on the digits whose label was not given.
"""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semblance.analysis.agreement import agreement, matched
from semblance.claims.ledger import Run, at_least, at_most, claim
from semblance.claims.settings import features
from semblance.data.dataset import ArrayDataset, Shape
from semblance.data.load import load
from semblance.geometry.k_means import by_label, k_means, means
from semblance.heads.prototypes.centres import Centres
from semblance.learning.parts import Network, chance, torch_chance
from semblance.objectives.constrained import ConstrainedClusters
from semblance.recipes.constrained import clusternet as recipe
from semblance.recipes.registry import Recipe
from semblance.space.model import Model
from semblance.space.training import train

DIGITS, CLASSES, WARM, JOINT, BATCH = 6000, 10, 5, 5, 64
MANY, FEW = 0.05, 0.02


@claim(
    "clusternet",
    parts={
        "(a) accuracy with 5 percent of the labels": at_least(0.80),
        "(a) the same less the better of k-means on the pretrained code and on pixels": at_least(0.20),
        "(a) the same less constrained k-means on the pretrained code": at_least(0.08),
        "(a) the same less the net without the clustering term": at_least(0.02),
        "(b) accuracy with 2 percent of the labels less none": at_least(0.10),
        "(c) exact: loss without labels off that of deep k-means": at_most(1e-6),
        "(c) exact: change of the loss where members of pairs are swapped": at_most(1e-6),
        "(c) exact: clustering gradient off a pull to the item's one centre": at_most(1e-6),
    },
    data=("mnist",),
    seeds=(0,),
    broken="the given labels are dealt out at random",
    files=(
        "objectives/constrained.py",
        "geometry/k_means.py",
        "data/known.py",
        "heads/prototypes/centres.py",
        "encoders/vision/mirror.py",
        "learning/survey.py",
        "recipes/constrained.py",
        "claims/settings.py",
    ),
    minutes=4.0,
)
def clusternet(run: Run) -> None:
    """With the labels of one digit in twenty, used as pairs and in k-means on the code, the clusters of all digits are
    their classes, far more than clusters without labels or labels without a network that learns from them."""
    exact(run)
    found: dict[str, list[float]] = {name: [] for name in ("5%", "k-means", "seeded", "bare", "2%", "none")}
    for seed in run.seeds:
        data = digits()
        y = np.asarray(data.targets["labels"])[data.splits["train"]]
        many, few, none = (some_labels(y, share, seed, run.broken) for share in (MANY, FEW, 0.0))
        start = train(data, recipe(warm=WARM, epochs=WARM, batch=BATCH), seed=seed, epochs=1 if run.broken else WARM)
        run.progress(f"seed {seed}: rebuilt {start.history[-1]['rebuilt']:.4f}")

        code = torch.from_numpy(features(start, data, data.splits["train"]))
        pixels = torch.from_numpy(data.x[data.splits["train"]].reshape(len(y), -1).astype(np.float32) / 255)
        plain = [k_means(z, CLASSES, torch_chance(seed, 1), starts=10).owner.numpy() for z in (code, pixels)]
        run.baseline("k-means on the pretrained code, and on pixels", [hidden(owner, y, many) for owner in plain])
        found["k-means"].append(max(hidden(owner, y, many) for owner in plain))
        found["seeded"].append(hidden(seeded(code, many, seed), y, many))

        for name, labels, axes in (
            ("5%", many, {}),
            ("bare", many, {"cluster": 0.0}),
            ("2%", few, {}),
            ("none", none, {}),
        ):
            model = joined(start, data, labels, seed, 1 if run.broken else JOINT, **axes)
            owner = clusters(model, data)
            found[name].append(hidden(owner, y, labels))
            nmi = agreement(owner[labels < 0], y[labels < 0])[0]
            last = {key: round(value, 4) for key, value in model.history[-1].items()}
            run.progress(f"seed {seed} {name}: accuracy {found[name][-1]:.4f}, nmi {nmi:.4f}, {last}")
            run.baseline(f"nmi, {name}", nmi)
            if run.broken:
                break
    names = {"5%": "5 percent", "seeded": "constrained k-means", "bare": "no clustering term", "2%": "2 percent"}
    for name, values in found.items():
        if values:
            run.baseline(f"accuracy, {names.get(name, name)}", values)
    part = "(a) the same less"
    run.report("(a) accuracy with 5 percent of the labels", found["5%"])
    gain = np.subtract(found["5%"], found["k-means"])
    run.report(f"{part} the better of k-means on the pretrained code and on pixels", gain)
    run.report(f"{part} constrained k-means on the pretrained code", np.subtract(found["5%"], found["seeded"]))
    if run.broken:
        return
    run.report(f"{part} the net without the clustering term", np.subtract(found["5%"], found["bare"]))
    run.report("(b) accuracy with 2 percent of the labels less none", np.subtract(found["2%"], found["none"]))


def digits() -> ArrayDataset:
    """The first 6,000 training digits."""
    source = load("mnist")
    return replace(source, splits={"train": source.splits["train"][:DIGITS]})


def some_labels(y: np.ndarray, share: float, seed: int, dealt: bool) -> np.ndarray:
    """[N], -1 but for the same share of every class; dealt: those few at random."""
    rng, labels = chance(seed, 309), np.full(len(y), -1)
    each = round(share * len(y) / CLASSES)
    known = np.concatenate([rng.permutation(np.flatnonzero(y == k))[:each] for k in range(CLASSES)])
    labels[known] = rng.permutation(y[known]) if dealt else y[known]
    return labels


def seeded(code: Tensor, labels: np.ndarray, seed: int) -> np.ndarray:
    """Constrained k-means begun from the labelled means."""
    given = torch.from_numpy(labels)
    known = given >= 0
    start = means(code[known], given[known], code.new_zeros(CLASSES, code.shape[1]))
    return k_means(code, CLASSES, torch_chance(seed, 1), start=start, held=by_label(given)).owner.numpy()


def joined(start: Model, data: ArrayDataset, labels: np.ndarray, seed: int, epochs: int, **axes: float) -> Model:
    """The pretrained autoencoder, trained on with these labels."""
    given = np.full(len(data), -1)
    given[data.splits["train"]] = labels
    made = begun(start, recipe(warm=0, epochs=JOINT, clusters=CLASSES, batch=BATCH, **axes))
    return train(replace(data, targets={"labels": given}), made, seed=seed, epochs=epochs)


def begun(start: Model, made: Recipe) -> Recipe:
    """The recipe, its encoder and decoder being those of a model."""
    (stage,) = made.stages

    def objective(shape: Shape) -> nn.Module:
        built: nn.Module = stage.objective(shape)  # type: ignore[misc]
        built.decoder.load_state_dict(start.objective.decoder.state_dict())  # type: ignore[union-attr, operator]
        return built

    return replace(
        made,
        encoder=lambda shape: copy.deepcopy(start.network.encoder),
        stages=(replace(stage, objective=objective),),
    )


def clusters(model: Model, data: ArrayDataset) -> np.ndarray:
    """The nearest centre of every digit."""
    code = torch.from_numpy(features(model, data, data.splits["train"]))
    with torch.inference_mode():
        answer: np.ndarray = model.network.head(code, {}).argmax(1).numpy()
    return answer


def hidden(owner: np.ndarray, y: np.ndarray, labels: np.ndarray) -> float:
    """Accuracy on the digits whose label was not given."""
    return matched(owner[labels < 0], y[labels < 0])


class AsItIs(nn.Module):
    """An encoder of codes that exist already."""

    dim = 6

    def embed(self, batch: dict[str, Tensor]) -> Tensor:
        """[N, 6] -> the same."""
        return batch["x"]


def exact(run: Run) -> None:
    """On random codes in float64."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        x, y = torch.randn(80, 6).double(), torch.randint(4, (80,))
        network = Network(AsItIs(), Centres(6, 4)).double()
        objective = ConstrainedClusters(nn.Linear(6, 6), 6, 4, 80, warm=0, ramp=0.0, cluster=0.7, pair=0.9).double()
        order = torch.randperm(80)
    objective.review(network, [{"x": x}], 0, torch_chance(0, 1))
    batch, index = {"x": x.requires_grad_()}, torch.arange(80)
    loss, _ = objective(network, {**batch, "index": index})
    apart = (x[:, None] - network.head.points).square().sum(2) / objective.unit
    known = F.mse_loss(objective.decoder(x), x) + 0.7 * apart.amin(1).mean()
    run.report("(c) exact: loss without labels off that of deep k-means", float((loss - known).detach().abs()))

    objective.group.copy_(y)
    (pull,) = torch.autograd.grad(objective.within(apart, y), x, retain_graph=True)
    wanted = 2 * (x - network.head.points[y]) / (80 * objective.unit)
    off = float((pull - wanted).abs().max())
    run.report("(c) exact: clustering gradient off a pull to the item's one centre", off)

    swapped = abs(float(objective.pairs(-apart, y) - objective.pairs(-apart[order], y[order])))
    one, two = (objective.pairs(-apart[rows], y[rows]) for rows in ([3, 8], [8, 3]))
    off = max(swapped, abs(float(one - two)))
    run.report("(c) exact: change of the loss where members of pairs are swapped", off)
