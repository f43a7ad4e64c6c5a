"""Every arm has one end, and it is the one that the account gives it."""

from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from livemig.analysis.account import Account
from livemig.analysis.crossing import Crossing
from livemig.analysis.log import merged
from livemig.analysis.manifest import Manifest
from livemig.analysis.observer import close, observe
from livemig.analysis.policy import TimePolicy
from livemig.analysis.report.story import OUTCOMES, Arc, Story

from ..histories import arm, ended, irq, log, masked, resume, run_json, stop, tally
from ..tiny_guest import Guest, Handler

D = "destination"


def told(*events: dict[str, Any], end: int, **manifest: Any) -> list[Arc]:
    parsed, crossing, arcs = Manifest.parse(run_json(**manifest)), Crossing(), list[Arc]()
    policy = TimePolicy(parsed, crossing)
    observers = [crossing, policy, Story(Account(parsed, crossing, policy), arcs.append)]
    crashed = observe(merged(log(list(events), "source"), log(list(events), D)), observers)
    assert not crashed | close(observers, end, crashed)
    return arcs


def ends(*events: dict[str, Any], end: int, **manifest: Any) -> list[tuple[Any, ...]]:
    """(outcome, armed, due, end) of each."""
    arcs = told(*events, end=end, **manifest)
    return [(arc.outcome, arc.armed_ns, arc.due_ns, arc.end_ns) for arc in arcs]


def test_on_time_and_what_is_still_open_at_the_end() -> None:
    assert ends(arm(0, 100), irq(100), arm(110, 500), ended(200), end=200) == [
        ("on_time", 0, 100, 100),
        ("pending", 110, 610, 200),
    ]


def test_late_by_the_blackout() -> None:
    assert ends(arm(0, 100), stop(50), resume(150), irq(150, side=D), ended(200, D), end=200) == [("late", 0, 100, 150)]


def test_lost_for_good_is_overdue_until_the_log_ends() -> None:
    history = (arm(0, 100), stop(50), resume(150), ended(900, D))
    [arc] = told(*history, end=900)
    assert arc == Arc(0, "decrementer", "lost", 0, 100, 900, 100, ("source.jsonl", 1), None)


def test_lost_and_armed_anew() -> None:
    [lost, pending] = told(arm(0, 100), arm(300, 900), ended(400), end=400)
    assert (lost.outcome, lost.end_ns, lost.ended_at) == ("lost", 300, ("source.jsonl", 2))
    assert pending.outcome == "pending"


def test_superseded_before_it_was_due() -> None:
    assert ends(arm(0, 100), arm(40, 100), irq(140), ended(200), end=200) == [
        ("superseded", 0, 100, 40),
        ("on_time", 40, 140, 140),
    ]


def test_one_delivery_that_answers_two_arms_supersedes_the_second() -> None:
    history = (arm(0, 100), masked(100), arm(110, 50), masked(160), irq(200), ended(300))
    assert ends(*history, end=300) == [("superseded", 110, 160, 160), ("on_time", 0, 100, 200)]


def test_an_interrupt_that_nobody_asked_for_has_no_arm() -> None:
    assert told(arm(0, 100), irq(100), irq(120), ended(200), end=200)[1] == Arc(
        0, "decrementer", "doubled", None, None, 120, None, None, ("source.jsonl", 3)
    )


def test_what_comes_too_late_to_answer_is_lost() -> None:
    assert ends(arm(0, 100), irq(5000), ended(6000), end=6000, lost_after_ns=1000) == [("lost", 0, 100, 5000)]


handlers = st.lists(
    st.builds(
        Handler,
        length=st.integers(1, 20).map(lambda n: 4 * n),
        writes=st.lists(
            st.tuples(st.integers(0, 20).map(lambda n: 4 * n), st.integers(1, 60).map(lambda n: 4 * n)), max_size=3
        ).map(lambda writes: sorted(writes, key=lambda write: write[0])),
    ),
    max_size=12,
)


@given(
    handlers,
    st.integers(1, 300).map(lambda n: 4 * n + 1),
    st.integers(1, 60).map(lambda n: 4 * n + 1),
    st.sampled_from(["none", "absolute", "tb-offset", "pending-dropped"]),
    st.booleans(),
    st.booleans(),
)
def test_the_ends_add_up_to_the_account(
    script: list[Handler], stopped: int, blackout: int, strategy: str, level: bool, freezes: bool
) -> None:
    guest = Guest(script, stopped, blackout, 2003, strategy, level, freezes).run()
    manifest = {"trigger": "level" if level else "edge", "time_policy": "freeze" if freezes else "advance"}
    arcs = told(*guest.events, end=2003, **manifest)
    counts = tally(*guest.events, **manifest)
    assert Counter(arc.outcome for arc in arcs) == {name: counts[name] for name in OUTCOMES if name in counts}
    assert len({arc.armed_at for arc in arcs if arc.armed_at}) == counts["armed"], "an arm has one end, no more"
