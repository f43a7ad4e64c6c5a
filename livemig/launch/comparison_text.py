"""The comparison of a capture as a table for people."""

from __future__ import annotations

from livemig.events.qemu.window import Window
from livemig.launch.comparison import Comparison
from livemig.launch.row import Row, Value

_HEADS = ("quantity", "predicted", "QEMU", "difference", "")


def comparison_text(comparison: Comparison) -> str:
    """A line on the capture, the table, the host's noise, what could not be known, and the answer."""
    capture, noise = comparison.capture, comparison.noise
    versions = " → ".join(dict.fromkeys(map(str, capture.versions)))
    rules = " and ".join(dict.fromkeys(comparison.foreseen.rules.rules))
    trigger = "level" if capture.level else "edge"
    hz = " → ".join(f"{each:,}" for each in dict.fromkeys(capture.hz))
    lines = [f"{capture.machine} ({trigger}), QEMU {versions}, timebase {hz} Hz: by {rules}", ""]
    lines += _table([_HEADS, *(_cells(row) for row in comparison.rows)])
    lines += ["", *(f"note: {note}" for note in capture.notes)]
    if noise.raises:
        median, worst, allowed = (f"{ns / 1000:,.0f} us" for ns in (noise.median_ns, noise.worst_ns, noise.allowed_ns))
        lines.append(
            f"noise: {noise.raises:,} other interrupts in the logs were raised {median} (median) to {worst} (worst) "
            f"after they were due; {allowed} are allowed"
        )
    wrong = [row for row in comparison.rows if row.agrees is False]
    unknown = sum(row.agrees is None for row in comparison.rows)
    answer = f"{len(wrong)} differ" if wrong else "they agree"
    lines.append(f"{len(comparison.rows)} quantities, {unknown} unknown: {answer}")
    return "\n".join(lines)


def _cells(row: Row) -> tuple[str, ...]:
    name = row.quantity if row.cpu is None else f"{row.quantity}, CPU {row.cpu}"
    word = {True: "agrees", False: "DIFFERS", None: "unknown"}[row.agrees]
    end = f"{word}  {row.note}".rstrip()
    return name, _shown(row.predicted), _shown(row.qemu), _difference(row), end


def _shown(value: Value) -> str:
    if value is None:
        return "unknown"
    if isinstance(value, Window):
        return f"{value.low:,}" if value.exact else f"{value.low:,} … {value.high:,}"
    return value


def _difference(row: Row) -> str:
    difference = row.difference
    if difference is None:
        return "-"
    if row.unit != "ticks":
        return f"{difference:,} {row.unit}".rstrip()
    return f"{difference:,}" + (f" ({difference * 1e6 / row.hz:,.1f} us)" if difference else "")


def _table(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADS))]
    lines = []
    for row in rows:
        first, *middle, last = row
        cells = [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(middle, widths[1:-1], strict=True))]
        lines.append("  ".join([*cells, last]).rstrip())
    return lines
