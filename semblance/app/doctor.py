"""`semblance doctor`: what is installed, what the machine can do, what was chosen for it and why, and where things lie.

It asks for nothing, opens no connection and changes nothing. What is missing is told with the line that installs it.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
import textwrap
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Annotated, Any

import typer

from semblance.app.flags import Face, verb
from semblance.places import cache_folder, keep_compiled

LIBRARIES = ("torch", "numpy", "scipy", "scikit-learn", "numba", "llvmlite", "faiss-cpu", "pyarrow", "kornia")
VARIABLES = (
    *("SEMBLANCE_DATA", "SEMBLANCE_CACHE", "SEMBLANCE_KEEP_PAGES", "NUMBA_CACHE_DIR", "XDG_CACHE_HOME", "TMPDIR"),
    *(
        "OMP_NUM_THREADS",
        "MKL_NUM_THREADS",
        "NUMBA_NUM_THREADS",
        "CUDA_VISIBLE_DEVICES",
        "HF_HUB_OFFLINE",
        "NO_COLOR",
        "CI",
    ),
)


def add_to(app: typer.Typer) -> None:
    """Makes `doctor` a verb of this command line."""
    verb(app)(doctor)


def doctor(
    face: Face,
    measure: Annotated[bool, typer.Option("--measure", help="Time a few things here, and propose settings.")] = False,
) -> None:
    """What is installed, what this machine can do, what was chosen for it and why, and where things lie.

    Example: semblance doctor --measure
    """
    found = {name: _asked(look) for name, look in LOOKS.items()}
    if measure:
        with face.working() as progress:
            found["measured"] = _asked(lambda: _measured(progress, face.seed or 0))
    if face.as_json:
        face.answer(found)
        return
    print("\n\n".join(_section(name, part) for name, part in found.items()))


def _asked(look: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """A part of the answer; a part that fails says why, and the others are told all the same."""
    try:
        return look()
    except Exception as error:  # whatever is broken here is what the user wants to hear about
        return {"error": f"{type(error).__name__}: {' '.join(str(error).split())}"}


def _measured(progress: Callable[[int, int, str], None], seed: int) -> dict[str, Any]:
    from semblance.app.measure import measured

    return measured(progress, seed)


def versions() -> dict[str, Any]:
    """Of Python, Semblance and the libraries whose arithmetic figures depend on."""
    from semblance import __version__

    found: dict[str, Any] = {
        "semblance": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "program": sys.executable,
    }
    found |= {name: _version(name) or f"missing: pip install {name}" for name in LIBRARIES}
    import sqlite3

    return found | {"sqlite": sqlite3.sqlite_version}


def extras() -> dict[str, Any]:
    """Every extra: `present`, or what is missing and the line that installs it."""
    from importlib import metadata  # slow to import

    wanted: dict[str, list[str]] = {}
    for line in metadata.requires("semblance") or ():
        requirement, _, marker = line.partition(";")
        extra = re.search(r"extra\s*==\s*['\"]([\w-]+)['\"]", marker)
        if extra:
            wanted.setdefault(extra[1], []).append(re.split(r"[^\w.-]", requirement.strip())[0])
    return {
        extra: f"missing {', '.join(lost)}: pip install 'semblance[{extra}]'" if lost else "present"
        for extra, names in sorted(wanted.items())
        for lost in [[name for name in names if _version(name) is None]]
    }


def machine() -> dict[str, Any]:
    """Processor, memory, devices, threads, and what the code chose for them."""
    import torch

    from semblance.learning.devices import available, choose_device, cpu_features, keep_pages, precision_for
    from semblance.memory.fused.shuffle import choose

    device = choose_device("auto")
    precision = precision_for(device)
    known = ("avx2", "fma", "avx512f", "avx512bw", "avx512_bf16", "amx_bf16", "asimd", "bf16", "sve")
    width = {"avx512": 64, "avx2": 32, "ssse3": 16, "neon": 16}.get(choose(), 0)
    return {
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "memory_gb": _memory_gb(),
        "features": [name for name in known if name in cpu_features()],
        "devices": available(),
        "device": str(device),
        "precision": precision.name,
        "precision_why": precision.why,
        "memory_format": str(precision.memory_format).removeprefix("torch."),
        "search_kernel": choose(),
        "search_kernel_why": f"looks up {width} codes an instruction"
        if width
        else "no byte shuffle: the plain loop, same scores",
        "keeps_pages": keep_pages(),
        "keeps_pages_why": "SEMBLANCE_KEEP_PAGES=0"
        if os.environ.get("SEMBLANCE_KEEP_PAGES") == "0"
        else "on glibc only",
    }


def places() -> dict[str, Any]:
    """Folders of data, cache and compiled code, and the room there is."""
    from semblance.data.named import data_list, folder

    cache, here = cache_folder(), [row.name for row in data_list() if row.present]
    return {
        "data": str(folder()),
        "data_sets_here": here,
        "data_sets_known": len(data_list()),
        "cache": str(cache),
        "cache_mb": round(_bytes(cache) / 1e6, 1),
        "cache_free_gb": _free_gb(cache),
        "compiled": str(keep_compiled()),
        "working": str(Path.cwd()),
        "working_free_gb": _free_gb(Path.cwd()),
    }


def variables() -> dict[str, Any]:
    """Those of the environment that change what happens, where they are set."""
    return {name: os.environ[name] for name in VARIABLES if name in os.environ}


def packages() -> dict[str, Any]:
    """What other packages offer, by group; each is imported here, so that what is broken is told."""
    from semblance.data.domains import DOMAINS
    from semblance.errors import SemblanceError
    from semblance.memory.by_name import OURS
    from semblance.plugins import offered
    from semblance.recipes.registry import own

    ours: dict[str, Collection[str]] = {"recipes": own(), "domains": DOMAINS, "indexes": OURS, "reports": ("memory",)}
    found: dict[str, list[str]] = {}
    for group, names in ours.items():
        found[group] = []
        for offer in offered(group, names).values():
            try:
                offer.load()
                found[group].append(f"{offer.name} ({offer.package} {offer.version})")
            except SemblanceError as error:
                found[group].append(f"{offer.name} ({offer.package} {offer.version}), broken: {error}")
    return found


LOOKS: dict[str, Callable[[], dict[str, Any]]] = {
    "versions": versions,
    "extras": extras,
    "machine": machine,
    "places": places,
    "environment": variables,
    "packages": packages,
}


def _version(name: str) -> str | None:
    from importlib import metadata

    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _memory_gb() -> float | None:
    """Of the machine; None where the system does not say."""
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (AttributeError, ValueError, OSError):
        return None


def _free_gb(path: Path) -> float:
    """Of the disk on which a folder lies, or will lie."""
    while not path.exists():
        path = path.parent
    return round(shutil.disk_usage(path).free / 2**30, 1)


def _bytes(folder: Path) -> int:
    total = 0
    for place, _, files in os.walk(folder):  # what cannot be read is passed over
        for name in files:
            try:
                total += os.lstat(os.path.join(place, name)).st_size
            except OSError:  # removed meanwhile
                continue
    return total


def _section(name: str, part: dict[str, Any]) -> str:
    width = max(map(len, part), default=0) + 2
    lines = [name] + ([] if part else ["  none is set" if name == "environment" else "  none"])
    for key, value in part.items():
        lines += textwrap.wrap(
            _told(value),
            110,
            initial_indent=f"  {key.replace('_', ' '):<{width}}",
            subsequent_indent=" " * (width + 2),
            break_long_words=False,
            break_on_hyphens=False,
        )
    return "\n".join(lines)


def _told(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) or "none" if isinstance(value, list) else str(value)
