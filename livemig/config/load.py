"""From a TOML file and ``--set`` overrides to a ``Config``, or to one ConfigError."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from pydantic import ValidationError

from livemig.config.model import Config
from livemig.config.shown import shown
from livemig.errors import ConfigError

OVERRIDE: Final = "--set"
_PATHS: Final = (
    ("guest", "trace", "file"),
    ("migration", "tls_dir"),
    *(("engine", key) for key in ("qemu_root", "source_root", "destination_root", "kernel", "initrd")),
)
"""Keys that are relative to the configuration's directory."""
_OVERRIDE: Final = re.compile(r"\s*([\w-]+(?:\.[\w-]+)*)\s*=\s*(.*?)\s*", re.DOTALL)


def load(path: str | os.PathLike[str], overrides: Sequence[str] = ()) -> Config:
    """The configuration in the file at ``path``, changed by ``overrides``, in order.

    Args:
        path: a TOML file; the paths in it are relative to its directory, from wherever they were set.
        overrides: each ``section.key=value``; a value that is no TOML string, number or boolean is a string.

    Raises:
        ConfigError: the first problem, and only that.
    """
    given, overridden = read_tables(path, overrides)
    return validated(given, os.fspath(path), overridden)


def read_tables(path: str | os.PathLike[str], overrides: Sequence[str] = ()) -> tuple[dict[str, Any], list[str]]:
    """The tables of a file as they stand there, changed by ``overrides``, and the dotted keys of those; not checked.

    Raises:
        ConfigError: the file cannot be read or is not TOML, or an override has not its form.
    """
    file = os.fspath(path)
    given = _read(file)
    overridden = [_override(given, text) for text in overrides]
    _anchor(given, os.path.dirname(file))
    return given, overridden


def validated(given: Mapping[str, Any], file: str, overridden: Collection[str] = ()) -> Config:
    """The configuration in plain values. ConfigError blames ``--set`` for ``overridden`` keys, else ``file``.

    Values are as TOML or ``as_toml_values`` has them; ``overridden`` holds dotted keys.
    """
    try:
        return Config.model_validate(given)
    except ValidationError as error:
        from livemig.config.problems import first_problem  # only an error needs it

        keys, problem, allowed = first_problem(error, given)
    for key in keys:
        if any(f"{name}.".startswith(f"{key}.") for name in overridden):
            raise ConfigError(OVERRIDE, key, problem, allowed)
    raise ConfigError(file, keys[0], problem, allowed)


def _read(file: str) -> dict[str, Any]:
    try:
        with open(file, "rb") as opened:
            text = opened.read().decode()
        return tomllib.loads(text, parse_float=Decimal)
    except OSError as error:
        raise ConfigError(file, "", f"cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(file, "", f"not UTF-8 at byte {error.start}") from None
    except RecursionError:
        raise ConfigError(file, "", "nested too deeply") from None
    except ValueError as error:  # TOMLDecodeError, and what int() says of a number with thousands of digits
        raise ConfigError(file, "", f"not TOML: {error}") from None


def _override(given: dict[str, Any], text: str) -> str:
    """Put one override into ``given``; its dotted key."""
    match = _OVERRIDE.fullmatch(text)
    if match is None:
        raise ConfigError(OVERRIDE, "", f"{shown(text)} is not of the form section.key=value")
    key, value = match.groups()
    *parents, name = key.split(".")
    table = given
    for parent in parents:
        if not isinstance(table.get(parent), dict):
            table[parent] = {}
        table = table[parent]
    table[name] = _scalar(value)
    return key


def _scalar(text: str) -> str | int | Decimal | bool:
    try:
        parsed = tomllib.loads(f"value = {text}", parse_float=Decimal)
    except (ValueError, RecursionError):
        return text
    value = parsed["value"]
    # A line break in the text may have made more keys of it; dates, arrays and tables are no scalars of ours.
    return value if len(parsed) == 1 and isinstance(value, str | int | Decimal) else text


def _anchor(given: dict[str, Any], directory: str) -> None:
    for *parents, name in _PATHS:
        table: Any = given
        for parent in parents:
            table = table.get(parent) if isinstance(table, dict) else None
        if isinstance(table, dict) and isinstance(table.get(name), str) and table[name]:
            table[name] = os.path.abspath(os.path.join(directory, table[name]))
