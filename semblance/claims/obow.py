"""OBoW: crops tell which words the whole picture holds, of a vocabulary that lives.

CIFAR-10 subset, small net, 256 words from each of the last two maps, crops of 32 and twice 16 pixels, 8 epochs. What is
told is compared with the one bag that is best for all test pictures, their mean.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from semblance.claims.ledger import Run, at_least, at_most, below, claim
from semblance.claims.settings import cifar_subset, labelled, linear_probe, untrained
from semblance.data.dataset import ArrayDataset
from semblance.learning.parts import torch_chance
from semblance.objectives.words import BagsOfWords, Generated, Vocabulary, cross_entropy, perplexity
from semblance.recipes.words import obow as recipe
from semblance.space.model import Model
from semblance.space.training import train

WORDS, EPOCHS, HALF, SHORT, BATCH = 256, 8, 4, 1, 64


@claim(
    "obow",
    parts={
        "(a) nats by which a crop's answer beats the mean bag, test pictures": at_least(0.15),
        "(a) the same with bags dealt to other pictures": below(0.15),
        "(b) perplexity of word use over the test pictures, in units of K": at_least(0.3),
        "(b) linear probe after 4 epochs, a frozen vocabulary less a live one": below(0.0),
        "(c) linear probe above the untrained net": at_least(0.06),
        "(d) exact: least entry of a bag": at_least(0.0),
        "(d) exact: sum of a bag off 1": at_most(1e-6),
        "(d) exact: soft bag off the hard one as delta goes to 0": at_most(1e-6),
        "(d) exact: answer to permuted words off the permuted answer": at_most(1e-6),
    },
    data=("cifar10-subset",),
    seeds=(0,),
    broken="bags are dealt to other pictures while training",
    files=("objectives/words.py", "recipes/words.py", "recipes/teachers.py", "claims/settings.py"),
    minutes=4.0,
)
def obow(run: Run) -> None:
    """Parts of a picture tell the visual words of the whole, of a vocabulary that is renewed at every step, and the
    features that learn it classify."""
    exact(run)
    data = cifar_subset()
    whole, live, frozen, before, told = [], [], [], [], []
    for seed in run.seeds:
        before.append(linear_probe(*labelled(untrained(data, recipe(), seed), data)))
        model = fitted(run, data, seed, SHORT if run.broken else EPOCHS)
        told.append(answers(model, data, seed))
        run.progress(f"seed {seed}: {told[-1]}")
        if run.broken:
            continue
        whole.append(linear_probe(*labelled(model, data)))
        live.append(linear_probe(*labelled(fitted(run, data, seed, HALF), data)))
        frozen.append(linear_probe(*labelled(fitted(run, data, seed, HALF, live=False), data)))
    run.baseline("linear probe of the untrained net", before)
    run.baseline("nats of the mean bag", [found.blind for found in told])
    run.baseline("nats of a crop's answer", [found.told for found in told])
    run.report("(a) nats by which a crop's answer beats the mean bag, test pictures", [f.blind - f.told for f in told])
    run.report("(a) the same with bags dealt to other pictures", [f.blind - f.dealt for f in told])
    run.report("(b) perplexity of word use over the test pictures, in units of K", [f.used / WORDS for f in told])
    if run.broken:
        return
    run.baseline("linear probe", whole)
    run.baseline("linear probe after 4 epochs", live)
    run.baseline("linear probe after 4 epochs, vocabulary frozen", frozen)
    run.report("(b) linear probe after 4 epochs, a frozen vocabulary less a live one", np.subtract(frozen, live))
    run.report("(c) linear probe above the untrained net", np.subtract(whole, before))


class Dealt(BagsOfWords):
    """The sabotaged objective: while it learns, another picture's maps make the bags."""

    def maps(self, x: torch.Tensor) -> list[torch.Tensor]:
        order = torch.randperm(len(x)) if self.training else torch.arange(len(x))
        return [level[order] for level in super().maps(x)]


def fitted(run: Run, data: ArrayDataset, seed: int, epochs: int, live: bool = True) -> Model:
    """A run of so many epochs from beginning to end."""
    made = recipe(words=WORDS, batch=BATCH, epochs=epochs, live=live)
    (stage,) = made.stages

    def objective(shape):  # type: ignore[no-untyped-def]
        built = stage.objective(shape)  # type: ignore[misc]
        built.__class__ = Dealt if run.broken else BagsOfWords
        return built

    model = train(data, replace(made, stages=(replace(stage, objective=objective),)), seed=seed, epochs=epochs)
    run.progress(f"seed {seed}, {epochs} epochs, {'live' if live else 'frozen'}: {model.history[-1]}")
    return model


@dataclass(frozen=True)
class Answers:
    """Mean cross-entropy over both levels, in nats: of the mean bag for all, of a large crop's answer, of the same with
    bags of other pictures; and the words in use."""

    blind: float
    told: float
    dealt: float
    used: float


def answers(model: Model, data: ArrayDataset, seed: int) -> Answers:
    """What one large crop of each test picture tells of the whole."""
    objective = model.objective
    assert isinstance(objective, BagsOfWords)
    model.network.eval()
    objective.eval()
    views = recipe().stages[0].views
    rows = data.splits["test"]
    chances = [torch_chance(seed, 168, view) for view in range(views.count)]
    whole, crop, *_ = views.all(torch.from_numpy(data.x[rows]), chances, model.prepare)
    with torch.no_grad():
        bags = [torch.cat(level) for level in zip(*map(objective.bags, whole.split(500)), strict=True)]
        z = torch.cat([model.network.embed({"x": part}) for part in crop.split(500)])
        logits = objective.told(z, objective.weights())
    order = torch.randperm(len(rows), generator=torch_chance(seed, 168))
    pairs = list(zip(logits, bags, strict=True))
    return Answers(
        blind=float(np.mean([float(torch.special.entr(bag.mean(0)).sum()) for bag in bags])),
        told=float(np.mean([float(cross_entropy(told, bag)) for told, bag in pairs])),
        dealt=float(np.mean([float(cross_entropy(told, bag[order])) for told, bag in pairs])),
        used=min(perplexity(bag) for bag in bags),
    )


def exact(run: Run) -> None:
    """On random maps in float64."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        maps = torch.randn(40, 16, 6, 6).double()
        soft, sharp, hard = (Vocabulary(64, 16, delta).double().eval() for delta in (0.1, 1e-7, 0.0))
        make, z, order = Generated(16, 32).double(), torch.randn(20, 32).double(), torch.randperm(64)
    for held in (sharp, hard):
        held.words.copy_(soft.words)
    bags = soft.bags(maps)
    run.report("(d) exact: least entry of a bag", float(bags.min()))
    run.report("(d) exact: sum of a bag off 1", float((bags.sum(1) - 1).abs().max()))
    off = float((sharp.bags(maps) - hard.bags(maps)).abs().max())
    run.report("(d) exact: soft bag off the hard one as delta goes to 0", off)
    with torch.no_grad():
        permuted, answer = z @ make(soft.words[order]).T, z @ make(soft.words).T
    off = float((permuted - answer[:, order]).abs().max())
    run.report("(d) exact: answer to permuted words off the permuted answer", off)
