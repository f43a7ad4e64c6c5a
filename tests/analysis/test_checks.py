"""Every check on tiny literal histories: valid, invalid, unknown."""

from __future__ import annotations

from typing import Any

import pytest

from livemig.analysis.account import Account
from livemig.analysis.checks import CHECKS, verdict_of
from livemig.analysis.verdict import Verdict, invalid, not_exercised, overall, unknown, valid

from .histories import arm, case, ended, irq, judged, masked, passed, resume, stop

D = "destination"
DECR = "decrementer"


def check(name: str, *events: Any, **manifest: Any) -> Verdict:
    return judged(*events, **manifest).checks[name]


def said(name: str, *events: Any, **manifest: Any) -> str:
    return check(name, *events, **manifest).word


CROSSES = [stop(50), resume(150)]
ALIVE = [arm(0, 10), irq(10)]


def places(verdict: Verdict) -> list[str]:
    return [f"{seen.file}:{seen.line}" for seen in verdict.evidence]


def test_no_interrupt_lost() -> None:
    assert said("no_interrupt_lost", *ALIVE, ended(99)) == "valid"
    verdict = check("no_interrupt_lost", *ALIVE, arm(20, 10), *CROSSES, ended(999, D))
    assert (verdict.word, places(verdict)) == ("invalid", ["source.jsonl:3"])
    assert "1 interrupt lost; first: cpu 0 decrementer" in verdict.reason
    assert said("no_interrupt_lost", *CROSSES) == "unknown"


def test_none_duplicated() -> None:
    assert said("none_duplicated", *ALIVE) == "valid"
    verdict = check("none_duplicated", *ALIVE, irq(20))
    assert (verdict.word, places(verdict)) == ("invalid", ["source.jsonl:3"])
    assert check("none_duplicated", arm(0, 10)) == not_exercised("no interrupt was delivered")


def test_none_early() -> None:
    assert said("none_early", *ALIVE) == "valid"
    verdict = check("none_early", arm(0, 10), irq(8))
    assert (verdict.word, places(verdict)) == ("invalid", ["source.jsonl:2"])
    assert "2 ns early" in verdict.reason
    assert said("none_early", arm(0, 10)) == "unknown"


def test_lateness_bounded() -> None:
    assert said("lateness_bounded", arm(0, 100), *CROSSES, irq(150, side=D)) == "valid"
    verdict = check("lateness_bounded", arm(0, 100), *CROSSES, irq(170, side=D))
    assert (verdict.word, places(verdict)) == ("invalid", ["destination.jsonl:2"])
    assert "20 ns late beyond it" in verdict.reason
    assert said("lateness_bounded", arm(0, 10), irq(12)) == "invalid"
    assert said("lateness_bounded", arm(0, 10)) == "unknown"


def test_the_guests_own_masking_after_the_resume_is_no_unbounded_lateness() -> None:
    history = [arm(0, 100), *CROSSES, masked(150, side=D), irq(400, side=D)]
    assert said("lateness_bounded", *history) == "valid"


def test_tb_monotonic() -> None:
    assert said("tb_monotonic", *ALIVE) == "valid"
    verdict = check("tb_monotonic", arm(0, 10, tb=7), irq(10, tb=6), arm(11, 5, tb=6))
    assert (verdict.word, places(verdict)) == ("invalid", ["source.jsonl:2"])
    assert said("tb_monotonic", arm(0, 10, tb=(1 << 64) - 1), irq(10, tb=9)) == "valid"
    assert said("tb_monotonic", stop(50), resume(150, tb=49)) == "invalid"
    assert said("tb_monotonic", arm(0, 10)) == "unknown"


def test_tb_of_a_destination_that_does_not_own_the_guest_is_its_own_affair() -> None:
    start_up = arm(5, 10, side=D, cause="reset", tb=0)
    assert said("tb_monotonic", arm(0, 10, tb=100), start_up, irq(10, tb=110), *CROSSES) == "invalid"
    assert said("tb_monotonic", arm(0, 10, tb=10), start_up, irq(10, tb=20), *CROSSES) == "valid"


