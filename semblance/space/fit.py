"""fit: data in, a searchable space out.

What is unfinished lives in `NAME.fitting/` beside the space (checkpoints, the log); the space itself appears, or
changes, by one commit at the end. So a kill at any moment leaves the old space or none, and `resume=True` goes on.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from semblance.data.images import thumbnail
from semblance.data.load import load as load_data
from semblance.data.relational import Loaded
from semblance.errors import Failed, SemblanceError
from semblance.learning.devices import keep_pages
from semblance.learning.watch import warning
from semblance.memory.indexed import FIRST
from semblance.memory.store import Store
from semblance.recipes.registry import package_of, stored_name
from semblance.space.by_blocks import in_blocks, whole
from semblance.space.card import write_card
from semblance.space.choose import choose, ignored, suits
from semblance.space.cluster import brought, elsewhere, fit_on
from semblance.space.columns import attributes_of, label_kind
from semblance.space.model import Model
from semblance.space.progress import watched
from semblance.space.space import Space
from semblance.space.training import train, validated

Progress = Callable[[int, int, str], None]
RECORD_FORMAT = 1


@watched
def fit(
    data: Any,
    recipe: str | Model | None = None,
    *,
    out: str | Path | None = None,
    domain: str | None = None,
    label: str | None = None,
    labels: Any = None,
    id_column: str | None = None,
    size: int | tuple[int, int] | None = None,
    split: int | str | None = None,
    directed: bool | None = None,
    nodes: str | Path | None = None,
    column: str | None = None,
    captions: Any = None,
    seed: int = 0,
    epochs: int | None = None,
    seconds: float | None = None,
    device: str = "auto",
    precision: str = "auto",
    resume: bool = False,
    overwrite: bool = False,
    checkpoint_seconds: float = 60.0,
    on: str = "local",
    workers: int | None = None,
    progress: Progress | None = None,
    say: Callable[[str], None] | None = None,
    **settings: Any,
) -> Space:
    """Learn a space from data.

    data: a folder of images, a table of any library, an array, a dataset (ours, or a map-style one of torch) or the name of
    a known set. label names the column of labels; `labels` are the labels of arrays themselves. recipe: a name from
    `sb.recipes()` (default: the domain's; `simsiam@1` keeps the defaults of that version), or a model from `sb.wrap`. out:
    the folder to write (default: NAME.space here, numbered if taken). Of graphs: split is a published split's number or
    shares to draw one by, directed tells an edge from its reverse, nodes is the path of a table of nodes. Of texts: column
    is the one that holds them, or two with a comma between for pairs. Of images: captions are what is written of them, a
    column's name, a table's path or as many texts (a column of a usual name is found). epochs bound the training, or
    seconds (by the clock: not reproducible). Further keywords are the recipe's settings. `say(line)` tells what happens;
    `progress(done, total, text)` is told instead of the bar that a terminal or a notebook shows after two seconds. Raises
    SemblanceError for whatever is wrong with the input and Interrupted after Ctrl-C, with everything saved for
    `resume=True`.
    """
    started = time.monotonic()
    say = say or (lambda line: None)
    away = elsewhere(on, workers)
    keep_pages()
    if isinstance(recipe, Model) and size is None and recipe.shape.domain == "images":
        size = recipe.shape.item[1], recipe.shape.item[2]  # as its queries will be read, not scaled twice
    reading: dict[str, Any] = {"domain": domain, "label": label, "id_column": id_column, "size": size}
    given = {"split": split, "directed": directed, "nodes": nodes, "column": column, "captions": captions}
    reading |= {k: v for k, v in given.items() if v is not None}
    dataset = load_data(data, labels=labels, seed=seed, progress=progress, **reading)
    for note in dataset.notes:
        say(note)
    target = _target(out, dataset, overwrite, resume)
    fitting = target.with_name(target.name + ".fitting")
    name, chosen, blocks = "", None, None
    if isinstance(recipe, Model):
        suits(recipe, dataset)
    else:
        name, settings, chosen = choose(dataset, recipe, settings)
        line = ignored(dataset, name)
        if line:
            say(line)
    if chosen is not None and validated(dataset, chosen, seed) is not dataset:
        say("a fifth of the training units chooses the epoch: give a split of your own with val for another share")
    paths = {key: str(path) for key, path in (("nodes", nodes), ("captions", captions)) if isinstance(path, str | Path)}
    options = {**reading, "domain": dataset.domain, **paths}
    if captions is not None and "captions" not in paths:  # texts from memory stand in no record
        del options["captions"]
    asked = {"epochs": epochs, "seconds": seconds, "device": device, "precision": precision}
    record = record_of(dataset, name, settings, seed, asked, options)
    if seconds is not None:
        say("a budget by the clock is not reproducible: give --epochs for the same bits every time")
    warned = False
    with _log(fitting, resume) as write_line:

        def on_epoch(stage: int, metrics: dict[str, float]) -> None:
            write_line({"schema": 1, "stage": stage, **metrics})
            nonlocal warned
            line = None if warned else warning(metrics)
            if line:
                warned = True  # once: the same collapse has other figures after every epoch
                say(line)

        if isinstance(recipe, Model):
            model = recipe
        else:
            assert chosen is not None
            training: dict[str, Any] = {
                "name": name,
                "settings": settings,
                "seed": seed,
                "epochs": epochs,
                "seconds": seconds,
                "device": device,
                "precision": precision,
                "on_step": _steps(progress, name),
                "on_epoch": on_epoch,
                "every": checkpoint_seconds,
                "resume": resume,
                "signature": record["hash"],
            }
            blocks = in_blocks(dataset, chosen, on, workers, fitting, progress)
            if blocks is not None or not away:
                if resume:
                    brought(fitting)
                model = train(dataset, blocks or chosen, checkpoints=fitting, **training)
            else:
                model = fit_on(on, workers, dataset, chosen, folder=fitting, **training)
    for note in model.notes if model is not recipe else ():
        say(note)
    record["trained"] = {
        "epochs": int(max((m["epoch"] for m in model.history), default=0)),
        "loss": next((m["loss"] for m in reversed(model.history) if "loss" in m), None),
        "device": model.device,
        "precision": model.precision,
        "seconds": round(time.monotonic() - started, 2),
        **({"on": on} if away else {}),
    }
    _commit(target, dataset, model, record, progress)
    if blocks is not None:
        whole(model)
    shutil.copyfile(fitting / "log.jsonl", target / "log.jsonl")
    shutil.rmtree(fitting)
    write_card(target, dataset, record)
    space = Space(target)
    space.model = model
    if progress is not None and len(space) >= FIRST:
        progress(0, 1, "indexing")
    space.index.catch_up(space.store.view)
    space.info = {
        "space": str(target),
        "domain": dataset.domain,
        "units": len(dataset),
        "recipe": name,
        "seed": seed,
        **record["trained"],
        "seconds": round(time.monotonic() - started, 2),
        "interrupted": False,
    }
    return space


def refit(record: str | Path, data: Any = None, **changes: Any) -> Space:
    """Run again what a `recipe.json` says, on its own data or on other data; keywords change single points."""
    try:
        said = json.loads(Path(record).read_text())
        if said["format"] > RECORD_FORMAT:
            raise SemblanceError(
                f"{record} has format {said['format']} and this version reads up to {RECORD_FORMAT}: update Semblance"
            )
        given = {**said["data"]["options"], **said["asked"], "seed": said["seed"], **said["settings"]}
    except FileNotFoundError:
        raise SemblanceError(f"there is no {record}: give the recipe.json of a space") from None
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise SemblanceError(f"{record} is no recipe.json of a space ({error})") from error
    source = data if data is not None else said["data"]["source"]
    if (not isinstance(source, str | Path) and data is None) or source == "":
        raise SemblanceError(f"{record} does not name its data (it came from memory): give the data again")
    recipe = changes.pop("recipe", None) or said["recipe"]
    if not recipe:
        raise SemblanceError(f"{record} was made with a module of yours: give it again, as recipe=sb.wrap(module)")
    return fit(source, recipe, **{**given, **{k: v for k, v in changes.items() if v is not None}})


def _target(out: str | Path | None, dataset: Loaded, overwrite: bool, resume: bool) -> Path:
    """Where the space goes; refuses to replace what is there unless told to."""
    if out is None:
        name = dataset.name or "data"
        target, number = Path(f"{name}.space"), 2
        while target.exists() and not (overwrite or resume):
            target, number = Path(f"{name}-{number}.space"), number + 1
        return target
    target = Path(out)
    if target.is_file():
        raise SemblanceError(f"{target} is a file: give a folder to --out")
    if target.exists() and any(target.iterdir()):
        if not (target / "space.db").exists():
            raise SemblanceError(f"{target} holds other files and no space: give another --out")
        if not overwrite:
            raise SemblanceError(f"{target} already holds a space: give --overwrite to replace it, or another --out")
    for folder in (target, target.parent):
        if folder.exists() and not os.access(folder, os.W_OK):
            raise SemblanceError(f"{folder} is read-only: give another --out")
    return target


def record_of(
    dataset: Loaded,
    name: str,
    settings: Mapping[str, Any],
    seed: int,
    asked: Mapping[str, Any],
    options: Mapping[str, Any],
) -> dict[str, Any]:
    """What was run, on what, where: the content of recipe.json. Its hash names the run (not how long it may take)."""
    record: dict[str, Any] = {
        "format": RECORD_FORMAT,
        "recipe": stored_name(name),
        "settings": dict(settings),
        "seed": seed,
        "data": {
            "source": dataset.source,
            "name": dataset.name,
            "fingerprint": dataset.fingerprint,
            "units": len(dataset),
            "skipped": len(dataset.skipped),
            "options": dict(options),
        },
    }
    run = {**record, "asked": {k: asked[k] for k in ("device", "precision")}}
    record["hash"] = hashlib.blake2b(json.dumps(run, sort_keys=True, default=str).encode(), digest_size=8).hexdigest()
    record["asked"] = dict(asked)
    theirs = package_of(name.partition("@")[0]) if name else None
    record["environment"] = {
        "python": platform.python_version(),
        "system": platform.system(),
        "machine": platform.machine(),
        "threads": torch.get_num_threads(),
        **{package: version(package) for package in ("semblance", "torch", "numpy", "numba", *filter(None, [theirs]))},
    }
    return record


class _log:
    """The run's log.jsonl: appended to line by line, begun anew unless the run is resumed (whose past epochs are told
    again by the rule)."""

    def __init__(self, folder: Path, resume: bool):
        self.folder, self.resume = folder, resume

    def __enter__(self) -> Callable[[dict[str, Any]], None]:
        try:
            if self.folder.exists() and not self.resume:
                shutil.rmtree(self.folder)
            self.folder.mkdir(parents=True, exist_ok=True)
            self.file = open(self.folder / "log.jsonl", "w")
        except OSError as error:
            raise SemblanceError(f"{self.folder} cannot be written ({error.strerror}): give another --out") from error

        def write(line: dict[str, Any]) -> None:
            self.file.write(json.dumps(line) + "\n")
            self.file.flush()

        return write

    def __exit__(self, *error: object) -> None:
        self.file.close()


def _steps(progress: Progress | None, name: str) -> Callable[[int, int, dict[str, float]], None] | None:
    if progress is None:
        return None
    return lambda done, total, metrics: progress(done, total, f"{name}: loss {metrics.get('loss', float('nan')):.4f}")


def _commit(target: Path, dataset: Loaded, model: Model, record: Mapping[str, Any], progress: Progress | None) -> None:
    """Embed every unit and put the space in place by one commit."""
    content: dict[str, Any] = {
        "model_tensors": model.tensors(),
        "model_meta": {"semblance": json.dumps(model.header())},
        "recipe": dict(record),
        "ids": dataset.ids,
        "vectors": _told(model.embed_blocks(dataset), len(dataset), progress),
        "attributes": attributes_of(dataset),
        "thumbnails": (thumbnail(dataset.x[i]) for i in range(len(dataset))) if dataset.domain == "images" else None,
        "manifest": {
            "recipe": record["recipe"],
            "classes": list(dataset.classes),
            "labels": label_kind(dataset),
            "units": dataset.units,
            "words": dataset.domain == "text" or model.captions is not None,
            "name": dataset.name,
        },
    }
    kind: dict[str, Any] = {"dim": model.dim, "geometry": model.geometry.name, "domain": dataset.domain}
    if (target / "space.db").exists():
        with Store.open(target, write=True) as store:
            store.commit_space(**content, **kind)
        return
    # A new space is made under another name and appears under its own when it is whole.
    beside = target.with_name(target.name + ".fitting") / "space"
    if beside.exists():
        shutil.rmtree(beside)
    try:
        with Store.create(beside, manifest={}, **kind) as store:
            store.commit_space(**content, **kind)
        if target.exists():
            target.rmdir()
        os.replace(beside, target)
    except OSError as error:
        raise Failed(f"{target} could not be written ({error.strerror or error}): nothing was changed") from error


def _told(blocks: Iterator[np.ndarray], total: int, progress: Progress | None) -> Iterator[np.ndarray]:
    done = 0
    for block in blocks:
        done += len(block)
        if progress is not None:
            progress(done, total, "embedding")
        yield block
