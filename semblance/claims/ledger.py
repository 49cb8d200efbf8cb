"""The ledger: a claim is a function that measures what its paper says, against rules that were written before the run.

    @claim("simsiam", parts={"std with stop-gradient": at_least(0.03)}, broken="the stop-gradient is removed")
    def simsiam(run: Run) -> None:
        \"\"\"What the paper says, in a sentence or two.\"\"\"
        run.report("std with stop-gradient", [measure(seed, stop=not run.broken) for seed in run.seeds])

Each declared part is reported once; a part that is not reported has not passed. The verdict is `shown` when every part
passes, else `not shown` with the reason. An exception is neither: it is an error, and no evidence is written.

    python -m semblance.claims.ledger ENTRY [--broken]     one run; exit 0 as it should be, 1 not so, 2 bad input
    python -m semblance.claims.ledger all [--stale]        every claim and its twin, going on after a failure
    python -m semblance.claims.ledger sample HASH          a tenth of the quick claims, against their recorded verdicts
"""

from __future__ import annotations

import argparse
import importlib
import json
import math
import random
import re
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from semblance.claims import evidence
from semblance.errors import Failed, SemblanceError, unknown


@dataclass(frozen=True)
class Rule:
    """What a part's value must be. `text` is what the evidence shows."""

    text: str
    test: Callable[[float], bool]

    def check(self, value: float) -> bool:
        """Whether the value keeps the rule; nan keeps none."""
        return not math.isnan(value) and bool(self.test(value))


def at_least(threshold: float) -> Rule:
    """value >= threshold"""
    return Rule(f"at least {threshold:g}", lambda value: value >= threshold)


def at_most(threshold: float) -> Rule:
    """value <= threshold"""
    return Rule(f"at most {threshold:g}", lambda value: value <= threshold)


def above(threshold: float) -> Rule:
    """value > threshold"""
    return Rule(f"above {threshold:g}", lambda value: value > threshold)


def below(threshold: float) -> Rule:
    """value < threshold"""
    return Rule(f"below {threshold:g}", lambda value: value < threshold)


def within(target: float, tolerance: float) -> Rule:
    """|value - target| <= tolerance"""
    return Rule(f"within {tolerance:g} of {target:g}", lambda value: abs(value - target) <= tolerance)


def exactly(target: float) -> Rule:
    """value == target, to the last digit"""
    return Rule(f"exactly {target:g}", lambda value: value == target)


@dataclass(frozen=True)
class Claim:
    """A claim as declared. `files` are relative to the package; `calibrated` maps a part to
    {"catalogue": ..., "used": ..., "why": ...}."""

    entry: str
    text: str
    parts: Mapping[str, Rule]
    measure: Callable[[Run], None]
    broken: str
    data: tuple[str, ...] = ()
    seeds: tuple[int, ...] = (0, 1, 2)
    files: tuple[str, ...] = ()
    minutes: float = 5.0
    substituted: str = ""
    calibrated: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


MODULE = "semblance.claims.ledger"
QUICK_SECONDS = 180.0  # recorded runs up to here are sampled on every commit
CLOCK = re.compile(r"\b(time|seconds|costs?)\b")
_DECLARED: dict[str, Claim] = {}


def claim(
    entry: str,
    *,
    parts: Mapping[str, Rule],
    broken: str,
    data: Sequence[str] = (),
    seeds: Sequence[int] = (0, 1, 2),
    files: Sequence[str] = (),
    minutes: float = 5.0,
    substituted: str = "",
    calibrated: Mapping[str, Mapping[str, Any]] | None = None,
) -> Callable[[Callable[[Run], None]], Callable[[Run], None]]:
    """Declare a claim. `broken` says what its sabotaged twin does; `minutes` is its budget on two cores."""
    calibrated = calibrated or {}
    assert parts, f"claim {entry} has no parts"
    assert set(calibrated) <= set(parts), f"claim {entry}: calibrated names no part: {set(calibrated) - set(parts)}"
    for part, how in calibrated.items():
        assert set(how) == {"catalogue", "used", "why"}, (
            f"claim {entry}: calibrated[{part!r}] needs catalogue, used, why"
        )
    lost = [name for name in files if not (evidence.PACKAGE / name).exists()]
    assert not lost, f"claim {entry}: files that do not exist: {lost}"

    def register(measure: Callable[[Run], None]) -> Callable[[Run], None]:
        text = " ".join((measure.__doc__ or "").split())
        assert text, f"claim {entry}: its docstring says what the paper claims"
        _DECLARED[entry] = Claim(
            entry=entry,
            text=text,
            parts=dict(parts),
            measure=measure,
            broken=broken,
            data=tuple(data),
            seeds=tuple(seeds),
            files=tuple(files),
            minutes=minutes,
            substituted=substituted,
            calibrated=calibrated,
        )
        return measure

    return register


