"""What became of every arm."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from livemig.analysis.account import Account

from .histories import arm, case, coalesced, ended, irq, judged, masked, resume, stop, tally
from .tiny_guest import Guest, Handler

D = "destination"


def test_delivered_when_due_is_on_time() -> None:
    assert tally(arm(0, 100), irq(100), ended(200)) == {"armed": 1, "on_time": 1, "delivered": 1}


def test_a_delay_that_the_guests_masking_explains_is_on_time() -> None:
    assert tally(arm(0, 100), masked(100), irq(170), ended(200)) == {"armed": 1, "on_time": 1, "delivered": 1}


def test_raised_late_is_late_though_masked_after() -> None:
    expected = {"armed": 1, "late": 1, "delivered": 1, "worst_late_ns": 5}
    assert tally(arm(0, 100), masked(105), irq(170), ended(200)) == expected


def test_delivered_after_it_was_due_is_late() -> None:
    expected = {"armed": 1, "late": 1, "delivered": 1, "worst_late_ns": 1}
    assert tally(arm(0, 100), irq(101), ended(200)) == expected


def test_delivered_before_it_was_due_is_early() -> None:
    assert tally(arm(0, 100), irq(99), ended(200)) == {"armed": 1, "early": 1, "delivered": 1}


def test_in_wall_mode_the_host_may_add_the_tolerance_and_no_more() -> None:
    wall: dict[str, Any] = {"clock": "wall", "late_tolerance_ns": 10}
    assert tally(arm(0, 100), irq(110), ended(200), **wall)["on_time"] == 1
    assert tally(arm(0, 100), irq(111), ended(200), **wall)["late"] == 1
    assert tally(arm(0, 100), irq(90), ended(200), **wall)["on_time"] == 1
    assert tally(arm(0, 100), irq(89), ended(200), **wall)["early"] == 1


def test_the_tolerance_holds_in_virtual_time_too_where_it_is_asked_for() -> None:
    history = (arm(0, 100), irq(101), ended(200))
    assert tally(*history)["late"] == 1
    assert tally(*history, late_tolerance_ns=10).get("late", 0) == 0


def test_a_delivery_without_an_arm_is_doubled() -> None:
    expected = {"armed": 1, "on_time": 1, "doubled": 1, "delivered": 2}
    assert tally(arm(0, 100), irq(100), irq(120), ended(200)) == expected


def test_a_delivery_on_another_cpu_answers_nothing_here() -> None:
    result = judged(arm(0, 100), irq(100, cpu=1), ended(200), cpus=2)
    assert [(cpu.lost, cpu.doubled) for cpu in result.cpus] == [(1, 0), (0, 1)]


def test_overdue_at_the_end_is_lost() -> None:
    assert tally(arm(0, 100), ended(250)) == {"armed": 1, "lost": 1, "overdue_ns": 150, "hung": 1}


def test_not_due_at_the_end_is_pending_and_so_is_what_is_due_at_that_instant() -> None:
    assert tally(arm(0, 100), ended(50)) == {"armed": 1, "pending": 1}
    assert tally(arm(0, 100), ended(100)) == {"armed": 1, "pending": 1}


def test_raised_and_never_taken_is_lost_where_no_log_says_that_the_guest_masks_it() -> None:
    """As of a real QEMU: after ``lost_after``, 1000 here, from the raise or, if that is later, from the resume."""
    history = arm(0, 100), masked(100)
    lost = {"armed": 1, "lost": 1, "hung": 1}
    assert tally(*history, ended(1101), engine="qemu") == lost | {"overdue_ns": 1001}
    assert tally(*history, ended(1100), engine="qemu") == {"armed": 1, "pending": 1}
    assert tally(*history, ended(1101)) == {"armed": 1, "pending": 1}
    raised = {"pending": [["decrementer"]]}
    crossed = *history, stop(200, **raised), resume(5000, **raised)
    assert tally(*crossed, ended(6000, side="destination"), engine="qemu") == {"armed": 1, "pending": 1}
    assert tally(*crossed, ended(6001, side="destination"), engine="qemu") == lost | {"overdue_ns": 5901}


def test_masked_at_the_end_is_pending() -> None:
    assert tally(arm(0, 100), masked(100), ended(900)) == {"armed": 1, "pending": 1}


def test_in_wall_mode_an_overdue_arm_is_lost_only_after_lost_after() -> None:
    assert tally(arm(0, 100), ended(1100), clock="wall") == {"armed": 1, "pending": 1}
    assert tally(arm(0, 100), ended(1101), clock="wall")["lost"] == 1


def test_written_again_before_it_was_due_is_superseded() -> None:
    expected = {"armed": 2, "superseded": 1, "on_time": 1, "delivered": 1}
    assert tally(arm(0, 100), arm(50, 100), irq(150), ended(200)) == expected


def test_written_again_at_the_instant_it_was_due_is_superseded() -> None:
    assert tally(arm(0, 100), arm(100, 100), ended(120)) == {"armed": 2, "superseded": 1, "pending": 1}


def test_written_again_when_it_was_overdue_is_lost() -> None:
    """Nothing masked it, and the guest went on without ever having been told."""
    assert tally(arm(0, 100), arm(150, 100), ended(160)) == {
        "armed": 2,
        "lost": 1,
        "pending": 1,
        "overdue_ns": 50,
    }


def test_an_edge_interrupt_stays_owed_when_the_guest_writes_again() -> None:
    history = [arm(0, 100), masked(100), arm(110, 100), irq(120), irq(210), ended(300)]
    assert tally(*history, trigger="edge") == {"armed": 2, "on_time": 2, "delivered": 2}


def test_a_level_interrupt_goes_when_the_guest_writes_a_non_negative_value() -> None:
    history = [arm(0, 100), masked(100), arm(110, 100), irq(210), ended(300)]
    expected = {"armed": 2, "superseded": 1, "on_time": 1, "delivered": 1}
    assert tally(*history, trigger="level") == expected


@pytest.mark.parametrize("negative", [-5, (1 << 32) - 5], ids=["signed", "as 32 bits"])
def test_a_level_interrupt_stays_when_the_guest_writes_a_negative_value(negative: int) -> None:
    history = [arm(0, 100), masked(100), arm(110, negative, due=None), irq(120), ended(300)]
    assert tally(*history, trigger="level") == {"armed": 2, "on_time": 1, "pending": 1, "delivered": 1}


def test_a_level_timer_written_negative_is_raised_by_that() -> None:
    history = [arm(0, -5, due=None), irq(0), ended(300)]
    assert tally(*history, trigger="level") == {"armed": 1, "on_time": 1, "delivered": 1}


def test_an_arm_that_does_not_count_is_never_due() -> None:
    assert tally(arm(0, -5, due=None), ended(9999)) == {"armed": 1, "pending": 1}
    assert tally(arm(0, -5, due=None), arm(9, 10), ended(10)) == {"armed": 2, "superseded": 1, "pending": 1}
    assert tally(arm(0, -5, due=None), irq(50), ended(99))["doubled"] == 1


def test_coalesced_is_superseded() -> None:
    history = [arm(0, 100), masked(100), arm(110, 20), coalesced(130), irq(140), ended(200)]
    assert tally(*history) == {"armed": 2, "on_time": 1, "superseded": 1, "delivered": 1}


def test_raised_again_while_raised_is_superseded_also_if_the_log_says_masked() -> None:
    history = [arm(0, 100), masked(100), arm(110, 20), masked(130), irq(140), ended(200)]
    assert tally(*history) == {"armed": 2, "on_time": 1, "superseded": 1, "delivered": 1}


def test_raised_said_again_is_no_second_interrupt() -> None:
    history = [arm(0, 100), masked(100), arm(110, 100), masked(150), irq(160), irq(210), ended(300)]
    assert tally(*history) == {"armed": 2, "on_time": 2, "delivered": 2}


def test_the_sources_reset_arms_and_the_destinations_does_not() -> None:
    history = [arm(0, 100, cause="reset"), arm(0, 5, side=D, cause="reset"), masked(5, side=D), ended(50)]
    assert tally(*history) == {"armed": 1, "pending": 1}


def test_a_restore_is_not_an_arm() -> None:
    history = [arm(0, 100), stop(50), arm(60, 40, side=D, cause="restore"), resume(60), irq(100, side=D)]
    assert tally(*history, ended(200, D)) == {"armed": 1, "on_time": 1, "delivered": 1}


# ── over the blackout, 50 to 150 ──


def crossing(*before: Any, after: list[Any], **manifest: Any) -> dict[str, int]:
    return tally(*before, stop(50), resume(150), *after, ended(2000, D), **manifest)


def test_due_in_the_blackout_and_delivered_at_the_resume_is_late_by_the_rest_of_the_blackout() -> None:
    expected = {"armed": 1, "late": 1, "delivered": 1, "worst_late_ns": 50}
    assert crossing(arm(0, 100), after=[irq(150, side=D)]) == expected


def test_due_after_the_resume_is_on_time_within_one_tick() -> None:
    assert crossing(arm(0, 300), after=[irq(301, side=D)])["on_time"] == 1
    assert crossing(arm(0, 300), after=[irq(299, side=D)])["on_time"] == 1
    assert crossing(arm(0, 300), after=[irq(302, side=D)])["late"] == 1
    assert crossing(arm(0, 300), after=[irq(298, side=D)])["early"] == 1


def test_a_tick_of_a_slow_timebase_is_longer() -> None:
    assert crossing(arm(0, 300), after=[irq(310, side=D)], timebase_hz=100_000_000)["on_time"] == 1
    assert crossing(arm(0, 300), after=[irq(311, side=D)], timebase_hz=100_000_000)["late"] == 1


def test_a_frozen_guest_expects_its_interrupt_later_by_the_blackout() -> None:
    frozen: dict[str, Any] = {"time_policy": "freeze"}
    assert crossing(arm(0, 300), after=[irq(400, side=D)], **frozen)["on_time"] == 1
    assert crossing(arm(0, 300), after=[irq(300, side=D)], **frozen)["early"] == 1
    assert crossing(arm(0, 300), after=[irq(410, side=D)], **frozen)["worst_late_ns"] == 10


def test_a_frozen_guest_is_not_owed_at_the_end_what_the_blackout_put_off() -> None:
    assert crossing(arm(0, 1950), after=[], time_policy="freeze") == {"armed": 1, "pending": 1}
    assert crossing(arm(0, 1890), after=[], time_policy="freeze")["overdue_ns"] == 10


def test_a_guest_may_stand_still_more_than_once() -> None:
    pauses = [arm(0, 500), stop(50), resume(150, side="source"), stop(200), resume(320)]
    for policy, due in (("advance", 500), ("freeze", 500 + 100 + 120)):
        history = [*pauses, irq(due, side=D), ended(2000, D)]
        assert tally(*history, time_policy=policy) == {"armed": 1, "on_time": 1, "delivered": 1}


def test_arms_after_the_resume_know_nothing_of_the_blackout() -> None:
    for policy in ("advance", "freeze"):
        history = [arm(160, 100, side=D), irq(260, side=D)]
        assert crossing(after=history, time_policy=policy) == {"armed": 1, "on_time": 1, "delivered": 1}


def test_a_pending_interrupt_delivered_after_the_resume_is_late_by_the_blackout() -> None:
    history = [arm(0, 20), masked(20), stop(50, pending=[["decrementer"]])]
    after = [resume(150, pending=[["decrementer"]]), irq(180, side=D), ended(2000, D)]
    expected = {"armed": 1, "late": 1, "delivered": 1, "worst_late_ns": 100}
    assert tally(*history, *after) == expected
    assert tally(*history, *after, time_policy="freeze")["on_time"] == 1


def test_a_pending_interrupt_that_the_destination_forgets_is_lost() -> None:
    history = [arm(0, 20), masked(20), stop(50, pending=[["decrementer"]]), resume(150), ended(2000, D)]
    assert tally(*history) == {"armed": 1, "lost": 1, "overdue_ns": 1950, "hung": 1}


def test_forgotten_is_lost_also_where_a_newer_arm_counts() -> None:
    before = [arm(0, 20), masked(20), arm(30, 300), stop(50, pending=[["decrementer"]])]
    result = tally(*before, resume(150), irq(330, side=D), ended(2000, D))
    assert result == {"armed": 2, "lost": 1, "on_time": 1, "delivered": 1}


def test_raised_on_the_destination_before_the_resume_and_masked_is_late_until_the_resume_only() -> None:
    history = [arm(0, 60), stop(50), masked(140, side=D), resume(150, pending=[["decrementer"]])]
    assert tally(*history, irq(190, side=D), ended(2000, D))["worst_late_ns"] == 90


def test_raised_at_the_resume_and_not_masked_must_be_delivered_there() -> None:
    history = [arm(0, 60), stop(50), resume(150, pending=[["decrementer"]]), irq(190, side=D)]
    account = case(*history, ended(2000, D))[Account]
    assert (account.total().worst_late_ns, account.unexplained) == (130, 1)


def test_a_tick_beyond_the_blackout_is_rounding_and_two_are_not() -> None:
    for delivered, unexplained in ((151, 0), (152, 1)):
        history = [arm(0, 100), stop(50), resume(150), irq(delivered, side=D), ended(2000, D)]
        account = case(*history)[Account]
        assert (account.total().late, account.unexplained) == (1, unexplained)


def test_what_comes_later_than_lost_after_and_the_blackout_does_not_answer_the_arm() -> None:
    in_time = crossing(arm(0, 100), after=[irq(100 + 1000 + 100, side=D)])
    assert in_time == {"armed": 1, "late": 1, "delivered": 1, "worst_late_ns": 1100}
    too_late = crossing(arm(0, 100), after=[irq(100 + 1000 + 101, side=D)])
    assert too_late == {"armed": 1, "lost": 1, "stray": 1, "delivered": 1, "overdue_ns": 1101}


def test_a_guest_that_nobody_runs_at_the_end_loses_nothing() -> None:
    assert tally(arm(0, 100), stop(50), ended(5000)) == {"armed": 1, "pending": 1}


def test_a_pause_on_the_source_delays_like_a_blackout() -> None:
    paused = [arm(0, 100), stop(50), resume(150, side="source"), irq(150), ended(200)]
    assert tally(*paused) == {"armed": 1, "late": 1, "delivered": 1, "worst_late_ns": 50}


def test_findings_are_few_and_name_the_line() -> None:
    history = [event for i in range(30) for event in (arm(100 * i, 10), irq(100 * i + 20))]
    found = case(*history)[Account].findings["late"]
    assert len(found) == 10
    assert (found[0].seen, found[1].seen) == (("source.jsonl", 2, 20), ("source.jsonl", 4, 120))


# ── properties ──

SIDES = st.sampled_from(["source", D])
SOME_EVENT = st.one_of(
    st.builds(
        arm,
        st.just(0),
        st.integers(-50, 50),
        st.integers(0, 1),
        SIDES,
        st.sampled_from(["guest", "reset", "restore"]),
        st.one_of(st.none(), st.integers(0, 300)),
    ),
    st.builds(irq, st.just(0), st.integers(0, 1), SIDES),
    st.builds(masked, st.just(0), st.integers(0, 1), SIDES),
    st.builds(coalesced, st.just(0), st.integers(0, 1), SIDES),
    st.builds(stop, st.just(0), SIDES, pending=st.just([["decrementer"], []])),
    st.builds(resume, st.just(0), SIDES, pending=st.sampled_from([[["decrementer"], []], [[], []], None])),
)


@settings(max_examples=300, deadline=None)
@example(
    [
        (0, resume(0, "source", pending=[["decrementer"], []])),
        (0, arm(0, 0, 0, "source", "guest", None)),
        (0, masked(0, 0, "source")),
        (0, arm(0, 0, 0, "source", "restore", None)),
    ],
    "edge",
    "advance",
    "virtual",
)
@given(
    st.lists(st.tuples(st.integers(0, 40), SOME_EVENT), max_size=40),
    st.sampled_from(["edge", "level"]),
    st.sampled_from(["advance", "freeze"]),
    st.sampled_from(["virtual", "wall"]),
)
def test_arms_and_deliveries_are_conserved_whatever_the_log_says(
    steps: list[tuple[int, dict[str, Any]]], trigger: str, policy: str, clock: str
) -> None:
    now, events = 0, []
    for pause, event in steps:
        now += pause
        events.append(event | {"t_ns": now, "tb": now})
    result = judged(*events, cpus=2, trigger=trigger, time_policy=policy, clock=clock, lost_after_ns=60)
    total = result.interrupts
    ends = total.on_time + total.late + total.early + total.lost + total.superseded + total.pending
    assert total.armed == ends
    assert total.delivered == total.on_time + total.late + total.early + total.doubled + total.stray + total.repeated
    assert result.checks["conservation"].word == ("valid" if total.armed else "unknown")


def fours(low: int, high: int) -> st.SearchStrategy[int]:
    return st.integers(low // 4, high // 4).map(lambda n: n * 4)


@st.composite
def handlers(draw: st.DrawFn) -> Handler:
    length = draw(fours(4, 80))
    moments = sorted(draw(st.sets(fours(0, length - 4), min_size=1, max_size=3)))
    return Handler(length, [(moment, draw(fours(4, 100))) for moment in moments])


@settings(max_examples=400, deadline=None)
@given(
    st.lists(handlers(), min_size=4, max_size=12),
    fours(40, 400).map(lambda t: t + 1),
    fours(40, 400).map(lambda t: t + 1),
    st.sampled_from(["tb-offset", "absolute", "none", "pending-dropped"]),
    st.booleans(),
    st.booleans(),
)
def test_the_account_tells_the_fate_of_every_arm_of_a_guest_that_is_known_through_and_through(
    script: list[Handler], stopped: int, blackout: int, strategy: str, level: bool, freezes: bool
) -> None:
    guest = Guest(script, stopped, blackout, 2003, strategy, level, freezes).run()
    policy = "freeze" if freezes else "advance"
    counts = tally(*guest.events, trigger="level" if level else "edge", time_policy=policy)
    for figure in ("overdue_ns", "hung"):
        counts.pop(figure, None)
    assert counts == {fate: count for fate, count in guest.fates.items() if count}
