"""The keys there are, by dotted name, and what each one allows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from livemig.config.section import Section, notation


def tables(model: type[Section], name: str = "") -> Iterator[tuple[str, type[Section]]]:
    """``model`` and every table in it, depth first, by dotted name."""
    yield name, model
    for child, table in model.tables():
        yield from tables(table, f"{name}.{child}" if name else child)


def leaves(model: type[Section]) -> dict[str, FieldInfo]:
    """The keys of one table that are not tables themselves."""
    subtables = {name for name, _ in model.tables()}
    return {name: field for name, field in model.model_fields.items() if name not in subtables}


def allowed(field: FieldInfo) -> str:
    """The values of ``field`` that are allowed, in words; empty for any text."""
    if written := notation(field):
        return written.range
    if get_origin(field.annotation) is Literal:
        return ", ".join(get_args(field.annotation))
    if field.annotation is bool:
        return "true, false"
    bounds = [getattr(item, end) for end in ("ge", "le") for item in field.metadata if hasattr(item, end)]
    return " to ".join(map(str, bounds))