@dataclass
class Run:
    """A claim in progress: it asks for the seeds and whether it is sabotaged, and reports what it measured."""

    entry: str
    parts: Mapping[str, Rule]
    seeds: tuple[int, ...]
    broken: bool = False
    quiet: bool = False
    reported: dict[str, dict[str, Any]] = field(default_factory=dict)
    baselines: list[dict[str, Any]] = field(default_factory=list)

    def report(self, part: str, values: float | Iterable[float]) -> None:
        """The value of a declared part: one number, or one per seed (then the rule is held to their mean)."""
        if part not in self.parts:
            raise unknown(f"part of {self.entry}", part, self.parts)
        if part in self.reported:
            raise SemblanceError(f"part {part!r} of {self.entry} is reported twice: report all seeds in one call")
        figures = _figures(part, values)
        rule = self.parts[part]
        self.reported[part] = {**figures, "rule": rule.text, "pass": rule.check(figures["value"])}
        self.progress(f"{part}: {evidence.figure(figures)} ({rule.text})")

    def baseline(self, name: str, values: float | Iterable[float]) -> None:
        """What stands beside the parts and decides nothing: raw pixels, chance, an untrained network."""
        self.baselines.append(_figures(name, values))
        self.progress(f"baseline {name}: {evidence.figure(self.baselines[-1])}")

    def progress(self, text: str) -> None:
        """A line on stderr."""
        if not self.quiet:
            print(f"{self.entry}{' (broken)' if self.broken else ''}: {text}", file=sys.stderr, flush=True)


def _figures(name: str, values: Any) -> dict[str, Any]:
    each = [float(v) for v in (values if isinstance(values, Iterable) else [values])]
    if not each:
        raise SemblanceError(f"{name!r} was reported without a value: give a number, or one per seed")
    mean = each[0] if len(set(each)) == 1 else math.fsum(each) / len(each)
    return {"name": name, "value": mean, "low": min(each), "high": max(each), "values": each}


def load_claim(entry: str) -> Claim:
    """The claim of an entry, imported only now."""
    if not evidence.claim_file(entry).exists():
        known = [row["id"] for row in evidence.registry.catalogue()]
        if entry in known:
            raise SemblanceError(
                f"entry {entry!r} has no claim yet: there are {', '.join(evidence.claimed()) or 'none'}"
            )
        raise unknown("catalogue entry", entry, known)
    module = importlib.import_module(f"semblance.claims.{evidence.claim_file(entry).stem}")
    declared = _DECLARED.get(entry)
    assert declared is not None, f"{module.__name__} declares no claim {entry!r}"
    return declared


def judge(declared: Claim, run: Run, seconds: float) -> dict[str, Any]:
    """The evidence of a run: verdict `shown` when every declared part passed, else why not."""
    parts = [
        run.reported.get(name)
        or {"name": name, "value": None, "low": None, "high": None, "values": [], "rule": rule.text, "pass": False}
        for name, rule in declared.parts.items()
    ]
    failed = [part for part in parts if not part["pass"]]
    return {
        "schema": evidence.SCHEMA,
        "entry": declared.entry,
        "title": evidence.title(declared.entry),
        "claim": declared.text,
        "broken": run.broken,
        "sabotage": declared.broken if run.broken else "",
        "verdict": "not shown" if failed else "shown",
        "reason": "; ".join(_reason(part) for part in failed),
        "parts": [_plain(part) for part in parts],
        "baselines": [_plain(baseline) for baseline in run.baselines],
        "data": list(declared.data),
        "substituted": declared.substituted,
        "seeds": list(run.seeds),
        "calibrated": dict(declared.calibrated),
        "minutes": declared.minutes,
        "seconds": round(seconds, 1),
        "versions": evidence.versions(),
        "hashes": evidence.hashes(declared.entry, declared.files),
    }


def _reason(part: Mapping[str, Any]) -> str:
    if part["value"] is None:
        return f"{part['name']} was not reported"
    return f"{part['name']} is {evidence.number(part['value'])}, not {part['rule']}"


def _plain(figures: Mapping[str, Any]) -> dict[str, Any]:
    """JSON knows no nan or infinity: they become text."""

    def plain(value: Any) -> Any:
        return str(value) if isinstance(value, float) and not math.isfinite(value) else value

    return {k: [plain(x) for x in v] if isinstance(v, list) else plain(v) for k, v in figures.items()}


