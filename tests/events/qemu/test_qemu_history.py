"""Tiny logs, told as events. One tick is one microsecond; t_ns 0 is microsecond 0."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tiny_log import (
    CPU0,
    CPU1,
    HZ,
    MAIN,
    SAVER,
    SECOND,
    handler,
    line,
    load,
    migration,
    raised,
    reset,
    runs,
    shown,
    stops,
    tb,
    write,
)

from livemig.events.qemu.cpu import Cpu
from livemig.events.qemu.history import History, Plan
from livemig.events.qemu.standstill import Standstill
from livemig.events.qemu.trace import Line, parse
from livemig.events.schema import DESTINATION, EVENTS, SOURCE

T0 = SECOND * 1_000_000
US = 1_000
Event = dict[str, Any]


def lines(texts: Iterable[str]) -> list[Line]:
    found = [parse(text.encode(), number) for number, text in enumerate("".join(texts).splitlines(), 1)]
    return [event for event in found if event is not None]


def plan(side: str, here: Standstill | None = None, level: bool = False, end: int = 10_000) -> Plan:
    return Plan(
        side=side,
        origin_us=T0,
        hz=HZ,
        level=level,
        cpu_of={CPU0: 0, CPU1: 1},
        savers=frozenset({SAVER}),
        zero_ns=None,
        standstill=here,
        starts=side == SOURCE,
        end_us=T0 + end,
    )


def source(*texts: str, level: bool = False, cpus: int = 1, **more: Any) -> tuple[list[Event], History]:
    history = History(plan(SOURCE, level=level), [Cpu(index) for index in range(cpus)], **more)
    return list(history.told(lines(texts))), history


def crossing(before: str, after: str, here: Standstill, level: bool = False, cpus: int = 1) -> list[Event]:
    """What the destination's history is, after the source's."""
    _, history = source(before, level=level, cpus=cpus)
    return list(History(plan(DESTINATION, here, level), history.cpus).told(lines([after])))


def named(events: Iterable[Event], *names: str) -> list[Event]:
    return [event for event in events if event["event"] in names]


def brief(events: Iterable[Event], *keys: str) -> list[tuple[Any, ...]]:
    return [(event["event"], event["t_ns"] // US, *(event[key] for key in keys)) for event in events]


START = reset(0) + runs(10)


def test_one_period_of_the_bare_metal_guest_line_by_line() -> None:
    events, _ = source(START, write(20, -11, 100), raised(121), handler(125, 115, -6, 100))
    assert events == [
        {"t_ns": 0, "side": "source", "event": "timer_armed", "cpu": 0, "timer": "decr", "value": 0xFFFFFFFF,
         "tb": 0, "deadline_ns": None, "cause": "reset"},
        {"t_ns": 10_000, "side": "source", "event": "machine_resumed", "state": "running", "tb": 0, "cpu_tb": [0],
         "clock_ns": None, "decr": [None], "pending": [[]], "ram_digest": None},
        {"t_ns": 20_000, "side": "source", "event": "timer_armed", "cpu": 0, "timer": "decr", "value": 100,
         "tb": 10, "deadline_ns": 120_000, "cause": "guest"},
        {"t_ns": 121_000, "side": "source", "event": "interrupt_masked", "cpu": 0, "timer": "decr", "vector": 0x900,
         "tb": 111, "deadline_ns": 120_000, "late_ns": 1_000, "decr": -1, "reason": "raised, not taken"},
        {"t_ns": 128_000, "side": "source", "event": "interrupt", "cpu": 0, "timer": "decr", "vector": 0x900,
         "tb": 117, "deadline_ns": 120_000, "late_ns": 8_000, "decr": -6},
        {"t_ns": 129_000, "side": "source", "event": "timer_armed", "cpu": 0, "timer": "decr", "value": 100,
         "tb": 119, "deadline_ns": 229_000, "cause": "guest"},
        {"t_ns": 10_000_000, "side": "source", "event": "run_ended", "reason": "end of the log"},
    ]  # fmt: skip


def test_every_event_has_the_keys_of_the_schema_in_its_order() -> None:
    before = START + write(20, -11, 100) + raised(121) + stops(130) + load(140, -9, SAVER)
    told = source(before)[0] + crossing(
        before, reset(200) + write(210, -5, -9, MAIN) + migration(215, "completed"), HERE
    )
    assert {event["event"] for event in told} >= {"state_saved", "state_restored", "migration_state", "machine_stopped"}
    for event in told:
        assert tuple(event) == ("t_ns", "side", "event", *EVENTS[event["event"]])


HERE = Standstill(T0 + 1_000, "vm_state_notify", 120, [120], [-9], 0, before=(-5,))


def test_the_monitors_reads_are_not_the_guests() -> None:
    """`info registers` right after a raise reads a negative DECR; the handler has not run."""
    events, _ = source(START, write(20, -11, 100), raised(121), stops(122), shown(130, -2, 112))
    assert named(events, "interrupt") == []
    assert named(events, "machine_stopped")[0]["pending"] == [["decr"]]


def test_what_a_run_toml_says_was_taken_is_not_pending() -> None:
    events, _ = source(START, write(20, -11, 100), raised(121), stops(122), pending=False)
    assert named(events, "machine_stopped")[0]["pending"] == [[]]


def test_two_cpus_due_at_once_are_raised_in_the_order_of_their_deadlines() -> None:
    texts = START, write(20, -11, 150, CPU0), write(30, -21, 100, CPU1), raised(175), raised(176)
    events, history = source(*texts, cpus=2)
    assert brief(named(events, "interrupt_masked"), "cpu", "late_ns") == [
        ("interrupt_masked", 175, 1, 45_000),
        ("interrupt_masked", 176, 0, 6_000),
    ]
    assert (history.unplaced, history.before_first_arm) == (0, 0)


def test_a_raise_long_before_any_deadline_is_nobodys() -> None:
    texts = START, write(20, -11, 90_000, CPU0), write(30, -21, 90_000, CPU1), raised(200)
    events, history = source(*texts, cpus=2)
    assert named(events, "interrupt_masked") == []
    assert (history.unplaced, history.before_first_arm) == (1, 0)


def test_what_was_asked_for_before_the_log_begins_is_left_out_and_counted() -> None:
    events, history = source(raised(5), handler(7, 7, -3, 100), raised(112), handler(114, 114, -3, 100))
    assert brief(named(events, "interrupt"), "decr") == [("interrupt", 117, -3)]
    assert history.before_first_arm == 1


def test_a_handler_may_be_quicker_than_the_line_of_its_raise() -> None:
    """Seen by DECR, negative past its deadline. The raise that is logged then is that one, and not the next arm's."""
    texts = START, write(20, -11, 100), handler(121, 111, -2, 100), raised(127), raised(226), handler(228, 218, -4, 100)
    events, history = source(*texts)
    assert [event[:2] for event in brief(named(events, "interrupt", "interrupt_masked"))] == [
        ("interrupt", 124),
        ("interrupt_masked", 226),
        ("interrupt", 231),
    ]
    assert history.unplaced == 0


