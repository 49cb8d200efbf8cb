"""Tokens: who may ask where the server can be reached from elsewhere, and how often a wrong token may be tried.

A program sends `Authorization: Bearer TOKEN`; a browser gives the token once and gets a cookie that scripts cannot read
and that holds no part of it. Hashes are compared in constant time. After `FREE` wrong tokens an address waits, each time
twice as long, and is not even looked at meanwhile; so do addresses that were never let in once wrong tokens come from
everywhere.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import math
import secrets
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from pathlib import Path

from semblance.app.server.problems import Problem
from semblance.errors import SemblanceError

COOKIE = "semblance"
SHORTEST = 16
FREE, LONGEST_WAIT = 5, 300.0
EVERYWHERE = 100
"""Wrong tokens in a minute, from all addresses together, from which on strangers wait."""
LASTS, MOST = 12 * 3600.0, 1_000
"""Seconds a browser stays let in after it last asked, and how many there may be; of the addresses, MOST are known, too."""


def read_token(file: Path | None, environment: str | None) -> str | None:
    """The token of the server: from the file, else from the environment; None where there is neither."""
    if file is not None:
        try:
            found = file.read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise SemblanceError(f"--token-file {file} cannot be read ({error}): name a text file") from None
        where = f"--token-file {file}"
    else:
        found, where = (environment or "").strip(), "SEMBLANCE_TOKEN"
    if not found and file is None:
        return None
    if len(found) < SHORTEST or not found.isascii() or not found.isprintable() or " " in found:
        raise SemblanceError(
            f"{where} holds no token of {SHORTEST} letters or more without spaces: make one with "
            '`python -c "import secrets; print(secrets.token_urlsafe())"`'
        )
    return found


class Tokens:
    """The one token of a server, and who showed it."""

    def __init__(self, token: str, clock: Callable[[], float] = time.monotonic):
        self._hash = _hashed(token)
        self._clock = clock
        self._lock = threading.Lock()
        self._sessions: OrderedDict[str, float] = OrderedDict()
        self._wrong: OrderedDict[str, tuple[int, float]] = OrderedDict()  # address -> wrong tokens, until when it waits
        self._trusted: OrderedDict[str, None] = OrderedDict()
        self._lately: deque[float] = deque(maxlen=EVERYWHERE)

    def known(self, cookie: str | None) -> bool:
        """Whether this browser showed the token before."""
        if not cookie:
            return False
        now, name = self._clock(), hashlib.sha256(cookie.encode()).hexdigest()
        with self._lock:
            if self._sessions.get(name, 0.0) < now:
                self._sessions.pop(name, None)
                return False
            self._sessions[name] = now + LASTS
            return True

    def check(self, given: str, address: str) -> None:
        """Says nothing where the token is right; a Problem where it is wrong or came too soon."""
        place, now = _network(address), self._clock()
        with self._lock:
            times, until = self._wrong.get(place, (0, 0.0))
            if until > now:
                raise _too_soon(until - now)
            crowded = len(self._lately) == EVERYWHERE and now - self._lately[0] < 60
            if crowded and place not in self._trusted:
                raise _too_soon(60 - (now - self._lately[0]))
            if hmac.compare_digest(_hashed(given), self._hash):
                self._wrong.pop(place, None)
                self._remember(self._trusted, place, None)
                return
            self._lately.append(now)
            wait = min(2.0 ** (times + 1 - FREE), LONGEST_WAIT) if times + 1 >= FREE else 0.0
            self._remember(self._wrong, place, (min(times + 1, 64), now + wait))
        raise Problem("token", "this is not the token of this server", "it is in SEMBLANCE_TOKEN or --token-file there")

    def let_in(self) -> str:
        """A cookie for a browser that showed the token."""
        cookie = secrets.token_urlsafe(32)
        with self._lock:
            self._remember(self._sessions, hashlib.sha256(cookie.encode()).hexdigest(), self._clock() + LASTS)
        return cookie

    def forget(self, cookie: str | None) -> None:
        with self._lock:
            self._sessions.pop(hashlib.sha256((cookie or "").encode()).hexdigest(), None)

    @staticmethod
    def _remember(table: OrderedDict, key: str, value: object) -> None:  # type: ignore[type-arg]
        table[key] = value
        table.move_to_end(key)
        while len(table) > MOST:
            table.popitem(last=False)


def _hashed(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def _too_soon(seconds: float) -> Problem:
    wait = max(1, math.ceil(seconds))
    return Problem("too-many", "too many wrong tokens came", f"wait {wait} seconds and try again", seconds=wait)


def _network(address: str) -> str:
    """The address, of IPv6 the /64 that one household has."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    return str(ipaddress.ip_network((found, 64), strict=False)) if found.version == 6 else address
