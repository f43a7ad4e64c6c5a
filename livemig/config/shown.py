"""How a message shows a value that somebody wrote: on one line, and short."""

from __future__ import annotations

_LONGEST = 60


def shown(value: object) -> str:
    """A TOML value in words: a text in quotes, tables and arrays by their kind."""
    match value:
        case bool():
            return str(value).lower()
        case str():
            return repr(value if len(value) <= _LONGEST else value[: _LONGEST - 3] + "...")
        case dict():
            return "a table"
        case list():
            return "an array"
        case int() if value.bit_length() > 64:  # str() refuses the longest ones
            return f"an integer of {value.bit_length()} bits"
    text = str(value)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."
