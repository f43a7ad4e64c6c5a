"""How far the other host's clock is ahead, from four timestamps, and how wrong that may be."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from judged_pair import events
from pure_pair import run_here, run_pure

from livemig.analysis.result import Result
from livemig.config.load import validated
from livemig.config.model import Config
from livemig.errors import ProtocolError
from livemig.machine.time_state import HostView, TimeState
from livemig.migration.frames import Frame
from livemig.migration.peer_clock import FIRST, PeerClockMeter
from livemig.strategies.channel_clock import ChannelClock
from livemig.strategies.strategy import Saved
from livemig.strategies.table import STRATEGIES

MS = 10**6


def measured(offset: int, *trips: tuple[int, int, int]) -> PeerClockMeter:
    """Samples with a trip there, a stay and a trip back, the other clock ``offset`` ahead."""
    meter = PeerClockMeter()
    for there, stay, back in trips:
        meter.sent(1000)
        assert meter.waiting
        meter.answered(1000 + there + offset, 1000 + there + stay + offset, 1000 + there + stay + back)
        assert not meter.waiting
    return meter


def test_by_hand() -> None:
    """Equal trips tell the offset; unequal ones are wrong by half of what they differ."""
    best = measured(500, (30, 7, 30)).best
    assert best is not None
    assert (best.offset_ns, best.bound_ns) == (500, 30)
    skewed = measured(500, (50, 7, 10)).best
    assert skewed is not None
    assert (skewed.offset_ns, skewed.bound_ns) == (520, 30)


TRIP = st.tuples(st.integers(0, 10**10), st.integers(0, 10**6), st.integers(0, 10**10))


@given(st.integers(-(10**18), 10**18), st.lists(TRIP, min_size=1, max_size=9))
def test_whatever_the_skew_and_the_trips_the_error_is_within_half_the_best_round_trip(
    offset: int, trips: list[tuple[int, int, int]]
) -> None:
    best = measured(offset, *trips).best
    assert best is not None
    shortest = min(there + back for there, _, back in trips)
    assert best.bound_ns == -(-shortest // 2)
    assert abs(best.offset_ns - offset) <= best.bound_ns


def config(**changes: Any) -> Config:
    base = {
        "run": {"duration": "300ms"},
        "machine": {"ram": "1MiB"},
        "guest": {"kind": "periodic", "memory": {"dirty_rate": "20MiB/s"}},
        "migration": {"start": "50ms", "downtime": "40ms", "downtime_limit": "1ms", "strategy": "channel-clock"},
    }
    return validated(base | changes, "test")


def run(directory: Path, **changes: Any) -> Result:
    directory.mkdir(exist_ok=True)
    return run_here(config(**changes), "test", directory)


@pytest.mark.parametrize("skew", ["0ns", "7h", "-7h", "-41ms", "1ns"])
def test_over_an_even_link_tb_is_exact_whatever_the_clocks_say(skew: str, tmp_path: Path) -> None:
    result = run(tmp_path, host={"clock_skew": skew})
    assert result.verdict == "valid"
    assert result.timebase.error_ticks == 0
    assert result.checks["tb_error_within_bound"].word == "valid"


@pytest.mark.parametrize("there", ["1us", "300us", "9ms"])
@pytest.mark.parametrize("back", ["1us", "2ms", "30ms"])
@pytest.mark.parametrize("jitter", ["0ns", "1ms"])
def test_over_any_link_tb_is_within_the_bound_that_is_stated(
    there: str, back: str, jitter: str, tmp_path: Path
) -> None:
    link = {"latency": there, "return_latency": back, "jitter": jitter}
    result = run(tmp_path, run={"duration": "1s"}, link=link, host={"clock_skew": "-3h"})
    (saved,) = events(tmp_path, "state_saved")
    bound = saved["saved"]["bound_ns"]
    assert saved["host"]["peer"]["bound_ns"] == bound
    error = result.timebase.error_ticks
    assert error is not None
    assert abs(error) <= bound * 16_600_000 // 10**9 + 1
    assert result.checks["tb_error_within_bound"].word == "valid"
    assert result.migration.status == "completed"


def test_the_clocks_are_measured_before_the_first_pass_and_once_in_each(tmp_path: Path) -> None:
    source, _ = run_pure(config(), tmp_path)
    assert source.precopy.passes >= 2
    assert source.peer.samples == FIRST + source.precopy.passes - 1  # the last pass is sent when the guest stands


def test_who_does_not_ask_sends_no_probe(tmp_path: Path) -> None:
    source, _ = run_pure(config(migration={"start": "50ms", "strategy": "tb-offset"}), tmp_path)
    assert source.peer.samples == 0
    assert "peer" not in events(tmp_path, "state_saved")[0]["host"]


def test_a_bound_that_is_not_kept_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """1 ms there and 5 ms back: the offset is 2 ms off."""

    class Boast(ChannelClock):
        def save(self, time: TimeState, host: HostView) -> Saved:
            assert host.peer is not None
            return super().save(time, replace(host, peer=replace(host.peer, bound_ns=1_900_000)))

    monkeypatch.setitem(STRATEGIES, "channel-clock", Boast())
    result = run(tmp_path, link={"latency": "1ms", "return_latency": "5ms"})
    assert result.checks["tb_error_within_bound"].word == "invalid"
    assert result.checks["tb_error_within_bound"].reason.endswith("2 ms) off the world's; 1.9 ms at most were stated")


def test_without_a_measurement_no_bound_is_claimed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Deaf(ChannelClock):
        measures_peer = False

    monkeypatch.setitem(STRATEGIES, "channel-clock", Deaf())
    result = run(tmp_path)
    assert "tb_error_within_bound" not in result.checks
    assert result.timebase.error_ticks == 0  # the clocks agree


def test_a_reply_that_nobody_asked_for_and_a_probe_before_hello_are_refused(tmp_path: Path) -> None:
    from pure_pair import _DestinationHalf, _SourceHalf

    source, destination = _SourceHalf(config(), tmp_path), _DestinationHalf(config(), tmp_path)
    source.machine.boot(0)
    source.side.start(0)
    with pytest.raises(ProtocolError, match="reply"):
        source.side.receive(0, Frame("reply", 0, 0, {"received_ns": 0, "replied_ns": 0}))
    with pytest.raises(ProtocolError, match="probe"):
        destination.side.receive(0, Frame("probe", 0, 0))