def test_tb_continuous() -> None:
    assert said("tb_continuous", *CROSSES) == "valid"
    assert said("tb_continuous", stop(50), resume(150, tb=151)) == "valid"
    verdict = check("tb_continuous", stop(50), resume(150, tb=50))
    assert (verdict.word, places(verdict)) == ("invalid", ["source.jsonl:1", "destination.jsonl:1"])
    assert "100 ticks (100 ns) behind; policy advance" in verdict.reason
    assert "2 ticks (2 ns) ahead" in check("tb_continuous", stop(50), resume(150, tb=152)).reason
    assert said("tb_continuous", stop(50), resume(150, tb=50), time_policy="freeze") == "valid"
    assert said("tb_continuous", *CROSSES, time_policy="freeze") == "invalid"
    assert said("tb_continuous", stop(50)) == "unknown"


def test_in_wall_mode_tb_may_be_off_by_what_the_host_adds() -> None:
    wall: dict[str, Any] = {"clock": "wall", "late_tolerance_ns": 20}
    assert said("tb_continuous", stop(50), resume(150, tb=171), **wall) == "valid"
    assert said("tb_continuous", stop(50), resume(150, tb=172), **wall) == "invalid"


def test_tb_synchronised() -> None:
    assert said("tb_synchronised", stop(50), resume(150, cpu_tb=[150, 150]), cpus=2) == "valid"
    verdict = check("tb_synchronised", stop(50), resume(150, cpu_tb=[150, 147, 151]), cpus=3)
    assert (verdict.word, verdict.reason) == ("invalid", "the CPUs' TBs are 4 ticks (4 ns) apart")
    assert said("tb_synchronised", stop(50), resume(150, cpu_tb=None)) == "unknown"
    assert said("tb_synchronised", stop(50)) == "unknown"


def test_decr_matches_tb() -> None:
    assert said("decr_matches_tb", stop(50, decr=[500]), resume(150, decr=[400])) == "valid"
    assert said("decr_matches_tb", stop(50, decr=[500]), resume(150, decr=[401])) == "valid"
    frozen = check("decr_matches_tb", stop(50, decr=[500]), resume(150, decr=[500]))
    assert (frozen.word, places(frozen)) == ("invalid", ["source.jsonl:1", "destination.jsonl:1"])
    assert "by 100 ticks (100 ns) on cpu 0" in frozen.reason
    both_frozen = [stop(50, decr=[500]), resume(150, tb=50, decr=[500])]
    assert said("decr_matches_tb", *both_frozen) == "valid"
    assert said("decr_matches_tb", stop(50, decr=None), resume(150)) == "unknown"
    assert said("decr_matches_tb", stop(50, decr=[1]), resume(150, decr=[1, 2])) == "unknown"
    assert said("decr_matches_tb", stop(50)) == "unknown"


def test_decr_may_wrap() -> None:
    wrapped = [stop(50, decr=[-(1 << 31) + 10]), resume(150, decr=[(1 << 31) - 90])]
    assert said("decr_matches_tb", *wrapped, decrementer_bits=32) == "valid"
    assert said("decr_matches_tb", *wrapped, decrementer_bits=56) == "invalid"


def pending(*after: Any, resumed: Any = ((),)) -> Verdict:
    history = [arm(0, 20), masked(20), stop(50, pending=[[DECR]])]
    return check("pending_preserved", *history, resume(150, pending=resumed), *after, ended(999, D))


def test_pending_preserved() -> None:
    assert pending(irq(150, side=D)).word == "valid"
    assert pending(resumed=[[DECR]]).word == "valid"
    assert pending(irq(150, side=D), arm(160, 9, side=D), irq(169, side=D)).word == "valid"
    forgotten = pending()
    assert (forgotten.word, places(forgotten)) == ("invalid", ["source.jsonl:3", "destination.jsonl:1"])
    assert pending(arm(160, 9, side=D), irq(169, side=D)).word == "invalid"
    twice = pending(irq(150, side=D), irq(151, side=D), resumed=[[DECR]])
    assert (twice.word, "delivered twice" in twice.reason) == ("invalid", True)
    assert not check("pending_preserved", *CROSSES).exercised
    assert said("pending_preserved", stop(50, pending=None), resume(150)) == "unknown"
    assert said("pending_preserved", stop(50, pending=[[DECR]])) == "unknown"


def test_what_a_timer_that_reloads_itself_delivers_next_is_another_interrupt() -> None:
    reloads = arm(150, 9, side=D, cause="reload")
    held = [[DECR]]
    assert pending(irq(150, side=D), reloads, irq(159, side=D), resumed=held).word == "valid"
    assert pending(reloads, irq(155, side=D), irq(159, side=D), resumed=held).word == "valid"  # masked meanwhile
    assert "forgotten" in pending(reloads).reason
    assert pending(irq(150, side=D), irq(159, side=D), resumed=held).word == "invalid"


