"""`semblance data`: which named sets there are, what stands in them, what views make of data, what of it is to be kept."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from semblance.app import tables
from semblance.app.flags import Face, at_least, verb

app = typer.Typer(help="Data sets: list, describe, get, views, filter.", no_args_is_help=True, rich_markup_mode=None)

Name = Annotated[str, typer.Argument(help="A name from `semblance data list`.", metavar="NAME")]


@app.callback()
def data() -> None:
    pass


@verb(app, "list")
def list_sets(
    face: Face,
    domain: Annotated[str | None, typer.Option(help="Only this domain, e.g. images.")] = None,
) -> None:
    """Every named set: its domain, size, address and licence.

    Example: semblance data list --domain images
    """
    from semblance.data.named import data_list
    from semblance.errors import unknown

    rows = data_list()
    domains = sorted({row.domain for row in rows})
    if domain is not None and domain not in domains:
        raise unknown("domain", domain, domains)
    rows = [row for row in rows if domain in (None, row.domain)]
    if face.as_json:
        face.answer({"sets": [row._asdict() for row in rows]})
        return
    columns = ["name", "domain", "units", "n", "here", "licence", "source"]
    cells = [[r.name, r.domain, r.units, f"{r.n:,}", "yes" if r.present else "no", r.licence, r.source] for r in rows]
    tables.show(f"{len(rows)} sets", columns, cells, right=(3,))


@verb(app)
def describe(
    face: Face,
    name: Name,
    check: Annotated[bool, typer.Option("--check", help="Compare the file's checksum with the index.")] = False,
) -> None:
    """All that is known of a set: shape, splits, classes, task, address, licence.

    Example: semblance data describe digits
    """
    from semblance.data import named

    found = named.describe(name, check=check)
    if face.as_json:
        face.answer(found)
        return
    rows = [[key, _shown(value)] for key, value in found.items() if value not in (None, "", {}, [])]
    tables.show("", ["", ""], rows)


@verb(app)
def get(face: Face, name: Name) -> None:
    """Where a set lies, or its address and licence.

    Example: semblance data get mnist
    """
    from semblance.data import named

    text = named.get(name)
    if face.as_json:
        path = named.find(name)
        face.answer({"name": name, "path": path, "present": named.describe(name)["present"], "text": text})
    else:
        print(text)


@verb(app)
def views(
    face: Face,
    source: Annotated[
        str, typer.Argument(help="A folder of images, a file of texts or edges, or a known set's name.", metavar="DATA")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The picture to write (PNG).")] = Path("views.png"),
    recipe: Annotated[str | None, typer.Option("--recipe", "-r", help="Whose views; default: the domain's.")] = None,
    size: Annotated[int | None, typer.Option(help="Scale to SIZE x SIZE pixels.", callback=at_least(1))] = None,
) -> None:
    """Draw what a recipe's views make of some items.

    Example: semblance data views digits -r simclr -o views.png
    """
    from semblance.app import pictures
    from semblance.space.views import drawn_views

    name, figure = drawn_views(source, recipe, size=size, seed=face.seed or 0, progress=face.progress)
    pictures.save(figure, out)
    if face.as_json:
        face.answer({"out": out, "recipe": name})
    else:
        print(f"{out}: items of {source} and what the views of {name} make of them")


@verb(app, "filter")
def keep(
    face: Face,
    source: Annotated[str, typer.Argument(help="The pool: a folder, a file, or a known set's name.", metavar="DATA")],
    scores: Annotated[
        str,
        typer.Option(
            help="Who scores: a SPACE that learned from captions, a column, random, bounds such as "
            "words=3-40,side=64,contrast=0.02; or, fitted to --clean, quality, autoencoder, labels."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The table of what is kept (.csv, .parquet), for `fit`.")],
    top: Annotated[float | None, typer.Option(help="Keep this share, the best.")] = None,
    threshold: Annotated[float | None, typer.Option(help="Keep what scores so much or more.")] = None,
    clean: Annotated[
        str | None, typer.Option(help="Data known to be good: what --scores is fitted or held to.")
    ] = None,
    truth: Annotated[str | None, typer.Option(help="The column that says what is good, where that is known.")] = None,
    store: Annotated[Path | None, typer.Option(help="A folder for the scores, to go on from.")] = None,
    report: Annotated[Path | None, typer.Option(help="Write the report (HTML).")] = None,
    captions: Annotated[str | None, typer.Option(help="Of images: the column or table of captions.")] = None,
    label: Annotated[str | None, typer.Option(help="The column that holds the labels.")] = None,
) -> None:
    """Keep of a pool what scores best, and say what was kept.

    Example: semblance data filter pool/ --scores clean.space --top 0.2 -o kept.csv
    """
    from semblance.app.scorers import scorer_of
    from semblance.data.curation.filter import filter_pool
    from semblance.data.load import load

    reading = {key: value for key, value in (("captions", captions), ("label", label)) if value is not None}
    with face.working() as progress:
        pool = load(source, seed=face.seed or 0, progress=progress, **reading)
        good = None if clean is None else load(clean, seed=face.seed or 0, **reading)
        with scorer_of(scores, pool, good, face.seed or 0) as by:
            held = good if top is None and threshold is None else None
            kept = filter_pool(
                pool, by, top=top, threshold=threshold, clean=held, truth=truth, store=store, out=out, progress=progress
            )
    if report is not None:
        kept.report.save(report)
    if face.as_json:
        face.answer({"out": out, **kept.report.to_dict()})
        return
    rows = [[r["kind"], r["value"], f"{r['units']:,}", f"{r['kept']:,}", r["share"]] for r in kept.report.rows()]
    tables.show("", ["", "", "units", "kept", "share"], rows, right=(2, 3, 4))
    print(f"{out}: {kept.report}")


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{k} {v}" for k, v in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
