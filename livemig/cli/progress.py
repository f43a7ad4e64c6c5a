"""Progress on standard error: a line per pass, while a pair runs."""

from __future__ import annotations

import sys
from typing import Any

from livemig.events.schema import SOURCE


def print_progress(side: str, event: dict[str, Any]) -> None:
    """One QMP event of ``side``."""
    data = event.get("data", {})
    if event["event"] == "X_LIVEMIG_PASS":
        sent, left = _size(data["bytes"]), _size(data["remaining"])
        dirty, link = _size(data["dirty_rate"]), _size(data["rate"]) if data["duration_ns"] else "?"
        print(
            f"t={data['t_ns'] / 1e9:9.6f} s  pass {data['pass']:>2}  sent {sent:>10}  remaining {left:>10}"
            f"  dirty {dirty:>10}/s  link {link:>10}/s",
            file=sys.stderr,
        )
    elif event["event"] == "QUERY":
        ram = data["ram"]
        sent, left = _size(ram["transferred"]), _size(ram["remaining"])
        print(f"QEMU  pass {data['pass']:>2}  sent {sent:>10}  remaining {left:>10}", file=sys.stderr)
    elif event["event"] == "TRACE":
        does = "runs" if data["running"] else "stands still"
        print(f"{side}: the guest {does}; decrementer interrupts so far: {data['raised']:,}", file=sys.stderr)
    elif event["event"] == "X_LIVEMIG_TURNED_AWAY":
        print(f"{side}: turned a peer away: {data['reason']}", file=sys.stderr)
    elif event["event"] == "X_LIVEMIG_MIGRATION" and side == SOURCE and data["reason"]:
        print(f"migration {data['status']}: {data['reason']}", file=sys.stderr)


def _size(count: int) -> str:
    for unit, size in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} B"
