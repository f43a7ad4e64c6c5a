"""``duplicate``: further sources say hello to a destination that has one."""

from __future__ import annotations

from pathlib import Path

from .scenario import GOES_ON, MS, TRIP, run


def test_each_is_refused_and_the_one_that_migrates_notices_nothing(tmp_path: Path) -> None:
    """One after the other: there and back, 0.2 ms each."""
    seen = run(tmp_path, duplicate__enabled=True, duplicate__at="102ms", duplicate__count=3)
    answers = seen.events("source", "second_source")
    assert [event["answer"] for event in answers] == ["refuse"] * 3
    assert [event["t_ns"] for event in answers] == [102 * MS + 2 * TRIP * n for n in (1, 2, 3)]
    assert seen.times("destination", "machine_resumed") == [GOES_ON]
    assert (seen.verdict, seen.owner) == ("valid", "destination")


def test_none_comes_before_there_is_one_who_migrates(tmp_path: Path) -> None:
    seen = run(tmp_path, duplicate__enabled=True, duplicate__at="20ms")
    (answer,) = seen.events("source", "second_source")
    assert answer["t_ns"] > 100 * MS
    assert answer["answer"] == "refuse"