def test_one_owner() -> None:
    assert said("one_owner", *ALIVE, *CROSSES, arm(160, 9, side=D)) == "valid"
    assert said("one_owner", *CROSSES, arm(55, 9, side="source")) == "invalid"
    early = check("one_owner", stop(50), irq(149, side=D), resume(150))
    assert (early.word, places(early)) == ("invalid", ["destination.jsonl:1"])
    assert "1 time on a side that did not run it, first the destination" in early.reason
    split = check("one_owner", *ALIVE, resume(150), irq(160, side=D), irq(170))
    assert (split.word, places(split)) == ("invalid", ["destination.jsonl:1"])
    assert said("one_owner", *CROSSES) == "unknown"


def test_a_source_that_resumes_owns_the_guest_again() -> None:
    assert said("one_owner", stop(50), resume(60, side="source"), arm(70, 9)) == "valid"


def test_what_the_destination_does_for_itself_is_no_act_of_the_guest() -> None:
    start_up = [arm(5, 9, side=D, cause="reset"), arm(140, 9, side=D, cause="restore"), masked(141, side=D)]
    assert said("one_owner", *ALIVE, stop(50), *start_up, resume(150)) == "valid"


def test_a_launcher_that_saw_another_owner_is_heard() -> None:
    assert said("one_owner", *ALIVE, *CROSSES, owner="destination") == "valid"
    assert said("one_owner", *ALIVE, *CROSSES, owner="source") == "unknown"


def test_ram_identical() -> None:
    assert said("ram_identical", *CROSSES) == "valid"
    assert said("ram_identical", stop(50), resume(150, ram_digest="ab")) == "invalid"
    one_digest = check("ram_identical", stop(50), resume(150, ram_digest=None))
    assert (one_digest.word, one_digest.exercised) == ("unknown", True)
    assert not check("ram_identical", stop(50, ram_digest=None), resume(150, ram_digest=None)).exercised
    assert said("ram_identical", stop(50)) == "unknown"


def test_a_stop_by_hand_is_where_time_stops_and_the_later_one_has_the_digest() -> None:
    result = judged(stop(40, state="paused", ram_digest=None), stop(50), resume(150))
    assert (result.checks["ram_identical"].word, result.migration.blackout_ns) == ("valid", 110)


@pytest.mark.parametrize(
    ("asked", "limit", "last_pass", "word"),
    [
        (100, None, 0, "valid"),
        (101, None, 0, "invalid"),
        (None, 100, 0, "valid"),
        (50, 100, 0, "valid"),
        (50, 99, 0, "invalid"),
        (50, 99, 98, "invalid"),
        (50, 40, 60, "valid"),
        (50, 40, 59, "invalid"),
    ],
)
def test_blackout_as_configured(asked: int | None, limit: int | None, last_pass: int, word: str) -> None:
    history = [passed(20, took=500), stop(50), passed(120, took=last_pass), resume(150)]
    assert said("blackout_as_configured", *history, downtime_ns=asked, downtime_limit_ns=limit) == word


@pytest.mark.parametrize(
    ("sent", "arrived", "word"),
    [(60, 150, "valid"), (101, 150, "invalid"), (60, 100, "invalid"), (60, 149, "invalid")],
    ids=["late on the link", "sent when it was due already", "arrived in time", "the guest waited still"],
)
def test_a_switchover_that_was_sent_in_time_explains_a_longer_blackout(sent: int, arrived: int, word: str) -> None:
    """Stopped at 50 and resumed at 150, although 50 were asked for."""
    switchover = {"t_ns": arrived, "side": D, "event": "switchover", "resume_ns": 100, "sent_ns": sent}
    history = [stop(50), switchover, resume(150)]
    assert said("blackout_as_configured", *history, downtime_ns=50, downtime_limit_ns=0) == word


@pytest.mark.parametrize(
    ("limit", "answer", "last_pass", "word"),
    [
        (60, 15, 60, "valid"), (59, 15, 60, "valid"), (60, 14, 60, "invalid"), (59, 15, 59, "invalid"),
        (40, 15, 60, "valid"), (0, 15, 60, "valid"), (0, 14, 60, "invalid"), (0, 15, 59, "invalid"),
    ],
)  # fmt: skip
def test_the_limit_has_no_room_for_the_trips_of_the_link(limit: int, answer: int, last_pass: int, word: str) -> None:
    """Stopped at 50; the last pass ends at 110; the state arrives at 122, the answer at 137; the guest goes on when
    ``switchover``, sent at 137, arrives at 150: 12 + 13 there, 15 back, and 60 for memory."""
    history = [
        stop(50), passed(110, took=last_pass),
        {"t_ns": 122, "side": D, "event": "migration_state", "status": "device", "reason": ""},
        {"t_ns": 150, "side": D, "event": "switchover", "resume_ns": 50, "sent_ns": 137},
        resume(150),
    ]  # fmt: skip
    rule = {"downtime_ns": 0, "downtime_limit_ns": limit, "answer_ns": answer}
    assert said("blackout_as_configured", *history, **rule) == word


