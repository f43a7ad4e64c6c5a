"""What precopy and postcopy did shows in the verdict, the result and the page; and is not there where they did not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from judged_pair import events, run_judged

from livemig.analysis.report.run_page import run_page
from livemig.analysis.text import headline, verdict_text
from livemig.config.load import validated
from livemig.config.model import Config

from .histories import arm, ended, irq, judged, passed, resume, state, stop

D = "destination"
MS = 1_000_000


def told(result: Any, name: str) -> str:
    lines = verdict_text(result).splitlines()
    return next((line.split(None, 1)[1] for line in lines if line.startswith(f"  {name} ")), "")


def one_pass(t: int, limit: int, expected: int, zero: int, coded: int = 0, skipped: int = 0) -> dict[str, Any]:
    return passed(t) | {
        "zero_pages": zero, "encoded_pages": coded, "skipped_pages": skipped, "downtime_limit_ns": limit,
        "expected_downtime_ns": expected,
    }  # fmt: skip


def throttle(t: int, cause: str, percentage: int, rate: int) -> dict[str, Any]:
    return {
        "t_ns": t, "side": "source", "event": "cpu_throttled", "cause": cause, "percentage": percentage,
        "write_rate": rate, "tb": t, "cpu_tb": [t],
    }  # fmt: skip


def test_what_was_not_sent_in_full_and_the_limit_that_rose() -> None:
    """The pass in the blackout is of what was left: the limit and the expectation are those of the stop."""
    result = judged(
        one_pass(10, 300 * MS, 900 * MS, 7), one_pass(20, 400 * MS, 350 * MS, 1, 1500, 20), stop(50),
        one_pass(60, 999 * MS, 1, 2, 10, 3), resume(150), state(151, "completed"), ended(160), ended(400, D),
    )  # fmt: skip
    assert told(result, "memory") == (
        "10 pages zero · 1,510 pages as deltas or compressed · 23 pages unchanged, not sent · "
        "downtime expected 350 ms, limit 300 ms, later 400 ms"
    )


def test_how_far_and_how_long_the_guest_was_throttled() -> None:
    steps = [throttle(20, "auto-converge", 20, 8 << 20), throttle(30, "auto-converge", 30, 7 << 20)]
    history = [one_pass(10, MS, MS, 0), *steps, throttle(50, "end", 0, 10 << 20), stop(50), resume(150)]
    result = judged(*history, state(151, "completed"), ended(160), ended(400, D))
    assert told(result, "throttled") == (
        "by auto-converge, from 0 s · 20 % of CPU time, in 2 steps up to 30 % · writes down to 7 MiB/s · for 30 ns"
    )
    assert [step["percentage"] for step in result.as_dict()["precopy"]["throttles"]] == [20, 30]
    result = judged(history[0], *history[4:], state(151, "completed"), ended(160), ended(400, D))
    assert told(result, "throttled") == ""


def wait(t: int, cpu: int, page: int, waited: int, late: int) -> list[dict[str, Any]]:
    fault = {"t_ns": t - waited, "side": D, "event": "postcopy_fault", "cpu": cpu, "page": page, "requested": True}
    came = {"t_ns": t, "side": D, "event": "page_arrived", "cpu": cpu, "page": page, "wait_ns": waited, "late_ns": late}
    return [fault, came]


def test_what_each_cpu_stood_for_missing_pages_and_how_late_its_interrupts_were() -> None:
    """CPU 1's interrupt is due at 180 and comes at 210, when its page is there: 30 ns late, of 40 that it stood."""
    done = {
        "t_ns": 220, "side": D, "event": "postcopy_ended", "pages": 9, "requests": 2, "preempted": 1, "blocktime_ns": 5,
        "vcpu_blocktime_ns": [10, 40], "ram_digest": "aa",
    }  # fmt: skip
    both: dict[str, Any] = {"cpu_tb": [150, 150], "decr": [-150, 30], "pending": [[], []]}
    history = [
        arm(100, 80, cpu=1), stop(150, **both), state(150, "postcopy-active"), resume(150, **both),
        *wait(180, 0, 3, 10, 0), *wait(210, 1, 4, 40, 30), irq(210, cpu=1, side=D), done, state(221, "completed"),
        ended(221), ended(400, D),
    ]  # fmt: skip
    history.sort(key=lambda event: event["t_ns"])
    result = judged(*history, cpus=2)
    assert headline(result).endswith("lost nothing; 1 interrupt late, by missing pages alone")
    assert told(result, "postcopy") == (
        "9 pages after the guest, 2 asked for, 1 by their own connection · cpu 0 stood 10 ns, interrupts 0 late · "
        "cpu 1 stood 40 ns, interrupts 30 ns late · all at once 5 ns · 40 ns for a page at most"
    )
    assert result.as_dict()["postcopy"]["vcpu_interrupts_late_ns"] == [0, 30]


