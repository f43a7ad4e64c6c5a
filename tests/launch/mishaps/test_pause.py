"""``pause``: a host does not run the emulator for a while; its timers count on."""

from __future__ import annotations

from pathlib import Path

from .scenario import GOES_ON, MS, US, run


def test_what_was_due_comes_when_it_is_over(tmp_path: Path) -> None:
    """From 55 to 80 ms: due at 60.01 are DECR's 19.99 ms more; the next deadline, of the guest's, is at 80.01."""
    seen = run(tmp_path, pause__enabled=True, pause__at="55ms", pause__duration="25ms")
    (stopped,), (went_on,) = seen.events("source", "host_stopped"), seen.events("source", "host_continued")
    assert (stopped["t_ns"], went_on["t_ns"], went_on["stood_ns"]) == (55 * MS, 80 * MS, 25 * MS)
    around = [each for each in seen.events("source", "interrupt") if 50 * MS < each["t_ns"] < 95 * MS]
    assert [(each["t_ns"], each["late_ns"]) for each in around] == [
        (50 * MS + 10 * US, 0), (80 * MS, 20 * MS - 10 * US), (80 * MS + 10 * US, 0), (90 * MS + 10 * US, 0),
    ]  # fmt: skip
    assert seen.verdict == "valid"


def test_of_the_destination_in_the_blackout_it_makes_that_longer(tmp_path: Path) -> None:
    """It would go on at 134.4 ms, and stands till 170."""
    late = {"pause__side": "destination", "pause__at": "120ms", "pause__duration": "50ms"}
    seen = run(tmp_path, pause__enabled=True, **late)
    assert seen.times("destination", "machine_resumed") == [170 * MS]
    assert seen.verdict == "valid"


def test_of_a_destination_that_waits_it_changes_nothing(tmp_path: Path) -> None:
    late = {"pause__side": "destination", "pause__at": "20ms", "pause__duration": "50ms"}
    seen = run(tmp_path, pause__enabled=True, **late)
    assert seen.times("destination", "machine_resumed") == [GOES_ON]
