"""What makes two worlds the same: all that either side knows, without what was only counted or measured."""

from __future__ import annotations

from enum import Enum
from typing import Any, Final

import numpy as np

from explorer.world import D, S, World
from livemig.link.multi_channel import MultiChannel

_COUNTED: Final = frozenset(
    {
        # figures, for reports
        "normal", "zero_pages", "precopy_bytes", "downtime_bytes", "dirty_pages_rate", "bandwidth", "figures",
        "requests", "arrived_pages", "preempted_pages", "blocktime", "_pass", "phase", "bytes", "expected_downtime_ns",
        "reason", "_at_sync", "_period_dirtied", "_period_bytes", "_period_pages",
        # the same in all worlds of a scenario
        "settings", "strategy", "host", "_wire", "_emit", "_send", "_promise", "_machine", "_settings", "_policy",
        "_lookahead", "throttle", "_zstd", "_ram", "workload", "spec", "cpus", "_unbooted", "side",
        # of promises, which are not made where time is real
        "_owed", "_coming", "_number", "_answered", "_next_push_ns", "_promised_ns", "heard_ns",
        # functions of the instant, which stands still, or of what is here anyway
        "_parts", "_saved", "_snapshot_read", "_saved_at", "_asked_at", "outbox",
    }
)  # fmt: skip
_OF_FRAME: Final = ("runs", "zero", "pass", "resumed", "ram_digest", "page", "around", "answers", "sizes")


def state(world: World) -> Any:
    """Hashable; equal where all that can follow is."""
    budget = world.budget
    return (
        tuple(frozen(side) for side in world.sides.values()),
        tuple(world.guest),
        (budget.writes, budget.touches, budget.cuts, budget.crashes, budget.cancels, budget.postcopies),
        tuple(tuple(tuple(map(frozen_frame, line.frames)) for line in world.lines.get(side, ())) for side in (S, D)),
        _spread(world.post.get(S)),
        tuple(sorted(world.closed)),
        world.broken,
        world.urgent_lost,
        world.died,
        world.sender,
        tuple((hops.number, hops.begins_ns is None) for hops in world.hops.values()),
    )


def _spread(channel: Any) -> Any:
    return (channel._sent.tobytes(), channel._turn._next) if isinstance(channel, MultiChannel) else None


def frozen_frame(it: Any) -> Any:
    fields = it.frame.fields
    told = tuple(frozen(bool(fields[name]) if name == "answers" else fields[name]) for name in _OF_FRAME
                 if name in fields)  # fmt: skip
    content = None if it.content is None else tuple(it.content.items())
    return it.frame.type, told, content, it.frame.payload if it.frame.type != "snapshot" else b""


def frozen(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | str | bytes):
        return value
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, np.ndarray):
        return value.tobytes() if value.size <= 64 else value.reshape(len(value), -1)[:, 0].tobytes()
    if isinstance(value, dict):
        return tuple((key, frozen(each)) for key, each in sorted(value.items()))
    if isinstance(value, list | tuple):
        return tuple(map(frozen, value))
    if isinstance(value, np.generic):
        return value.item()
    named = getattr(value, "__dict__", None)
    if named is None:
        named = {name: getattr(value, name) for name in value.__slots__}
    return (type(value).__name__, *(frozen(each) for name, each in named.items() if name not in _COUNTED))
