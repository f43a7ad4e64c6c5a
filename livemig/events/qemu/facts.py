"""What a ``run.toml`` beside the logs says of a captured run. All of it is optional, and none is needed."""

from __future__ import annotations

import tomllib
from decimal import Decimal
from pathlib import Path
from typing import Any

from livemig.errors import InputError

_US_PER_S = 1_000_000


def _plain(value: Any) -> Any:
    """Integers beyond 64 bits, which JSON's readers do not take, as text."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return str(value) if isinstance(value, int) and not -(1 << 63) <= value < 1 << 64 else value


class Facts:
    """Looks a key up in any of the file's tables, or at its top. Times are exact: no float is read."""

    def __init__(self, path: Path | None) -> None:
        """Read ``path``; None: no facts.

        Raises:
            InputError: it cannot be read, or is not TOML.
        """
        self.path = path
        self.verbatim: dict[str, Any] = {}
        self._tables: list[dict[str, Any]] = []
        if path is None:
            return
        try:
            text = path.read_text()
            self.verbatim = _plain(tomllib.loads(text))
            exact = tomllib.loads(text, parse_float=Decimal)
        except OSError as error:
            raise InputError(str(path), error.strerror or str(error)) from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise InputError(str(path), f"not TOML: {error}") from None
        self._tables = [exact, *(table for table in exact.values() if isinstance(table, dict))]

    def _get(self, kinds: tuple[type, ...], needed: str, *keys: str) -> Any:
        for key in keys:
            for table in self._tables:
                if key in table and not isinstance(table[key], dict):
                    value = table[key]
                    if isinstance(value, bool) or not isinstance(value, kinds):
                        raise InputError(str(self.path), f"{key}: {value!r}, needed: {needed}")
                    return value
        return None

    def text(self, *keys: str) -> str | None:
        """The first of ``keys`` that is there. Raises InputError if it is no string."""
        value: str | None = self._get((str,), "a string", *keys)
        return value

    def integer(self, *keys: str) -> int | None:
        """The first of ``keys`` that is there. Raises InputError if it is not an integer from 1 to 2^40."""
        value: int | None = self._get((int,), "an integer", *keys)
        if value is not None and not 0 < value <= 1 << 40:
            raise InputError(str(self.path), f"{keys[0]}: {value}, needed: an integer from 1 to 2^40")
        return value

    def microseconds(self, *keys: str, unit: int = _US_PER_S) -> int | None:
        """The first of ``keys`` that is there, a number of ``unit`` microseconds, not negative.

        Raises:
            InputError: it is no such number.
        """
        value: Decimal | int | None = self._get((int, Decimal), "a number", *keys)
        if value is None:
            return None
        if not Decimal(value).is_finite() or not 0 <= value < 1 << 60:
            raise InputError(str(self.path), f"{keys[0]}: {value}, needed: a time")
        return int(value * unit)

    def flag(self, key: str) -> bool | None:
        """0 or 1, or a boolean, if it is there. Raises InputError if it is anything else."""
        for table in self._tables:
            if key in table:
                if table[key] not in (0, 1):
                    raise InputError(str(self.path), f"{key}: {table[key]!r}, needed: 0 or 1")
                return bool(table[key])
        return None

    def has(self, key: str) -> bool:
        """Whether the key is there, whatever its value."""
        return any(key in table for table in self._tables)

    @property
    def live(self) -> bool:
        return self.text("how", "method") == "live"
