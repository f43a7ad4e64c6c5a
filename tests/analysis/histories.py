"""Tiny literal histories. The timebase ticks at 1 GHz here, so ticks and nanoseconds are the same number."""

from __future__ import annotations

from typing import Any

import orjson

from livemig.analysis.case import Case
from livemig.analysis.judge import result_of
from livemig.analysis.log import Log
from livemig.analysis.manifest import Manifest
from livemig.analysis.result import Result

GHZ = 1_000_000_000
Event = dict[str, Any]


def run_json(**changes: Any) -> dict[str, Any]:
    """A manifest as the launcher writes it; ``changes`` go to whichever table has the key."""
    tables: dict[str, dict[str, Any]] = {
        "machine": {
            "model": "tiny",
            "cpus": 1,
            "ram_bytes": 4096,
            "timebase_hz": GHZ,
            "decrementer_bits": 32,
            "trigger": "edge",
            "underflow_at": 0,
            "watchdog": False,
        },
        "judge": {
            "time_policy": "advance",
            "late_tolerance_ns": 0,
            "lost_after_ns": 1000,
            "downtime_ns": None,
            "downtime_limit_ns": None,
            "clock": "virtual",
            "timebase_tolerance_ns": None,
            "advance_at_most_ns": None,
            "answer_ns": 0,
        },
        "migration": {"status": "completed", "owner": None, "reason": None, "torn": []},
    }
    top = {"schema": 1, "complete": True, "engine": "emulator", "seed": 1, "strategy": "tb-offset"}
    for key, value in changes.items():
        home = next((table for table in tables.values() if key in table), top)
        home[key] = value
    return top | tables


def arm(
    t: int,
    value: int,
    cpu: int = 0,
    side: str = "source",
    cause: str = "guest",
    due: Any = ...,
    timer: str = "decrementer",
    tb: int | None = None,
) -> Event:
    return {
        "t_ns": t,
        "side": side,
        "event": "timer_armed",
        "cpu": cpu,
        "timer": timer,
        "value": value,
        "tb": t if tb is None else tb,
        "deadline_ns": t + value if due is ... else due,
        "cause": cause,
    }


def irq(
    t: int,
    cpu: int = 0,
    side: str = "source",
    event: str = "interrupt",
    timer: str = "decrementer",
    tb: int | None = None,
    **more: Any,
) -> Event:
    return {
        "t_ns": t,
        "side": side,
        "event": event,
        "cpu": cpu,
        "timer": timer,
        "vector": 0x900,
        "tb": t if tb is None else tb,
        "deadline_ns": None,
        "late_ns": 0,
        "decr": 0,
        **more,
    }


def masked(t: int, cpu: int = 0, side: str = "source", **more: Any) -> Event:
    return irq(t, cpu, side, "interrupt_masked", reason="EE=0", **more)


def coalesced(t: int, cpu: int = 0, side: str = "source", **more: Any) -> Event:
    return irq(t, cpu, side, "interrupt_coalesced", reason="already raised", **more)


def moment(event: str, t: int, side: str, tb: int | None = None, **more: Any) -> Event:
    tb = t if tb is None else tb
    return {
        "t_ns": t,
        "side": side,
        "event": event,
        "state": "finish-migrate" if event == "machine_stopped" else "running",
        "tb": tb,
        "cpu_tb": [tb],
        "clock_ns": t,
        "decr": [-tb],
        "pending": [[]],
        "ram_digest": "aa",
    } | more


def stop(t: int, side: str = "source", tb: int | None = None, **more: Any) -> Event:
    return moment("machine_stopped", t, side, tb, **more)


def resume(t: int, side: str = "destination", tb: int | None = None, **more: Any) -> Event:
    return moment("machine_resumed", t, side, tb, **more)


def passed(t: int, octets: int = 4096, took: int = 10, side: str = "source") -> Event:
    keys = ("pass", "dirty_pages", "zero_pages", "rate", "remaining", "dirty_rate")
    event = {"t_ns": t, "side": side, "event": "migration_pass", "bytes": octets, "duration_ns": took}
    return event | dict.fromkeys(keys, 1)


def state(t: int, status: str, reason: str | None = None, side: str = "source") -> Event:
    return {"t_ns": t, "side": side, "event": "migration_state", "status": status, "reason": reason}


def ended(t: int, side: str = "source") -> Event:
    return {"t_ns": t, "side": side, "event": "run_ended", "reason": "duration"}


def log(events: list[Event], side: str) -> Log:
    return Log(
        f"{side}.jsonl", side, [orjson.dumps(event) + b"\n" for event in events if event["side"] == side]
    )


def case(*events: Event, twin: list[Event] | None = None, **manifest: Any) -> Case:
    """The case of a history, given in any order across the sides."""
    told = list(events)
    beside = None if twin is None else Log("twin.jsonl", None, [orjson.dumps(event) for event in twin])
    return Case(Manifest.parse(run_json(**manifest)), log(told, "source"), log(told, "destination"), beside)


def judged(*events: Event, twin: list[Event] | None = None, **manifest: Any) -> Result:
    return result_of(case(*events, twin=twin, **manifest))


def tally(*events: Event, **manifest: Any) -> dict[str, int]:
    """What is not 0 in the account over all CPUs."""
    counts = judged(*events, **manifest).interrupts.as_dict()
    return {name: count for name, count in counts.items() if count}
