"""rank: which published method suits THIS data. Several recipes, one budget, several seeds, and a paired test.

Every run's score per test unit is kept in `NAME.rank/runs.jsonl` as soon as it is done, so a stopped ranking goes on
where it stopped. The score of a unit: is its 5-nearest-neighbour vote right (classes); 1 - squared error / variance
of the 5-neighbour mean (numbers); F1 of the voted set (several classes); is its other view its nearest (no labels).
Neighbours come from the training split. `raw input` is the same question asked of the input itself.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from semblance.analysis.intervals import bootstrap_mean, compare_rows
from semblance.analysis.retrieval import neighbours
from semblance.data.dataset import ArrayDataset
from semblance.data.domains import rank_set
from semblance.data.load import load as load_data
from semblance.data.relational import Loaded
from semblance.errors import Interrupted, SemblanceError
from semblance.heads.neighbours import vote
from semblance.learning.devices import keep_pages
from semblance.space.choose import choose
from semblance.space.columns import label_kind
from semblance.space.fit import Progress
from semblance.space.model import Model
from semblance.space.plan import plan
from semblance.space.progress import watched
from semblance.space.show import ranking_html
from semblance.space.training import train

EPOCHS = 20
NEIGHBOURS = 5
RAW = "raw input"
METRICS = {"class": "knn5", "number": "r2", "classes": "f1", "none": "view_recall1"}


@dataclass(frozen=True)
class Ranking:
    """rows: one a method, best first, {recipe, metric, value, low, high, seeds, seconds}; tests: every method
    against the best, {a, b, difference, low, high, p, p_holm}, by a paired bootstrap over (seed, test unit),
    Holm-corrected."""

    rows: list[dict[str, Any]]
    tests: list[dict[str, Any]]
    folder: Path

    def to_dict(self) -> dict[str, Any]:
        """As `semblance rank --json` prints it."""
        return {"rows": self.rows, "tests": self.tests}

    def _repr_html_(self) -> str:
        return ranking_html(self.rows, self.tests, str(self))

    def __str__(self) -> str:
        best = self.rows[0]
        level = [t["b"] for t in self.tests if t["a"] == best["recipe"] and not t["differs"]]
        rest = f"; not clearly worse: {', '.join(level)}" if level else "; clearly ahead of the others"
        span = f"{best['value']:.3f}, {best['low']:.3f} to {best['high']:.3f}"
        return f"{best['recipe']} is best by {best['metric']} ({span}){rest}"

    def plot(self, path: str | Path | None = None) -> Any:
        """Points with 95% intervals, best on top; written to `path` if given. Returns the matplotlib figure."""
        from semblance.figures import Drawn

        figure = Drawn(figsize=(7, 0.9 + 0.42 * len(self.rows)), layout="constrained")
        axes = figure.subplots()
        for place, row in enumerate(reversed(self.rows)):
            raw = row["recipe"] == RAW
            axes.errorbar(
                row["value"],
                place,
                xerr=[[row["value"] - row["low"]], [row["high"] - row["value"]]],
                fmt="s" if raw else "o",
                color="0.45" if raw else "#0072B2",
                capsize=3,
            )
            axes.annotate(
                f"{row['value']:.3f}",
                (row["value"], place),
                (0, 6),
                textcoords="offset points",
                ha="center",
                fontsize=8,
            )
        axes.set_yticks(range(len(self.rows)), [r["recipe"] for r in reversed(self.rows)])
        axes.set_ylim(-0.6, len(self.rows) - 0.3)
        axes.set_xlabel(f"{self.rows[0]['metric']} on the test split, 95% interval over seeds and units")
        axes.grid(axis="x", alpha=0.3)
        if path is not None:
            figure.savefig(path, dpi=150)
        return figure


@watched
def rank(
    data: Any,
    recipes: Sequence[str] | None = None,
    *,
    seeds: int = 3,
    epochs: int | None = None,
    seconds: float | None = None,
    out: str | Path | None = None,
    resume: bool = True,
    seed: int = 0,
    device: str = "auto",
    precision: str = "auto",
    domain: str | None = None,
    label: str | None = None,
    id_column: str | None = None,
    size: int | None = None,
    split: int | str | None = None,
    directed: bool | None = None,
    nodes: str | Path | None = None,
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    progress: Progress | None = None,
    say: Callable[[str], None] | None = None,
) -> Ranking:
    """Train each recipe (default: the domain's rank set, without those whose needs the data does not meet) with `seeds`
    seeds at one budget: `epochs` (default 20) or `seconds` a run. `settings` maps a recipe to its settings. Says the
    expected total first; finished runs in `out` (default NAME.rank) are not run again unless `resume` is False."""
    say = say or (lambda line: None)
    if seeds < 1:
        raise SemblanceError(f"seeds is {seeds}: give one seed or more")
    keep_pages()
    reading: dict[str, Any] = {"domain": domain, "label": label, "id_column": id_column, "size": size}
    reading |= {"split": split, "directed": directed, "nodes": nodes}
    dataset = load_data(data, seed=seed, progress=progress, **reading)
    names = list(recipes) if recipes else rank_set(dataset)
    if not len(dataset.splits["test"]):
        raise SemblanceError("the data has no test units to rank on: give more items, or splits of its own")
    kind = label_kind(dataset)
    if kind == "none" and dataset.domain != "images":
        raise SemblanceError(
            f"{dataset.domain} without labels have nothing to be ranked by (images have other views): name the column of "
            "labels by --label"
        )
    given = settings or {}
    chosen = {name: choose(dataset, name, given.get(name, {}))[2] for name in dict.fromkeys(names)}
    budget = EPOCHS if epochs is None and seconds is None else epochs
    folder = Path(out) if out is not None else Path(f"{dataset.name or 'data'}.rank")
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "runs.jsonl"
    done = _finished(log) if resume else {}
    if not resume:
        log.unlink(missing_ok=True)
    todo = [
        (name, s)
        for s in range(seed, seed + seeds)
        for name in chosen
        if _key(dataset, name, given, s, budget, seconds) not in done
    ]
    say(_expected(dataset, todo, budget, seconds, device, precision, given))
    for number, (name, run_seed) in enumerate(todo):
        if progress is not None:
            progress(number, len(todo), f"{name}, seed {run_seed}")
        begun = time.monotonic()
        budgeted: dict[str, Any] = {"epochs": budget, "seconds": seconds, "device": device, "precision": precision}
        try:
            model = train(dataset, chosen[name], seed=run_seed, name=name, settings=given.get(name, {}), **budgeted)
        except Interrupted as stopped:
            kept = f"{len(done)} finished runs are kept in {folder}; rank again with the same words to go on"
            stopped.args = (f"stopped during {name}, seed {run_seed}; {kept}",)
            raise
        line = {
            "schema": 1,
            "key": _key(dataset, name, given, run_seed, budget, seconds),
            "recipe": name,
            "seed": run_seed,
            "seconds": round(time.monotonic() - begun, 2),
            "scores": [round(float(v), 6) for v in _scores(dataset, model, kind)],
        }
        with log.open("a") as file:
            file.write(json.dumps(line) + "\n")
        done[_key(dataset, name, given, run_seed, budget, seconds)] = line
    if progress is not None:
        progress(len(todo), len(todo), "done")
    runs = {
        name: [done[_key(dataset, name, given, s, budget, seconds)] for s in range(seed, seed + seeds)]
        for name in chosen
    }
    ranking = _ranking(runs, _raw_scores(dataset, kind), METRICS[kind], seed, folder)
    ranking.plot(folder / "rank.png")
    return ranking


def _ranking(
    runs: Mapping[str, Sequence[Mapping[str, Any]]], raw: np.ndarray | None, metric: str, seed: int, folder: Path
) -> Ranking:
    """Rows with intervals, best first, and the paired tests, from the finished runs."""
    scores = {name: np.array([run["scores"] for run in each]) for name, each in runs.items()}
    seeds = len(next(iter(scores.values())))
    if raw is not None:
        scores[RAW] = np.repeat(raw[None], seeds, axis=0)
    rows: list[dict[str, Any]] = []
    for name, table in scores.items():
        value, low, high = bootstrap_mean(table, seed=seed)
        seconds = float(np.mean([run["seconds"] for run in runs[name]])) if name in runs else 0.0
        row = {"recipe": name, "metric": metric, "value": value, "low": low, "high": high}
        rows.append({**row, "seeds": seeds, "seconds": round(seconds, 2)})
    rows.sort(key=lambda row: -row["value"])
    return Ranking(rows, compare_rows({row["recipe"]: scores[row["recipe"]] for row in rows}, seed=seed), folder)


def _key(
    dataset: Loaded,
    name: str,
    given: Mapping[str, Mapping[str, Any]],
    seed: int,
    epochs: int | None,
    seconds: float | None,
) -> str:
    """One run's name: the same data, recipe, settings, seed and budget need not be run twice."""
    return json.dumps(
        [dataset.fingerprint[:16], len(dataset.splits["train"]), name, dict(given.get(name, {})), seed, epochs, seconds]
    )


def _finished(log: Path) -> dict[str, dict[str, Any]]:
    """Runs that are whole; a line torn by a kill is left out and its run repeated."""
    found = {}
    for text in log.read_text().splitlines() if log.exists() else []:
        try:
            line = json.loads(text)
        except json.JSONDecodeError:
            continue
        found[line["key"]] = line
    return found


def _expected(
    dataset: Loaded,
    todo: Sequence[tuple[str, int]],
    epochs: int | None,
    seconds: float | None,
    device: str,
    precision: str,
    given: Mapping[str, Mapping[str, Any]],
) -> str:
    """The line that says how long it will take, from a few timed steps of every recipe."""
    if seconds is not None:
        minutes = len(todo) * seconds / 60
    else:
        each = {
            name: plan(dataset, name, epochs=epochs, device=device, precision=precision, **given.get(name, {}))[
                "minutes"
            ]
            for name in dict.fromkeys(name for name, _ in todo)
        }
        minutes = sum(each[name] for name, _ in todo)
    return f"{len(todo)} runs to go, about {minutes:.1f} minutes in all"


def _scores(dataset: Loaded, model: Model, kind: str) -> np.ndarray:
    """[test units], each unit's score."""
    if kind == "none":
        return _view_hits(dataset, model)
    train_z, test_z = (model.embed(dataset, dataset.splits[part]) for part in ("train", "test"))
    return _neighbour_scores(dataset, train_z, test_z, kind, model.geometry.name)


def _raw_scores(dataset: Loaded, kind: str) -> np.ndarray | None:
    """The better of the raw input as it is and standardised; None without labels, where views of an input need a
    model."""
    if kind == "none":
        return None
    train_x, test_x = (dataset.raw(dataset.splits[part]) for part in ("train", "test"))
    mean, std = train_x.mean(0), train_x.std(0)
    std[std < 1e-6] = 1
    both = [
        _neighbour_scores(dataset, train_x, test_x, kind, "cosine"),
        _neighbour_scores(dataset, (train_x - mean) / std, (test_x - mean) / std, kind, "cosine"),
    ]
    return max(both, key=lambda s: float(s.mean()))


def _neighbour_scores(dataset: Loaded, train_z: np.ndarray, test_z: np.ndarray, kind: str, geometry: str) -> np.ndarray:
    labels = dataset.targets["labels"]
    train_y, test_y = labels[dataset.splits["train"]], labels[dataset.splits["test"]]
    known = (
        train_y >= 0 if kind == "class" else np.isfinite(train_y) if kind == "number" else np.ones(len(train_y), bool)
    )
    k = min(NEIGHBOURS, int(known.sum()))
    index, similarity = neighbours(test_z, train_z[known], k, geometry)
    near = train_y[known][index]
    if kind == "class":
        votes = vote(near, similarity, len(dataset.classes))
        return (votes.argmax(1).numpy() == test_y)[test_y >= 0].astype(float)
    if kind == "number":
        known_test = np.isfinite(test_y)
        error = (near.mean(1) - test_y)[known_test] ** 2
        return 1 - error / test_y[known_test].var()
    guess = near.mean(1) > 0.5
    both = (guess & test_y).sum(1)
    return 2 * both / np.maximum(guess.sum(1) + test_y.sum(1), 1)


def _view_hits(dataset: Loaded, model: Model) -> np.ndarray:
    """[test units]: is the second view of a unit nearest to its first, among all second views?"""
    assert isinstance(dataset, ArrayDataset), "only images are ranked without labels"
    rows = dataset.splits["test"]
    first, second = model.embed_views(dataset, rows)
    index, _ = neighbours(first, second, 1, model.geometry.name)
    return (index[:, 0] == np.arange(len(rows))).astype(float)
