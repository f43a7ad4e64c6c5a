"""Every capture of a real QEMU, imported and judged: the verdict is what was measured when it was made.

What is expected is from the captures' run.toml and from their README: 7.2 does not migrate DECR, 10.0 does; an
interrupt raised but not taken is lost; a TB that the guest had set is lost; TB stands still over every blackout.
"""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from livemig.analysis.judge import judge
from livemig.analysis.result import Result
from livemig.events.qemu.importing import LATE_TOLERANCE_NS, Wanted, import_qemu

CAPTURES = Path(__file__).parents[1] / "fixtures/qemu"


class Expected(NamedTuple):
    """Interrupts lost, and the checks that fail."""

    lost: int
    invalid: set[str]


LOST, DECR, PENDING = "no_interrupt_lost", "decr_matches_tb", "pending_preserved"
TB = {"tb_continuous", "tb_monotonic", DECR}
"""A TB that falls back over the blackout is neither continuous nor monotonic, and DECR does not go with it."""

EXPECTED = {
    "linux-pseries-7.2-live": Expected(2, {LOST, DECR}),
    # CPU 1 takes nothing any more: 10.0 does not send that RTAS had started it (QEMU's issue 3079; 11.1.3 does).
    "linux-pseries-10.0-stop3": Expected(1, {LOST}),
    "q72-g3beige-live-fixed": Expected(1, {LOST, DECR}),
    "q72-g3beige-tbset-stopcopy": Expected(1, {LOST} | TB),
    "q72-mac99-live-long-freeze": Expected(1, {LOST, DECR}),
    "q72-mac99-stopcopy-1s": Expected(1, {LOST, DECR}),
    "q72-mac99-stopcopy-pending": Expected(1, {LOST, DECR, PENDING}),
    "q72-mac99-stopcopy-taken": Expected(0, {DECR}),
    "q72-pseries-past-2e32": Expected(1, {LOST, DECR}),
    "q72-pseries-stopcopy": Expected(1, {LOST, DECR}),
    "q100-g3beige-live-fixed": Expected(0, set()),
    "q100-g3beige-tbset-stopcopy": Expected(0, TB),
    "q100-mac99-pending-long-freeze": Expected(1, {LOST, PENDING}),
    "q100-mac99-stopcopy-1s": Expected(0, set()),
    "q100-mac99-stopcopy-pending": Expected(1, {LOST, PENDING}),
    "q100-pseries-stopcopy": Expected(0, set()),
    "q100-pseries-live-reset": Expected(0, {"lateness_bounded"}),  # By the host, which was busy: 46.6 ms.
    "q111-mac99-stopcopy-pending": Expected(1, {LOST, PENDING}),
    "q72-q100-mac99-stopcopy": Expected(0, TB),  # 7.2 sends no DECR, and 10.0 counts a quarter as fast.
}


class Judged(NamedTuple):
    facts: dict[str, Any]
    result: Result

    @property
    def measured(self) -> dict[str, Any]:
        return self.facts.get("measured", {})

    @property
    def hz(self) -> int:
        return int(self.facts.get("run", self.facts)["timebase_hz"])


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Name of a capture, and the policy asked for → what the judge says."""

    @cache
    def get(name: str, policy: str | None = None) -> Judged:
        directory = CAPTURES / name
        facts = tomllib.loads((directory / "run.toml").read_text())
        hz = facts.get("run", facts)["timebase_hz"]
        wanted = Wanted(hz, directory / "run.toml", LATE_TOLERANCE_NS, time_policy=policy)
        out = tmp_path_factory.mktemp("judged") / name
        import_qemu(directory / "source.log.gz", directory / "destination.log.gz", out, wanted)
        return Judged(facts, judge(out))

    return get


def late_by_the_host(capture: Judged) -> bool:
    """By the guest's own records an interrupt came, on the source, later than the host is excused for."""
    if capture.facts.get("run", {}).get("guest_masks_interrupts", True):
        return False  # Then it is the guest that delays them.
    late = capture.measured["guest_tb_gap_on_source_max_ticks"] - capture.facts["run"]["period_ticks"]
    return bool(late * 1_000_000_000 > LATE_TOLERANCE_NS * capture.hz)


def test_there_is_an_expectation_for_every_capture() -> None:
    assert set(EXPECTED) == {path.name for path in CAPTURES.iterdir() if path.is_dir()}


@pytest.mark.parametrize("name", EXPECTED)
def test_the_verdict_is_what_was_measured(name: str, judged: Any) -> None:
    capture, expected = judged(name), EXPECTED[name]
    checks = capture.result.checks
    late = {"lateness_bounded"} if late_by_the_host(capture) else set()
    assert {check for check, verdict in checks.items() if verdict.word == "invalid"} == expected.invalid | late
    assert capture.result.verdict == ("invalid" if expected.invalid | late else "valid")
    assert not [check for check, verdict in checks.items() if verdict.word == "unknown" and verdict.exercised]
    assert all(verdict.evidence for verdict in checks.values() if verdict.word == "invalid")


@pytest.mark.parametrize("name", EXPECTED)
def test_what_is_lost_is_what_was_measured(name: str, judged: Any) -> None:
    capture = judged(name)
    interrupts = capture.result.interrupts
    assert interrupts.lost == EXPECTED[name].lost
    if capture.measured:
        assert interrupts.delivered == capture.measured["guest_records_total"]
        hangs = bool(interrupts.lost) and not interrupts.stray
        assert hangs == capture.measured["destination_frozen"]


@pytest.mark.parametrize("name", ["q72-mac99-live-long-freeze", "q100-mac99-pending-long-freeze"])
def test_a_long_freeze_ends_when_the_driver_saw_it_end(name: str, judged: Any) -> None:
    """Overdue from when it was due, in guest time, to the raise: within the milliseconds that a stop takes."""
    capture = judged(name)
    left_s = max(capture.measured["source_decr_at_stop"], 0) / capture.hz
    overdue_s = capture.measured["destination_run_to_first_raise_host_s"] - left_s
    assert capture.result.interrupts.overdue_ns / 1e9 == pytest.approx(overdue_s, abs=0.005)


@pytest.mark.parametrize("name", EXPECTED)
def test_tb_stands_still_unless_the_guest_had_set_it(name: str, judged: Any) -> None:
    reason = judged(name).result.checks["tb_continuous"].reason
    if "tb_continuous" in EXPECTED[name].invalid:
        assert "neither advance nor freeze" in reason
    else:
        assert "policy freeze, found" in reason


@pytest.mark.parametrize(("policy", "word"), [("freeze", "valid"), ("advance", "invalid")])
def test_asked_for_a_policy_the_judge_holds_the_log_to_it(policy: str, word: str, judged: Any) -> None:
    assert judged("q100-mac99-stopcopy-1s", policy).result.checks["tb_continuous"].word == word


def test_a_blackout_of_a_millisecond_is_told_from_one_that_tb_went_on_in(judged: Any) -> None:
    """0.916 ms by the log. TB is known to 6 ticks."""
    across = judged("q100-g3beige-live-fixed").result.timebase
    assert abs(across.error_ticks) <= 16
