"""Evidence: what a claim's run left behind, whether it still speaks of the code at hand, and the page made from it.

    results/ENTRY.json           the claim's run
    results/broken/ENTRY.json    the run of its sabotaged twin, whose verdict must be `not shown`
    docs/EVIDENCE.md             generated from these files and nothing else: python -m semblance.claims.evidence

Evidence is stale when the code of the claim, of the entry's recipe or of a file that the claim names has changed. Comments,
docstrings and blank lines do not count. Nothing here imports torch or runs a claim.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.metadata
import io
import json
import keyword
import os
import platform
import sys
import tokenize
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from semblance.errors import SemblanceError
from semblance.recipes import registry

SCHEMA = 1
PACKAGE = Path(__file__).parent.parent
CLAIMS = Path(__file__).parent
STATES = CLAIMS / "states.json"
LIBRARIES = ("torch", "numpy", "scipy", "scikit-learn", "kornia", "numba", "faiss-cpu")


def checkout() -> Path | None:
    """The root of the repository this package stands in, or None where it was installed from a wheel."""
    return PACKAGE.parent if (PACKAGE.parent / "pyproject.toml").exists() else None


def results_folder() -> Path:
    """`results/` of the checkout, else of the working directory."""
    return (checkout() or Path.cwd()) / "results"


def claim_file(entry: str) -> Path:
    """Where the claim of an entry stands: its id with underscores; an id that Python cannot name gets one in front."""
    stem = entry.replace("-", "_")
    return CLAIMS / f"{'_' if stem[0].isdigit() or keyword.iskeyword(stem) else ''}{stem}.py"


def claimed() -> list[str]:
    """The catalogue's entries that have a claim, by file name; imports none."""
    return [row["id"] for row in registry.catalogue() if claim_file(row["id"]).exists()]


def title(entry: str) -> str:
    """The catalogue's title of an entry."""
    return next((row["title"] for row in registry.catalogue() if row["id"] == entry), entry)


# --- the code that evidence speaks of ---------------------------------------------------------------------------------


def code_of(source: str) -> str:
    """Python source without comments, docstrings and blank lines: what a change of behaviour must change."""
    lines = source.splitlines()
    cuts: list[tuple[int, int, int, int]] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            start = len(lines[node.lineno - 1].encode()[: node.col_offset].decode())
            end = len(lines[node.end_lineno - 1].encode()[: node.end_col_offset].decode())  # type: ignore[index]
            cuts.append((node.lineno, start, node.end_lineno or node.lineno, end))
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            cuts.append((*token.start, *token.end))
    for first, start, last, end in sorted(cuts, reverse=True):
        kept = lines[first - 1][:start] + lines[last - 1][end:]
        lines[first - 1 : last] = [kept] + [""] * (last - first)
    return "\n".join(line.rstrip() for line in lines if line.strip())


@cache
def _file_hash(path: Path, changed: int) -> str:
    return hashlib.blake2b(code_of(path.read_text()).encode(), digest_size=16).hexdigest()


def file_hash(path: Path) -> str:
    """The hash of a source file's code; `missing` where there is none."""
    return _file_hash(path, path.stat().st_mtime_ns) if path.exists() else "missing"


def recipe_files(entry: str) -> list[Path]:
    """The files of the recipes that belong to an entry, by the shipped table."""
    modules = (
        {row.module for row in registry.own().values() if row.entry == entry} if registry.TABLE.exists() else set()
    )
    return [PACKAGE.parent / (module.replace(".", "/") + ".py") for module in sorted(modules)]


def hashes(entry: str, files: Iterable[str]) -> dict[str, Any]:
    """What the evidence of an entry depends on. `files` are relative to the package, as the claim names them."""
    recipe = hashlib.blake2b("".join(map(file_hash, recipe_files(entry))).encode(), digest_size=16).hexdigest()
    return {
        "claim": file_hash(claim_file(entry)),
        "recipe": recipe,
        "files": {name: file_hash(PACKAGE / name) for name in sorted(files)},
    }


def is_stale(evidence: Mapping[str, Any]) -> bool:
    """Whether the code that this evidence speaks of has changed since."""
    return bool(evidence["hashes"] != hashes(evidence["entry"], evidence["hashes"]["files"]))


def versions() -> dict[str, str]:
    """Of Python, this package and the libraries whose arithmetic a figure may depend on."""
    found = {"python": platform.python_version(), "semblance": sys.modules["semblance"].__version__}
    return found | {name: importlib.metadata.version(name) for name in LIBRARIES}


# --- the files --------------------------------------------------------------------------------------------------------


def path_of(entry: str, broken: bool = False, results: Path | None = None) -> Path:
    """The evidence file of an entry, or of its sabotaged twin."""
    folder = results or results_folder()
    return (folder / "broken" if broken else folder) / f"{entry}.json"


def write(evidence: Mapping[str, Any], results: Path | None = None) -> Path:
    """Write the evidence in one step: a reader sees the old file or the new one."""
    path = path_of(evidence["entry"], evidence["broken"], results)
    path.parent.mkdir(parents=True, exist_ok=True)
    _replace(path, json.dumps(evidence, indent=1, ensure_ascii=False) + "\n")
    return path


