"""``kill``: a side's process dies."""

from __future__ import annotations

from pathlib import Path

import pytest

from .scenario import MS, TRIP, run


def test_the_log_of_a_destination_breaks_off_and_the_source_has_the_guest(tmp_path: Path) -> None:
    seen = run(tmp_path, kill__enabled=True, kill__side="destination", kill__at="102ms")
    last = seen.logs["destination"][-1]
    assert (last["event"], last["fault"], last["t_ns"]) == ("fault_injected", "kill", 102 * MS)
    assert seen.times("source", "migration_state")[-1] == 102 * MS + TRIP
    assert (seen.status, seen.owner) == ("failed", "source")
    assert [each["t_ns"] for each in seen.logs["source"]][-1] == 400 * MS


@pytest.mark.parametrize(("side", "at", "owner"), [("source", "102ms", "none"), ("source", "200ms", "destination")])
def test_who_has_the_guest_of_a_source_that_dies(side: str, at: str, owner: str, tmp_path: Path) -> None:
    """Before it has crossed it dies with it; afterwards nobody misses it."""
    seen = run(tmp_path, kill__enabled=True, kill__side=side, kill__at=at)
    assert seen.owner == owner
