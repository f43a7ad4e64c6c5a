"""What a QMP command is: a handler, and the arguments it takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from livemig.qmp.wire import generic

JsonType = Literal["string", "integer", "number", "boolean", "array", "object", "any"]
Arguments = Mapping[str, tuple[JsonType, bool]]

_PYTHON: Final[Mapping[JsonType, type | tuple[type, ...]]] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "array": list,
    "object": dict,
    "any": object,
}


@dataclass(frozen=True, slots=True)
class Command:
    """A QMP command.

    Args:
        handler: called with the arguments given, as keywords, ``-`` as ``_``; may be async. Its result is the
            command's, None for ``{}``. It raises :class:`~livemig.errors.QmpError` to choose the class of an
            error; any other exception becomes a GenericError.
        arguments: name → (JSON type, whether it must be given).
        after: called when the reply to a success, and the events before it, have left the process or are not
            wanted by those they are for. For ``quit``.
    """

    handler: Callable[..., Any]
    arguments: Arguments = field(default_factory=dict)
    after: Callable[[], None] | None = None


def keywords(declared: Arguments, given: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments ``given`` by Python name, checked in QEMU's order: those declared, then what is left.

    Raises:
        QmpError: one is missing, of the wrong type, or unknown.
    """
    for name, (json_type, required) in declared.items():
        if name in given and not _is(given[name], json_type):
            raise generic(f"Invalid parameter type for '{name}', expected: {json_type}")
        if required and name not in given:
            raise generic(f"Parameter '{name}' is missing")
    for name in given:
        if name not in declared:
            raise generic(f"Parameter '{name}' is unexpected")
    return {name.replace("-", "_"): value for name, value in given.items()}


def _is(value: Any, json_type: JsonType) -> bool:
    if isinstance(value, bool):  # which Python counts among the integers
        return json_type in ("boolean", "any")
    return isinstance(value, _PYTHON[json_type])
