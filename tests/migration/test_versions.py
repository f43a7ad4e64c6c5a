"""Machine versions and frequencies: what an older form loses, and says so; what a destination refuses, and converts.

g3beige: 16.6 MHz; its start-up decrementer is 0xffffffff at virtual time 0, so that it reads -TB - 1 from then on
(taken for 32 bits).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import msgpack
import orjson
import pytest
from pure_pair import run_pure
from test_sides import Duo

from livemig.analysis.judge import judge
from livemig.analysis.result import Result
from livemig.config.load import validated
from livemig.config.model import Config
from livemig.errors import ConfigError, ProtocolError
from livemig.launch import run_directory
from livemig.migration.status import Status
from livemig.strategies.table import STRATEGIES

MS = 1_000_000
MASKED = {"masked_every": "200ms", "masked_for": "30ms", "kind": "periodic", "periodic": {"period": "4ms"}}


def judged(tmp_path: Path, machine: dict[str, Any] | None = None, **migration: Any) -> tuple[Result, dict[str, Any]]:
    """Two CPUs with an interrupt every 4 ms, masked from 200 ms to 230 ms and stopped in that stretch; the result, and
    what the logs say of the save and the restore."""
    host = migration.pop("host", {})
    config = Config.model_validate(
        {
            "run": {"duration": "1s"},
            "machine": {"cpus": 2, "ram": "1MiB", **(machine or {})},
            "guest": {**MASKED, "memory": {"dirty_rate": "0B/s"}},
            "migration": {"start": "200ms", "downtime": "50ms", **migration},
            "host": host,
        }
    )
    run_pure(config, tmp_path)
    ended = {"status": "completed", "owner": "destination", "reason": ""}
    run_directory.write(tmp_path, {**run_directory.manifest(config, "-"), "complete": True, "migration": ended})
    events: dict[str, Any] = {}
    for log in ("source", "destination"):
        for line in (tmp_path / f"{log}.jsonl").read_bytes().splitlines():
            event = orjson.loads(line)
            events[event["event"]] = event
    return judge(tmp_path), events


def failed(result: Result) -> set[str]:
    return {name for name, verdict in result.checks.items() if verdict.word == "invalid"}


def test_the_newest_form_loses_nothing_and_what_is_pending_crosses(tmp_path: Path) -> None:
    result, events = judged(tmp_path)
    assert failed(result) == set()
    assert result.checks["pending_preserved"].word == "valid"
    assert (events["state_saved"]["machine_version"], events["state_saved"]["lost"]) == (3, [])
    assert (events["state_restored"]["machine_version"], events["state_restored"]["lost"]) == (3, [])


def test_a_source_as_old_as_qemu_8_2_does_not_say_what_is_pending_and_both_logs_tell(tmp_path: Path) -> None:
    """On an edge CPU the interrupt that fell due while masked never comes; TB and DECR are right."""
    result, events = judged(tmp_path, machine_version="8.2")
    assert failed(result) == {"pending_preserved", "no_interrupt_lost"}
    assert result.interrupts.lost == 2
    assert (events["state_saved"]["lost"], events["state_restored"]["lost"]) == (["pending"], ["pending"])
    assert "pending" not in events["state_saved"]["saved"]
    assert "pending" not in events["state_restored"]["saved"]
    assert (result.migration.machine_version, result.migration.lost) == (2, ["pending"])


def test_a_level_timer_that_crosses_in_the_form_of_8_2_raises_again_as_it_is_loaded(tmp_path: Path) -> None:
    """DECR is negative, and a negative value stored raises (`cpu_ppc_store_decr`): nothing is lost."""
    result, _ = judged(tmp_path, {"model": "pseries"}, machine_version="8.2")
    assert failed(result) == set()
    assert result.interrupts.lost == 0


@pytest.mark.parametrize("strategy", ["tb-offset", "absolute"])
def test_a_source_as_old_as_qemu_7_2_sends_no_timers_and_the_start_up_decrementer_is_found(
    strategy: str, tmp_path: Path
) -> None:
    """Only the timebase crosses. The start-up decrementer is a point on the virtual clock, which stood over the
    blackout of 50 ms: DECR reads -TB - 1 of the TB at the stop."""
    result, events = judged(tmp_path, machine_version="7.2", strategy=strategy)
    assert result.verdict == "invalid"
    assert result.interrupts.lost == 2
    assert result.timebase.error_ticks == 0
    assert result.timebase.at_stop is not None
    for decr in result.decrementer:
        assert decr.at_resume == -result.timebase.at_stop - 1
    assert events["state_saved"]["lost"] == ["timers", "pending"]
    assert events["state_saved"]["saved"].keys() == {"tb_value", "tb_clock_ns", "clock_ns", "time_of_day_ns"}


def test_none_has_no_timers_to_lose(tmp_path: Path) -> None:
    _, events = judged(tmp_path, machine_version=1, strategy="none")
    assert events["state_saved"]["lost"] == []


def test_pending_is_sent_only_when_something_is() -> None:
    duo = Duo(memory={"dirty_rate": "0B/s"})
    sections = msgpack.unpackb(duo.until("snapshot").payload)["sections"]
    assert [section[0] for section in sections] == ["timebase", "timers", "cpu", "cpu", "memory"]
    assert sections[1][4] == []
    duo = Duo(masked_every="90ms", masked_for="80ms", memory={"dirty_rate": "0B/s"})
    sections = msgpack.unpackb(duo.until("snapshot").payload)["sections"]
    ((name, version, mandatory, fields, parts),) = sections[1][4]
    assert (name, version, mandatory, parts) == ("timers/pending", 1, False, [])
    assert all(since >= 0 for since in fields["saved"]["pending"])


def test_an_unknown_optional_subsection_is_skipped_and_that_is_logged() -> None:
    duo = Duo()
    frame = duo.until("snapshot")
    value = msgpack.unpackb(frame.payload)
    value["sections"][1][4].append(["timers/luck", 9, False, {"n": 7}, []])
    duo.deliver(replace(frame, payload=msgpack.packb(value)), duo.destination)
    assert duo.sent(duo.destination)[-1].type == "loaded"
    assert duo.events["destination"][-1]["reason"] == "skipped: timers/luck"


@pytest.mark.parametrize("version", [4, 0, None, "7.2", True])
def test_a_machine_version_that_is_not_known_is_refused_at_hello_with_both_values(version: object) -> None:
    duo = Duo()
    hello = duo.until("hello")
    machine = {**hello.fields["machine"], "version": version}
    with pytest.raises(ProtocolError, match=f"machine.version: {version}, but 3 is the newest understood here"):
        duo.deliver(replace(hello, fields={**hello.fields, "machine": machine}), duo.destination)
    duo.deliver(duo.sent(duo.destination)[-1], duo.source)
    assert (duo.source.status, duo.source.owner) == (Status.FAILED, "source")
    assert duo.machines["source"].running


@pytest.mark.parametrize(
    ("given", "name"),
    [(1, "7.2"), (2, "8.2"), (3, "newest"), ("1", "7.2"), ("7.2", "7.2"), (8.2, "8.2"), ("pseries-7.2", "7.2")],
)
def test_a_machine_version_is_a_number_or_a_name_as_qemu_has_them(given: object, name: str) -> None:
    assert validated({"migration": {"machine_version": given}}, "").migration.machine_version == name


@pytest.mark.parametrize("given", [0, 4, "7.1", "vax-7.2", True, [1]])
def test_another_machine_version_is_an_error_of_the_configuration(given: object) -> None:
    with pytest.raises(ConfigError) as error:
        validated({"migration": {"machine_version": given}}, "")
    assert (error.value.key, error.value.allowed) == ("migration.machine_version", "7.2, 8.2, newest")


# -- frequency ---------------------------------------------------------------------------------------------------------


def other_frequency(policy: str) -> dict[str, Any]:
    return {"host": {"destination": {"timebase_hz": "25MHz"}}, "frequency_policy": policy}


@pytest.mark.parametrize("strategy", ["tb-offset", "absolute-frozen-tb"])
def test_convert_goes_on_counting_at_the_sources_frequency(strategy: str, tmp_path: Path) -> None:
    """The guest's periods are in ticks of 16.6 MHz; were they counted at 25 MHz, every one would be a third short."""
    policy = "freeze" if strategy == "absolute-frozen-tb" else "advance"
    migration = {**other_frequency("convert"), "strategy": strategy, "time_policy": policy}
    (tmp_path / "convert").mkdir()
    converted, _ = judged(tmp_path / "convert", **migration)
    assert failed(converted) == set()
    assert converted.timebase.error_ticks == 0
    (tmp_path / "same").mkdir()
    same, _ = judged(tmp_path / "same", strategy=strategy, time_policy=policy)
    assert converted.interrupts == same.interrupts
    said = (tmp_path / "convert/destination.jsonl").read_text()
    assert "the guest's timebase is counted at 16600000 Hz here too, where it would be 25000000 Hz" in said


