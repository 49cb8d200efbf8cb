"""The command line: a verb, what it works on, typed options. Each verb calls one function of the library and prints.

Nothing heavy is imported before a verb runs, so `semblance --help` and `semblance recipes` start at once.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from semblance.app import compact, complete, doctor, tables
from semblance.app import compare as comparing
from semblance.app import data as named
from semblance.app import embed as embedding
from semblance.app import explain as explaining
from semblance.app import export as exporting
from semblance.app import label as labelling
from semblance.app import report as reporting
from semblance.app import reproduce as reproducing
from semblance.app import serve as serving
from semblance.app import shards as sharding
from semblance.app import survey as surveying
from semblance.app import upgrade as upgrading
from semblance.app.flags import Face, aside, at_least, key_values, run, verb
from semblance.errors import Interrupted, SemblanceError
from semblance.places import keep_compiled
from semblance.recipes.registry import check_settings

app = typer.Typer(
    help="Learn a space in which similar things are near; search it, judge it.\n\nTry: semblance fit digits",
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

app.add_typer(named.app, name="data")
compact.add_to(app)
comparing.add_to(app)
doctor.add_to(app)
embedding.add_to(app)
explaining.add_to(app)
exporting.add_to(app)
reporting.add_to(app)
reproducing.add_to(app)
surveying.add_to(app)
serving.add_to(app)
sharding.add_to(app)
upgrading.add_to(app)
labelling.add_to(app)

Data = Annotated[
    str,
    typer.Argument(
        help="A folder of images, a .npy/.npz/.csv/.parquet file, or a known set's name.", autocompletion=complete.sets
    ),
]
SpacePath = Annotated[Path, typer.Argument(help="The folder of a space.", metavar="SPACE")]
Label = Annotated[str | None, typer.Option(help="The column that holds the labels.")]
IdColumn = Annotated[str | None, typer.Option(help="The column that holds the ids.")]
Size = Annotated[int | None, typer.Option(help="Scale to SIZE x SIZE pixels.", callback=at_least(1))]
Domain = Annotated[str | None, typer.Option(help="images or vectors, where it cannot be inferred.")]
Epochs = Annotated[int | None, typer.Option(help="Epochs of training (exactly repeatable).", callback=at_least(0))]
Time = Annotated[str | None, typer.Option("--time", help="Train by the clock: 90s, 5m (not repeatable).")]
Split = Annotated[
    str | None,
    typer.Option(help="Of graphs: a published split's number, or shares to draw one by (random:0.6/0.2/0.2)."),
]
Directed = Annotated[
    bool | None, typer.Option("--directed/--undirected", help="Of graphs: whether edges have a direction.")
]
Column = Annotated[str | None, typer.Option(help="Of texts: the column that holds them, or two as A,B for pairs.")]
Captions = Annotated[
    str | None, typer.Option(help="Of images: the column or table of what is written of them (file_name, caption).")
]
Nodes = Annotated[Path | None, typer.Option(help="Of graphs: the table of the nodes, beside a file of edges.")]
On = Annotated[str, typer.Option("--on", help="Where: local, ray (this machine's, or RAY_ADDRESS), ray://HOST:PORT.")]
Workers = Annotated[int | None, typer.Option("--workers", help="On Ray: how many at once.")]
Precision = Annotated[str, typer.Option(help="auto, float32 or bfloat16.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what it would take, and stop.")]
Set = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A setting of the recipe.")]
Plot = Annotated[Path | None, typer.Option(help="Write a picture of the space in two dimensions (PNG).")]
Where = Annotated[str | None, typer.Option(help="Only items that satisfy, e.g. \"year >= 2020 and city = 'Oslo'\".")]


def _version(wanted: bool) -> None:
    if wanted:
        from semblance import __version__

        print(f"semblance {__version__}")
        raise typer.Exit


@app.callback()
def semblance(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
) -> None:
    pass


@verb(app)
def fit(
    face: Face,
    data: Annotated[
        str | None, typer.Argument(help="A folder, a file, or a known set's name.", autocompletion=complete.sets)
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option("--recipe", "-r", help="A name from `semblance recipes`.", autocompletion=complete.recipes),
    ] = None,
    settings: Set = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="The folder to write (NAME.space).")] = None,
    again: Annotated[Path | None, typer.Option("--from", help="Run again what a recipe.json says.")] = None,
    label: Label = None,
    id_column: IdColumn = None,
    size: Size = None,
    domain: Domain = None,
    split: Split = None,
    directed: Directed = None,
    nodes: Nodes = None,
    column: Column = None,
    captions: Captions = None,
    epochs: Epochs = None,
    clock: Time = None,
    precision: Precision = "auto",
    on: On = "local",
    workers: Workers = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a run that was stopped.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the space at --out.")] = False,
    evaluate: Annotated[bool, typer.Option(help="Judge the space and print the table.")] = True,
    neighbours: Annotated[Path | None, typer.Option(help="Write a picture of neighbours (PNG).")] = None,
    plot: Plot = None,
    dry_run: DryRun = False,
) -> None:
    """Learn a space from data.

    Example: semblance fit digits --out digits.space
    """
    chosen = key_values(settings)
    if data is None and again is None:
        raise SemblanceError("fit needs data: give a folder, a file or a set's name (semblance data list)")
    epochs = _epochs(epochs, chosen)
    if recipe is not None:
        check_settings(recipe, chosen)
    from semblance.space import fit as fitting

    seconds = _seconds(clock)
    reading = {"label": label, "id_column": id_column, "size": size, "domain": domain}
    reading |= {"split": _split(split), "directed": directed, "nodes": nodes, "column": column, "captions": captions}
    budget = {"epochs": epochs, "device": face.device, "precision": precision}
    if dry_run:
        face.dry([_planned(data, recipe, {**reading, **chosen}, budget, face, seconds)])
        return
    with face.working() as progress:
        more = {"out": out, "seconds": seconds, "resume": resume, "overwrite": overwrite, "workers": workers}
        more |= {} if on == "local" else {"on": on}
        telling = {"progress": progress, "say": face.say}
        try:
            with aside():
                if again is not None:
                    asked = {k: v for k, v in {**reading, **budget, **more}.items() if v not in (None, False, "auto")}
                    seed = {} if face.seed is None else {"seed": face.seed}
                    space = fitting.refit(again, data, **asked, **seed, **chosen, **telling)
                else:
                    seed = {"seed": face.seed or 0}
                    space = fitting.fit(data, recipe, **reading, **budget, **more, **seed, **chosen, **telling)
        except Interrupted:
            if face.as_json:
                face.answer({**dict.fromkeys(FIT), "recipe": recipe, "seed": face.seed or 0, "interrupted": True})
            raise
        with space:
            _after_fit(face, space, evaluate and not face.as_json, neighbours, plot)
            if face.as_json:
                face.answer({key: space.info[key] for key in FIT})


FIT = ("space", "domain", "units", "recipe", "seed", "epochs", "seconds", "loss", "device", "precision", "interrupted")


def _after_fit(face: Face, space: Any, evaluate: bool, neighbours: Path | None, plot: Path | None) -> None:
    from semblance.app import pictures
    from semblance.space.card import add_measured

    info = space.info
    if info["epochs"]:
        pictures.losses(space.path / "log.jsonl", space.path / "loss.png")
    if neighbours is not None:
        pictures.neighbours(space, neighbours, seed=face.seed or 0)
    if plot is not None:
        pictures.save(space.plot(seed=face.seed or 0, progress=face.progress), plot)
    if face.as_json:
        return
    where = f"{info['device']}, {info['precision']}"
    with face.progress:
        found = _judged(space, face) if evaluate else None
    what = space.manifest.get("units", "item")
    what = info["domain"] if what == "item" else what if info["units"] == 1 else f"{what}s"
    print(f"{info['space']}: {info['units']:,} {what} by {info['recipe']}, seed {info['seed']}, ", end="")
    print(f"{info['epochs']} epochs in {info['seconds']:.0f} s ({where})")
    if found is not None:
        add_measured(space.path, found["metrics"])
        tables.evaluation(found["metrics"], "Held-out items judged against the training items")
    if neighbours is not None:
        print(f"Neighbours of ten held-out items: {neighbours}")
    if plot is not None:
        print(f"The space in two dimensions: {plot}")


def _judged(space: Any, face: Face) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = space.evaluate(progress=face.progress)
    except SemblanceError as error:
        face.say(f"not judged: {error}")
        return None
    for note in found["notes"]:
        face.say(note)
    return found


@verb(app)
def search(
    face: Face,
    space: SpacePath,
    query: Annotated[
        list[str] | None, typer.Argument(help="Files, or .npy vectors; several give several answers.")
    ] = None,
    k: Annotated[int, typer.Option("-k", "--k", help="How many neighbours.")] = 5,
    where: Where = None,
    by_id: Annotated[bool, typer.Option("--id", help="The queries are ids of items of the space.")] = False,
    text: Annotated[
        list[str] | None, typer.Option("--text", help="Of texts and captions: words of your own as a query; repeat it.")
    ] = None,
    recall: Annotated[
        float, typer.Option("--recall", help="Share of the true nearest to find; 1 looks at all.")
    ] = 0.95,
) -> None:
    """Find what is near.

    Example: semblance search digits.space --id 17 -k 8 --where "split = 'train'"
    """
    from semblance.app.vectors import read_queries

    with sharding.opened(space) as opened:
        asked = read_queries(opened, query or [], by_id, text or [])
        answers = [answer.to_dict() for answer in opened.search([q for _, q in asked], k=k, where=where, recall=recall)]
    if face.as_json:
        face.answer(answers if len(answers) > 1 else answers[0])
    else:
        for (name, _), answer in zip(asked, answers, strict=True):
            tables.neighbours(name, answer)
    sharding.check_whole(answers)


@verb(app)
def evaluate(
    face: Face,
    space: SpacePath,
    plot: Plot = None,
    attributes: Annotated[
        Path | None,
        typer.Option(help="A table with a row for every class: name it and describe it, for a zero-shot probe."),
    ] = None,
) -> None:
    """How good is a space? Held-out items against training items.

    Example: semblance evaluate digits.space
    """
    from semblance.space.space import load

    with load(space) as opened, face.working() as progress:
        found = opened.evaluate(attributes=attributes, progress=progress)
        if plot is not None:
            from semblance.app.pictures import save

            save(opened.plot(seed=face.seed or 0, progress=progress), plot)
    for note in found["notes"]:
        face.say(note)
    if face.as_json:
        face.answer(found)
    else:
        tables.evaluation(found["metrics"], str(space))


@verb(app)
def rank(
    face: Face,
    data: Data,
    recipe: Annotated[
        list[str] | None,
        typer.Option("--recipe", "-r", help="A method; repeat it.", autocompletion=complete.recipes),
    ] = None,
    settings: Annotated[list[str] | None, typer.Option("--set", metavar="RECIPE.KEY=VALUE", help="A setting.")] = None,
    seeds: Annotated[int, typer.Option(help="Runs per method.", callback=at_least(1))] = 3,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Where finished runs are kept (NAME.rank).")] = None,
    label: Label = None,
    id_column: IdColumn = None,
    size: Size = None,
    domain: Domain = None,
    split: Split = None,
    directed: Directed = None,
    nodes: Nodes = None,
    column: Column = None,
    captions: Captions = None,
    epochs: Epochs = None,
    clock: Time = None,
    precision: Precision = "auto",
    task: Annotated[
        str | None,
        typer.Option(
            help="labels, one-shot, five-shot, views, links, hyperedges or recommendation; the data's own without it."
        ),
    ] = None,
    on: On = "local",
    workers: Workers = None,
    resume: Annotated[bool, typer.Option(help="Go on from the runs in --out; --no-resume runs all again.")] = True,
    dry_run: DryRun = False,
) -> None:
    """Which method suits this data?

    Example: semblance rank digits -r simclr -r simsiam
    """
    chosen: dict[str, dict[str, str]] = {}
    for key, value in key_values(settings).items():
        name, dot, setting = key.rpartition(".")
        if not dot:
            raise SemblanceError(f"--set {key}={value} does not say of which recipe: write RECIPE.{key}={value}")
        chosen.setdefault(name, {})[setting] = value
    for name in {*(recipe or ()), *chosen}:
        check_settings(name, chosen.get(name, {}))
    from semblance.space.rank import rank as ranked
    from semblance.space.rank import usual_epochs

    seconds = _seconds(clock)
    reading = {"label": label, "id_column": id_column, "size": size, "domain": domain}
    reading |= {"split": _split(split), "directed": directed, "nodes": nodes, "column": column, "captions": captions}
    budget = {"epochs": epochs, "device": face.device, "precision": precision}
    if dry_run:
        from semblance.data.load import load as load_data
        from semblance.space.choose import candidates

        dataset = load_data(data, seed=face.seed or 0, **reading)
        budget["epochs"] = usual_epochs(dataset) if epochs is None else epochs
        plans = [_planned(dataset, r, chosen.get(r, {}), budget, face, seconds) for r in recipe or candidates(dataset)]
        face.dry([{**p, "seeds": seeds, "minutes": round(p["minutes"] * seeds, 2)} for p in plans])
        return
    with face.working() as progress, aside():
        found = ranked(
            data,
            recipe or None,
            seeds=seeds,
            seconds=seconds,
            out=out,
            on=on,
            workers=workers,
            resume=resume,
            seed=face.seed or 0,
            task=task,
            settings=chosen,
            progress=progress,
            say=face.say,
            **reading,
            **budget,
        )
    if face.as_json:
        face.answer(found.to_dict())
        return
    tables.ranking(found.rows, found.tests)
    print(f"{found}\nPlot and finished runs: {found.folder}")


@verb(app)
def recipes(
    face: Face,
    name: Annotated[
        str | None, typer.Argument(help="One recipe, with its settings.", autocompletion=complete.recipes)
    ] = None,
    family: Annotated[str | None, typer.Option(help="Only a family of the catalogue, e.g. objectives.")] = None,
    state: Annotated[str | None, typer.Option(help="planned, built, shown, 'not shown' or stale.")] = None,
    domain: Annotated[str | None, typer.Option(help="Only what learns from such data, e.g. graph.")] = None,
    needs: Annotated[
        list[str] | None, typer.Option(help="Only what needs exactly this, e.g. labels; 'nothing'. Repeat it.")
    ] = None,
) -> None:
    """Every method of the catalogue and its state.

    Example: semblance recipes --domain graph --needs nothing
    """
    from semblance.claims import states
    from semblance.errors import unknown

    if family is not None and family not in states.families():
        raise unknown("family", family, states.families())
    if state is not None and state not in states.STATES:
        raise unknown("state", state, states.STATES)
    rows = [row for row in states.rows(family) if state is None or row["state"] == state]
    rows = states.narrowed(rows, domain, needs)
    if name is not None:
        found = [{**row, **states.details(name)} for row in rows if name in (row["name"], row["entry"])]
        if not found:
            raise unknown("recipe", name, [row["name"] for row in rows])
        rows = found
    if face.as_json:
        face.answer({"recipes": rows})
        return
    columns = ["name", "family", "rank", "state", "needs", "title"]
    if any(row["package"] for row in rows):
        columns.insert(1, "package")
    cells = [[", ".join(v) if isinstance(v := row[c], list) else v for c in columns] for row in rows]
    tables.show("" if name else f"{len(rows)} methods", columns, cells, right=(columns.index("rank"),))
    if name is not None and rows[0]["settings"]:
        settings = [[key, value] for key, value in rows[0]["settings"].items()]
        tables.show("Settings (--set key=value)", ["key", "default"], settings)


def _split(given: str | None) -> int | str | None:
    """A number, or shares in words, which the loader reads."""
    return int(given) if given is not None and given.isdigit() else given


def _epochs(option: int | None, chosen: dict[str, str]) -> int | None:
    """`--set epochs=30`, as the table of settings suggests, means `--epochs 30`."""
    if "epochs" not in chosen:
        return option
    given = chosen.pop("epochs")
    if not given.isdigit():
        raise SemblanceError(f"epochs is {given!r}: give a whole number")
    if option is not None and option != int(given):
        raise SemblanceError(f"--epochs {option} and --set epochs={given} differ: give one of them")
    return int(given)


def _seconds(text: str | None) -> float | None:
    """90, 90s, 5m, 1.5h -> seconds."""
    if text is None:
        return None
    unit = {"s": 1.0, "m": 60.0, "h": 3600.0}.get(text[-1:].lower())
    try:
        seconds = float(text[:-1] if unit else text) * (unit or 1.0)
    except ValueError:
        seconds = float("nan")
    if not 0 < seconds < float("inf"):
        raise SemblanceError(f"--time {text!r} is no duration: write 90s, 5m or 1h")
    return seconds


def _planned(
    data: Any, recipe: str | None, given: dict[str, Any], budget: dict[str, Any], face: Face, seconds: float | None
) -> dict[str, Any]:
    from semblance.space.plan import plan

    found: dict[str, Any] = plan(data, recipe, seed=face.seed or 0, **budget, **given)
    if seconds is not None:
        found |= {"epochs": None, "steps": None, "minutes": round(seconds / 60, 2)}
    return found


def main() -> None:
    """The `semblance` command."""
    keep_compiled()
    sys.exit(run(app))


if __name__ == "__main__":
    main()
