"""HTML written from Python: whatever is not `Markup` already is escaped."""

from __future__ import annotations

from html import escape
from typing import Any

import orjson


class Markup(str):
    """Text that is HTML."""

    __slots__ = ()


def tag(element: str, /, *children: str, **attributes: str | bool) -> Markup:
    """``<element attribute="…">children</element>``.

    ``class_`` is class and ``data_x`` is data-x; True is an attribute without a value, False none.
    """
    written = ""
    for key, value in attributes.items():
        if value is not False:
            written += f" {key.rstrip('_').replace('_', '-')}" + ("" if value is True else f'="{escape(str(value))}"')
    return Markup(f"<{element}{written}>{together(*children)}</{element}>")


def together(*children: str) -> Markup:
    """One after the other."""
    return Markup("".join(child if isinstance(child, Markup) else escape(child) for child in children))


def script_data(value: Any) -> str:
    """``value`` as JSON that can stand in a script element: nothing in it ends the element or opens a comment."""
    text = orjson.dumps(value).decode()
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text