class OtherFrequency(Duo):
    def _parts(self, side: str) -> tuple[Any, ...]:
        if side == "destination":
            self.machines[side].count_at(25_000_000)
        return super()._parts(side)


def test_another_frequency_is_refused_at_hello_and_the_source_runs_on() -> None:
    duo = OtherFrequency()
    hello = duo.until("hello")
    with pytest.raises(ProtocolError, match=r"machine\.timebase_hz: 16600000, but here it is 25000000"):
        duo.deliver(hello, duo.destination)
    duo.deliver(duo.sent(duo.destination)[-1], duo.source)
    assert "16600000, but here it is 25000000" in duo.source.reason
    assert duo.machines["source"].running


@pytest.mark.parametrize("hz", [0, -1, 2_000_000_000, "fast", None, True])
def test_a_frequency_that_is_none_is_refused_even_where_one_may_differ(hz: object) -> None:
    duo = Duo()
    duo.destination.settings = replace(duo.destination.settings, convert_frequency=True)
    hello = duo.until("hello")
    machine = {**hello.fields["machine"], "timebase_hz": hz}
    with pytest.raises(ProtocolError, match="timebase_hz"):
        duo.deliver(replace(hello, fields={**hello.fields, "machine": machine}), duo.destination)


@pytest.mark.parametrize("version", [1, 2, 3])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_strategy_crosses_in_every_form(strategy: str, version: int, tmp_path: Path) -> None:
    result, events = judged(tmp_path, machine_version=version, strategy=strategy)
    assert result.migration.status == "completed"
    assert events["state_restored"]["saved"] == events["state_saved"]["saved"]
