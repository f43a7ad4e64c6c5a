"""``steal``: at the beginning of each period others have the host."""

from __future__ import annotations

from pathlib import Path

from .scenario import MS, US, run


def test_a_share_of_every_period_until_the_end(tmp_path: Path) -> None:
    """3 of 10 ms, from 50 ms for 32 ms: the last share ends with the fault."""
    seen = run(
        tmp_path, steal__enabled=True, steal__at="50ms", steal__duration="32ms", steal__percent=30, steal__period="10ms"
    )
    assert seen.times("source", "host_stopped") == [50 * MS, 60 * MS, 70 * MS, 80 * MS]
    assert seen.times("source", "host_continued") == [53 * MS, 63 * MS, 73 * MS, 82 * MS]
    late = {each["deadline_ns"]: each["late_ns"] for each in seen.events("source", "interrupt")}
    due = [n * 10 * MS + 10 * US for n in range(4, 10)]
    assert [late[each] for each in due] == [0, *[3 * MS - 10 * US] * 3, 2 * MS - 10 * US, 0]
    assert seen.verdict == "valid"


def test_shares_that_touch_are_one(tmp_path: Path) -> None:
    robbed = {"steal__enabled": True, "steal__at": "50ms", "steal__duration": "30ms", "steal__percent": 99}
    seen = run(tmp_path, **robbed, pause__enabled=True, pause__at="59ms", pause__duration="2ms")
    stops, goes = seen.times("source", "host_stopped"), seen.times("source", "host_continued")
    assert list(zip(stops, goes, strict=True)) == [(50 * MS, 69_900 * US), (70 * MS, 79_900 * US)]
