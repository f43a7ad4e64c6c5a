"""A watchdog in a whole machine: it barks through its stages and resets the machine at the tick worked out by hand.

At 33.333333 MHz bit 20 of TB rises at odd multiples of 2^20 ticks: 31.5, 94.4, 157.3, 220.2, 283.1, 346.0 ms. A guest
that forgets to pet after 200 ms is warned by ENW at the fourth, hears the bark at the fifth, and is reset at the sixth.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from judged_pair import run_judged
from pure_pair import run_pure

from livemig.config.load import load
from livemig.emulator.twin import run_twin

HZ = 33_333_333
BARK_TB, RESET_TB = 9 << 20, 11 << 20

SCENARIO = """
[run]
duration = "500ms"
[machine]
model = "ppc405"
ram = "1MiB"
[guest]
kind = "embedded"
[guest.embedded]
period = "2ms"
first = "2ms"
pets_for = "200ms"
bark = "wait"
[guest.memory]
dirty_rate = "0B/s"
[migration]
start = "400ms"
downtime = "25ms"
"""


def at(tb: int) -> int:
    """The first ns at which TB reads ``tb``."""
    return -(-tb * 10**9 // HZ)


def logs(tmp_path: Path, *overrides: str) -> list[dict[str, Any]]:
    path = tmp_path / "w.toml"
    path.write_text(SCENARIO)
    run_pure(load(str(path), list(overrides)), tmp_path)
    lines = [(tmp_path / f"{side}.jsonl").read_text().splitlines() for side in ("source", "destination")]
    return sorted((json.loads(line) for side in lines for line in side), key=lambda line: line["t_ns"])


def of(lines: list[dict[str, Any]], event: str, timer: str | None = None) -> list[dict[str, Any]]:
    return [line for line in lines if line["event"] == event and timer in (None, line.get("timer"))]


def test_it_barks_and_resets_at_the_ticks_worked_out_by_hand_and_the_guest_boots_again(tmp_path: Path) -> None:
    lines = logs(tmp_path)
    (bark,) = of(lines, "interrupt", "watchdog")
    assert (bark["tb"], bark["t_ns"], bark["deadline_ns"]) == (BARK_TB, at(BARK_TB), at(BARK_TB))
    (reset,) = of(lines, "machine_reset")
    assert (reset["reason"], reset["kind"], reset["cpu"]) == ("watchdog", "system", 0)
    assert reset["t_ns"] == at(RESET_TB) + 1  # the tick has been lived
    first, second = (line for line in of(lines, "timer_armed", "pit") if line["value"] == 66_667)
    assert first["t_ns"] == at(334)  # 10 us
    assert second["tb"] == RESET_TB + 1 + 334
    silence = [line for line in lines if at(RESET_TB) < line["t_ns"] < second["t_ns"]]
    assert {line["event"] for line in silence} == {"machine_reset", "timer_armed"}
    # TSR[WRS] told it why, and so it pets ever since
    assert [line for line in of(lines, "interrupt", "watchdog") if line["t_ns"] > reset["t_ns"]] == []


@pytest.mark.parametrize("start", ["100ms", "250ms", "300ms"])
def test_a_migration_between_any_two_stages_does_not_move_the_reset(start: str, tmp_path: Path) -> None:
    lines = logs(tmp_path, f"migration.start={start}")
    (reset,) = of(lines, "machine_reset")
    assert (reset["side"], reset["t_ns"]) == ("destination", at(RESET_TB) + 1)
    assert [line["tb"] for line in of(lines, "interrupt", "watchdog")] == [BARK_TB]


def test_who_is_never_migrated_is_reset_at_the_same_instant(tmp_path: Path) -> None:
    path = tmp_path / "w.toml"
    path.write_text(SCENARIO)
    run_twin(load(str(path)), tmp_path / "twin.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "twin.jsonl").read_text().splitlines()]
    assert [line["t_ns"] for line in of(lines, "machine_reset")] == [at(RESET_TB) + 1]


@pytest.mark.parametrize(("reset", "kinds"), [("none", []), ("core", ["core"]), ("chip", ["chip"])])
def test_wrc_says_what_is_reset_if_anything(reset: str, kinds: list[str], tmp_path: Path) -> None:
    lines = logs(tmp_path, f"guest.embedded.watchdog_reset={reset}")
    assert [line["kind"] for line in of(lines, "machine_reset")] == kinds


def test_without_wrs_the_guest_does_not_know_and_forgets_again(tmp_path: Path) -> None:
    """Boots at 346.0 ms, pets every 20 ms until 526.0 ms, and not at 546.0 ms. Bit 20 rises at 534.8 ms (17·2^20),
    at 597.7 ms (the bark) and at 660.6 ms (21·2^20)."""
    lines = logs(tmp_path, "machine.ppc40x.wrs_survives=false", "run.duration=800ms")
    assert [line["t_ns"] for line in of(lines, "machine_reset")] == [at(RESET_TB) + 1, at(21 << 20) + 1]


def test_petting_at_the_bark_saves_a_guest_that_pets_too_seldom(tmp_path: Path) -> None:
    lines = logs(tmp_path, "guest.embedded.pet_every=1000", "guest.embedded.pets_for=0ns", "guest.embedded.bark=pet")
    assert len(of(lines, "interrupt", "watchdog")) >= 3
    assert of(lines, "machine_reset") == []


def test_in_qemu_a_write_of_tcr_resets_at_once(tmp_path: Path) -> None:
    """Its watchdog times out at each write of TCR: at boot, by itself 2^21 ticks later (the bark), and at the
    handler's write that was to silence it."""
    lines = logs(
        tmp_path, "machine.ppc40x.watchdog_steps_on_tcr_write=true", "machine.ppc40x.intervals_from_start=true",
        "guest.embedded.pet_every=1000", "guest.embedded.bark=wait",
    )  # fmt: skip
    first = of(lines, "machine_reset")[0]
    assert first["t_ns"] == at(334 + (1 << 21) + 34) + 1  # 10 us, a period, 1 us


@pytest.mark.parametrize("start", ["100ms", "400ms"])
def test_what_a_reset_cuts_off_is_not_lost_and_the_run_is_valid(start: str, tmp_path: Path) -> None:
    """FIT and watchdog wait for the same bit: an interrupt of the FIT is raised at the very tick of the reset."""
    path = tmp_path / "w.toml"
    path.write_text(SCENARIO)
    overrides = ["guest.embedded.fit_bit=20", f"migration.start={start}", "guest.embedded.period=500us"]
    result = run_judged(load(str(path), overrides), tmp_path / "run")
    wrong = {name: check.reason for name, check in result.checks.items() if check.word == "invalid"}
    assert wrong == {}
    assert result.interrupts.lost == 0


def test_all_cpus_stop_at_the_tick_of_the_reset(tmp_path: Path) -> None:
    lines = logs(
        tmp_path, "machine.model=e500", "machine.timebase_hz=33.333333MHz", "machine.cpus=3", "run.duration=360ms",
        "migration.start=355ms",
    )  # fmt: skip
    (reset,) = of(lines, "machine_reset")
    assert reset["t_ns"] == at(RESET_TB) + 1
    soon = [line for line in of(lines, "timer_armed", "decr") if 0 < line["t_ns"] - reset["t_ns"] < 50_000]
    assert [line["cpu"] for line in soon if line["value"] == 66_667] == [0, 1, 2]
