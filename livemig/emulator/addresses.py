"""Where to migrate, as QMP says it: a URI, or QEMU's list of channels (``MigrationChannel``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from livemig.errors import QmpError, UsageError
from livemig.link.uri import ALLOWED, file_path, parse_uri


def place(uri: str | None, channels: Sequence[Any] | None) -> str:
    """The URI of a peer or a file that ``migrate`` or ``migrate-incoming`` was given.

    Raises:
        QmpError: neither or both were given, or it is none.
    """
    if uri is None and channels is None:
        raise _error("need either 'uri' or 'channels' argument")
    if uri is not None and channels is not None:
        raise _error(
            "'uri' and 'channels' arguments are mutually exclusive; exactly one of the two should be present in "
            "'migrate' qmp command "
        )
    if uri is None:
        uri = _uri(channels or [])
    if file_path(uri) is None:
        try:
            parse_uri(uri)
        except UsageError as error:
            told = str(error) if ALLOWED in str(error) else f"{error} (allowed: {ALLOWED})"
            raise _error(f"Parameter 'uri' expects a valid migration protocol: {told}") from None
    return uri


def _uri(channels: Sequence[Any]) -> str:
    if len(channels) != 1:
        raise _error("Channel list must have only one entry, for type 'main'")
    channel = _object(channels[0], "channels[0]")
    kind, address = _text(channel, "channels[0].channel-type"), _object(channel.get("addr"), "channels[0].addr")
    if kind != "main":
        raise _error(f"Parameter 'channel-type' does not accept value '{kind}'")
    transport = _text(address, "channels[0].addr.transport")
    if transport == "file":
        return f"file:{_text(address, 'channels[0].addr.filename')}"
    if transport != "socket":
        raise _error(f"Parameter 'transport' does not accept value '{transport}'")
    family = _text(address, "channels[0].addr.type")
    if family == "unix":
        return f"unix:{_text(address, 'channels[0].addr.path')}"
    if family != "inet":
        raise _error(f"Parameter 'type' does not accept value '{family}'")
    host, port = _text(address, "channels[0].addr.host"), _text(address, "channels[0].addr.port")
    return f"tcp:[{host}]:{port}" if ":" in host else f"tcp:{host}:{port}"


def _object(value: Any, path: str) -> Mapping[str, Any]:
    if value is None:
        raise _error(f"Parameter '{path}' is missing")
    if not isinstance(value, dict):
        raise _error(f"Invalid parameter type for '{path}', expected: object")
    return value


def _text(table: Mapping[str, Any], path: str) -> str:
    value = table.get(path.rpartition(".")[2])
    if value is None:
        raise _error(f"Parameter '{path}' is missing")
    if not isinstance(value, str):
        raise _error(f"Invalid parameter type for '{path}', expected: string")
    return value


def _error(desc: str) -> QmpError:
    return QmpError("GenericError", desc)
