"""`semblance reproduce`: a paper's claim run again, or all of them as a queue, on this machine or on a cluster."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from semblance.app import complete, tables
from semblance.app.flags import Face, aside, at_least, verb
from semblance.errors import SemblanceError


def add_to(app: typer.Typer) -> None:
    """Makes `reproduce` a verb of this command line."""
    verb(app)(reproduce)


def reproduce(
    face: Face,
    entry: Annotated[
        list[str] | None,
        typer.Argument(help="A catalogue entry, e.g. simsiam, or several.", autocompletion=complete.entries),
    ] = None,
    broken: Annotated[bool, typer.Option("--broken", help="Run the sabotaged twin, which must not be shown.")] = False,
    every: Annotated[bool, typer.Option("--all", help="Every claim and its twin (with --broken the twins).")] = False,
    stale: Annotated[bool, typer.Option("--stale", help="Of several: only what changed or was never run.")] = False,
    on: Annotated[str, typer.Option("--on", help="local, or several at once on ray or ray://HOST:PORT.")] = "local",
    workers: Annotated[
        int | None, typer.Option("--workers", help="On Ray: how many at once.", callback=at_least(1))
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it would take, and stop.")] = False,
) -> None:
    """Run a paper's claim and write results/ENTRY.json.

    Example: semblance reproduce simsiam
    """
    from semblance.claims import every as queue
    from semblance.claims import ledger

    entries = entry or []
    if bool(entries) == every:
        raise SemblanceError("reproduce needs a catalogue entry, or several, or --all: give one of these")
    alone = len(entries) == 1 and on == "local" and workers is None and not stale
    if face.seed is not None and not alone:
        raise SemblanceError("evidence is what the declared seeds say: --seed is for a single entry on this machine")
    todo = queue.jobs(entries, (True,) if broken else (False, True) if every else (False,), stale)
    if dry_run:
        face.dry([_said(ledger.load_claim(name)) for name in dict.fromkeys(name for name, _ in todo)])
        return
    if not alone:
        _several(face, todo, on, workers)
        return
    seeds = None if face.seed is None else (face.seed,)
    if seeds is not None:
        face.say("evidence is what the declared seeds say: with --seed nothing is written")
    found = ledger.reproduce(entries[0], broken, seeds=seeds, quiet=face.quiet)
    if face.as_json:
        print(json.dumps(found, indent=1, ensure_ascii=False))  # as it stands in its file, with the file's own schema
    else:
        rows = [[p["name"], p["value"], p["rule"], "yes" if p["pass"] else "no"] for p in found["parts"]]
        rows += [[f"baseline: {b['name']}", b["value"], "", ""] for b in found["baselines"]]
        tables.show("", ["part", "value", "rule", "pass"], rows, right=(1,))
        print(ledger.summary(found))
    if not ledger.as_it_should_be(found):
        raise typer.Exit(1)


def _said(claim: Any) -> dict[str, Any]:
    """What a claim would measure."""
    rules = {part: rule.text for part, rule in claim.parts.items()}
    said = {"entry": claim.entry, "claim": claim.text, "data": claim.data, "seeds": claim.seeds}
    return {**said, "minutes": claim.minutes, "parts": rules, "broken": claim.broken}


def _several(face: Face, todo: Sequence[tuple[str, bool]], on: str, workers: int | None) -> None:
    """Run them, one row of the table each; exit code 1 where one is not as it should be."""
    from semblance.claims.every import name_of, run_every

    with face.working() as progress, aside():

        def told(done: int, total: int, text: str) -> None:
            progress(done, total, text)
            face.say(f"{done} of {total}: {text}")

        rows = run_every(todo, on=on, workers=workers, progress=told)
    clocked = [name_of((row["entry"], row["broken"])) for row in rows if row["by_the_clock"]]
    if clocked and on != "local" and workers != 1:
        face.say(
            f"measured times, while other runs shared the machines: {', '.join(clocked)}; run alone, they may differ"
        )
    if face.as_json:
        face.answer({"runs": rows})
    else:
        columns = ["entry", "verdict", "seconds", "as it should be", "reason"]
        cells = [
            [
                name_of((row["entry"], row["broken"])),
                row["verdict"],
                "" if row["seconds"] is None else f"{row['seconds']:.0f}",
                "yes" if row["as_it_should_be"] else "no",
                "" if row["as_it_should_be"] else row["reason"],
            ]
            for row in rows
        ]
        tables.show(f"{len(rows)} runs", columns, cells, right=(2,))
    if not all(row["as_it_should_be"] for row in rows):
        raise typer.Exit(1)