def read(entry: str, broken: bool = False, results: Path | None = None) -> dict[str, Any] | None:
    """The evidence of an entry, or None where it was never run."""
    path = path_of(entry, broken, results)
    if not path.exists():
        return None
    try:
        found: dict[str, Any] = json.loads(path.read_text())
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise SemblanceError(f"{path} is not evidence (broken JSON): run semblance reproduce {entry} again") from None
    if found.get("schema") != SCHEMA:
        raise SemblanceError(
            f"{path} has schema {found.get('schema')}, this version reads {SCHEMA}: semblance reproduce {entry}"
        )
    return found


def recorded(results: Path | None = None) -> dict[str, dict[str, Any]]:
    """Every entry's evidence, by id."""
    folder = results or results_folder()
    known = {row["id"] for row in registry.catalogue()}
    names = sorted(path.stem for path in folder.glob("*.json") if path.stem in known)
    return {name: found for name in names if (found := read(name, results=folder)) is not None}


def _replace(path: Path, text: str) -> None:
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.write_text(text)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


# --- the page ---------------------------------------------------------------------------------------------------------

HEAD = """# Evidence

Generated from `results/*.json` by `python -m semblance.claims.evidence`; do not edit. Each row is one published system:
what its paper claims, as parts with a rule written before the run. `semblance reproduce ENTRY` runs it again, `--broken`
runs its sabotaged twin, whose verdict must come out *not shown*. A part's figure is the mean over the seeds [lowest,
highest].

"""


def page(results: Path | None = None) -> str:
    """docs/EVIDENCE.md: a table, then the parts and baselines of every entry."""
    found = recorded(results)
    shown = sum(e["verdict"] == "shown" for e in found.values())
    lines = [HEAD + f"{len(found)} of {len(registry.catalogue())} entries have been run, {shown} are shown.\n"]
    lines += [
        "| entry | title | verdict | parts passed | seconds | broken twin |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for entry, evidence in found.items():
        twin = read(entry, broken=True, results=results)
        lines.append(
            f"| [{entry}](#{entry}) | {evidence['title']} | {_verdict(evidence)} "
            f"| {sum(p['pass'] for p in evidence['parts'])} of {len(evidence['parts'])} | {evidence['seconds']:.0f} "
            f"| {'not run' if twin is None else twin['verdict']} |"
        )
    for entry, evidence in found.items():
        lines += ["", *_section(entry, evidence, read(entry, broken=True, results=results))]
    return "\n".join(lines) + "\n"


def _verdict(evidence: Mapping[str, Any]) -> str:
    return f"**{evidence['verdict']}**" if evidence["verdict"] == "shown" else evidence["verdict"]


def _section(entry: str, evidence: Mapping[str, Any], twin: Mapping[str, Any] | None) -> list[str]:
    data = ", ".join(evidence["data"]) or "made by the claim"
    if evidence["substituted"]:
        data += f" (substituted: {evidence['substituted']})"
    lines = [f"## {entry}", "", evidence["claim"], ""]
    lines += [f"Data: {data}. Seeds: {', '.join(map(str, evidence['seeds'])) or 'none'}.", ""]
    lines += ["| part | value | rule | pass |", "| --- | --- | --- | --- |"]
    lines += [
        f"| {p['name']} | {figure(p)} | {p['rule']} | {'yes' if p['pass'] else 'no'} |" for p in evidence["parts"]
    ]
    lines += [f"| *baseline:* {b['name']} | {figure(b)} | | |" for b in evidence["baselines"]]
    for part, how in evidence["calibrated"].items():
        lines += ["", f"Calibrated, {part}: catalogue {how['catalogue']}, used {how['used']}; {how['why']}."]
    if evidence["reason"]:
        lines += ["", f"Reason: {evidence['reason']}."]
    if twin is not None:
        lines += ["", f"Broken twin ({twin['sabotage']}): {twin['verdict']}; {twin['reason'] or 'every part passed'}."]
    return lines


def figure(part: Mapping[str, Any]) -> str:
    """0.8123 [0.8, 0.83], without the range where there is one value, and a dash where there is none."""
    if part["value"] is None:
        return "-"
    text = number(part["value"])
    return text if part["low"] == part["high"] else f"{text} [{number(part['low'])}, {number(part['high'])}]"


def number(value: float) -> str:
    """Four figures, without an exponent where it reads well."""
    return f"{value:.4g}"


def write_page(results: Path | None = None, docs: Path | None = None) -> Path:
    """Generate docs/EVIDENCE.md, and the small table of verdicts that an installed package reads instead of results/."""
    root = checkout()
    if root is None and docs is None:
        raise SemblanceError("docs/EVIDENCE.md belongs to a checkout of the repository: run this there")
    path = (docs or root / "docs") / "EVIDENCE.md"  # type: ignore[operator]
    path.parent.mkdir(parents=True, exist_ok=True)
    _replace(path, page(results))
    if docs is None:
        _replace(STATES, states_text())
    return path


def states_text() -> str:
    """The verdict of every entry that was run, as shipped in the package."""
    return json.dumps({entry: e["verdict"] for entry, e in recorded().items()}, indent=1) + "\n"


if __name__ == "__main__":
    print(write_page())
