"""Listening on a unix socket that only its owner may open."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import trio

from livemig.errors import AddressInUse, OutputError


@contextmanager
def unix_listener(path: str | os.PathLike[str]) -> Iterator[trio.SocketListener]:
    """A socket that listens at ``path``, mode 0600, and is removed at the end.

    Raises:
        AddressInUse: a live process listens there. What a dead one left there is replaced.
        OutputError: it cannot be created.
    """
    path = Path(path)
    with socket.socket(socket.AF_UNIX) as sock, socket.socket(socket.AF_UNIX) as probe:
        try:
            if path.is_socket():
                if probe.connect_ex(os.fspath(path)) == 0:
                    raise AddressInUse(f"unix:{path}")
                path.unlink()
            sock.bind(os.fspath(path))
        except OSError as error:
            raise OutputError(str(path), error.strerror or str(error)) from error
        try:
            path.chmod(0o600)  # before listen(), so that at no moment others may connect
            sock.listen()
            yield trio.SocketListener(trio.socket.from_stdlib_socket(sock))
        finally:
            path.unlink(missing_ok=True)
