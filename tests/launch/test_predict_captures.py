"""Every capture of a real QEMU, predicted; and captures that were tampered with, seen to differ.

What is expected is what the captures' driver measured, from their run.toml and their README.
"""

from __future__ import annotations

import gzip
import re
import tomllib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from livemig.events.qemu.window import Window, point
from livemig.launch.comparison import Comparison, compare
from livemig.launch.row import Row

CAPTURES = Path(__file__).parents[1] / "fixtures/qemu"
FIRST = "first interrupt"


class Expected(NamedTuple):
    """``lost``: interrupts, of those in flight. ``first_s``: by the model, seconds from the resume to the first one of
    CPU 0; None: never. ``unknown``: what the logs do not show."""

    lost: int
    first_s: float | None
    unknown: frozenset[str] = frozenset()


def after(ticks: int, hz: int) -> float:
    return ticks / hz


SAVED = {"TB at the save", "DECR at the save"}
EXPECTED = {
    # The monitor did not show the source; CPU 1 never spoke again under 7.2.
    "linux-pseries-7.2-live": Expected(2, None, frozenset(SAVED | {"TB at the restore", "DECR at the restore"})),
    "linux-pseries-10.0-stop3": Expected(0, after(0x2B2BA8, 512_000_000), frozenset({"TB at the save"})),
    "q72-g3beige-live-fixed": Expected(1, after(2**32 - 1 - 30_500_218, 16_600_000)),
    "q72-g3beige-tbset-stopcopy": Expected(1, after(2**32 - 1 - 25_067_550, 16_600_000)),
    "q72-mac99-live-long-freeze": Expected(1, after(2**32 - 1 - 3_630_619_532, 100_000_000)),
    "q72-mac99-stopcopy-1s": Expected(1, after(2**32 - 1 - 150_790_042, 100_000_000)),
    "q72-mac99-stopcopy-pending": Expected(1, after(2**32 - 1 - 150_456_138, 100_000_000)),
    # Its handler goes on, and asks for 39,301 ticks from where DECR read -0xb6b080 - 1 less than TB.
    "q72-mac99-stopcopy-taken": Expected(0, after(39_301 + 0x1_0000_0000 - 1 - 0xFFB6B080 - 4_768_887, 100_000_000)),
    "q72-pseries-past-2e32": Expected(1, None),
    "q72-pseries-stopcopy": Expected(1, None),
    "q100-g3beige-live-fixed": Expected(0, after(48_341, 16_600_000)),
    "q100-g3beige-tbset-stopcopy": Expected(0, after(257_033, 16_600_000)),
    "q100-mac99-pending-long-freeze": Expected(1, after(2**32 - 271_063, 25_000_000)),
    "q100-mac99-stopcopy-1s": Expected(0, after(79_831, 25_000_000)),
    "q100-mac99-stopcopy-pending": Expected(1, after(2**32 - 93_123, 25_000_000)),
    "q100-pseries-stopcopy": Expected(0, after(2_330_295, 512_000_000)),
    "q100-pseries-live-reset": Expected(0, after(0x2B76C8, 512_000_000)),
    "q111-mac99-stopcopy-pending": Expected(1, after(2**32 - 235_545, 25_000_000)),
    "q72-q100-mac99-stopcopy": Expected(0, after(0, 25_000_000)),
}


@cache
def predicted(name: str) -> Comparison:
    return compare(CAPTURES / name / "run.toml")


def measured(name: str) -> dict[str, Any]:
    return dict(tomllib.loads((CAPTURES / name / "run.toml").read_text()).get("measured", {}))


def row(comparison: Comparison, quantity: str, cpu: int | None = 0) -> Row:
    (found,) = [row for row in comparison.rows if row.quantity == quantity and row.cpu == cpu]
    return found


def test_there_is_an_expectation_for_every_capture() -> None:
    assert set(EXPECTED) == {path.name for path in CAPTURES.iterdir() if path.is_dir()}


