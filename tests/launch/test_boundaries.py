"""The matrix of boundaries, cell by cell against arithmetic by hand.

TB counts at 1 MHz: a tick is a microsecond. One CPU; steps of 20 us on the source, 50 us on the destination; a blackout
of 2 ms. With S the stop and R = S + 2000: TB is read at S + 20, DECR at S + 40, all is saved at S + 60; TB is loaded at
R - 150, DECR at R - 100, it is armed at R - 50.
"""

from __future__ import annotations

import json
import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from livemig.cli.main import main
from livemig.config.load import validated
from livemig.config.model import Config
from livemig.errors import UsageError
from livemig.launch.boundaries import OFFSETS, Cell, Matrix, boundaries
from livemig.launch.boundaries_text import boundaries_text
from livemig.launch.probe import Probe
from livemig.strategies.tb_offset import TbOffset
from livemig.timers.timebase import Timebase

BLACKOUT = 2000
BARRIERS = ["stop", "tb-read", "decr-read-0", "save", "send", "receive", "tb-load", "decr-load-0", "arm", "resume"]


def config(**keys: dict[str, Any]) -> Config:
    given: dict[str, Any] = {
        "machine": {"timebase_hz": "1MHz"},
        "migration": {"downtime": "2ms", "save_step": "20us", "load_step": "50us"},
    }
    return validated({name: given.get(name, {}) | keys.get(name, {}) for name in {*given, *keys}}, "boundaries")


@pytest.fixture(scope="module")
def matrix() -> Matrix:
    return boundaries(config(), ["absolute", "none", "absolute-frozen-tb", "line-not-recomputed"])


def rows(matrix: Matrix, strategy: str, masked: bool, trigger: str = "edge") -> dict[tuple[str, int], Cell]:
    return {
        (cell.barrier, cell.offset): cell
        for cell in matrix.cells
        if (cell.strategy, cell.masked, cell.trigger) == (strategy, masked, trigger)
    }


