"""What every verb shares: the global flags, and one line and an exit code for whatever goes wrong.

    --json          one JSON object on stdout, with a `schema` number (docs/json.md)
    --seed N        the integer that all chance comes from
    --device D      auto, cpu, cuda or mps
    -q, --quiet     nothing on stderr but errors
    --verbose       the traceback of an error, and what the library logs

Exit codes: 0 done; 1 failed, or a claim not shown; 2 bad input or usage; 130 and 143 stopped by a signal, with the place of
the saved state. Results go to stdout, everything else to stderr.
"""

from __future__ import annotations

import inspect
import json
import math
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from semblance.app import logs
from semblance.errors import SemblanceError, unknown
from semblance.space.progress import Progress

SCHEMA = 1
DEVICES = ("auto", "cpu", "cuda", "mps")


def at_least(least: int) -> Callable[[int | None], int | None]:
    """The check of an option that is a whole number of `least` or more."""

    def check(value: int | None) -> int | None:
        if value is not None and value < least:
            raise typer.BadParameter(f"{value} is too small: give {least} or more")
        return value

    return check


GLOBAL: dict[str, Any] = {
    "as_json": Annotated[bool, typer.Option("--json", help="Print one JSON object (docs/json.md).")],
    "seed": Annotated[int | None, typer.Option("--seed", help="What all chance comes from.", callback=at_least(0))],
    "device": Annotated[str, typer.Option("--device", help="auto, cpu, cuda or mps.", metavar="DEVICE")],
    "quiet": Annotated[bool, typer.Option("--quiet", "-q", help="Nothing on stderr but errors.")],
    "verbose": Annotated[bool, typer.Option("--verbose", help="Show the log, and the traceback of an error.")],
}
DEFAULTS = {"as_json": False, "seed": None, "device": "auto", "quiet": False, "verbose": False}


@dataclass
class Face:
    """How this call wants to be answered; a verb gets it as its first argument."""

    as_json: bool
    seed: int | None
    device: str
    quiet: bool
    verbose: bool

    def __post_init__(self) -> None:
        if self.device not in DEVICES:
            raise unknown("device", self.device, DEVICES)
        self.progress = Progress(self.quiet)

    def say(self, line: str) -> None:
        """A line to the person, on stderr."""
        self.progress.say(line)

    @contextmanager
    def working(self) -> Iterator[Progress]:
        """A progress bar on stderr while this lasts, where stderr is a terminal."""
        with self.progress:
            yield self.progress

    def answer(self, content: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> None:
        """The result as JSON: an object, or a list of objects, each with the schema's number."""
        several = isinstance(content, Sequence)
        objects = [{"schema": SCHEMA, **entry} for entry in (content if isinstance(content, Sequence) else [content])]
        print(json.dumps(plain(objects if several else objects[0]), indent=1, ensure_ascii=False, allow_nan=False))

    def dry(self, plans: Sequence[Mapping[str, Any]]) -> None:
        """What it would take, where nothing is to be done yet."""
        if self.as_json:
            self.answer({"dry_run": plans[0] if len(plans) == 1 else plans})
            return
        for plan in plans:
            print(", ".join(f"{key.replace('_', ' ')} {value}" for key, value in plan.items()))


def aside() -> AbstractContextManager[Any]:
    """While it lasts prints go to stderr: Ray tells on stdout when a process dies, and the answer's place is there."""
    return redirect_stdout(sys.stderr)


def key_values(given: Sequence[str] | None) -> dict[str, str]:
    """What `--set key=value` says, time after time."""
    chosen = {}
    for text in given or ():
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            raise SemblanceError(f"--set {text!r} is no setting: write --set key=value")
        chosen[key.strip().replace("-", "_") if "." not in key else key.strip()] = value.strip()
    return chosen


def verb(app: typer.Typer, name: str | None = None) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register a function as a verb: its first argument becomes the Face made of the global flags, the rest are its own."""

    def register(function: Callable[..., None]) -> Callable[..., None]:
        own = list(inspect.signature(function).parameters.values())[1:]
        types = get_type_hints(function, include_extras=True)

        def call(**given: Any) -> None:
            face = Face(**{flag: given.pop(flag) for flag in GLOBAL})
            _VERBOSE.append(face.verbose)
            with logs.told(print_line if face.quiet else face.say, face.quiet, face.verbose):
                function(face, **given)

        kinds = {p.name: types[p.name] for p in own} | GLOBAL
        defaults = {p.name: p.default for p in own} | DEFAULTS
        keyword = inspect.Parameter.KEYWORD_ONLY
        call.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [inspect.Parameter(n, keyword, default=defaults[n], annotation=kinds[n]) for n in kinds]
        )
        call.__annotations__ = kinds
        call.__name__, call.__doc__ = function.__name__, function.__doc__
        app.command(name or function.__name__.replace("_", "-"))(call)
        return function

    return register


_VERBOSE: list[bool] = []
_USAGE = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")


def run(app: typer.Typer, arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code, having said in one line what went wrong."""
    _VERBOSE.clear()
    try:
        result = typer.main.get_command(app).main(args=arguments, prog_name="semblance", standalone_mode=False)
        sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except SemblanceError as error:
        return _fail(str(error), error.code)
    except _USAGE as error:
        context = getattr(error, "ctx", None)
        where = context.command_path if context is not None else "semblance"
        return _fail(f"{error.format_message()} (try {where} --help)", 2)
    except (KeyboardInterrupt, typer.Abort):
        return _fail("stopped; nothing was changed", 130)
    except BrokenPipeError:
        # Who reads our output has gone (`| head`); nobody is left to be told.
        sys.stdout = None  # type: ignore[assignment]
        return 1
    except Exception as error:
        text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        return _fail(f"internal error, {text} (run with --verbose for the traceback)", 1)


def print_line(line: str) -> None:
    """A line on stderr whatever the flags: `-q` leaves errors."""
    print(line, file=sys.stderr, flush=True)


def _fail(text: str, code: int) -> int:
    if any(_VERBOSE):
        traceback.print_exc()
    print(f"semblance: {' '.join(text.split())}", file=sys.stderr, flush=True)
    return code


def plain(value: Any) -> Any:
    """A value as JSON has it: nan and infinity become null, arrays lists, paths and times text."""
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, Path):
        return str(value)
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
