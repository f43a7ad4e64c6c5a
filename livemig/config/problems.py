"""What pydantic found wrong, in words: the key, the problem, and what is allowed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any, NamedTuple

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from livemig.config.keys import allowed, leaves, tables
from livemig.config.model import Config
from livemig.config.quantity import Quantity
from livemig.config.section import notation
from livemig.config.shown import shown

Path = tuple[str, ...]

_TABLES = dict(tables(Config))
_PREDICATES = {
    "bool_type": "is not true or false",
    "greater_than_equal": "is out of range",
    "int_type": "is not a whole number",
    "less_than_equal": "is out of range",
    "literal_error": "is not one of the names",
    "model_type": "is not a table",
    "string_pattern_mismatch": "holds a NUL character",
    "string_type": "is not a text",
    "string_unicode": "is not Unicode text",
}


class Problem(NamedTuple):
    """``keys``: whose values are at odds, dotted; mostly one."""

    keys: tuple[str, ...]
    problem: str
    allowed: str


def first_problem(error: ValidationError, given: Mapping[str, Any]) -> Problem:
    """The one problem of ``error`` that comes first in ``given``, which was validated."""
    places = {path: place for place, path in enumerate(_paths(given))}
    found = error.errors(include_url=False)
    return _in_words(min(found, key=lambda details: places.get(_path(details), len(places))))


def _paths(table: Mapping[str, Any], parents: Path = ()) -> Iterator[Path]:
    for name, value in table.items():
        yield (*parents, name)
        if isinstance(value, dict) and len(parents) < 3:  # no known key is deeper; unknown ones may be, much
            yield from _paths(value, (*parents, name))


def _path(details: ErrorDetails) -> Path:
    return tuple(map(str, details["loc"]))


def _dotted(path: Path) -> str:
    return ".".join(name if re.fullmatch(r"[\w-]+", name) else json.dumps(name) for name in path)


def _in_words(details: ErrorDetails) -> Problem:
    path, kind, context = _path(details), details["type"], details.get("ctx", {})
    keys = (_dotted(path),)
    if kind == "conflict":
        return Problem(**context)
    if kind == "extra_forbidden":
        return Problem(keys, *_unknown(path))
    if kind == "value_error":
        return Problem(keys, str(context["error"]), _right(path))
    predicate = _PREDICATES.get(kind)
    problem = f"{shown(details['input'])} {predicate}" if predicate else details["msg"]
    return Problem(keys, problem, _right(path))


def _right(path: Path) -> str:
    if table := _TABLES.get(".".join(path)):
        return f"a table of {', '.join(table.model_fields)}"
    field = _TABLES[".".join(path[:-1])].model_fields[path[-1]]
    written = notation(field)
    return allowed(field) + (
        f", in {', '.join(written.dimension.scales)}" if isinstance(written, Quantity) else ""
    )


def _unknown(path: Path) -> tuple[str, str]:
    """Names the nearest known key: in the same table if one there is near, else anywhere."""
    *parents, name = path
    siblings = _TABLES[".".join(parents)].model_fields
    if near := get_close_matches(name, siblings, 1):
        best = ".".join((*parents, near[0]))
    else:
        homes = {
            leaf: f"{table}.{leaf}" for table, model in reversed(_TABLES.items()) for leaf in leaves(model)
        }
        best = homes[get_close_matches(name, homes, 1, cutoff=0.0)[0]]
    return f"unknown key; did you mean {best}?", ", ".join(siblings)
