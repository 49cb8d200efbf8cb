"""Places: where a cache may grow, and where compiled code is kept when its own place cannot be written."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def cache_folder() -> Path:
    """The folder named by SEMBLANCE_CACHE, else the user's cache folder; it may not exist yet."""
    given = os.environ.get("SEMBLANCE_CACHE")
    if given:
        return Path(given).expanduser()
    from platformdirs import user_cache_path

    return user_cache_path("semblance")


def keep_compiled() -> Path:
    """Where numba keeps the code that it compiles: beside the package, or in our cache where that cannot be written.

    Meant for programs, before numba is imported: it sets NUMBA_CACHE_DIR, unless somebody did. A library that is imported
    leaves that to numba, which falls back to the user's cache folder and fails where that cannot be written either.
    """
    given = os.environ.get("NUMBA_CACHE_DIR")
    if given:
        return Path(given)
    package = Path(__file__).parent
    if os.access(package, os.W_OK):
        return package
    for folder in (cache_folder() / "compiled", Path(tempfile.gettempdir()) / f"semblance-compiled-{_user()}"):
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError:
            continue
        if os.access(folder, os.W_OK):
            os.environ["NUMBA_CACHE_DIR"] = str(folder)
            return folder
    return package


def _user() -> str:
    return str(os.getuid()) if hasattr(os, "getuid") else os.environ.get("USERNAME", "user")