def reproduce(
    entry: str,
    broken: bool = False,
    *,
    seeds: Sequence[int] | None = None,
    write: bool = True,
    results: Path | None = None,
    quiet: bool = False,
) -> dict[str, Any]:
    """Run the claim of an entry and write its evidence, in a checkout also docs/EVIDENCE.md.

    With other `seeds` than the declared ones nothing is written: evidence is what the declared seeds say.
    """
    declared = load_claim(entry)
    run = Run(entry, declared.parts, tuple(seeds if seeds is not None else declared.seeds), broken, quiet)
    start = time.perf_counter()
    with one_thread():
        declared.measure(run)
    found = judge(declared, run, time.perf_counter() - start)
    if write and run.seeds == declared.seeds:
        evidence.write(found, results)
        if results is None and evidence.checkout() is not None:
            evidence.write_page()
    return found


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch on one thread: sums are then added in one order whatever the number of cores, so that evidence repeats to the
    bit, and two claims share two cores without waiting for each other."""
    import torch

    from semblance.learning.devices import keep_pages

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    keep_pages()
    try:
        yield
    finally:
        torch.set_num_threads(before)


def as_it_should_be(found: Mapping[str, Any]) -> bool:
    """A claim is to be shown, its sabotaged twin not."""
    return (found["verdict"] == "shown") != found["broken"]


def run_all(stale: bool = False) -> int:
    """Every claim and its twin, each in a process of its own; goes on after a failure; ends with the page."""
    from semblance.claims.every import jobs, name_of, run_every

    def told(done: int, total: int, text: str) -> None:
        print(f"{done} of {total}: {text}", flush=True)

    rows = run_every(jobs(stale=stale), progress=told)
    print(f"wrote {evidence.write_page()}")
    failures = [name_of((row["entry"], row["broken"])) for row in rows if not row["as_it_should_be"]]
    print(f"{len(failures)} not as they should be{': ' + ', '.join(failures) if failures else ''}")
    return 1 if failures else 0


def run_sample(commit: str, share: float = 0.1) -> int:
    """A share of the quick claims with their twins, chosen by a commit's hash: do they repeat what is recorded? Writes
    nothing. The last line counts."""
    quick = [entry for entry, found in evidence.recorded().items() if found["seconds"] <= QUICK_SECONDS]
    chosen = sorted(random.Random(commit).sample(quick, min(len(quick), max(1, round(share * len(quick))))))
    passed = failed = 0
    for entry in chosen:
        for broken in (False, True):
            expected = "not shown" if broken else evidence.recorded()[entry]["verdict"]
            command = [sys.executable, "-m", MODULE, entry, "--json", "--dry", *(["--broken"] if broken else [])]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
            found = json.loads(done.stdout) if done.returncode in (0, 1) and done.stdout else {"verdict": "an error"}
            verdict = found["verdict"]
            right = verdict == expected or (not broken and differs_by_clock(found, evidence.recorded()[entry]))
            passed, failed = passed + right, failed + (not right)
            print(f"claim {entry}{' (broken)' if broken else ''}: {verdict}, expected {expected}", flush=True)
    print(f"{passed} passed, {failed} failed", flush=True)
    return 1 if failed or not chosen else 0


def differs_by_clock(found: Mapping[str, Any], recorded: Mapping[str, Any]) -> bool:
    """Whether two runs agree on every part but those that a clock decides (their names say time, seconds or cost), which
    another machine may decide otherwise."""

    def kept(evidence: Mapping[str, Any]) -> dict[str, bool]:
        return {part["name"]: part["pass"] for part in evidence.get("parts", ()) if not CLOCK.search(part["name"])}

    return bool(kept(found)) and kept(found) == kept(recorded)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line of this file; `semblance reproduce` is the one for people."""
    parser = argparse.ArgumentParser(prog="python -m semblance.claims.ledger")
    parser.add_argument("entry", help="a catalogue id, `all`, or `sample`")
    parser.add_argument("commit", nargs="?", help="the hash that chooses the sample")
    parser.add_argument("--broken", action="store_true", help="run the sabotaged twin")
    parser.add_argument("--stale", action="store_true", help="with `all`: only what changed or was never run")
    parser.add_argument("--seeds", type=int, nargs="+", help="other seeds than the declared ones (nothing is written)")
    parser.add_argument("--dry", action="store_true", help="write no evidence")
    parser.add_argument("--json", action="store_true", help="print the evidence")
    given = parser.parse_args(arguments)
    try:
        if given.entry == "all":
            return run_all(given.stale)
        if given.entry == "sample":
            return run_sample(given.commit or "")
        found = reproduce(given.entry, given.broken, seeds=given.seeds, write=not given.dry)
    except SemblanceError as error:
        print(f"{given.entry}: {error}", file=sys.stderr)
        return error.code
    except Exception:
        traceback.print_exc()
        print(f"{given.entry}: the run ended in an error; no evidence was written", file=sys.stderr)
        return Failed.code
    print(json.dumps(found, indent=1) if given.json else summary(found))
    return 0 if as_it_should_be(found) else 1


def summary(found: Mapping[str, Any]) -> str:
    """One line: entry, verdict, reason, seconds."""
    twin = f" (broken: {found['sabotage']})" if found["broken"] else ""
    reason = f": {found['reason']}" if found["reason"] else ""
    return f"{found['entry']}{twin} {found['verdict']} in {found['seconds']:.0f} s{reason}"


if __name__ == "__main__":
    from semblance.claims import ledger  # claims register there, not in __main__

    sys.exit(ledger.main())
