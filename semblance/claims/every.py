"""Every claim: many runs as a queue, each in a process of its own, here one after the other or several at once elsewhere.

A run that fails does not stop the others. Evidence is written here as soon as a run has ended, in one step (evidence.py),
so a stop keeps what is done, and `stale` goes on with the rest. Each run reads its own process's clock, which several runs
on one machine slow down: a row says whether a part of its claim is decided by it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from semblance.claims import evidence, ledger
from semblance.errors import Interrupted, SemblanceError

Job = tuple[str, bool]
"""A catalogue entry, and whether its sabotaged twin is meant."""
ERROR = "error"
"""Stands for a verdict where a run ended in an error and left no evidence."""


def jobs(entries: Sequence[str] = (), twins: Sequence[bool] = (False, True), stale: bool = False) -> list[Job]:
    """The claims of these entries (default: of all that have one) and their twins. stale: what changed or was never run."""
    if lost := [entry for entry in entries if entry not in evidence.claimed()]:
        ledger.load_claim(lost[0])  # says why there is none
    every = [(entry, broken) for entry in dict.fromkeys(entries or evidence.claimed()) for broken in twins]
    if not stale:
        return every
    found = {job: evidence.read(*job) for job in every}
    return [job for job in every if (held := found[job]) is None or evidence.is_stale(held)]


def run_every(
    todo: Sequence[Job],
    *,
    on: str = "local",
    workers: int | None = None,
    results: Path | None = None,
    run: Callable[[Job], dict[str, Any]] | None = None,
    progress: Callable[[int, int, str], None] | None = None,
) -> list[dict[str, Any]]:
    """Run them and write their evidence: a row each, in order, {entry, broken, verdict, as_it_should_be, reason, seconds,
    by_the_clock}.

    on: `ray` or `ray://HOST:PORT` runs `workers` at once there (default: one a core). run: what gives a run's evidence, or
    {verdict: ERROR, reason} where it failed. After Ctrl-C raises Interrupted, which names what is missing.
    """
    from semblance.space.cluster import elsewhere, runs_on

    rows: dict[Job, dict[str, Any]] = {}
    ended: Generator[tuple[Job, dict[str, Any]], None, None]
    if elsewhere(on, workers):
        ended = runs_on(on, run or measured, todo, workers, alone=True, lost=lambda _, error: failed(str(error)))
    else:
        ended = ((job, (run or in_a_process)(job)) for job in todo)
    try:
        with closing(ended):
            for job, said in ended:
                rows[job] = _kept(job, said, results)
                if progress is not None:
                    progress(len(rows), len(todo), f"{name_of(job)}: {rows[job]['verdict']}")
    except KeyboardInterrupt:
        missing = [name_of(job) for job in todo if job not in rows]
        some = f"{', '.join(missing[:8])}{f' and {len(missing) - 8} more' if len(missing) > 8 else ''}"
        raise Interrupted(
            f"stopped; {len(rows)} of {len(todo)} runs are kept, missing are {some}: go on with --stale"
        ) from None
    finally:
        if rows and results is None and evidence.checkout() is not None:
            evidence.write_page()
    return [rows[job] for job in todo]


def _kept(job: Job, said: dict[str, Any], results: Path | None) -> dict[str, Any]:
    """The row of a run, whose evidence is written if it has some."""
    if said["verdict"] != ERROR and evidence.is_stale(said):
        said = failed("it ran other code than stands here: install the same on the cluster")
    if said["verdict"] != ERROR:
        evidence.write(said, results)
    return {
        "entry": job[0],
        "broken": job[1],
        "verdict": said["verdict"],
        "as_it_should_be": said["verdict"] != ERROR and ledger.as_it_should_be(said),
        "reason": said["reason"],
        "seconds": said.get("seconds"),
        "by_the_clock": any(ledger.CLOCK.search(part["name"]) for part in said.get("parts", ())),
    }


def failed(reason: str) -> dict[str, Any]:
    """What stands for the evidence of a run that ended in an error."""
    return {"verdict": ERROR, "reason": " ".join(reason.split())}


def measured(job: Job) -> dict[str, Any]:
    """The evidence of a run in this process."""
    try:
        return ledger.reproduce(*job, write=False, quiet=True)
    except SemblanceError as error:
        return failed(str(error))
    except Exception as error:  # a claim may raise anything, and the others go on
        return failed(f"{type(error).__name__}: {error}")


def in_a_process(job: Job) -> dict[str, Any]:
    """The evidence of a run in a process of its own, which tells on stderr how far it is."""
    entry, broken = job
    command = [sys.executable, "-m", ledger.MODULE, entry, "--json", "--dry", *(["--broken"] if broken else [])]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    try:
        found: dict[str, Any] = json.loads(done.stdout)
        return found
    except json.JSONDecodeError:
        return failed(f"the run ended with code {done.returncode} and no evidence; why stands above")


def name_of(job: Job) -> str:
    """As `reproduce` takes it."""
    return f"{job[0]}{' --broken' if job[1] else ''}"