def deadline(matrix: Matrix, barrier: str, offset: int) -> int:
    """In us after the stop: the first whole one that is not before the barrier, and ``offset``."""
    stop, at = (-(-matrix.barriers[name] // 1000) for name in ("stop", barrier))
    return at - stop + offset


def late(due: int, taken: int) -> tuple[str, int]:
    """Of what falls due so many us after the stop and is taken so many us after it; the guest is away till R."""
    by = max(taken, BLACKOUT) - max(due, BLACKOUT)
    return ("late", by) if by > 1 else ("on time", 0)


def test_every_barrier_has_its_three_deadlines_in_every_lane(matrix: Matrix) -> None:
    assert list(matrix.barriers) == BARRIERS
    for strategy in ("tb-offset", "absolute", "none", "absolute-frozen-tb", "line-not-recomputed"):
        for trigger in ("edge", "level"):
            for masked in (False, True):
                barriers = ["mask", *BARRIERS, "unmask"] if masked else BARRIERS
                assert list(rows(matrix, strategy, masked, trigger)) == [(b, o) for b in barriers for o in OFFSETS]
    steps = [(at - matrix.barriers["stop"]) // 1000 for at in matrix.barriers.values()]
    assert steps[:5] == [0, 20, 40, 60, 60]
    assert [BLACKOUT - step for step in steps[6:]] == [150, 100, 50, 0]


def test_the_right_strategy_holds_on_each_of_them(matrix: Matrix) -> None:
    assert matrix.holds
    assert all(cell.holds for cell in matrix.cells if cell.strategy == "tb-offset")


@pytest.mark.parametrize("trigger", ["edge", "level"])
def test_absolute_is_late_by_the_time_from_read_to_load(matrix: Matrix, trigger: str) -> None:
    """DECR stands still from S + 40 to R - 100: 1860 us. What was due before its read is over by then."""
    for (barrier, offset), cell in rows(matrix, "absolute", False, trigger).items():
        due = deadline(matrix, barrier, offset)
        word, ticks = late(due, due + BLACKOUT - 140) if due >= 0 else ("on time", 0)
        assert cell.outcome.word == word, cell
        assert abs(cell.outcome.ticks - ticks) <= 1, cell
        assert ("lateness_bounded" in cell.checks) == (word == "late")
        assert "decr_matches_tb" in cell.checks


def test_some_of_these_by_hand(matrix: Matrix) -> None:
    """At the load of DECR, R - 100, it is due at R - 100 and comes at R - 100 + 1860: 1760 after the resume. At the
    save, S + 60, it comes at S + 1920: before the resume, so nobody notices."""
    cells = rows(matrix, "absolute", False)
    assert abs(cells["decr-load-0", 0].outcome.ticks - 1760) <= 1
    assert cells["decr-load-0", 1].outcome.ticks - cells["decr-load-0", -1].outcome.ticks == 2
    assert cells["resume", 1].outcome.word == "late"
    assert cells["save", 1].outcome.word == "on time"


def test_a_frozen_clock_is_late_by_all_that_the_deadline_was_after_the_stop(matrix: Matrix) -> None:
    for (barrier, offset), cell in rows(matrix, "absolute-frozen-tb", False).items():
        due = deadline(matrix, barrier, offset)
        word, ticks = late(due, due + BLACKOUT) if due >= 0 else ("on time", 0)
        assert cell.outcome.word == word or due == 1, cell  # the stop is between two ticks: late by 1.4 of them
        assert abs(cell.outcome.ticks - ticks) <= 1, cell
        assert "tb_continuous" in cell.checks


@pytest.mark.parametrize("trigger", ["edge", "level"])
@pytest.mark.parametrize("masked", [False, True])
def test_none_loses_all_but_what_was_taken_before_the_stop(matrix: Matrix, trigger: str, masked: bool) -> None:
    for (barrier, offset), cell in rows(matrix, "none", masked, trigger).items():
        before = (barrier, offset) == (("mask" if masked else "stop"), -1)
        assert cell.outcome.word == ("on time" if before else "lost"), cell


def test_masked_over_the_crossing_an_interrupt_is_late_only_beyond_the_masking(matrix: Matrix) -> None:
    """Interrupts are masked until 1000 us after the resume: of absolute's 1860 us only what is more than that shows."""
    for (barrier, offset), cell in rows(matrix, "absolute", True).items():
        if barrier not in BARRIERS:
            continue
        due = deadline(matrix, barrier, offset)
        taken = due + BLACKOUT - 140 if due >= 0 else due
        by = max(taken, BLACKOUT + 1000) - (BLACKOUT + 1000)
        assert cell.outcome.word == ("late" if by > 1 else "on time"), cell
        assert abs(cell.outcome.ticks - by) <= 1 or by <= 1, cell


def test_what_was_pending_at_the_stop_is_lost_where_the_line_is_not_sent(matrix: Matrix) -> None:
    """Due since interrupts were masked, or a tick before the stop. What is due a tick before the mask was taken."""
    lost = [cell for cell in matrix.cells if cell.strategy == "line-not-recomputed" and not cell.holds]
    found = {(cell.barrier, cell.offset, cell.masked, cell.outcome.word) for cell in lost}
    assert found == {(*where, True, "lost") for where in (("mask", 0), ("mask", 1), ("stop", -1))}
    assert all("pending_preserved" in cell.checks for cell in lost)


def test_qemu_10_forgets_an_edge_that_is_masked_and_negative_at_the_stop() -> None:
    """A level raises again as its DECR is stored; an edge does not, and waits for 2^32 ticks. At 0, a tick before the
    stop, DECR raises either way."""
    found = boundaries(config(migration={"time_policy": "freeze", "downtime": "2ms"}), ["pending-dropped"], ["decr"])
    for trigger, word in (("edge", "lost"), ("level", "on time")):
        masked = rows(found, "pending-dropped", True, trigger)
        assert [masked["mask", offset].outcome.word for offset in OFFSETS] == ["on time", word, word]
        assert masked["stop", -1].outcome.word == "on time"


def test_a_strategy_that_is_two_ticks_late_is_seen_everywhere_after_the_blackout(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    right = TbOffset.expiry

    def wrong(self: TbOffset, fresh: Any, saved: Any, timer: int, timebase: Timebase) -> int:
        return right(self, fresh, saved, timer, timebase) + 2

    monkeypatch.setattr(TbOffset, "expiry", wrong)
    found = boundaries(config(), ["tb-offset"])
    assert not found.holds
    for (barrier, _), cell in rows(found, "tb-offset", False).items():
        assert not cell.holds  # DECR is off its TB, whatever falls due when
        assert barrier == "resume" or cell.outcome.word == "on time"
    late = [rows(found, "tb-offset", False)["resume", offset].outcome for offset in (0, 1)]
    assert late == [("late", 2), ("late", 2)]


@pytest.mark.parametrize(
    ("model", "timer"), [("powernv", "hdecr"), ("ppc405", "pit"), ("e500", "fit"), ("e500", "watchdog")]
)
def test_every_timer_can_be_put_on_the_barriers(model: str, timer: str) -> None:
    """And of those that QEMU's streams have no place for none comes that was not taken before the stop."""
    embedded = model in ("ppc405", "e500")
    keys = {"machine": {"model": model}, "guest": {"kind": "embedded"} if embedded else {}}
    found = boundaries(config(**keys), ["decr-only"], [timer])
    assert found.holds
    assert {cell.timer for cell in found.cells} == {timer}
    for trigger in ("edge", "level") if not embedded else ("pulse", "level"):
        for (barrier, offset), cell in rows(found, "decr-only", False, trigger).items():
            kept = timer == "pit" or (barrier, offset) == ("stop", -1)
            assert cell.outcome.word == ("on time" if kept else "lost"), cell


def test_two_processes_find_what_one_finds_and_say_so_in_the_same_order(matrix: Matrix) -> None:
    told: list[str] = []
    found = boundaries(config(), ["absolute", "none"], announce=told.append, jobs=2)
    assert told == ["none", "absolute", "tb-offset"]
    assert found.barriers == matrix.barriers
    assert found.cells == [cell for cell in matrix.cells if cell.strategy in told]


@pytest.mark.parametrize("hz", [16_600_000, 33_333_333, 999_999_937, 7])
def test_on_a_barrier_is_the_first_tick_that_a_guest_stopped_there_has_not_lived(hz: int) -> None:
    """Tick k is complete at k/hz s, rounded up to whole ns."""
    probe = Probe(config(machine={"timebase_hz": f"{hz}Hz"}), "decr", 0)
    for t_ns in (1, 999, 1_000_000, 4_201_616, 4_201_617, 500_000_003):
        tick = probe.tick(t_ns)
        assert math.ceil(Fraction(tick * 10**9, hz)) >= t_ns > math.ceil(Fraction((tick - 1) * 10**9, hz))
        assert probe.tick(probe.instant_ns(tick)) == tick


def test_of_a_real_frequency_too_what_is_due_before_the_mask_is_taken() -> None:
    """g3beige's ticks are 60.24 ns: their edges fall where they may."""
    found = boundaries(config(machine={"timebase_hz": "16.6MHz"}), ["none"], ["decr"])
    for masked, first in ((False, "stop"), (True, "mask")):
        words = [rows(found, "none", masked)[first, offset].outcome.word for offset in OFFSETS]
        assert words == ["on time", "lost", "lost"]
    assert found.holds


def test_time_that_is_to_stand_still_has_other_deadlines_and_another_right_strategy() -> None:
    frozen = {"migration": {"time_policy": "freeze", "downtime": "2ms", "strategy": "absolute-frozen-tb"}}
    found = boundaries(config(**frozen), ["tb-offset"])
    assert found.holds
    early = rows(found, "tb-offset", False)
    assert early["resume", 0].outcome.word == "early"
    assert abs(early["resume", 0].outcome.ticks - BLACKOUT) <= 1


def test_the_text_has_a_line_for_each_strategy_and_says_what_holds(matrix: Matrix) -> None:
    text = boundaries_text(matrix)
    assert text.endswith("HOLDS  tb-offset: 132 of 132 deadlines, by the interrupt and by every check")
    assert text.count("  absolute-frozen-tb ") == 5  # four lanes and the sums
    line = next(line for line in text.splitlines() if line.startswith("  none "))
    assert line.split() == ["none", "·XX", *["XXX"] * 9]


def test_the_command_ends_with_1_where_its_own_strategy_does_not_hold(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "a.toml"
    file.write_text('machine.timebase_hz = "1MHz"\nmigration.downtime = "2ms"\n')
    assert main(["boundaries", str(file), "--strategy", "tb-offset", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["holds"] is True
    assert len(said["cells"]) == 2 * 3 * (2 * len(said["barriers"]) + 2)
    assert said["cells"][0] == {
        "strategy": "tb-offset", "timer": "decr", "trigger": "edge", "masked": False, "barrier": "stop", "offset": -1,
        "outcome": "on time", "ticks": 0, "checks": [], "holds": True,
    }  # fmt: skip
    wrong = ["--set", "migration.strategy=none", "--strategy", "none"]
    assert main(["boundaries", str(file), *wrong]) == 1
    assert "FAILS  none: 0 of 132" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--strategy", "nonesuch"], "no strategy 'nonesuch' here (there are: none, absolute,"),
        (["--timer", "pit"], "no timer 'pit' here (there are: decr)"),
        (["--set", "machine.timebase_hz=1GHz", "--set", "migration.downtime=3s"], "the blackout is too long"),
        (["--set", "machine.cpus=0"], "machine.cpus: 0 is out of range"),
        (["--jobs", "0"], "--jobs: 0 is out of range (allowed: 1 to 256)"),
        (["--jobs", "2", "--timer", "fit"], "no timer 'fit' here"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    file = tmp_path / "a.toml"
    file.write_text("")
    assert main(["boundaries", str(file), "--strategy", "tb-offset", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert said in captured.err.splitlines()[-1]


def test_an_interval_shorter_than_the_blackout_cannot_be_put_there() -> None:
    """The longest FIT of a 40x is 2^21 ticks, 63 ms at 33 MHz."""
    machine = {"model": "ppc405", "timebase_hz": "33.333333MHz"}
    slow = config(machine=machine, guest={"kind": "embedded"}, migration={"downtime": "100ms"})
    with pytest.raises(UsageError, match="no interval of the fit is longer"):
        boundaries(slow, ["tb-offset"], ["fit"])
