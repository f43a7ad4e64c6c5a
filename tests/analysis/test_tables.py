"""A log that was never text is judged as the text that it would be."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livemig.analysis import stretch as stretch_module
from livemig.analysis.case import Case
from livemig.analysis.judge import judge_logs, result_of
from livemig.analysis.log import Log
from livemig.analysis.manifest import Manifest
from livemig.analysis.stretch import Stretch, stretches
from livemig.errors import InputError
from livemig.events.entries import Entries
from livemig.events.lines import Lines
from livemig.launch.in_process import run_kept
from livemig.launch.judged import judged
from livemig.stress.order import Order, plan_of

from .histories import Event, arm, irq
from .test_stretch import DESTINATION, MANIFESTS, SOURCE, histories, logs_of, one_by_one

CAMPAIGN = str(Path(__file__).parents[2] / "configs" / "stress-small.toml")
TIMERS = ("timer_armed", "interrupt", "interrupt_masked")


def table(events: list[tuple[int, Event]]) -> Lines:
    """Events that are alike but for their numbers, each with its place among all."""
    first = events[0][1]

    def column(key: str) -> Any:
        values = [event[key] for _, event in events]
        if type(first[key]) is not int:
            return first[key]
        return np.array(values, np.uint64 if max(values) >= 1 << 63 else np.int64)

    return Lines(tuple((key, column(key)) for key in first), np.array([place for place, _ in events], np.int64))


def kept(events: list[Event], side: str, cuts: int) -> Entries:
    """The log of ``side``; what CPUs do in a row is one block, or several of ``cuts`` lines."""
    entries = Entries()
    mine = [event for event in events if event["side"] == side]
    for of_timer, some in groupby(mine, key=lambda event: event["event"] in TIMERS):
        rows = list(some)
        if not of_timer:
            entries.all += [orjson.dumps(event) + b"\n" for event in rows]
            continue
        for begin in range(0, len(rows), cuts):
            alike: dict[tuple[Any, ...], list[tuple[int, Event]]] = {}
            for place, event in enumerate(rows[begin : begin + cuts]):
                shape = tuple((key, value) if type(value) is not int else key for key, value in event.items())
                alike.setdefault(shape, []).append((place, event))
            entries.all.append([table(lines) for lines in alike.values()])
    return entries


def in_tables(short: int, cuts: int, manifest: dict[str, Any], events: list[Event]) -> dict[str, Any] | str:
    ours, theirs = (Log(f"{side}.jsonl", side, kept(events, side, cuts)) for side in (SOURCE, DESTINATION))
    with patch.object(stretch_module, "SHORT", short):
        try:
            return result_of(Case(Manifest.parse(manifest), ours, theirs)).as_dict()
        except InputError as error:
            return str(error)


@settings(max_examples=300, deadline=None)
@given(MANIFESTS, histories(), st.sampled_from([1, 2, 5]), st.sampled_from([1, 3, 1000]))
def test_a_history_judged_in_tables_and_as_text(
    manifest: dict[str, Any], events: list[Event], short: int, cuts: int
) -> None:
    logs = logs_of(events)
    assert {side: kept(events, side, cuts).text() for side in logs} == logs
    assert in_tables(short, cuts, manifest, events) == one_by_one(manifest, logs)


@pytest.mark.parametrize("number", range(24))
def test_what_a_campaign_draws_is_judged_the_same_before_it_is_printed_and_after(number: int) -> None:
    plan, _ = plan_of(Order(CAMPAIGN, seed=608, faults=["all"]))
    _, config = plan.drawn(number)
    outcome, logs = run_kept(config)
    result = judged(config, outcome, logs)
    texts = [entries.text() for entries in logs.values()]
    assert result.as_dict() == judge_logs(result.manifest, *texts).as_dict()


def in_columns(*events: Event) -> list[int]:
    """The lines, from 1, that are told in stretches."""
    with patch.object(stretch_module, "SHORT", 1):
        items = list(stretches(Log("source.jsonl", SOURCE, kept(list(events), SOURCE, 1000))))
    return [place[1] for item in items if isinstance(item, Stretch) for _, place in item]


@pytest.mark.parametrize(
    "other",
    [
        arm(5, 30, cause="reset"),
        arm(5, 30, due=None),
        arm(5, 30, due=-1),
        arm(5, 30, tb=10**18),
        arm(5, 30, tb=(1 << 64) - 1),
        irq(5, tb=10**18),
        irq(5) | {"event": "interrupt_masked", "reason": "EE=0"},
    ],
)
def test_what_columns_cannot_say_is_told_by_itself(other: Event) -> None:
    assert in_columns(arm(5, 30)) == [1]
    assert in_columns(irq(5, tb=10**18 - 1)) == [1]
    assert in_columns(arm(4, 1, timer="hdecr"), other, arm(6, 1, timer="hdecr")) == [1, 3]


def test_another_sides_lines_are_refused_by_their_number() -> None:
    entries = Entries()
    entries.all = [[table([(0, arm(5, 1)), (1, arm(6, 1))]), table([(2, arm(7, 1, side=DESTINATION))])]]
    for short in (1, 64):
        refused = pytest.raises(InputError, match=r":3: side 'destination' in the")
        with patch.object(stretch_module, "SHORT", short), refused:
            list(stretches(Log("source.jsonl", SOURCE, entries)))
