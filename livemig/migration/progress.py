"""``query-migrate`` of a source, in QEMU's words and units: ms, bytes, pages, megabit a second."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from livemig.machine.ram import PAGE
from livemig.migration.status import Status
from livemig.timers.ticks import NS_PER_S

if TYPE_CHECKING:
    from livemig.migration.source import Source

_NS_PER_MS = 1_000_000
_BARE = frozenset({Status.SETUP, Status.FAILED, Status.CANCELLED})


def progress(source: Source, now: int) -> dict[str, Any]:
    """What QEMU shows in this status: nothing in ``none``, the status alone in ``setup``, ``failed``, ``cancelled``."""
    status = source.status
    if status is Status.NONE:
        return {}
    said: dict[str, Any] = {"status": str(status)}
    if source.reason:
        said["error-desc"] = source.reason
    if status in _BARE or source.active_ns is None:
        return said
    over = status is Status.COMPLETED
    said["total-time"] = ((source.ended_ns if over else now) - source.started_ns) // _NS_PER_MS
    said["setup-time"] = (source.active_ns - source.started_ns) // _NS_PER_MS
    left = source.switched_ns if source.postcopy.phase.number else source.ended_ns if over else None
    if left is not None and source.stopped_ns is not None:
        said["downtime"] = (left - source.stopped_ns) // _NS_PER_MS
    else:
        said["expected-downtime"] = source.precopy.expected_downtime_ns // _NS_PER_MS
        if source.precopy.throttle.percentage:
            said["cpu-throttle-percentage"] = source.precopy.throttle.percentage
    said["ram"] = _ram(source, over)
    if (cache := source.precopy.encoder.cache) is not None:
        figures = source.precopy.encoder.figures
        said["xbzrle-cache"] = {
            "cache-size": cache.capacity * PAGE,
            "bytes": figures.bytes,
            "pages": figures.pages,
            "cache-miss": figures.cache_miss,
            "cache-miss-rate": figures.cache_miss_rate,
            "encoding-rate": figures.encoding_rate,
            "overflow": figures.overflow,
        }
    return said


def _ram(source: Source, over: bool) -> dict[str, Any]:
    precopy, after, ram = source.precopy, source.postcopy, source.machine.ram
    sent, normal = precopy.bytes + after.bytes, precopy.normal + after.normal
    mbps = precopy.bandwidth.measured * 8 / 1e6
    if over and source.active_ns is not None and source.ended_ns > source.active_ns:
        mbps = sent * 8 * NS_PER_S / (source.ended_ns - source.active_ns) / 1e6
    return {
        "transferred": sent,
        "remaining": 0 if over else precopy.remaining + after.remaining,
        "total": ram.size,
        "duplicate": precopy.zero_pages + after.zero_pages,
        "normal": normal,
        "normal-bytes": normal * PAGE,
        "dirty-pages-rate": 0 if over else precopy.dirty_pages_rate,
        "mbps": mbps,
        "dirty-sync-count": precopy.passes,
        "dirty-sync-missed-zero-copy": 0,
        "postcopy-requests": after.requests,
        "page-size": PAGE,
        "pages-per-second": precopy.bandwidth.pages_per_second,
        "precopy-bytes": precopy.precopy_bytes,
        "downtime-bytes": precopy.downtime_bytes,
        "postcopy-bytes": after.bytes,
        "multifd-bytes": 0,
    }
