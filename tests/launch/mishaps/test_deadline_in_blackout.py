"""A deadline inside the blackout comes when the guest goes on, late by the rest of it."""

from __future__ import annotations

from pathlib import Path

from .scenario import GOES_ON, MS, STOPS, US, run

TICK = 61
"""ns, of 16.6 MHz, rounded up."""


def test_it_is_late_by_the_rest_of_the_blackout(tmp_path: Path) -> None:
    due = 110 * MS + 10 * US
    assert STOPS < due < GOES_ON
    seen = run(tmp_path)
    first, second = seen.events("destination", "interrupt")[:2]
    assert first["deadline_ns"] == due
    assert 0 <= first["late_ns"] - (GOES_ON - due) < TICK
    assert (second["deadline_ns"], second["late_ns"]) == (140 * MS + 10 * US, 0)
    assert seen.verdict == "valid"
