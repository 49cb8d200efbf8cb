"""rank: which published method suits THIS data. Several recipes, one budget, several seeds, and a paired test.

Every run's score per unit is kept in `NAME.rank/runs.jsonl` as soon as it is done, so a stopped ranking goes on where it
stopped. What is asked of a method, and what stands beside the methods, is the task's (tasks.py): labels of test units by
the vote of 5 neighbours, other views, hidden links and hyperedges, items for users.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from semblance.analysis.intervals import bootstrap_mean, compare_rows
from semblance.data.load import load as load_data
from semblance.data.relational import Loaded
from semblance.errors import Failed, Interrupted, SemblanceError
from semblance.learning.devices import keep_pages
from semblance.space.choose import candidates, choose, ignored
from semblance.space.cluster import elsewhere, runs_on
from semblance.space.fit import Progress
from semblance.space.plan import plan
from semblance.space.progress import watched
from semblance.space.show import ranking_html
from semblance.space.tasks import Task, task_of, usual_task
from semblance.space.training import train

EPOCHS = 20
STEPS = 200  # epochs where an epoch is one step over the whole structure
BASELINES = ("raw input", "neighbourhoods", "popularity")


@dataclass(frozen=True)
class Ranking:
    """rows: one a method, best first, {recipe, metric, value, low, high, seeds, seconds, measures}; tests: every method
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
            raw = row["recipe"] in BASELINES
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
    column: str | None = None,
    captions: Any = None,
    task: str | None = None,
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    on: str = "local",
    workers: int | None = None,
    progress: Progress | None = None,
    say: Callable[[str], None] | None = None,
) -> Ranking:
    """Train each recipe (default: the domain's rank set, without those whose needs the data does not meet) with `seeds`
    seeds at one budget: `epochs` (default 20; 200 where an epoch is one step over a whole graph) or `seconds` a run. task:
    what is asked (labels, one-shot, five-shot, views, links, hyperedges, recommendation; see tasks.py), without it what
    the data suggests. `settings` maps a recipe to its settings. on: `ray` or `ray://HOST:PORT` runs `workers` of them at
    once there (default: one a core). Says the expected total first; finished runs in `out`
    (default NAME.rank) are not run again unless `resume` is False."""
    say = say or (lambda line: None)
    away = elsewhere(on, workers)
    if seeds < 1:
        raise SemblanceError(f"seeds is {seeds}: give one seed or more")
    keep_pages()
    reading: dict[str, Any] = {"domain": domain, "label": label, "id_column": id_column, "size": size}
    reading |= {"split": split, "directed": directed, "nodes": nodes, "column": column, "captions": captions}
    dataset = load_data(data, seed=seed, progress=progress, **reading)
    asked = task_of(dataset, task, seed)
    names = list(recipes) if recipes else candidates(dataset)
    given = settings or {}
    chosen = {name: choose(dataset, name, given.get(name, {}))[2] for name in dict.fromkeys(names)}
    for name in chosen:
        told = ignored(dataset, name)
        if told:
            say(told)
    dataset = asked.learn
    budget = usual_epochs(dataset) if epochs is None and seconds is None else epochs
    key_of = partial(_key, dataset, asked.name, given, budget, seconds)
    folder = Path(out) if out is not None else Path(f"{dataset.name or 'data'}.rank")
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "runs.jsonl"
    done = _finished(log) if resume else {}
    if not resume:
        log.unlink(missing_ok=True)
    todo = [(name, s) for s in range(seed, seed + seeds) for name in chosen if key_of(name, s) not in done]
    say(_expected(dataset, todo, budget, seconds, device, precision, given))
    budgeted: dict[str, Any] = {"epochs": budget, "seconds": seconds, "device": device, "precision": precision}
    one = partial(_run, asked, chosen, given, budgeted, key_of)
    ended = runs_on(on, one, todo, workers) if away else _here(one, todo, progress)
    try:
        for job, line in ended:
            with log.open("a") as file:
                file.write(json.dumps(line) + "\n")
            done[str(line["key"])] = line
            if progress is not None and away:
                progress(sum(key_of(*each) in done for each in todo), len(todo), "{}, seed {}".format(*job))
    except (Interrupted, KeyboardInterrupt) as stopped:
        during = f" {stopped.args[0]}" if isinstance(stopped, Interrupted) else ""
        raise _interrupted(stopped, f"stopped{during}; {_kept(done, folder)}") from None
    except Failed as failed:
        raise Failed(f"{failed}; {_kept(done, folder)}") from failed
    if progress is not None:
        progress(len(todo), len(todo), "done")
    runs = {name: [done[key_of(name, s)] for s in range(seed, seed + seeds)] for name in chosen}
    ranking = _ranking(runs, asked, seed, folder)
    ranking.plot(folder / "rank.png")
    return ranking


