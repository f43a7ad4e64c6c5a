"""``restart``: in the place of the destination that was killed another one begins."""

from __future__ import annotations

from pathlib import Path

from .scenario import GOES_ON, MS, run

KILLED = {"kill__enabled": True, "kill__side": "destination", "kill__at": "102ms"}


def test_the_guest_migrates_anew_to_the_one_that_is_there_again(tmp_path: Path) -> None:
    """20 ms after 102: all that was to be at 100 is at 122 ms."""
    seen = run(tmp_path, **KILLED, restart__enabled=True, restart__after="20ms")
    begun = [event["t_ns"] for event in seen.events("source", "migration_state") if event["status"] == "setup"]
    assert begun == [100 * MS, 122 * MS]
    acted = [(event["fault"], event["t_ns"]) for event in seen.events("destination", "fault_injected")]
    assert acted == [("kill", 102 * MS), ("restart", 122 * MS)]
    assert seen.times("destination", "machine_resumed") == [GOES_ON + 22 * MS]
    assert (seen.verdict, seen.status, seen.owner) == ("valid", "completed", "destination")


def test_to_one_that_died_with_the_guest_nothing_migrates_again(tmp_path: Path) -> None:
    seen = run(tmp_path, **{**KILLED, "kill__at": "200ms"}, restart__enabled=True, restart__after="20ms")
    begun = [event["t_ns"] for event in seen.events("source", "migration_state") if event["status"] == "setup"]
    assert begun == [100 * MS]
    assert seen.times("destination", "machine_resumed") == [GOES_ON]
    assert seen.owner == "none"
