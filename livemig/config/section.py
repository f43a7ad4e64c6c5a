"""What all tables of a configuration have in common."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, Self

from pydantic import BaseModel, ConfigDict
from pydantic.fields import FieldInfo

from livemig.config.quantity import Quantity, Ratio, TimePolicy
from livemig.config.script import Script


class Section(BaseModel):
    """One table: frozen, no unknown keys, no conversions.

    What pydantic needs to read it is built when it is first read: of the tables in a configuration never, for that has
    it all in one piece. It is a third of the time that the configuration's import would take.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)

    @classmethod
    @cache
    def untouched(cls) -> Self:
        """The table with each key as it is by default, all of which have one."""
        return cls.model_construct()

    @classmethod
    def tables(cls) -> Iterator[tuple[str, type[Section]]]:
        """The sub-tables, by name."""
        for name, field in cls.model_fields.items():
            if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
                yield name, field.annotation

    def as_toml_values(self) -> dict[str, Any]:
        """The whole table as TOML and JSON would hold it; ``model_validate`` makes an equal one of it."""
        return {name: plain(field, getattr(self, name)) for name, field in type(self).model_fields.items()}


Notation = Quantity | Ratio | TimePolicy | Script


def notation(field: FieldInfo) -> Notation | None:
    """How ``field`` is written, if not simply as an int, str or bool."""
    return next((item for item in field.metadata if isinstance(item, Notation)), None)


def plain(field: FieldInfo, value: Any) -> Any:
    """``value`` of ``field`` as TOML and JSON would hold it."""
    if isinstance(value, Section):
        return value.as_toml_values()
    written = notation(field)
    return written.plain(value) if written else value
