"""Inverse distance attention: keys that are scored by 1 / distance become prototypes, and can be added to by hand.

MNIST: 10,000 training digits, standardised; 20 keys, batches of 32, 4,000 steps, two seeds; `stored-keys` with other
scores at 1e-3. Low impact: nets with 50 keys; 30 mistakes among the test digits, one at a time; against gradient steps on
that picture (Adam 1e-3) until it is right, of the same net and of a layer of 50 ReLUs. Half-moons: 400 points, 16 keys.
"""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pyarrow as pa
import torch
import torch.nn.functional as F
from sklearn.datasets import make_moons
from torch import Tensor, nn

from semblance.claims.ledger import Run, at_least, at_most, claim
from semblance.data.dataset import ArrayDataset
from semblance.data.load import load
from semblance.heads.prototypes.inverse_distance import StoredKeys
from semblance.learning.parts import chance
from semblance.recipes.prototype_heads import stored_keys as recipe
from semblance.space.model import Model
from semblance.space.training import train

DIGITS, MISTAKES, STEPS = 10_000, 30, 4_000


@claim(
    "inverse-distance-attention",
    parts={
        "(a) exact: shares against weights over their sum": at_most(1e-6),
        "(a) exact: lead after a key was put in": at_most(1e-3),
        "(a) exact: other logits are scaled alike": at_most(1e-3),
        "(b) keys whose value's class is that of the digits around": at_least(0.8),
        "(b) the same for a ReLU layer": at_most(0.5),
        "(b) the same for dot products": at_most(0.5),
        "(b) accuracy": at_least(0.84),
        "(b) accuracy of the ReLU layer above it": at_least(0.0),
        "(c) mistakes repaired": at_least(30),
        "(c) other predictions changed by one repair, mean": at_most(60),
        "(c) the same as a share of gradient steps, the larger of two nets": at_most(1 / 3),
        "(d) half-moons: accuracy": at_least(0.97),
        "(d) half-moons: predictions changed by a wrong case, largest of three": at_most(0.06),
    },
    data=("mnist", "synthetic: half-moons"),
    seeds=(0, 1),
    broken="the training labels are shuffled; one seed, without the mistakes",
    files=(
        "heads/prototypes/inverse_distance.py",
        "heads/prototypes/similarities.py",
        "recipes/prototype_heads.py",
    ),
    minutes=3.0,
)
def inverse_distance_attention(run: Run) -> None:
    """Attention by inverse distance puts its keys among the data, and takes a special case without touching the rest."""
    for part, error in exact().items():
        run.report(part, error)
    data, test = digits(run)
    found: dict[str, list[float]] = {name: [] for name in ("inverse", "relu", "dot")}
    right: dict[str, list[float]] = {name: [] for name in found}
    for seed in run.seeds[:1] if run.broken else run.seeds:
        for name in found:
            model = train(data, recipe(score=name, lr=0.1 if name == "inverse" else 1e-3, steps=STEPS), seed=seed)
            found[name].append(prototypical(model, data))
            right[name].append(accuracy(model, *test))
        run.progress(f"seed {seed}: {[(name, found[name][-1], round(right[name][-1], 3)) for name in found]}")
    run.report("(b) keys whose value's class is that of the digits around", found["inverse"])
    run.report("(b) the same for a ReLU layer", found["relu"])
    run.report("(b) the same for dot products", found["dot"])
    run.report("(b) accuracy", right["inverse"])
    run.report("(b) accuracy of the ReLU layer above it", np.subtract(right["relu"], right["inverse"]))
    for name in ("relu", "dot"):
        run.baseline(f"accuracy, {name}", right[name])
    if not run.broken:  # the twin stops at the prototypes
        low_impact(run, data, test)
    moons(run)


