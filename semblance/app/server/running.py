"""Running: a socket, the application behind it, and a clean end."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from semblance.errors import Failed, SemblanceError

log = logging.getLogger(__name__)
GRACE = 3
"""Seconds that answers under way have when the server stops."""


def serve(
    paths: Sequence[Path],
    *,
    host: str = "127.0.0.1",
    port: int = 8765,
    hosts: Iterable[str] = (),
    token: str | None = None,
    read_only: bool = False,
    root: Path | None = None,
    ready: Callable[[str], None] = lambda address: None,
) -> None:
    """Serve these spaces until Ctrl-C; `ready(address)` is told when requests are answered."""
    import uvicorn

    from semblance.app.server.application import application
    from semblance.app.server.hosts import is_loopback

    if not is_loopback(host) and token is None:
        raise SemblanceError(
            f"--host {host} lets other machines in, and there is no token: put one into SEMBLANCE_TOKEN or --token-file"
        )
    app = application(paths, host=host, hosts=hosts, token=token, read_only=read_only, root=root)
    server = app.server
    server.spaces.check()
    listening = bound(host, port)
    address = f"http://{_shown(host)}:{listening.getsockname()[1]}/"

    class Running(uvicorn.Server):
        """Says when it answers, and tells long answers to end when it is to stop."""

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if self.started:
                ready(address)

        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            server.jobs.closing = True
            super().handle_exit(sig, frame)

    settings: dict[str, Any] = {"log_level": "warning", "access_log": False, "server_header": False, "ws": "none"}
    settings |= {
        "proxy_headers": False,
        "timeout_keep_alive": 30,
        "limit_concurrency": 1000,
        "timeout_graceful_shutdown": GRACE,
        "log_config": None,
    }
    try:
        Running(uvicorn.Config(app, lifespan="on", **settings)).run(sockets=[listening])
    except KeyboardInterrupt:
        log.info("stopped by Ctrl-C")
    finally:
        listening.close()


def bound(host: str, port: int) -> socket.socket:
    """A listening socket, or one line on why there is none."""
    if not 0 <= port < 65_536:
        raise SemblanceError(f"--port {port} is no port: give 1 to 65535, or 0 for any that is free")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host.strip("[]"), port))
        listening.listen(512)
    except OSError as error:
        listening.close()
        raise Failed(
            f"--host {host} --port {port} cannot be listened at ({error.strerror or error}): give another --port (0: any)"
        ) from None
    return listening


def _shown(host: str) -> str:
    return f"[{host.strip('[]')}]" if ":" in host else {"0.0.0.0": "127.0.0.1"}.get(host, host)
