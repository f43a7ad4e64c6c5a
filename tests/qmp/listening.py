"""A QMP server's socket, as the program listens."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import trio

from livemig.link.uri import close, listen


@contextmanager
def unix_listener(path: Path) -> Iterator[trio.SocketListener]:
    """Listens at ``path``, which is gone at the end."""
    listener, bound = listen(f"unix:{path}")
    try:
        yield trio.SocketListener(trio.socket.from_stdlib_socket(listener))
    finally:
        close(listener, bound)