def exact() -> dict[str, float]:
    """The identities, in float64."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        head = StoredKeys(6, 4, 12, eps=0.01).double()
        nn.init.normal_(head.values)
        z = torch.randn(40, 6, dtype=torch.float64)
    w = 1 / (0.01 + (z[:, None] - head.keys).square().sum(2))
    shares = float((head.shares(z) - w / w.sum(1, keepdim=True)).detach().abs().max())
    lead, scaled = 0.0, 0.0
    for one in z[:20]:
        mended = copy.deepcopy(head)
        with torch.no_grad():
            before, total = head(one[None], {})[0], head.weights(one[None]).sum()
        c = int(before.argmin())
        mended.augment(one, c)
        with torch.no_grad():
            after = mended(one[None], {})[0]
        gap = (before.max() - before[c]) / (1 + 0.01 * total)
        others = torch.arange(4) != c
        lead = max(lead, float((after[c] - after[others].max() - gap).abs()))
        ratio = after[others] / before[others]
        scaled = max(scaled, float((ratio - ratio[0]).abs().max()))
    return {
        "(a) exact: shares against weights over their sum": shares,
        "(a) exact: lead after a key was put in": lead,
        "(a) exact: other logits are scaled alike": scaled,
    }


def digits(run: Run) -> tuple[ArrayDataset, tuple[Tensor, Tensor]]:
    """Training digits as data, standardised as a whole; the test digits alike."""
    whole = load("mnist")
    train_rows, test_rows = whole.splits["train"][:DIGITS], whole.splits["test"]
    x = whole.x.reshape(len(whole.x), -1)
    y = np.asarray(whole.targets["labels"])
    mean, std = (f(x[train_rows].astype(np.float32)) for f in (np.mean, np.std))
    seen = (x[train_rows].astype(np.float32) - mean) / std
    labels = np.random.default_rng(0).permutation(y[train_rows]) if run.broken else y[train_rows]
    tested = torch.from_numpy((x[test_rows].astype(np.float32) - mean) / std), torch.from_numpy(y[test_rows])
    return vectors(seen, labels, "mnist"), tested


def vectors(x: np.ndarray, y: np.ndarray, name: str) -> ArrayDataset:
    """Rows as data, all to train on."""
    rows = np.arange(len(x))
    return ArrayDataset(
        domain="vectors",
        x=x.astype(np.float32),
        ids=[str(row) for row in rows],
        targets={"labels": y.astype(np.int64)},
        attributes=pa.table({"row": rows}),
        splits={"train": rows},
        fingerprint=f"{name} {len(x)} {y[:50].sum()}",
        classes=tuple(str(k) for k in range(int(y.max()) + 1)),
    )


def head_of(model: Model) -> StoredKeys:
    """What was learned."""
    found: StoredKeys = model.network.head
    return found


def prepared(model: Model, x: Tensor) -> Tensor:
    """As the network reads rows."""
    return model.prepare(x)


@torch.no_grad()
def prototypical(model: Model, data: ArrayDataset) -> float:
    """Share of keys the largest of whose value is the majority class of the five training digits nearest to the key."""
    head, x = head_of(model), prepared(model, torch.from_numpy(data.x))
    near = torch.cdist(head.keys, x).topk(5, largest=False).indices
    around = F.one_hot(torch.from_numpy(data.targets["labels"])[near], 10).sum(1)
    own = head.values.argmax(1)
    # Of two classes equally frequent, either is the majority.
    return float((around.gather(1, own[:, None])[:, 0] == around.amax(1)).double().mean())


@torch.no_grad()
def accuracy(model: Model, x: Tensor, y: Tensor) -> float:
    """Share of right answers."""
    return float((head_of(model)(prepared(model, x), {}).argmax(1) == y).float().mean())


def low_impact(run: Run, data: ArrayDataset, test: tuple[Tensor, Tensor]) -> None:
    """Part (c)."""
    seed = run.seeds[0]
    nets = {
        name: train(data, recipe(keys=50, score=name, lr=0.1 if name == "inverse" else 1e-3, steps=STEPS), seed=seed)
        for name in ("inverse", "relu")
    }
    changed: dict[str, list[float]] = {}
    for name, model in nets.items():
        head, x = head_of(model), prepared(model, test[0])
        with torch.no_grad():
            before = head(x, {}).argmax(1)
        wrong = (before != test[1]).nonzero()[:, 0].numpy()
        chosen = chance(seed, 77).permutation(wrong)[:MISTAKES]
        run.baseline(f"accuracy with 50 keys, {name}", float((before == test[1]).float().mean()))
        ways = {"gradient": stepped, "by hand": mended} if name == "inverse" else {"gradient": stepped}
        for how, way in ways.items():
            counts, repaired = [], 0
            for row in chosen.tolist():
                after = way(head, x, row, int(test[1][row]))
                repaired += int(after[row] == test[1][row])
                others = torch.arange(len(x)) != row
                counts.append(float((after != before)[others].sum()))
            changed[f"{name}, {how}"] = counts
            run.baseline(f"other predictions changed, {name}, {how}", float(np.mean(counts)))
            if how == "by hand":
                run.report("(c) mistakes repaired", repaired)
    own = float(np.mean(changed["inverse, by hand"]))
    run.report("(c) other predictions changed by one repair, mean", own)
    least = min(float(np.mean(changed[name])) for name in ("inverse, gradient", "relu, gradient"))
    run.report("(c) the same as a share of gradient steps, the larger of two nets", own / max(least, 1e-9))


@torch.no_grad()
def mended(head: StoredKeys, x: Tensor, row: int, c: int) -> Tensor:
    """Answers [N] with this case put in by hand."""
    net = copy.deepcopy(head)
    net.augment(x[row], c)
    return net(x, {}).argmax(1)


def stepped(head: StoredKeys, x: Tensor, row: int, c: int) -> Tensor:
    """Answers [N] after as many gradient steps on this case as make it right."""
    net = copy.deepcopy(head)
    optimiser = torch.optim.Adam(net.parameters(), lr=1e-3)
    for _ in range(500):
        logits = net(x[row : row + 1], {})
        if int(logits.argmax()) == c:
            break
        optimiser.zero_grad()
        F.cross_entropy(logits, torch.tensor([c])).backward()
        optimiser.step()
    with torch.no_grad():
        return net(x, {}).argmax(1)


def moons(run: Run) -> None:
    """Part (d): points in the plane, three of which are then to be of the other class."""
    x, y = make_moons(800, noise=0.1, random_state=run.seeds[0])
    x = (x - x[:400].mean(0)) / x[:400].std(0)
    shown = np.random.default_rng(0).permutation(y[:400]) if run.broken else y[:400]
    data = vectors(x[:400], shown, "half-moons")
    made = replace(recipe(keys=16, steps=1500), standardise=False)
    head = head_of(train(data, made, seed=run.seeds[0]))
    seen, true = torch.from_numpy(x[400:]).float(), torch.from_numpy(y[400:])
    with torch.no_grad():
        before = head(seen, {}).argmax(1)
    run.report("(d) half-moons: accuracy", float((before == true).float().mean()))
    shares = []
    for row in chance(run.seeds[0], 78).permutation(len(seen))[:3].tolist():
        after = mended(head, seen, row, 1 - int(before[row]))
        shares.append(float((after != before).float().mean()))
    run.report("(d) half-moons: predictions changed by a wrong case, largest of three", max(shares))
    run.baseline("half-moons: predictions changed by each wrong case", shares)
