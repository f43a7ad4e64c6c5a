"""Each exhibit is caught by the check that its bug must fail, and mended by its fix."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from livemig.launch.exhibits import EXHIBITS, Exhibit, toml
from livemig.launch.museum import Shown, museum_text, show
from livemig.strategies.table import STRATEGIES

# what each bug does to the guest, and so who must see it
CAUGHT = {
    "none": {"no_interrupt_lost"},  # the next one is 2^32 ticks away
    "absolute": {"lateness_bounded", "decr_matches_tb"},  # TB 50 ms on, DECR not
    "absolute-frozen-tb": {"lateness_bounded", "tb_continuous"},
    "host-ticks": {"tb_continuous", "decr_matches_tb"},  # TB moves by the TSC, DECR keeps its value
    "kvm-raw-offset": {"tb_continuous"},  # 10^15 TSC ticks apart; DECR moves with TB
    "per-cpu-timebase": {"tb_synchronised"},
    "cpu-before-machine": {"lateness_bounded", "decr_matches_tb"},  # TB was not set: as absolute
    "deadline-before-clock": {"no_interrupt_lost", "decr_matches_tb"},  # 205 ms and 50 ms too late, of 400 ms
    "qemu-dead-clamp": {"lateness_bounded", "tb_continuous"},
    "clamped": {"tb_continuous"},  # half a second is missing
    "kvm-tbu40": {"tb_continuous"},
    "kvm-random-dec": {"decr_matches_tb"},
    "round-down": {"decr_matches_tb"},  # by two ticks
    "double-read": {"decr_matches_tb"},  # by 16
    "pending-dropped": {"pending_preserved", "no_interrupt_lost"},
    "tb-write-dropped": {"tb_monotonic", "tb_continuous"},  # a second of 10^9 ticks is gone
    "line-not-recomputed": {"pending_preserved", "no_interrupt_lost"},
    "decr-only": {"no_interrupt_lost"},
    "fit-not-sent": {"no_interrupt_lost"},
    "watchdog-not-rearmed": {"as_twin"},  # the twin is reset, and ticks again
    "booke-inverted-compare": {"decr_matches_tb"},  # 0 at both ends, while TB goes on
    "wrap-ignored": {"guest_as_expected"},  # one comes where DECR reads positive
    "state-7.2": {"no_interrupt_lost"},
    "state-8.2": {"no_interrupt_lost", "pending_preserved"},
    "tb-offset": {"tb_continuous"},  # 300 ms ahead, and DECR with it
    "snapshot-tuple": {"tb_continuous"},  # 20 ms behind; what was due in the blackout is due in 30 ms of it too
    "negative-delta": {"tb_continuous", "tb_monotonic"},  # 30 ms back
    "frequency-change": {"tb_monotonic", "tb_continuous"},  # a quarter
}


@pytest.fixture(scope="module")
def shown() -> dict[str, Shown]:
    return {each.name: each for each in show()}


@pytest.mark.parametrize("name", EXHIBITS)
def test_the_bug_is_caught_and_the_fix_is_not_blamed(name: str, shown: dict[str, Shown]) -> None:
    assert set(shown[name].caught_by) >= CAUGHT[name]
    assert shown[name].blamed == []
    assert shown[name].fix.verdict == "valid"


def test_every_strategy_is_an_exhibit_or_mends_one() -> None:
    mend = {exhibit.fix.get("migration.strategy") for exhibit in EXHIBITS.values()}
    assert set(STRATEGIES) <= set(EXHIBITS) | mend
    assert all(exhibit.shown["migration.strategy"] == name for name, exhibit in EXHIBITS.items() if name in STRATEGIES)


@pytest.mark.parametrize("name", EXHIBITS)
def test_a_scenario_is_small_and_told_of(name: str) -> None:
    assert len(toml(EXHIBITS[name].shown).splitlines()) <= 15
    assert f"**{name}.**" in (Path(__file__).parents[2] / "docs/museum.md").read_text()


def museum(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "livemig", "museum", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert "Traceback" not in done.stderr, done.stderr
    return done


def test_what_is_kept_runs_again_and_says_the_same(tmp_path: Path) -> None:
    done = museum("none", "double-read", "--json", "--out", tmp_path / "room")
    exhibits = json.loads(done.stdout)["exhibits"]
    assert (done.returncode, list(exhibits)) == (0, ["none", "double-read"])
    assert exhibits["none"]["fix"] == {"migration.strategy": "tb-offset"}
    run = [sys.executable, "-m", "livemig", "run", str(tmp_path / "room/none-bug.toml"), "--json"]
    run += ["--out", str(tmp_path / "again")]
    checks = json.loads(subprocess.run(run, capture_output=True, timeout=60, check=False).stdout)["checks"]
    assert [name for name, check in checks.items() if check["verdict"] == "invalid"] == exhibits["none"]["caught_by"]
    one, other = (tmp_path / run / "source.jsonl" for run in ("room/none-bug", "again"))
    assert one.read_bytes() == other.read_bytes()  # in one process or in two


def test_an_unknown_name_is_one_line() -> None:
    done = museum("nonesuch")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "no exhibit 'nonesuch'" in done.stderr


def test_a_bug_that_nobody_catches_and_a_fix_that_is_blamed_do_not_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    right, wrong = {"migration.strategy": "tb-offset"}, {"migration.strategy": "absolute"}
    monkeypatch.setitem(EXHIBITS, "none", Exhibit("nothing is wrong", right, right))
    monkeypatch.setitem(EXHIBITS, "absolute", Exhibit("the fix is none", wrong, wrong))
    uncaught, blamed = show(["none", "absolute"])
    assert (uncaught.caught_by, uncaught.blamed, uncaught.holds) == ([], [], False)
    assert (bool(blamed.caught_by), bool(blamed.blamed), blamed.holds) == (True, True, False)
    assert [line[0] for line in museum_text([uncaught, blamed]).splitlines()] == [" ", "✗", "✗"]
