"""QMP on the wire, without I/O: JSON values out of a byte stream, and the messages that go into one.

Newlines do not frame: a value ends where its brackets balance, so an unclosed ``{`` waits for more. As in
QEMU, a control character or 0xFF where none may stand gives the value up: a client's way out of any state.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import orjson

from livemig.errors import QmpError

MAX_BYTES: Final = 1 << 20
MAX_NESTING: Final = 250  # orjson writes 254 levels, and an `id` of any shape has to go back

# Where the scan is, as what it looks for next.
_BETWEEN: Final = re.compile(rb"[\n{\[]")
_INSIDE: Final = re.compile(rb'[]{}["]|[^\t\n\r -~]')
_STRING: Final = re.compile(rb'["\\\x00-\x1f\xfe\xff]')
_ESCAPED: Final = re.compile(rb"[\x00-\xff]")

_KEYWORD: Final = re.compile(rb'"(?:[^"\\]|\\.)*+"?|-?[0-9][-+.0-9eE]*|([a-z]+)', re.DOTALL)


def generic(desc: str) -> QmpError:
    """QEMU's error for everything that has no class of its own."""
    return QmpError("GenericError", desc)


class JsonSplitter:
    """A byte stream cut into JSON values; how it arrives in pieces makes no difference.

    Args:
        limit: bytes that one value may have. A longer one is answered once, and skipped to its end.
    """

    def __init__(self, limit: int = MAX_BYTES) -> None:
        self._limit = limit
        self._buffer = bytearray()  # the value being read, scanned up to `_at`
        self._at = self._depth = 0
        self._state = _BETWEEN
        self._refused = False  # it has had its error: the rest of it passes in silence
        self._found: list[Any] = []

    def feed(self, data: bytes) -> list[Any]:
        """The values that ``data`` completes, in order; a :class:`QmpError` in place of each that is none."""
        self._buffer += data
        while match := self._state.search(self._buffer, self._at):
            self._advance(match.end())
            self._step(match[0])
        self._advance(len(self._buffer))
        if self._refused:
            self._buffer.clear()
            self._at = 0
        found, self._found = self._found, []
        return found

    def _advance(self, at: int) -> None:
        self._at = at
        if at > self._limit:
            self._refuse("JSON token size limit exceeded")

    def _step(self, char: bytes) -> None:
        if self._state is _BETWEEN:
            self._end(self._at - 1)
            if char != b"\n":
                self._depth, self._state = 1, _INSIDE
        elif self._state is _ESCAPED:
            self._state = _STRING
        elif char == b'"':
            self._state = _INSIDE if self._state is _STRING else _STRING
        elif char == b"\\":
            self._state = _ESCAPED
        elif char in b"{}[]":
            self._depth += 1 if char in b"{[" else -1
            if self._depth > MAX_NESTING:
                self._refuse("JSON nesting depth limit exceeded")
            elif not self._depth:
                self._end(self._at)
        else:
            self._refuse(f"JSON parse error, stray {char.decode('latin-1')!r}")
            self._end(self._at)
            self._refused = char != b"\n"

    def _refuse(self, desc: str) -> None:
        if not self._refused:
            self._found.append(generic(desc))
        self._refused = True

    def _end(self, length: int) -> None:
        text = bytes(self._buffer[:length]).strip()
        if text and not self._refused:
            self._found.append(_parse(text))
        del self._buffer[:length]
        self._at -= length
        self._depth, self._state, self._refused = 0, _BETWEEN, False


def _parse(text: bytes) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        for word in _KEYWORD.findall(text):
            if word not in (b"", b"true", b"false", b"null"):
                return generic(f"JSON parse error, invalid keyword '{word.decode()}'")
        return generic(f"JSON parse error, {error.msg}")


def request(value: Any) -> tuple[str, dict[str, Any]]:
    """The command that ``value`` asks for, and its arguments, not yet checked against the command's.

    Raises:
        QmpError: in QEMU's words, what is wrong with its form.
    """
    if not isinstance(value, dict):
        raise generic("QMP input must be a JSON object")
    for name, member in value.items():
        if name == "execute" and not isinstance(member, str):
            raise generic("QMP input member 'execute' must be a string")
        if name == "arguments" and not isinstance(member, dict):
            raise generic("QMP input member 'arguments' must be an object")
        if name not in ("execute", "arguments", "id"):
            raise generic(f"QMP input member '{name}' is unexpected")
    if "execute" not in value:
        raise generic("QMP input lacks member 'execute'")
    return value["execute"], value.get("arguments", {})


def id_of(value: Any) -> dict[str, Any]:
    """The ``id`` member of a request, well formed or not, as the reply has it; empty if there is none."""
    return {"id": value["id"]} if isinstance(value, dict) and "id" in value else {}


def message(members: Mapping[str, Any]) -> bytes:
    """One message as it is sent.

    Raises:
        TypeError: it is not JSON, or has an integer beyond 64 bits.
    """
    return orjson.dumps(members) + b"\r\n"


def greeting(version: Mapping[str, Any]) -> bytes:
    """What a server says first. ``version``: the result of ``query-version``."""
    return message({"QMP": {"version": version, "capabilities": []}})


def success(result: Any, echo: Mapping[str, Any]) -> bytes:
    """The reply to a command that did; ``result`` None is QEMU's ``{}``. ``echo``: from :func:`id_of`."""
    return message({"return": {} if result is None else result, **echo})


def failure(error: QmpError, echo: Mapping[str, Any]) -> bytes:
    """The reply to a command that did not."""
    return message({"error": {"class": error.error_class, "desc": error.desc}, **echo})


def event(name: str, data: Mapping[str, Any] | None, wall_ns: int) -> bytes:
    """Something that happened at ``wall_ns`` of the host's wall clock, in ns since 1970."""
    seconds, ns = divmod(wall_ns, 10**9)
    timestamp = {"seconds": seconds, "microseconds": ns // 1000}
    return message({"event": name, **({"data": data} if data else {}), "timestamp": timestamp})
