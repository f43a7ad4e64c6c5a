"""The generated part of docs/config.md: ``python -m livemig.config.reference`` prints it."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic.fields import FieldInfo

from livemig.config.keys import allowed, leaves, tables
from livemig.config.model import Config
from livemig.config.presets import PRESETS
from livemig.config.section import Section, plain
from livemig.config.units import DIMENSIONS
from livemig.config.write import scalar


def reference() -> str:
    """Markdown: the units, the presets, and one table for each section that has keys."""
    parts = [_units(), _presets()]
    parts += [_section(name, model) for name, model in tables(Config) if leaves(model)]
    return "\n".join(parts)


def _table(head: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def _units() -> str:
    rows = ((d.name, ", ".join(f"`{unit}`" for unit in d.scales), d.base) for d in DIMENSIONS)
    return "## Units\n\n" + _table(("dimension", "units", "counted in whole"), rows)


def _presets() -> str:
    keys = next(iter(PRESETS.values()))
    rows = ((f"`{model}`", *(f"`{preset[key]}`" for key in keys)) for model, preset in PRESETS.items())
    return "## Presets\n\n" + _table(("model", *(f"`{key}`" for key in keys)), rows)


def _section(name: str, model: type[Section]) -> str:
    rows = (
        (f"`{key}`", _default(field), allowed(field) or "any text", field.description or "")
        for key, field in leaves(model).items()
    )
    return f"## [{name}]\n\n{model.__doc__}\n\n" + _table(("key", "default", "allowed", "meaning"), rows)


def _default(field: FieldInfo) -> str:
    return "—" if field.is_required() else f"`{scalar(plain(field, field.default))}`"


if __name__ == "__main__":
    print(reference(), end="")
