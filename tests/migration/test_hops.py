"""Hops: a guest that goes back and forth, by the pure machines; what adds up over hops, and what does not.

With `downtime` 30 ms the blackout is 30 ms, 498 000 ticks at 16.6 MHz; an odd one, 30.000007 ms, is 498 000.1162 ticks:
whoever rounds at every hop loses a tick in nine.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import orjson
import pytest
from pure_pair import run_here

from livemig.analysis.result import Result, exit_code
from livemig.analysis.text import verdict_text
from livemig.config.model import Config
from livemig.machine.time_state import HostView, TimeState
from livemig.strategies.strategy import Saved
from livemig.strategies.table import STRATEGIES
from livemig.strategies.tb_offset import TbOffset
from livemig.timers.ticks import MASK64

MS = 1_000_000
EXACT = ("tb-offset",)
"""Of the strategies, those that claim that TB and DECR go on exactly as they would have."""


def config(hops: int, **changes: Any) -> Config:
    migration = {"start": "50ms", "downtime": "30ms", "downtime_limit": "5ms", "hops": hops, "hop_interval": "10ms"}
    return Config.model_validate(
        {
            "run": {"duration": "200ms"},
            "machine": {"cpus": 2, "ram": "1MiB", **changes.pop("machine", {})},
            "guest": {"memory": {"dirty_rate": "1MiB/s"}, **changes.pop("guest", {})},
            "host": changes.pop("host", {}),
            "migration": {**migration, **changes},
        }
    )


def judged(tmp_path: Path, hops: int, **changes: Any) -> Result:
    return run_here(config(hops, **changes), "-", tmp_path)


def failed(result: Result) -> set[str]:
    return {name for name, verdict in result.checks.items() if verdict.word == "invalid"}


def events(tmp_path: Path, side: str, *names: str) -> list[dict[str, Any]]:
    lines = (tmp_path / f"{side}.jsonl").read_bytes().splitlines()
    return [event for event in map(orjson.loads, lines) if event["event"] in names]


@pytest.mark.parametrize("hops", [2, 3, 4])
def test_the_sides_change_roles_after_every_hop(hops: int, tmp_path: Path) -> None:
    """Each side stops, resumes, and says `completed`, as often as it is its turn; the next hop begins hop_interval
    after the resume."""
    result = judged(tmp_path, hops)
    assert result.verdict == "valid"
    stops = {side: events(tmp_path, side, "state_saved") for side in ("source", "destination")}
    restores = {side: events(tmp_path, side, "state_restored") for side in ("source", "destination")}
    assert [len(stops[side]) for side in stops] == [(hops + 1) // 2, hops // 2]
    assert [len(restores[side]) for side in restores] == [hops // 2, (hops + 1) // 2]
    for side in stops:
        said = [event["status"] for event in events(tmp_path, side, "migration_state")]
        assert said == ["setup", "active", "device", "completed"] * hops
    resumed = restores["destination"][0]["t_ns"]
    assert events(tmp_path, "destination", "migration_state")[4]["t_ns"] == resumed + 10 * MS
    assert (result.migration.hops, result.migration.owner) == (hops, "destination" if hops % 2 else "source")
    ends = {side: events(tmp_path, side, "run_ended")[0]["reason"] for side in stops}
    last, other = ("destination", "source") if hops % 2 else ("source", "destination")
    assert ends == {last: "duration", other: "migrated"}


def test_every_hop_may_take_as_long_as_the_first(tmp_path: Path) -> None:
    """Duration 200 ms less the start at 50 ms: the guest's scenario ends 150 ms after the last hop began."""
    judged(tmp_path, 3)
    begun = [event["t_ns"] for event in events(tmp_path, "source", "migration_state") if event["status"] == "setup"]
    assert events(tmp_path, "destination", "run_ended")[0]["t_ns"] == begun[-1] + 150 * MS


@pytest.mark.parametrize("strategy", EXACT)
@pytest.mark.parametrize("downtime", ["30ms", "30000007ns"])
@pytest.mark.parametrize("kind", ["darwin", "linux"])
def test_a_hundred_hops_of_a_strategy_that_claims_exactness_leave_no_drift(
    strategy: str, downtime: str, kind: str, tmp_path: Path
) -> None:
    result = judged(tmp_path, 100, strategy=strategy, downtime=downtime, guest={"kind": kind})
    assert (result.verdict, exit_code(result)) == ("valid", 0)
    assert {hop.tb_error for hop in result.hops} == {0}
    assert {ticks for hop in result.hops for ticks in (hop.decr or {}).values()} == {0}
    assert {hop.drift for hop in result.hops} <= {-1, 0, 1}  # two readings are rounded down, and nothing else is
    assert sum(hop.stayed + hop.tb for hop in result.hops) == result.hops[-1].drift
    assert "after 100 hops" in result.checks["drift_bounded"].reason


def test_a_frozen_guest_does_not_drift_either_by_its_own_policy(tmp_path: Path) -> None:
    result = judged(tmp_path, 20, strategy="absolute-frozen-tb", time_policy="freeze", downtime="30000007ns")
    assert result.verdict == "valid"
    assert abs(result.hops[-1].drift) <= 1


