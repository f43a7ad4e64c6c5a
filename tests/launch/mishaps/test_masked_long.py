"""Interrupts masked for long: 24 of every 50 ms of the guest's time."""

from __future__ import annotations

from pathlib import Path

from .scenario import GOES_ON, MS, STOPS, US, run


def test_what_is_due_meanwhile_comes_when_they_are_not_and_what_crosses_masked_stays_it(tmp_path: Path) -> None:
    """The second stretch begins at 100 ms, and goes on at the destination for what is left of it: till 154 ms."""
    seen = run(tmp_path, guest__masked_every="50ms", guest__masked_for="24ms")
    late = {each["t_ns"]: each["late_ns"] for each in seen.events("source", "interrupt") if each["late_ns"]}
    assert late == {74 * MS: 24 * MS - 10 * US}
    assert STOPS < 124 * MS
    first = seen.events("destination", "interrupt")[0]
    assert first["t_ns"] == GOES_ON + 124 * MS - STOPS == 154 * MS
    assert first["late_ns"] == 54 * MS - 10 * US
    assert seen.verdict == "valid"
