"""``dirty_burst``: the guest writes more memory for a while."""

from __future__ import annotations

from pathlib import Path

from .scenario import run

BURST = {"dirty_burst__enabled": True, "dirty_burst__rate": "40MiB/s", "guest__memory__locality": "sequential"}


def second_pass(tmp_path: Path, at: str, duration: str) -> int:
    seen = run(tmp_path, **BURST, dirty_burst__at=at, dirty_burst__duration=duration)
    return int(seen.events("source", "migration_pass")[1]["dirty_pages"])


def test_what_it_writes_during_a_pass_is_sent_in_the_next(tmp_path: Path) -> None:
    """10,240 pages a second for 2 ms are 20."""
    assert second_pass(tmp_path, "101ms", "2ms") == 20


def test_before_the_migration_it_writes_what_is_sent_anyway(tmp_path: Path) -> None:
    assert second_pass(tmp_path, "20ms", "50ms") == 0