@pytest.mark.parametrize("name", EXPECTED)
def test_the_model_and_qemu_agree(name: str) -> None:
    comparison = predicted(name)
    assert [row for row in comparison.rows if row.agrees is False] == []
    assert {row.quantity for row in comparison.rows if row.agrees is None} == EXPECTED[name].unknown
    assert row(comparison, "interrupts lost", None).predicted == point(EXPECTED[name].lost)
    assert row(comparison, "interrupts late", None).predicted == point(0)


@pytest.mark.parametrize("name", EXPECTED)
def test_the_first_interrupt_is_foreseen_where_arithmetic_by_hand_has_it(name: str) -> None:
    first, expected_s = row(predicted(name), FIRST), EXPECTED[name].first_s
    if expected_s is None:
        assert first.predicted == "never"
    else:
        assert isinstance(first.predicted, Window)
        assert first.predicted.low == pytest.approx(expected_s * first.hz, abs=600)  # 7.2 reads the clock twice


@pytest.mark.parametrize("name", [name for name in EXPECTED if measured(name)])
def test_both_sides_of_the_table_are_what_the_driver_measured(name: str) -> None:
    comparison, driver = predicted(name), measured(name)
    assert row(comparison, "TB at the save").qemu == point(driver["source_tb_at_stop"])
    assert row(comparison, "DECR at the save").qemu == point(driver["source_decr_at_stop"])
    tb, decr = row(comparison, "TB at the restore"), row(comparison, "DECR at the restore")
    if driver["destination_first_values_read_while"] != "running":
        assert tb.predicted == tb.qemu == point(driver["destination_tb_first"])
        assert decr.predicted == decr.qemu == point(driver["destination_decr_first"])
    assert tb.noise == 0 or "live" in name
    assert isinstance(decr.predicted, Window)
    assert decr.predicted.exact
    assert decr.difference == 0
    assert decr.noise == 0 or "live" in name
    seen = row(comparison, FIRST).qemu
    if driver["destination_frozen"]:
        assert isinstance(seen, str)
        assert seen.startswith("none in ")
    else:
        assert isinstance(seen, Window)
        first_s = driver["destination_run_to_first_raise_host_s"]
        assert seen.low / comparison.capture.hz[1] == pytest.approx(first_s, abs=2e-6)


def test_the_long_freezes_end_where_the_model_says_within_the_slack_of_the_hosts_timer() -> None:
    """7.2: 669.8 M ticks from the last interrupt before to the first after; 10.0: 171.8 s after the resume."""
    gap = row(predicted("q72-mac99-live-long-freeze"), "from the last interrupt before")
    assert isinstance(gap.qemu, Window)
    assert gap.qemu.low == pytest.approx(measured("q72-mac99-live-long-freeze")["guest_tb_gap_ticks"], abs=300)
    assert isinstance(gap.predicted, Window)
    assert gap.predicted.low == pytest.approx(2**32 - 1 - 3_625_499_445, abs=300)
    freeze = row(predicted("q100-mac99-pending-long-freeze"), FIRST)
    assert freeze.difference is not None
    assert 0 < freeze.difference < 0.0265 * 25_000_000 < freeze.noise


def test_the_cpu_that_10_0_forgets_to_have_been_started_takes_nothing(tmp_path: Path) -> None:
    """By the log: CPU 1's interrupt is raised 0.48 s after the resume, and its thread never acts in the 1.17 s left."""
    taken = [row(predicted("linux-pseries-10.0-stop3"), "interrupts are taken", cpu) for cpu in (0, 1)]
    assert [(each.predicted, each.qemu, each.agrees) for each in taken] == [("yes", "yes", True), ("no", "no", True)]
    name = "linux-pseries-10.0-stop3"
    assert "interrupts are taken" in tampered(name, tmp_path, qemu_version='"11.1.3"')