def _here(
    one: Callable[[tuple[str, int]], dict[str, Any]], todo: Sequence[tuple[str, int]], progress: Progress | None
) -> Iterator[tuple[tuple[str, int], dict[str, Any]]]:
    """Run after run, in this process."""
    for number, (name, seed) in enumerate(todo):
        if progress is not None:
            progress(number, len(todo), f"{name}, seed {seed}")
        try:
            yield (name, seed), one((name, seed))
        except Interrupted as stopped:
            stopped.args = (f"during {name}, seed {seed}",)
            raise


def _kept(done: Mapping[str, Any], folder: Path) -> str:
    return f"{len(done)} finished runs are kept in {folder}; rank again with the same words to go on"


def _interrupted(stopped: BaseException, text: str) -> Interrupted:
    """The interruption with this text, and the code of the signal where it has one."""
    error = stopped if isinstance(stopped, Interrupted) else Interrupted(text)
    error.args = (text,)
    return error


def _run(
    task: Task,
    chosen: Mapping[str, Any],
    given: Mapping[str, Mapping[str, Any]],
    budgeted: Mapping[str, Any],
    key_of: Callable[[str, int], str],
    job: tuple[str, int],
) -> dict[str, Any]:
    """One run: what stands in a line of runs.jsonl."""
    name, seed = job
    begun = time.monotonic()
    model = train(task.learn, chosen[name], seed=seed, name=name, settings=given.get(name, {}), **budgeted)
    found = task.measures(model)
    return {
        "schema": 1,
        "key": key_of(name, seed),
        "recipe": name,
        "seed": seed,
        "seconds": round(time.monotonic() - begun, 2),
        "scores": [round(float(v), 6) for v in found[task.metric]],
        "measures": {k: round(float(v.mean()), 6) for k, v in found.items()},
    }


def usual_epochs(dataset: Loaded) -> int:
    """The budget of a run where none is given."""
    return STEPS if getattr(dataset, "whole", False) else EPOCHS


def _ranking(runs: Mapping[str, Sequence[Mapping[str, Any]]], task: Task, seed: int, folder: Path) -> Ranking:
    """Rows with intervals, best first, and the paired tests, from the finished runs."""
    scores = {name: np.array([run["scores"] for run in each]) for name, each in runs.items()}
    seeds = len(next(iter(scores.values())))
    beside = task.beside()
    if beside is not None:
        scores[task.baseline] = np.repeat(beside[None], seeds, axis=0)
    rows: list[dict[str, Any]] = []
    for name, table in scores.items():
        value, low, high = bootstrap_mean(table, seed=seed)
        each = runs.get(name, ())
        row = {"recipe": name, "metric": task.metric, "value": value, "low": low, "high": high, "seeds": seeds}
        row["seconds"] = round(float(np.mean([run["seconds"] for run in each])), 2) if each else 0.0
        row["measures"] = {
            k: round(float(np.mean([run["measures"][k] for run in each])), 6)
            for k in (each[0]["measures"] if each else ())
        }
        rows.append(row)
    rows.sort(key=lambda row: -row["value"])
    return Ranking(rows, compare_rows({row["recipe"]: scores[row["recipe"]] for row in rows}, seed=seed), folder)


def _key(
    dataset: Loaded,
    task: str,
    given: Mapping[str, Mapping[str, Any]],
    epochs: int | None,
    seconds: float | None,
    name: str,
    seed: int,
) -> str:
    """One run's name: the same data, task, recipe, settings, seed and budget need not be run twice."""
    known = [dataset.fingerprint[:16], len(dataset.splits["train"]), name, dict(given.get(name, {})), seed]
    # The data's usual task goes without saying, as it did when there was no other that left the data as it is.
    said = [] if task == usual_task(dataset) else [task]
    return json.dumps([*known, epochs, seconds, *said])


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
