"""Zero-shot: how well classes are answered of which nothing is known but a description, under every setting of the survey.

    zero_shot(train, test, table, models=["eszsl", "sae"], settings=["zero-shot", "generalised"])

settings (items of the test part; figures are means over classes):
    zero-shot      unseen items among the unseen classes
    generalised    all items among all classes; calibrated: a number is taken from the scores of seen classes, the one that
                   was best where some seen classes were played unseen (calibrated stacking, Chao et al. 2016)
    one-shot       as zero-shot, with one item of each unseen class to be seen: both scores, each of spread 1, are added
    open-set       nothing is known of the unseen: how surely their items are told from seen ones (AUC of the novelty,
                   minus the best seen score), and the share rejected where a twentieth of the seen is
    compositional  every combination of the table's parts (colour=red and its like) is a class: whole and part by part
switches:
    direction      which side is carried into the other's space, for models that know both
    neighbours     nearest, or corrected for hubs (heads/prototypes/hubs.py)
    transductive   none, retrained or propagated (heads/prototypes/transductive.py)

Reference: Fu et al. 2018, "Recent Advances in Zero-shot Recognition", arXiv:1710.04837.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from semblance.analysis.zero_shot_report import ZeroShot
from semblance.analysis.zero_shot_settings import NEIGHBOURS, SETTINGS, TRANSDUCTIVE, Task, Way
from semblance.data.class_tables import ClassTable
from semblance.errors import SemblanceError, unknown
from semblance.heads.prototypes.semantic import MODELS, directions_of


def zero_shot(
    train: tuple[np.ndarray, Sequence[str]],
    test: tuple[np.ndarray, Sequence[str]],
    table: ClassTable,
    *,
    unseen: Sequence[str] | None = None,
    models: Sequence[str] | str = "all",
    directions: Sequence[str] = ("",),
    neighbours: Sequence[str] = ("nearest",),
    transductive: Sequence[str] = ("none",),
    settings: Sequence[str] = ("zero-shot",),
    seed: int = 0,
) -> ZeroShot:
    """Embeddings [N, d] with class names, to learn from and to be asked -> the report, a row for every combination.

    `unseen` classes are not learned from; None: those of the table without training items, or where there is none a
    quarter of the classes, drawn by seed. `directions` may hold forward and reverse; "": the model's own.
    """
    for kind, chosen, known in (
        ("neighbours", neighbours, NEIGHBOURS),
        ("transductive", transductive, TRANSDUCTIVE),
        ("setting", settings, SETTINGS),
        ("direction", directions, ("", "forward", "reverse")),
    ):
        for name in chosen:
            if name not in known:
                raise unknown(kind, name, known)
    names = list(MODELS) if models == "all" else [models] if isinstance(models, str) else list(models)
    for name in names:
        if name not in MODELS:
            raise unknown("zero-shot model", name, MODELS)
    task, notes = posed(train, test, table, unseen, seed)
    rows: list[dict[str, Any]] = []
    for model, direction, near, shift in itertools.product(names, directions, neighbours, transductive):
        if direction and not directions_of(model):
            continue
        way = Way(model, direction, near, shift, seed)
        answer = way.fitted(task.x, task.y, task.codes[task.seen])
        told = {"model": model, "direction": direction or None, "neighbours": near, "transductive": shift}
        for setting in settings:
            rows += [told | {"setting": setting} | row for row in SETTINGS[setting](task, way, answer)]
    if not rows:
        raise SemblanceError(f"none of {', '.join(names)} has a direction: ask regression or sae, or leave it out")
    return ZeroShot(tuple(rows), len(task.seen), len(task.unseen), tuple(notes))


def posed(
    train: tuple[np.ndarray, Sequence[str]],
    test: tuple[np.ndarray, Sequence[str]],
    table: ClassTable,
    unseen: Sequence[str] | None = None,
    seed: int = 0,
) -> tuple[Task, list[str]]:
    """The task, and what is to be said of it."""
    at = {name: i for i, name in enumerate(table.names)}
    (x, y), (asked, truth) = (_known(z, labels, at) for z, labels in (train, test))
    notes = []
    if unseen is not None:
        hidden = torch.tensor([at[n] if n in at else _lost(n, at) for n in unseen])
    else:
        hidden = torch.tensor(sorted(set(range(len(at))) - set(y.tolist())))
        if not len(hidden):
            order = np.random.default_rng(seed).permutation(len(at))
            hidden = torch.from_numpy(np.sort(order[: max(1, len(at) // 4)]))
            notes.append("every class has training items: a quarter of them, drawn by seed, was played unseen")
    shown = ~torch.isin(y, hidden)
    x, y = x[shown], y[shown]
    seen, y = y.unique(return_inverse=True)
    known = torch.isin(truth, torch.cat([seen, hidden]))
    asked, truth = asked[known], truth[known]
    if len(seen) < 2 or not bool(torch.isin(truth, hidden).any()):
        raise SemblanceError(
            f"there are {len(seen)} seen classes and {int(torch.isin(truth, hidden).sum())} items of unseen ones: give two "
            "and one at least, under the names that the table has"
        )
    middle, spread = x.mean(0), x.std(0)
    spread = torch.where(spread > 1e-8, spread, torch.ones_like(spread))
    codes = torch.from_numpy(table.values)
    return Task((x - middle) / spread, y, (asked - middle) / spread, truth, codes, seen, hidden, table), notes


def _known(z: np.ndarray, labels: Sequence[str], at: Mapping[str, int]) -> tuple[Tensor, Tensor]:
    """Items whose class the table knows."""
    z = np.asarray(z)
    if z.ndim != 2 or len(z) != len(labels):
        raise SemblanceError(
            f"embeddings of shape {list(z.shape)} came with {len(labels)} classes: give [N, d] and N names"
        )
    y = np.array([at.get(str(name), -1) for name in labels], np.int64)
    kept = y >= 0
    if len(y) and not kept.any():
        raise SemblanceError(
            f"the table has no row for class {labels[0]!r} or any other: name its rows like the labels"
        )
    return torch.from_numpy(z[kept].astype(np.float64)), torch.from_numpy(y[kept])


def _lost(name: str, known: Mapping[str, int]) -> int:
    raise unknown("class of this table", name, known)