def test_a_postcopy_that_never_ended_shows_who_waits_and_since_when() -> None:
    """CPU 1 faults at 200, and nothing comes any more: it stands for the 200 ns that are left."""
    both: dict[str, Any] = {"cpu_tb": [150, 150], "decr": [-150, -150], "pending": [[], []]}
    stands = wait(240, 1, 4, 40, 0)[0]
    history = [
        stop(150, **both), state(150, "postcopy-active"), resume(150, **both), *wait(180, 0, 3, 10, 7), stands,
        state(210, "postcopy-paused"), ended(210), ended(400, D),
    ]  # fmt: skip
    result = judged(*history, cpus=2)
    assert told(result, "postcopy") == (
        "not all pages came, 2 asked for · cpu 0 stood 10 ns, interrupts 7 ns late · "
        "cpu 1 stood 200 ns, interrupts 0 late · cpu 1 still stood at the end · 200 ns for a page at most"
    )
    figures = result.as_dict()["postcopy"]
    assert (figures["pages"], figures["blocktime_ns"], figures["standing"]) == (None, None, [1])


def config(rate: str = "60MiB/s", **migration: Any) -> Config:
    return validated(
        {
            "run": {"duration": "6s"},
            "machine": {"cpus": 2, "ram": "8MiB"},
            "guest": {"memory": {"dirty_rate": rate, "filled_percent": 75}},
            "migration": {"start": "100ms", "downtime_limit": "5ms", "max_passes": 15, **migration},
            "link": {"bandwidth": "200Mbit/s"},
        },
        "test",
    )


@pytest.mark.parametrize(
    ("migration", "shown"),
    [
        ({"auto_converge": True}, "throttled"),
        ({"dirty_limit": True}, "throttled"),
        ({"postcopy_ram": True}, "postcopy"),
        ({"xbzrle": True}, "as deltas or compressed"),
        ({"compression": "zstd"}, "as deltas or compressed"),
        ({"convergence": "ramp", "ramp_start": "1ms", "ramp_step": "1ms", "ramp_cooldown": "50ms"}, ", later "),
        ({"convergence": "stepped", "downtime_delay": "20s"}, ", later "),
    ],
)
def test_each_capability_shows_where_it_is_on_and_not_where_it_is_off(
    migration: dict[str, Any], shown: str, tmp_path: Path
) -> None:
    off, on = run_judged(config(), tmp_path / "off"), run_judged(config(**migration), tmp_path / "on")
    assert shown not in verdict_text(off).split("\n\n")[1]
    assert shown in verdict_text(on).split("\n\n")[1]
    page, other = (run_page(tmp_path / name).split("<script")[0] for name in ("on", "off"))
    rows = page[page.index("<h2>Migration") : page.index("Configuration</h2>")]
    assert shown in rows
    assert shown not in other[other.index("<h2>Migration") : other.index("Configuration</h2>")]


def test_zero_pages_are_counted(tmp_path: Path) -> None:
    """A quarter of 2048 pages is zero, and the guest writes nothing."""
    assert told(run_judged(config("0B/s"), tmp_path), "memory").startswith("512 pages zero · downtime expected ")


def test_lateness_by_cpu_is_the_sum_of_what_the_log_says_of_each(tmp_path: Path) -> None:
    result = run_judged(config(postcopy_ram=True), tmp_path)
    arrived = events(tmp_path, "page_arrived", side=D)
    each = [sum(event["late_ns"] for event in arrived if event["cpu"] == cpu) for cpu in range(2)]
    assert min(each) > 0
    assert result.as_dict()["postcopy"]["vcpu_interrupts_late_ns"] == each