@pytest.mark.parametrize(("on", "word"), [("snapshot", "valid"), ("", "invalid")], ids=["of the link", "of a host"])
def test_a_fault_of_the_link_explains_a_longer_blackout(on: str, word: str) -> None:
    fault = {"t_ns": 60, "side": "source", "event": "fault_injected", "fault": "stall", "on": on}
    assert said("blackout_as_configured", stop(50), fault, resume(150), downtime_ns=50, downtime_limit_ns=0) == word


def test_in_wall_mode_the_blackout_may_be_off_by_the_tolerance() -> None:
    for asked, word in ((90, "valid"), (110, "valid"), (111, "invalid"), (89, "invalid")):
        rule = {"downtime_ns": asked, "downtime_limit_ns": 0, "clock": "wall", "late_tolerance_ns": 10}
        assert said("blackout_as_configured", *CROSSES, **rule) == word
    for limit, word in ((90, "valid"), (89, "invalid")):
        rule = {"downtime_limit_ns": limit, "clock": "wall", "late_tolerance_ns": 10}
        assert said("blackout_as_configured", *CROSSES, **rule) == word
    assert said("blackout_as_configured", stop(50)) == "unknown"


def test_no_false_watchdog() -> None:
    dog: dict[str, Any] = {"timer": "watchdog"}
    armed = arm(0, 900, **dog)
    assert "no_false_watchdog" not in judged(*CROSSES).checks
    assert said("no_false_watchdog", armed, *CROSSES, watchdog=True) == "valid"
    assert said("no_false_watchdog", armed, *CROSSES, irq(160, side=D, **dog), watchdog=True) == "invalid"
    bitten_before = [armed, irq(5, **dog), *CROSSES, irq(160, side=D, **dog)]
    assert said("no_false_watchdog", *bitten_before, watchdog=True) == "unknown"
    assert not check("no_false_watchdog", *CROSSES, irq(160, side=D), watchdog=True).exercised


def test_conservation() -> None:
    assert said("conservation", *ALIVE) == "valid"
    assert said("conservation", *CROSSES) == "unknown"
    told = case(*ALIVE)
    told[Account].cells[0, DECR].tally.superseded += 1
    verdict = verdict_of(CHECKS["conservation"], told)
    assert verdict == invalid("cpu 0: 1 arms in the log, 2 in the account")
    told[Account].cells[0, DECR].tally.superseded -= 1
    told[Account].cells[0, DECR].tally.doubled += 1
    assert "1 deliveries in the log" in verdict_of(CHECKS["conservation"], told).reason


def periodic(begin: int, end: int, side: str = "source", period: int = 10) -> list[Any]:
    """A drift-free guest: interrupts at begin, begin + 10, … below ``end``, each arming the next."""
    ticks = range(begin, end, period)
    return [event for t in ticks for event in (irq(t, side=side), arm(t, period, side=side))]


BOOT = arm(0, 10)
TWIN = [BOOT, *periodic(10, 300), ended(300)]


def as_twin(*events: Any, **manifest: Any) -> Verdict:
    return check("as_twin", *events, twin=TWIN, **manifest)


def test_as_twin() -> None:
    before = [BOOT, *periodic(10, 100)]
    cross = [stop(100), resume(200)]
    on_the_grid = as_twin(*before, *cross, *periodic(210, 300, D), ended(300, D))
    assert on_the_grid.word == "valid"
    # The twin has 11 inside the blackout (100 … 200); these and one more are excused.
    assert as_twin(*before, *cross, *periodic(220, 300, D), ended(300, D)).word == "valid"
    too_few = as_twin(*before, *cross, *periodic(230, 300, D), ended(300, D))
    assert (too_few.word, too_few.reason) == (
        "invalid",
        "cpu 0 misses 13 interrupts of its twin; that it stood still explains 12",
    )
    assert "as_twin" not in judged(*before).checks
    assert said("as_twin", *before, twin=[BOOT]) == "invalid"
    assert said("as_twin", BOOT, twin=[BOOT]) == "unknown"