def test_reading_a_positive_decr_is_no_interrupt() -> None:
    events, _ = source(START, write(20, -11, 100), load(60, 60), write(70, 50, 200))
    assert named(events, "interrupt") == []
    assert brief(named(events, "timer_armed")[1:], "value", "deadline_ns") == [
        ("timer_armed", 20, 100, 120_000),
        ("timer_armed", 70, 200, 270_000),
    ]


def test_a_negative_write_is_due_at_once_or_after_the_whole_range() -> None:
    """Edge: at once where the sign turns, else when it turns again. Level: at once."""
    turns, stays = write(20, 5, -100), write(30, -110, -200)
    edge = brief(named(source(START, turns, stays)[0], "timer_armed")[1:], "deadline_ns")
    assert edge == [("timer_armed", 20, 20_000), ("timer_armed", 30, (30 + (1 << 32) - 200) * US)]
    level = brief(named(source(START, turns, stays, level=True)[0], "timer_armed")[1:], "deadline_ns")
    assert level == [("timer_armed", 20, 20_000), ("timer_armed", 30, 30_000)]


def test_a_cpu_that_raises_by_its_own_write_raises_its_own() -> None:
    events, _ = source(START, write(20, -11, 100, CPU0), write(30, 9, -1, CPU1), raised(31, CPU1), level=True, cpus=2)
    assert brief(named(events, "interrupt_masked"), "cpu") == [("interrupt_masked", 31, 1)]


def test_an_interrupt_that_is_lowered_is_not_taken() -> None:
    """A level CPU lowers it when it writes a positive DECR; what QEMU's main thread lowers, it had raised by a load."""
    before = START + write(20, -11, 100) + raised(121)
    lowered = line(122, "ppc_decr_excp lower decrementer", CPU0)
    assert named(source(before, lowered, load(125, 60), level=True)[0], "interrupt") == []
    by_main = line(122, "ppc_decr_excp lower decrementer", MAIN)
    events, history = source(before, by_main, load(125, -5), level=True)
    assert brief(named(events, "interrupt")) == [("interrupt", 125)]
    assert (history.unplaced, history.before_first_arm) == (0, 0)


