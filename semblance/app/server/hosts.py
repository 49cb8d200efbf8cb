"""Hosts: by which names this server may be asked for, and from which pages.

A page elsewhere can name a server here in two ways. It can send a form to it: refused by `Origin` and `Sec-Fetch-Site`.
Or it can let its own name point to this machine (DNS rebinding), and is then of the same origin: refused by the name,
which is none of ours. An address in numbers cannot be pointed elsewhere, so a server bound to all addresses takes those.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterable
from urllib.parse import urlsplit

LOOPBACK = ("localhost", "127.0.0.1", "::1")
PATTERN = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::(\d{1,5}))?", re.IGNORECASE)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a server that is bound to this name."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class Hosts:
    """The names of one server."""

    def __init__(self, bound: str, more: Iterable[str] = ()):
        self.anywhere = bound in ("0.0.0.0", "::", "")
        names = {*LOOPBACK, bound.lower().strip("[]"), *(name.lower() for name in more)}
        if self.anywhere:
            names |= {socket.gethostname().lower(), socket.getfqdn().lower()}
        self.names = names

    def knows(self, header: str) -> bool:
        """Whether this Host header names us, with whatever port (a tunnel has its own)."""
        found = PATTERN.fullmatch(header)
        if found is None:
            return False
        name = found[1].lower().strip("[]").removesuffix(".")
        return name in self.names or (self.anywhere and _is_address(name))


def same_origin(host: str, origin: str | None, site: str | None) -> bool:
    """Whether a request that says this of where it comes from was made by our own page, or by no page at all."""
    if site is not None and site not in ("same-origin", "none"):
        return False
    if origin is None:
        return True
    try:
        asked = urlsplit(origin)
    except ValueError:
        return False
    return asked.scheme in ("http", "https") and asked.netloc.lower() == host.lower()


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