def test_without_the_clock_that_is_read_once_decr_at_the_save_is_a_range_and_with_it_a_number() -> None:
    old, new = (
        row(predicted(name), "DECR at the save") for name in ("q72-mac99-stopcopy-1s", "q100-mac99-stopcopy-1s")
    )
    assert isinstance(old.predicted, Window)
    assert isinstance(new.predicted, Window)
    assert not old.predicted.exact
    assert new.predicted.exact


# ── tampered with ──

Lines = list[str]


def tampered(
    name: str,
    tmp_path: Path,
    source: Callable[[Lines], Lines] = lambda lines: lines,
    destination: Callable[[Lines], Lines] = lambda lines: lines,
    **facts: str,
) -> set[str]:
    """The quantities that differ in a copy of a capture that was changed."""
    for side, change in (("source", source), ("destination", destination)):
        lines = gzip.decompress((CAPTURES / name / f"{side}.log.gz").read_bytes()).decode().splitlines(True)
        (tmp_path / f"{side}.log").write_text("".join(change(lines)))
    text = (CAPTURES / name / "run.toml").read_text()
    for key, value in facts.items():
        text, count = re.subn(f"(?m)^{key} = .*$", f"{key} = {value}", text)
        assert count == 1
    (tmp_path / "run.toml").write_text(text)
    comparison = compare(tmp_path / "run.toml")
    assert comparison.agrees == all(row.agrees is not False for row in comparison.rows)
    return {row.quantity for row in comparison.rows if row.agrees is False}


def put(old: str, new: str) -> Callable[[Lines], Lines]:
    def change(lines: Lines) -> Lines:
        text = "".join(lines)
        assert old in text
        return text.replace(old, new).splitlines(True)

    return change


def resumed(lines: Lines) -> int:
    return next(i for i, line in enumerate(lines) if "running 1" in line)


def later(ms: int) -> Callable[[Lines], Lines]:
    """All that comes after the resume, so many ms later."""

    def moved(line: str) -> str:
        match = re.fullmatch(r"(\d+)@(\d+)\.(\d{6})(:.*\n)", line)
        assert match is not None
        us = int(match[2]) * 1_000_000 + int(match[3]) + 1000 * ms
        return f"{match[1]}@{us // 1_000_000}.{us % 1_000_000:06}{match[4]}"

    def change(lines: Lines) -> Lines:
        at = resumed(lines) + 1
        return lines[:at] + [moved(line) for line in lines[at:]]

    return change


def silent(lines: Lines) -> Lines:
    """Nothing comes after the resume, but for the stop at the end."""
    return [*lines[: resumed(lines) + 1], *(line for line in lines if "running 0" in line)]


ONE_S = "q100-mac99-stopcopy-1s"


def test_a_capture_that_nobody_touched_agrees(tmp_path: Path) -> None:
    assert tampered(ONE_S, tmp_path) == set()


def test_a_decr_that_is_loaded_one_tick_off(tmp_path: Path) -> None:
    off = put("=> 0x00000000000137d7", "=> 0x00000000000137d8")
    assert "DECR at the restore" in tampered(ONE_S, tmp_path, destination=off)


def test_a_start_up_decr_one_tick_off(tmp_path: Path) -> None:
    """mac99's under 10.0 reads -TB."""
    old = (1 << 32) - measured(ONE_S)["source_tb_at_stop"]
    off = put(f"{old:08x}", f"{old + 1:08x}")
    assert "DECR found by the load" in tampered(ONE_S, tmp_path, destination=off)


def test_a_decr_that_is_saved_one_tick_off(tmp_path: Path) -> None:
    off = put("ppc_decr_load decr 0x00000000000137d7", "ppc_decr_load decr 0x00000000000137d6")
    assert {"DECR at the save", "DECR at the restore"} <= tampered(ONE_S, tmp_path, source=off)