def test_a_policy_that_is_not_kept_adds_up_and_that_is_said(tmp_path: Path) -> None:
    """Frozen, where time was to advance: every hop adds its whole blackout."""
    result = judged(tmp_path, 10, strategy="absolute-frozen-tb")
    assert failed(result) >= {"tb_continuous", "drift_bounded"}
    assert {hop.drift + 498_000 * hop.number for hop in result.hops} <= {0, -1}  # readings are rounded down
    said = result.checks["drift_bounded"].reason
    assert said.startswith("TB has drifted by -996,000 ticks (60 ms) after 2 hops, and by -4,980,00")


class LosesATick(TbOffset):
    """Every hop leaves TB and DECR a tick behind: within the tolerance of one hop, and of none of the rest."""

    def restore(self, fresh: TimeState, saved: Saved, host: HostView) -> TimeState:
        time = super().restore(fresh, saved, host)
        return replace(time, timebases=tuple(replace(base, value=base.value - 1 & MASK64) for base in time.timebases))


def test_a_tick_that_is_lost_at_every_hop_passes_each_hop_and_not_their_sum(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(STRATEGIES, "tb-offset", LosesATick())
    result = judged(tmp_path, 10)
    assert result.checks["tb_continuous"].word == "valid"
    assert failed(result) >= {"drift_bounded"}
    assert [hop.tb for hop in result.hops] == [-1] * 10
    assert result.hops[-1].drift == -10


def test_clocks_that_differ_do_not_add_up(tmp_path: Path) -> None:
    """2 ms of skew are 33 200 ticks there, and 33 200 back."""
    result = judged(tmp_path, 6, host={"clock_skew": "2ms"})
    assert [hop.drift for hop in result.hops] == [33_200, 0] * 3
    assert result.checks["tb_continuous"].word == "invalid"
    assert result.checks["drift_bounded"].word == "valid"


def test_only_the_third_hop_is_wrong_and_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class ThirdTime(TbOffset):
        hops: ClassVar[set[int]] = set()

        def restore(self, fresh: TimeState, saved: Saved, host: HostView) -> TimeState:
            self.hops.add(saved["clock_ns"])
            time = super().restore(fresh, saved, host)
            off = 7 * MS if len(self.hops) == 3 else 0
            return replace(time, timebases=tuple(base.advanced(off) for base in time.timebases))

    monkeypatch.setitem(STRATEGIES, "tb-offset", ThirdTime())
    result = judged(tmp_path, 4)
    assert "116,200 ticks (7 ms) ahead at hop 3" in result.checks["tb_continuous"].reason
    assert [hop.tb_error for hop in result.hops] == [0, 0, 116_200, 0]
    assert result.timebase.error_ticks == 116_200


def test_one_hop_alone_has_no_drift_to_bound(tmp_path: Path) -> None:
    result = judged(tmp_path, 1)
    assert "drift_bounded" not in result.checks
    assert len(result.hops) == 1
    assert "hop " not in verdict_text(result)


def test_of_many_hops_the_first_and_the_last_are_shown(tmp_path: Path) -> None:
    text = verdict_text(judged(tmp_path, 12))
    assert "… and 4 hops more" in text
    assert "the guest crossed 12 times, in 30 ms at most, and lost nothing" in text


def test_fewer_hops_than_asked_for_are_exit_code_3(tmp_path: Path) -> None:
    result = judged(tmp_path, 2)
    asked = replace(result.manifest, rule=replace(result.manifest.rule, hops=3))
    assert (exit_code(result), exit_code(replace(result, manifest=asked))) == (0, 3)


@pytest.mark.parametrize("model", ["g3beige", "pseries"])
def test_what_is_masked_over_two_hops_crosses_twice_and_is_delivered_once(model: str, tmp_path: Path) -> None:
    """Interrupts are masked from 45 ms to 89 ms. Both stops are in that stretch: what fell due at the first tick within
    it is pending at either, and is delivered where it began, when the guest lets it in."""
    guest = {"kind": "periodic", "periodic": {"period": "4ms"}, "masked_every": "45ms", "masked_for": "44ms"}
    result = judged(tmp_path, 2, machine={"model": model}, guest=guest, hop_interval="1ms", downtime="3ms")
    assert failed(result) == set()
    preserved = result.checks["pending_preserved"]
    assert (preserved.word, preserved.reason) == ("valid", "4 pending interrupts preserved")
    for side in ("source", "destination"):
        stopped, resumed = events(tmp_path, side, "machine_stopped")[0], events(tmp_path, side, "machine_resumed")[-1]
        assert stopped["pending"] == resumed["pending"] == [["decr"], ["decr"]]
    assert events(tmp_path, "destination", "interrupt") == []
    back = [event for event in events(tmp_path, "source", "interrupt") if event["t_ns"] > resumed["t_ns"]]
    assert [event["late_ns"] > 40 * MS for event in back[:2]] == [True, True]
