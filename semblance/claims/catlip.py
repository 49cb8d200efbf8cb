"""CatLIP: what captions name as classes, instead of captions to be found.

Captioned digits, image net of half width, batch 256, 15 epochs each; CLIP's text transformer has two layers. Probes are
linear, on the image encoder's features before any map into a joint space.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from semblance.claims.captioned_digits import (
    DIGIT_WORDS,
    LEXICON,
    WORDS,
    captioned_digits,
    single_digits,
)
from semblance.claims.ledger import Run, above, at_least, at_most, claim
from semblance.claims.settings import linear_probe
from semblance.data.captions import cut
from semblance.data.concepts import Concepts, Vocabulary
from semblance.data.dataset import ArrayDataset
from semblance.data.pieces import Pieces
from semblance.encoders.vision.stagenet import multiply_adds
from semblance.heads.classify import Linear
from semblance.heads.worded import copied, precision
from semblance.objectives.captions import across, concepts
from semblance.recipes.captions import catlip as catlip_recipe
from semblance.recipes.captions import clip
from semblance.space.model import Model
from semblance.space.training import train

EPOCHS, PAIRS, HELD, LEAST, SINGLES, SHOTS, TUNED, RATE = 15, 8000, 1000, 50, 2000, 5, 100, 1e-2
HALF = {"backbone": "half", "augment": False, "least": 1}
TEXT = {"text_width": 56, "feedforward": 112}  # a third of what the image net costs


@claim(
    "catlip",
    parts={
        "(a) left digit, linear probe above CLIP's": at_least(-0.01),
        "(a) left colour, linear probe above CLIP's": at_least(-0.01),
        "(b) seconds of a step, times CLIP's": at_most(0.85),
        "(b) loss of a batch from the mean of its items' losses": at_most(1e-12),
        "(b) CLIP's loss of a batch from the mean of its items' losses": above(0.1),
        "(c) single digits by the copied head, nothing trained": at_least(0.6),
        "(c) five labels a class, the copied head above a random one": at_least(0.05),
        "(d) mean average precision over digit words above that without synonyms merged": above(0.0),
    },
    data=("mnist",),
    seeds=(0, 1),
    broken="pictures are paired with captions of other pictures",
    files=(
        "claims/captioned_digits.py",
        "claims/coloured_digits.py",
        "claims/settings.py",
        "data/concepts.py",
        "encoders/paired.py",
        "heads/worded.py",
        "objectives/captions.py",
    ),
    minutes=4.0,
)
def catlip(run: Run) -> None:
    """Classification by the concepts that captions name trains an image encoder as well as contrast with captions, in less
    time, since no text is encoded and no two items are compared; and its classifier's rows start other tasks."""
    data = captioned_digits(PAIRS, HELD)
    if run.broken:
        data = mismatched(data)
    epochs = max(1, EPOCHS // 5) if run.broken else EPOCHS
    found: dict[str, list[float]] = {name: [] for name in run.parts}
    beside: dict[str, list[float]] = {}
    for seed in run.seeds:
        contrast = train(data, clip(epochs=epochs, **HALF, **TEXT), seed=seed)
        merged = train(data, of_concepts(LEXICON, epochs), seed=seed)
        apart = train(data, of_concepts({}, epochs), seed=seed)
        probes(data, merged, contrast, found, beside)
        found["(b) seconds of a step, times CLIP's"].append(seconds(merged) / seconds(contrast))
        own, theirs = gaps(merged, contrast, data)
        found["(b) loss of a batch from the mean of its items' losses"].append(own)
        found["(b) CLIP's loss of a batch from the mean of its items' losses"].append(theirs)
        at_once, gained = transferred(merged, seed, beside)
        found["(c) single digits by the copied head, nothing trained"].append(at_once)
        found["(c) five labels a class, the copied head above a random one"].append(gained)
        one, other = (by_words(model, data) for model in (merged, apart))
        found["(d) mean average precision over digit words above that without synonyms merged"].append(one - other)
        beside.setdefault("mean average precision over digit words, synonyms merged", []).append(one)
        beside.setdefault("CLIP's seconds of a step", []).append(seconds(contrast) / (PAIRS // 256))
        run.progress(f"seed {seed}: {', '.join(f'{name[:24]} {each[-1]:.3f}' for name, each in found.items())}")
    text = contrast.network.encoder.captions
    share = text_cost(text, data, contrast) / multiply_adds(contrast.network.encoder.items, (28, 56))
    run.baseline("cost of reading a caption, in multiply-adds, times reading a picture", share)
    for name, values in beside.items():
        run.baseline(name, values)
    for name, values in found.items():
        run.report(name, values)


def mismatched(data: ArrayDataset) -> ArrayDataset:
    """Every training picture with the caption of another."""
    rows, captions = data.splits["train"], data.captions.copy()
    captions[rows] = captions[np.roll(rows, 1)]
    return replace(data, captions=captions)


def of_concepts(lexicon: dict[str, str], epochs: int):
    """CatLIP's recipe with this lexicon."""
    return replace(catlip_recipe(epochs=epochs, **HALF), captions=Concepts(LEAST, lexicon))


def features(model: Model, x: np.ndarray) -> np.ndarray:
    """[N, 64] of the image encoder, before any map into a joint space."""
    encoder = getattr(model.network.encoder, "items", model.network.encoder)
    encoder.eval()
    with torch.inference_mode():
        parts = (model.prepare(torch.from_numpy(x[start : start + 512])) for start in range(0, len(x), 512))
        return torch.cat([encoder.embed({"x": part}) for part in parts]).numpy()


def probes(
    data: ArrayDataset, merged: Model, contrast: Model, found: dict[str, list[float]], beside: dict[str, list[float]]
) -> None:
    """Accuracy on the test pictures of probes trained on the training pictures."""
    train_rows, test_rows = data.splits["train"], data.splits["test"]
    for what, column in (("left digit", "left"), ("left colour", "left_colour")):
        y = data.attributes.column(column).to_numpy()
        each = []
        for model in (merged, contrast):
            z = features(model, data.x)
            each.append(linear_probe(z[train_rows], y[train_rows], z[test_rows], y[test_rows]))
        found[f"(a) {what}, linear probe above CLIP's"].append(each[0] - each[1])
        beside.setdefault(f"{what}, linear probe of CLIP's features", []).append(each[1])


def seconds(model: Model) -> float:
    """Of an epoch: the median of all but the first."""
    times = [epoch["seconds"] for epoch in model.history]
    return float(np.median(np.diff(times))) if len(times) > 1 else times[0]


def gaps(merged: Model, contrast: Model, data: ArrayDataset) -> tuple[float, float]:
    """|loss of 64 items - mean of their losses|, in float64, as trained and in eval mode; of CatLIP and of CLIP."""
    rows = data.splits["test"][:64]
    assert isinstance(merged.captions, Vocabulary) and isinstance(contrast.captions, Pieces)
    tokens = torch.from_numpy(cut(contrast.captions, data).captions[rows])
    labels = torch.from_numpy(merged.captions.flags(list(data.captions[rows])))
    found = []
    for model, objective in ((merged, concepts()), (contrast, across())):
        network = model.network.double().eval()
        x = model.prepare(torch.from_numpy(data.x[rows])).double()
        with torch.inference_mode():
            whole, items = (
                [loss_of(network, objective, x[part], labels[part], tokens[part]) for part in parts]
                for parts in ([slice(None)], [slice(i, i + 1) for i in range(len(rows))])
            )
        found.append(abs(whole[0] - float(np.mean(items))))
        model.network.float()
    return found[0], found[1]


def loss_of(
    network: torch.nn.Module, objective: torch.nn.Module, x: torch.Tensor, labels: torch.Tensor, tokens: torch.Tensor
) -> float:
    """The objective's loss without leaving float64 on the way."""
    if hasattr(objective, "loss"):
        z = torch.cat([network.encoder.embed({"x": x}), network.encoder.embed_captions(tokens)])
        place = torch.arange(len(x))
        rows = {"item": place.repeat(2), "view": torch.arange(2).repeat_interleave(len(x))}
        return float(objective.loss(z, rows))
    logits = network({"x": x})
    return float(torch.nn.functional.binary_cross_entropy_with_logits(logits, labels.double()))


def transferred(model: Model, seed: int, beside: dict[str, list[float]]) -> tuple[float, float]:
    """Accuracy on single digits of the head copied from the ten words, and by how much it is ahead of a random head after
    both were trained alike on five labels a class, on frozen features."""
    rng = np.random.default_rng([334, seed])
    x, y = single_digits("test", SINGLES, rng)
    shots, shot_y = single_digits("train", 400, rng)
    rows = np.concatenate([np.flatnonzero(shot_y == k)[:SHOTS] for k in range(10)])
    z, few = (torch.from_numpy(features(model, part)) for part in (x, shots[rows]))
    assert isinstance(model.captions, Vocabulary)
    head, lost = copied(model.network.head, model.captions, DIGIT_WORDS)
    assert not lost, lost
    at_once = right(head, z, y)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        fresh = Linear(z.shape[1], 10, DIGIT_WORDS)
    target = torch.from_numpy(shot_y[rows])
    after = []
    for each in (head, fresh):
        optimizer = torch.optim.AdamW(each.parameters(), lr=RATE, weight_decay=0.0)
        for _ in range(TUNED):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(each(few, {}), target).backward()
            optimizer.step()
        after.append(right(each, z, y))
    beside.setdefault("five labels a class, a random head", []).append(after[1])
    return at_once, after[0] - after[1]


def right(head: Linear, z: torch.Tensor, y: np.ndarray) -> float:
    """Accuracy."""
    with torch.inference_mode():
        return float((head(z, {}).argmax(1).numpy() == y).mean())


def by_words(model: Model, data: ArrayDataset) -> float:
    """Mean average precision over the thirty words for digits, each asked of the test pictures; what is right is every
    picture with that digit, whichever word its caption took."""
    rows = data.splits["test"]
    sides = [data.attributes.column(side).to_numpy()[rows] for side in ("left", "right")]
    assert isinstance(model.captions, Vocabulary)
    asked = [(word, k) for k, row in enumerate(WORDS["digit"]) for word in row]
    place = model.captions.flags([word for word, _ in asked]).argmax(1)
    head = model.network.head
    with torch.inference_mode():
        scores = head(torch.from_numpy(features(model, data.x[rows])), {}).numpy()[:, place]
    wanted = np.stack([(sides[0] == k) | (sides[1] == k) for _, k in asked], 1)
    return precision(scores, wanted)


def text_cost(text: torch.nn.Module, data: ArrayDataset, contrast: Model) -> float:
    """Multiply-adds of the text transformer on a caption of mean length: matrices by tokens, and attention's products."""
    assert isinstance(contrast.captions, Pieces)
    length = float(cut(contrast.captions, data).captions.lengths.mean())
    matrices = sum(p.numel() for name, p in text.mix.named_parameters() if p.ndim == 2)
    return length * matrices + 2 * len(text.mix.blocks) * length**2 * text.dim