@pytest.mark.parametrize("name", [ONE_S, "q72-mac99-stopcopy-1s"])
def test_a_tb_that_does_not_stand_still(name: str, tmp_path: Path) -> None:
    tb = measured(name)["destination_tb_first"]
    off = put(f"tb 0x{tb:016x}", f"tb 0x{tb + 1:016x}")
    assert "TB at the restore" in tampered(name, tmp_path, destination=off)


def test_a_tb_that_goes_on_over_the_blackout(tmp_path: Path) -> None:
    tb = measured(ONE_S)["destination_tb_first"]
    found = tampered(ONE_S, tmp_path, destination=put(f"tb 0x{tb:016x}", f"tb 0x{tb + 25_011_350:016x}"))
    assert "TB at the restore" in found


def test_an_interrupt_that_does_not_come(tmp_path: Path) -> None:
    assert tampered(ONE_S, tmp_path, destination=silent) == {FIRST, "interrupts lost"}


def test_an_interrupt_that_comes_late(tmp_path: Path) -> None:
    assert {FIRST, "interrupts late"} <= tampered(ONE_S, tmp_path, destination=later(50))


def test_an_interrupt_where_there_is_to_be_none(tmp_path: Path) -> None:
    def raised(lines: Lines) -> Lines:
        at = resumed(lines) + 1
        return [*lines[:at], lines[at - 1].split(":")[0] + ":ppc_decr_excp raise decrementer\n", *lines[at:]]

    assert FIRST in tampered("q72-pseries-stopcopy", tmp_path, destination=raised)
    assert FIRST in tampered("q72-mac99-stopcopy-1s", tmp_path, destination=raised)


def test_a_handler_that_reads_a_tb_before_its_interrupt_was_due(tmp_path: Path) -> None:
    def early(lines: Lines) -> Lines:
        return [line for line in lines if not ("ppc_decr_excp" in line or "running 0" in line)]

    found = tampered("q72-mac99-live-long-freeze", tmp_path, qemu_version='"10.0.2"', destination=early)
    assert {"DECR is loaded", "DECR against TB, destination"} <= found


def test_a_reading_of_decr_that_tb_contradicts(tmp_path: Path) -> None:
    def off(lines: Lines) -> Lines:
        at = max(i for i, line in enumerate(lines) if "ppc_decr_store" in line) - 1
        value = int(lines[at].split("0x")[1], 16) - 1_000_000 & (1 << 64) - 1
        return [*lines[:at], lines[at].split("0x")[0] + f"0x{value:016x}\n", *lines[at + 1 :]]

    assert "DECR against TB, source" in tampered(ONE_S, tmp_path, source=off)


@pytest.mark.parametrize(
    ("name", "facts", "differs"),
    [
        (ONE_S, {"qemu_version": '"7.2.22"'}, {"DECR is loaded", "DECR at the restore", FIRST, "interrupts lost"}),
        (ONE_S, {"qemu_version": '"8.1.2"'}, {"DECR is loaded", "DECR at the restore", FIRST, "interrupts lost"}),
        (ONE_S, {"machine": '"g3beige"'}, {"DECR found by the load"}),
        (ONE_S, {"timebase_hz": "24000000", "qemu_version": '"7.2.22"'}, {"timebase on the source"}),
        ("q72-mac99-stopcopy-1s", {"qemu_version": '"8.2.0"'}, {"DECR is loaded", "DECR at the restore", FIRST}),
        ("q72-mac99-live-long-freeze", {"machine": '"pseries"'}, {FIRST}),
        ("q100-mac99-stopcopy-pending", {"machine": '"pseries"'}, {"the load raises", FIRST}),
        ("q100-mac99-pending-long-freeze", {"qemu_version": '"7.2.22"'}, {"DECR is loaded", "DECR at the restore"}),
    ],
)
def test_facts_that_are_not_the_captures_own(
    name: str, facts: dict[str, str], differs: set[str], tmp_path: Path
) -> None:
    assert differs <= tampered(name, tmp_path, **facts)