@pytest.mark.parametrize(
    ("change", "lines"),
    [
        (lambda events: [*events[:-1], events[-1] | {"value": 11}], ["source.jsonl:19", "twin.jsonl:19"]),
        (lambda events: [*events, irq(95)], ["source.jsonl:20", "twin.jsonl:20"]),
        (lambda events: events[:-2], ["twin.jsonl:18"]),
    ],
    ids=["another value", "one too many", "one too few"],
)
def test_as_twin_until_the_stop_to_the_event(change: Any, lines: list[str]) -> None:
    before = change([BOOT, *periodic(10, 100)])
    verdict = as_twin(*before, stop(100), resume(200), ended(300, D))
    assert verdict.word == "invalid"
    assert places(verdict) == lines


@pytest.mark.parametrize("clock", ["wall", "virtual"])
def test_as_twin_before_the_stop_is_exact_whatever_the_clock(clock: str) -> None:
    """A guest's acts are at ticks of its own, however late a busy host carries them out."""
    before = [BOOT, *periodic(10, 100)]
    after = [stop(100), resume(200), *periodic(210, 300, D), ended(300, D)]
    assert as_twin(*before, *after, clock=clock).word == "valid"
    before[2] = before[2] | {"tb": 12345}
    assert as_twin(*before, *after, clock=clock).word == "invalid"


def test_in_wall_time_a_reset_may_come_late_and_from_then_on_interrupts_are_counted() -> None:
    reset = {"t_ns": 25, "side": "source", "event": "machine_reset", "reason": "watchdog", "kind": "core", "cpu": 0}
    before = [BOOT, *periodic(10, 25), reset, arm(25, 1, cause="reset")]
    after = [stop(100), resume(200), *periodic(210, 300, D), ended(300, D)]
    assert as_twin(*before, *after).reason == "before the stop the guest does what its twin does not"
    assert "before the stop" not in as_twin(*before, *after, clock="wall").reason


def test_a_guest_that_goes_its_way_later_misses_what_its_twin_had_in_the_end() -> None:
    """Few of the twin's lie inside the blackout, many in its last stretch, which the guest does not reach."""
    twin = [BOOT, irq(10), arm(10, 190), irq(200), arm(200, 10), *periodic(210, 300), ended(300)]
    run = [BOOT, irq(10), arm(10, 190), stop(100), resume(150), irq(250, side=D), arm(250, 10, side=D)]
    run += [*periodic(260, 300, D), ended(300, D)]
    result = judged(*run, twin=twin)
    assert result.missing == [5]
    assert result.checks["as_twin"].word == "valid"


def test_without_a_crossing_the_source_is_judged_and_the_crossing_unknown() -> None:
    checks = judged(*ALIVE, stop(50), resume(60, side="source"), ended(99)).checks
    crossing = {"tb_continuous", "tb_synchronised", "decr_matches_tb", "pending_preserved", "ram_identical"}
    crossing.add("blackout_as_configured")
    assert {name for name, verdict in checks.items() if verdict.word == "unknown"} == crossing
    assert {verdict.word for name, verdict in checks.items() if name not in crossing} == {"valid"}


def test_overall() -> None:
    good, bad, blank, idle = valid(""), invalid(""), unknown(""), not_exercised("")
    assert overall([good, idle]) == "valid"
    assert overall([good, blank, idle]) == "unknown"
    assert overall([good, blank, bad]) == "invalid"


def test_a_check_that_crashes_is_unknown_with_its_error() -> None:
    def broken(_: Any) -> Verdict:
        raise ZeroDivisionError("by nothing")

    assert verdict_of(broken, case(*ALIVE)) == unknown("the check crashed: ZeroDivisionError: by nothing")


def test_an_observer_that_crashes_leaves_the_others_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Account, event: Any, place: Any) -> None:
        raise ZeroDivisionError("by nothing")

    monkeypatch.setattr(Account, "_interrupt", broken)
    result = judged(*ALIVE, *CROSSES, arm(160, 9, side=D), ended(165, D))
    assert result.checks["no_interrupt_lost"] == unknown("the check crashed: ZeroDivisionError: by nothing")
    assert result.checks["conservation"].word == "unknown"
    assert result.checks["tb_monotonic"].word == result.checks["one_owner"].word == "valid"
    assert result.verdict == "unknown"
