"""Every error that livemig raises on purpose, as one small tree.

    LivemigError                exit code  whose fault
    ├── UsageError              2          the user's: one line, nothing written
    │   ├── ConfigError         2          a configuration: file, key, problem, what is allowed
    │   └── InputError          2          any other file: path, line, problem
    ├── OutputError             2          a place that cannot be written: path, problem
    ├── LinkError               3          the way to the peer
    │   ├── ConnectTimeout      3          nobody there within the time allowed
    │   ├── AddressInUse        2          somebody else listens there
    │   ├── TlsError            3          the peer and we cannot prove ourselves to each other
    │   ├── PeerSilent          3          the peer is there, and says nothing
    │   ├── StreamFileError     3          a stream in a file: path, problem; nobody has a guest by it
    │   └── PeerLost            3          the connection ended where it must not
    ├── ProtocolError           3          the peer's: frame, field, problem
    └── QmpError                3          QEMU error class and description

``exit_code`` is what the command line ends with; ``str(error)`` is the one line it prints.
"""

from __future__ import annotations


class LivemigError(Exception):
    """Root of the tree."""

    exit_code = 3


class UsageError(LivemigError):
    """The user asked for something that cannot be."""

    exit_code = 2


class ConfigError(UsageError):
    """A configuration is wrong.

    Args:
        file: where it was read from (``--set`` for the command line).
        key: dotted key, ``section.name``.
        problem: what is wrong with it.
        allowed: what would be right.
    """

    def __init__(self, file: str, key: str, problem: str, allowed: str = "") -> None:
        self.file, self.key, self.problem, self.allowed = file, key, problem, allowed
        where = f"{file}: {key}: " if key else f"{file}: "
        super().__init__(where + problem + (f" (allowed: {allowed})" if allowed else ""))


class InputError(UsageError):
    """A file that was to be read is missing or malformed."""

    def __init__(self, path: str, problem: str, line: int = 0) -> None:
        self.path, self.problem, self.line = path, problem, line
        super().__init__(f"{path}:{line}: {problem}" if line else f"{path}: {problem}")


class OutputError(LivemigError):
    """A file or directory cannot be written."""

    exit_code = 2

    def __init__(self, path: str, problem: str) -> None:
        self.path, self.problem = path, problem
        super().__init__(f"{path}: {problem}")


class LinkError(LivemigError):
    """The way to the peer failed."""


class ConnectTimeout(LinkError):
    """No peer answered at ``uri`` within ``timeout_ns``."""

    def __init__(self, uri: str, timeout_ns: int, last: str = "") -> None:
        self.uri, self.timeout_ns, self.last = uri, timeout_ns, last
        super().__init__(f"{uri}: no peer within {timeout_ns / 1e9:g} s" + (f" ({last})" if last else ""))


class AddressInUse(LinkError):
    """``uri`` is taken."""

    exit_code = 2

    def __init__(self, uri: str, problem: str = "address already in use") -> None:
        self.uri, self.problem = uri, problem
        super().__init__(f"{uri}: {problem}")


class StreamFileError(LinkError):
    """The file at ``path`` cannot be written, or is not a whole stream: there is no guest in it."""

    def __init__(self, path: str, problem: str) -> None:
        self.path, self.problem = path, problem
        super().__init__(f"{path}: {problem}")


class PeerLost(LinkError):
    """The connection ended, or stopped short in the middle of ``during``."""

    def __init__(self, during: str) -> None:
        self.during = during
        super().__init__(f"connection to the peer lost during {during}")


class TlsError(LinkError):
    """No secure connection: the peer's certificate is not what it must be, or ours is not to the peer."""


class PeerSilent(LinkError):
    """Nothing came from the peer for ``limit_ns`` of host time while something was due."""

    def __init__(self, limit_ns: int) -> None:
        self.limit_ns = limit_ns
        super().__init__(f"the peer has said nothing for {limit_ns / 1e9:g} s")


class ProtocolError(LivemigError):
    """The peer sent what it must not: ``frame`` (its type) and ``field`` say where."""

    def __init__(self, frame: str, field: str, problem: str) -> None:
        self.frame, self.field, self.problem = frame, field, problem
        super().__init__(f"frame {frame!r}, {field}: {problem}")


class QmpError(LivemigError):
    """A QMP error: ``error_class`` is one of QEMU's (GenericError, CommandNotFound, DeviceNotActive, …)."""

    def __init__(self, error_class: str, desc: str) -> None:
        self.error_class, self.desc = error_class, desc
        super().__init__(desc)


def plain(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """What a nursery's tasks failed with, as whoever is outside it wants to see it: Ctrl-C, or the first error of
    ours, or else ``group`` as it is."""
    if group.subgroup(KeyboardInterrupt) is not None:
        return KeyboardInterrupt()
    ours = group.subgroup(LivemigError)
    while isinstance(ours, BaseExceptionGroup):
        first = ours.exceptions[0]
        if not isinstance(first, BaseExceptionGroup):
            return first
        ours = first
    return group
