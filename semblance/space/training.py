"""Training in memory: a dataset and a recipe in, a model out. `fit` adds what makes a space of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from semblance.data.captions import cut, learned_from
from semblance.data.dataset import ArrayDataset
from semblance.data.graph_splits import with_validation
from semblance.data.moments import shape_of
from semblance.data.pieces import Pieces
from semblance.data.prepare import Prepare
from semblance.data.relational import Loaded
from semblance.learning.devices import choose_device, precision_for
from semblance.learning.distribution import together
from semblance.learning.parts import INIT, Budget, Feed, Parts, chance
from semblance.recipes.registry import Recipe
from semblance.space.model import Model, assemble

Step = Callable[[int, int, dict[str, float]], None]
Epoch = Callable[[int, dict[str, float]], None]


def train(
    dataset: Loaded,
    recipe: Recipe,
    *,
    seed: int = 0,
    epochs: int | None = None,
    seconds: float | None = None,
    device: str = "cpu",
    precision: str = "float32",
    on_step: Step | None = None,
    on_epoch: Epoch | None = None,
    checkpoints: Path | None = None,
    every: float = 60.0,
    resume: bool = False,
    signature: str = "",
    name: str = "",
    settings: Mapping[str, Any] | None = None,
) -> Model:
    """Train a recipe on the dataset's `train` split, stage after stage.

    `epochs` and `seconds` bound the first stage that has an objective; `on_epoch(stage, metrics)` is called after every
    epoch; `checkpoints` is a folder for one file a stage, kept every `every` seconds and gone on from with `resume`.
    """
    dataset = validated(dataset, recipe, seed)
    noted = len(dataset.notes)
    where = choose_device(device)
    pieces = None
    if isinstance(dataset, ArrayDataset) and dataset.domain == "text":
        texts = getattr(dataset.x, "texts", dataset.x)
        pieces = recipe.cutting.learned(texts[dataset.splits["train"]].tolist())
        dataset = pieces.cut(dataset)
    written = None
    if recipe.captions is not None and isinstance(dataset, ArrayDataset):
        dataset = learned_from(dataset)
        written = recipe.captions.learned(dataset.captions[dataset.splits["train"]].tolist())
        dataset = cut(written, dataset) if isinstance(written, Pieces) else written.onto(dataset)
    shape = shape_of(dataset)
    chosen = precision_for(where, precision).name
    network = assemble(recipe, shape, seed).to(where)
    prepare = Prepare(shape, recipe.standardise)
    model = Model(
        network, shape, prepare, name, settings or {}, dataset.classes, device=str(where.type), precision=chosen
    )
    model.pieces, model.captions, model.notes = pieces, written, dataset.notes[noted:]
    for number, stage in enumerate(recipe.stages):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(chance(seed, INIT, number + 1).integers(2**63)))
            objective = None if stage.objective is None else stage.objective(shape).to(where)
        parts = Parts(network, objective)
        feed = Feed(dataset, dataset.splits["train"], stage.batches, prepare, stage.views, where)
        bounded = objective is not None and not any(s.objective is not None for s in recipe.stages[:number])
        budget = Budget(
            epochs=epochs if bounded else None,
            seconds=seconds if bounded else None,
            seed=seed,
            checkpoint=None if checkpoints is None else checkpoints / f"stage-{number}.safetensors",
            every=every,
            resume=resume,
            on_step=on_step,
            precision=chosen,
            signature=signature,
        )
        for metrics in together(stage.rule).run(parts, feed, budget):
            model.history.append({"stage": float(number), **metrics})
            if on_epoch is not None:
                on_epoch(number, metrics)
        model.objective = objective
    network.eval()
    return model


def validated(dataset: Loaded, recipe: Recipe, seed: int) -> Loaded:
    """The dataset as a recipe that chooses by validation needs it: where none is given, a fifth of the training units is
    set aside for it, drawn by the seed, class by class."""
    if len(dataset.splits.get("val", ())) or not any(
        getattr(stage.rule, "validates", False) for stage in recipe.stages
    ):
        return dataset
    split = {"test": np.empty(0, np.int64), **dataset.splits}
    return replace(dataset, splits=with_validation(split, dataset.targets.get("labels"), seed=seed))
