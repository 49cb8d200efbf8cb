"""What a user may do wrong: every error that reaches a user is a SemblanceError.

Its text names the offending value and the remedy, in one line. The command line prints that line and exits with
`code` (2: bad input or usage; 1: the work failed; 3: answered in part).
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class SemblanceError(ValueError):
    """A mistake with a remedy. `code` is the exit code of the command line."""

    code = 2


class Failed(SemblanceError):
    """The input was right and the work failed all the same: a full disk, a lock held by another process."""

    code = 1


class Interrupted(SemblanceError):
    """Stopped by Ctrl-C after saving; the text says where the saved state lies and how to go on."""

    code = 130


def unknown(kind: str, name: object, known: Iterable[str]) -> SemblanceError:
    """The error for a name that does not exist: it answers with the nearest known ones.

    >>> str(unknown("recipe", "simsam", ["simsiam", "simclr"]))
    "there is no recipe 'simsam': did you mean simsiam or simclr?"
    """
    names = [str(n) for n in known]
    near = difflib.get_close_matches(str(name), names, n=3, cutoff=0.5)
    if near:
        hint = f"did you mean {' or '.join(near)}?"
    elif names:
        hint = f"there are {', '.join(sorted(names)[:20])}{', ...' if len(names) > 20 else ''}"
    else:
        hint = "there are none here"
    return SemblanceError(f"there is no {kind} {str(name)!r}: {hint}")