def test_what_qemu_raises_by_its_own_reset_is_not_the_guests() -> None:
    events, history = source(reset(0) + raised(0), runs(10), write(20, -11, 100), level=True)
    assert named(events, "interrupt_masked") == []
    assert history.before_first_arm == 0


def test_a_pause_on_the_source_moves_the_deadlines() -> None:
    events, _ = source(START, write(20, -11, 100), stops(50), runs(950), raised(1021), handler(1023, 113, -4, 100))
    assert brief(named(events, "interrupt"), "deadline_ns") == [("interrupt", 1026, 1_020_000)]
    paused, back = named(events, "machine_stopped", "machine_resumed")[1:]
    assert (paused["tb"], back["tb"], paused["decr"], back["decr"]) == (40, 40, [70], [70])


# ── over the crossing ──


def test_a_loaded_decr_counts_from_the_resume() -> None:
    here = Standstill(T0 + 1_000, "vm_state_notify", 90, [90], [20], 0, before=(-91,))
    after = write(900, -91, 20, MAIN) + runs(1_000) + raised(1_021) + handler(1_025, 115, -6, 100)
    events = crossing(START + write(20, -11, 100) + stops(100), after, here)
    assert brief(events[:3]) == [("timer_armed", 900), ("state_restored", 900), ("machine_resumed", 1_000)]
    assert (events[0]["cause"], events[1]["decr_before"], events[1]["decr_after"]) == ("restore", [-91], [20])
    assert (events[2]["tb"], events[2]["decr"], events[2]["pending"]) == (90, [20], [[]])
    assert brief(named(events, "interrupt"), "deadline_ns", "decr") == [("interrupt", 1_028, 1_020_000, -6)]


def test_an_interrupt_that_was_raised_on_the_source_is_taken_by_the_first_read() -> None:
    """And is not pending at the resume, as this QEMU has not raised it."""
    here = Standstill(T0 + 1_000, "vm_state_notify", 120, [120], [-121], 0)
    after = runs(1_000) + handler(1_002, 122, -126, 100)
    events = crossing(START + write(20, -11, 100) + raised(121) + stops(130), after, here)
    assert named(events, "machine_resumed")[0]["pending"] == [[]]
    assert brief(named(events, "interrupt"), "decr") == [("interrupt", 1_005, -126)]


def test_a_level_cpu_that_is_loaded_negative_raises_at_the_load() -> None:
    after = reset(800) + raised(800) + write(900, -121, -9, MAIN) + raised(901) + runs(1_000)
    events = crossing(START + write(20, -11, 100) + raised(121) + stops(130), after, HERE, level=True)
    assert brief(named(events, "interrupt_masked")) == [("interrupt_masked", 901)]
    assert named(events, "machine_resumed")[0]["pending"] == [["decr"]]


def test_an_edge_cpu_that_is_loaded_negative_waits_for_the_whole_range() -> None:
    after = write(900, -121, -9, MAIN) + runs(1_000) + raised(1_000 + (1 << 32) - 9 + 2)
    events = crossing(START + write(20, -11, 100) + raised(121) + stops(130), after, HERE)
    assert brief(named(events, "interrupt_masked"), "late_ns") == [("interrupt_masked", (1 << 32) + 993, 2_000)]


def test_where_decr_was_not_loaded_the_handler_shows_whose_interrupt_it_was() -> None:
    here = Standstill(T0 + 1_000, "vm_state_notify", 90, [90, 90], [-91, None], 0)
    before = START + write(20, -11, 100, CPU0) + write(30, -21, 100, CPU1) + stops(100)
    after = runs(1_000) + raised(5_000) + handler(5_004, 4_094, -3, 100, CPU1)
    events = crossing(before, after, here, cpus=2)
    assert named(events, "interrupt_masked") == []
    assert brief(named(events, "interrupt"), "cpu", "deadline_ns") == [("interrupt", 5_007, 1, None)]


def test_moments_that_qemu_did_not_log_are_put_in_their_place() -> None:
    inferred = Standstill(T0 + 120, "run.toml", 110, [110], [0], 0)
    history = History(plan(SOURCE, inferred), [Cpu(0)])
    events = list(history.told(lines([START, write(20, -11, 100), tb(120, 110)])))
    assert brief(events)[-2:] == [("machine_stopped", 120), ("run_ended", 10_000)]
    told = History(plan(DESTINATION, inferred), history.cpus).told(lines([raised(121)]))
    assert brief(told)[:2] == [("machine_resumed", 120), ("interrupt_masked", 121)]
