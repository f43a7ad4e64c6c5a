"""Capabilities and parameters that QMP sets: QEMU's words of refusal, and each of them acts as its key in the
configuration does: the two runs write the same bytes, and others than without it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from livemig.config.model import Config
from livemig.emulator import build
from livemig.emulator.destination import DestinationEmulator
from livemig.emulator.source import SourceEmulator
from livemig.emulator.tuning import CAPABILITIES, Tuning
from livemig.errors import QmpError
from livemig.events.log import EventLog
from livemig.events.schema import DESTINATION, SOURCE
from livemig.launch.in_process import _Pair

BASE: dict[str, dict[str, Any]] = {
    "run": {"duration": "1500ms"},
    "machine": {"cpus": 2, "ram": "4MiB"},
    "guest": {"memory": {"dirty_rate": "8MiB/s"}},
    "migration": {"start": "100ms", "downtime_limit": "2ms"},
    "link": {"bandwidth": "200Mbit/s"},
}
CONVERGE = {"auto_converge": True, "downtime_limit": "1ms", "max_passes": 300}
"""The guest writes faster than the link takes; QEMU throttles it after two periods of a second."""


def scenario(**migration: Any) -> Config:
    slow = migration.pop("_slow", False) or "auto_converge" in migration or "dirty_limit" in migration
    values = {name: dict(table) for name, table in BASE.items()}
    values["migration"] |= migration
    if slow:
        values["run"] = {"duration": "6s"}
        values["guest"] = {"memory": {"dirty_rate": "24MiB/s"}}
        values["link"] = {"bandwidth": "100Mbit/s"}
    return Config.model_validate(values)


def set_to(**given: Any) -> Callable[[SourceEmulator], None]:
    """What ``migrate-set-parameters`` does."""

    def act(source: SourceEmulator) -> None:
        source.tuning.set_parameters({name.replace("_", "-"): value for name, value in given.items()})
        source.retune()

    return act


def logs(
    directory: Path,
    config: Config,
    tune: Callable[[Tuning], None] | None = None,
    at: Sequence[tuple[int, Callable[[SourceEmulator], None]]] = (),
) -> bytes:
    """Both sides' logs of a run; ``tune`` is done to either side before it, what is in ``at`` to the source then."""
    directory.mkdir()
    files = [EventLog(directory / f"{side}.jsonl", side) for side in (SOURCE, DESTINATION)]
    source = SourceEmulator(config, build.clock(config), files[0])
    destination = DestinationEmulator(config, build.clock(config), files[1], None)
    if tune is not None:
        for side in (source, destination):
            tune(side.tuning)
            side.retune()
    pair = _Pair(config, source, destination)
    for instant, act in at:
        pair._at(instant, lambda now, act=act: act(source))
    pair.run()
    for file in files:
        file.close()
    return b"".join((directory / f"{side}.jsonl").read_bytes() for side in (SOURCE, DESTINATION))


PARAMETERS = [
    ("max-bandwidth", 5_000_000, {}, {"max_bandwidth": "5000000B/s"}),
    ("downtime-limit", 40, {}, {"downtime_limit": "40ms"}),
    ("avail-switchover-bandwidth", 200_000_000, {}, {"avail_switchover_bandwidth": "200000000B/s"}),
    ("throttle-trigger-threshold", 100, CONVERGE, {"throttle_trigger_threshold": 100}),
    ("cpu-throttle-initial", 50, CONVERGE, {"cpu_throttle_initial": 50}),
    ("cpu-throttle-increment", 40, CONVERGE, {"cpu_throttle_increment": 40}),
    ("cpu-throttle-tailslow", True, CONVERGE | {"cpu_throttle_increment": 90}, {"cpu_throttle_tailslow": True}),
    ("max-cpu-throttle", 25, CONVERGE, {"max_cpu_throttle": 25}),
    ("vcpu-dirty-limit", 3, {"dirty_limit": True, "max_passes": 300}, {"vcpu_dirty_limit": "3MiB/s"}),
    ("xbzrle-cache-size", 4096, {"xbzrle": True}, {"xbzrle_cache_size": "4096B"}),
    ("multifd-compression", "zstd", {}, {"compression": "zstd"}),
    ("multifd-zstd-level", 20, {"compression": "zstd"}, {"zstd_level": 20}),
    ("max-postcopy-bandwidth", 1_000_000, {"postcopy_ram": True}, {"max_postcopy_bandwidth": "1000000B/s"}),
]


@pytest.mark.parametrize(("name", "value", "base", "key"), PARAMETERS, ids=[each[0] for each in PARAMETERS])
def test_a_parameter_acts_as_its_key_does(
    name: str, value: Any, base: dict[str, Any], key: dict[str, Any], tmp_path: Path
) -> None:
    without = logs(tmp_path / "without", scenario(**base))
    told = logs(tmp_path / "told", scenario(**base), lambda tuning: tuning.set_parameters({name: value}))
    assert told != without
    assert told == logs(tmp_path / "configured", scenario(**base | key))


CAPABLE = [
    ("xbzrle", {}, {"xbzrle": True}),
    ("auto-converge", {"_slow": True, "downtime_limit": "1ms", "max_passes": 300}, {"auto_converge": True}),
    ("dirty-limit", {"_slow": True, "max_passes": 300}, {"dirty_limit": True}),
    ("postcopy-ram", {"_slow": True, "max_passes": 2}, {"postcopy_ram": True, "postcopy_start": 1000}),
    ("postcopy-preempt", {"postcopy_ram": True}, {"postcopy_preempt": True}),
]


@pytest.mark.parametrize(("name", "base", "key"), CAPABLE, ids=[each[0] for each in CAPABLE])
def test_a_capability_acts_as_its_key_does(
    name: str, base: dict[str, Any], key: dict[str, Any], tmp_path: Path
) -> None:
    wanted = [{"capability": name, "state": True}]
    without = logs(tmp_path / "without", scenario(**base))
    told = logs(tmp_path / "told", scenario(**base), lambda tuning: tuning.set_capabilities(wanted))
    assert told != without
    assert told == logs(tmp_path / "configured", scenario(**base | key))


IN_FLIGHT = [
    ("max-bandwidth", 1_000_000, {}),
    ("downtime-limit", 300, {}),
    ("avail-switchover-bandwidth", 400_000_000, {}),
    ("cpu-throttle-increment", 60, CONVERGE),
    ("xbzrle-cache-size", 4096, {"xbzrle": True, "_slow": True, "max_passes": 8}),
]


@pytest.mark.parametrize(("name", "value", "base"), IN_FLIGHT, ids=[each[0] for each in IN_FLIGHT])
def test_what_is_changed_while_a_migration_runs_acts_from_then_on(
    name: str, value: int, base: dict[str, Any], tmp_path: Path
) -> None:
    when = 3_000_000_000 if "auto_converge" in base else 150_000_000
    without = logs(tmp_path / "without", scenario(**base)).splitlines()
    told = [(when, set_to(**{name: value}))]
    changed = logs(tmp_path / "changed", scenario(**base), at=told).splitlines()
    same = next(index for index, (one, other) in enumerate(zip(without, changed, strict=False)) if one != other)
    assert int(changed[same].split(b":")[1].split(b",")[0]) >= when
    assert b'"status":"active"' in b"".join(changed[:same])


def test_a_rate_limit_set_in_flight_is_kept(tmp_path: Path) -> None:
    """1 MB/s is 100,000 bytes in 100 ms, which is 25 pages: 24.4, and a page is begun if a byte of it is allowed."""
    sent: list[int] = []

    def note(source: SourceEmulator) -> None:
        sent.append(source.source.precopy.bytes)

    at = [(150_000_000, set_to(max_bandwidth=10**6)), (300_000_000, note), (1_300_000_000, note)]
    logs(tmp_path / "run", scenario(), at=at)
    assert 9 * 24 * 4096 <= sent[1] - sent[0] <= 11 * 25 * 4096


INTEGER = "expects an integer in the range of"
POWER = "Parameter 'xbzrle_cache_size' expects a power of two no less than the target page size"
REFUSED = [
    ({"downtime-limit": 3_000_000}, f"Parameter 'downtime_limit' {INTEGER} 0 to (2000 * 1000) ms"),
    ({"downtime-limit": "x"}, "Parameter 'downtime-limit' expects uint64"),
    ({"downtime-limit": 1.5}, "Parameter 'downtime-limit' expects uint64"),
    ({"downtime-limit": True}, "Parameter 'downtime-limit' expects uint64"),
    ({"downtime-limit": -1}, f"Parameter 'downtime_limit' {INTEGER} 0 to (2000 * 1000) ms"),
    ({"cpu-throttle-initial": 0}, f"Parameter 'cpu_throttle_initial' {INTEGER} 1 to 99"),
    ({"cpu-throttle-increment": 100}, f"Parameter 'cpu_throttle_increment' {INTEGER} 1 to 99"),
    ({"max-cpu-throttle": 100}, f"Parameter 'max_cpu_throttle' {INTEGER} cpu_throttle_initial to 99"),
    ({"max-cpu-throttle": 5}, f"Parameter 'max_cpu_throttle' {INTEGER} cpu_throttle_initial to 99"),
    ({"xbzrle-cache-size": 5000}, POWER),
    ({"xbzrle-cache-size": 1}, POWER),
    ({"throttle-trigger-threshold": 0}, f"Parameter 'throttle_trigger_threshold' {INTEGER} 1 to 100"),
    ({"multifd-compression": "foo"}, "Parameter 'multifd-compression' does not accept value 'foo'"),
    ({"cpu-throttle-tailslow": 1}, "Invalid parameter type for 'cpu-throttle-tailslow', expected: boolean"),
    ({"vcpu-dirty-limit": 0}, "Parameter 'vcpu_dirty_limit' must be greater than 1 MB/s"),
    ({"multifd-channels": 17}, "Parameter 'multifd_channels' expects a value between 1 and 16"),
]  # fmt: skip
"""But for the last two as QEMU 7.2 answered; those are of its source, with livemig's own range."""


@pytest.mark.parametrize(("given", "desc"), REFUSED, ids=[str(each[0]) for each in REFUSED])
def test_what_is_refused_is_refused_in_qemus_words_and_changes_nothing(given: dict[str, Any], desc: str) -> None:
    tuning = Tuning(scenario())
    before = tuning.parameters()
    with pytest.raises(QmpError) as caught:
        tuning.set_parameters({"max-bandwidth": 5, **given})
    assert (caught.value.error_class, caught.value.desc) == ("GenericError", desc)
    assert tuning.parameters() == before


BAD_CAPABILITIES = [
    ({"capability": "foo", "state": True}, "Parameter 'capability' does not accept value 'foo'"),
    ({"capability": "events"}, "Parameter 'capabilities[1].state' is missing"),
    ({"capability": "events", "state": 1}, "Invalid parameter type for 'capabilities[1].state', expected: boolean"),
    (3, "Invalid parameter type for 'capabilities[1]', expected: object"),
    ({"capability": "events", "state": True, "x": 1}, "Parameter 'capabilities[1].x' is unexpected"),
    ({"capability": "postcopy-preempt", "state": True}, "Postcopy preempt requires postcopy-ram"),
]
"""As QEMU answers them."""


@pytest.mark.parametrize(("given", "desc"), BAD_CAPABILITIES, ids=[each[1] for each in BAD_CAPABILITIES])
def test_a_capability_that_is_no_good_is_refused_and_none_of_the_call_is_set(given: Any, desc: str) -> None:
    tuning = Tuning(scenario())
    with pytest.raises(QmpError) as caught:
        tuning.set_capabilities([{"capability": "xbzrle", "state": True}, given])
    assert caught.value.desc == desc
    assert {each["capability"] for each in tuning.capabilities()} == set(CAPABILITIES)
    assert [each["capability"] for each in tuning.capabilities() if each["state"]] == ["return-path"]


def test_what_does_not_go_together_is_refused_by_name() -> None:
    tuning = Tuning(scenario())
    tuning.set_capabilities([{"capability": "xbzrle", "state": True}])
    for other, word in (("multifd", "deltas and files need one stream"), ("return-path", "always on")):
        with pytest.raises(QmpError, match=word):
            tuning.set_capabilities([{"capability": other, "state": other == "multifd"}])


def test_channels_are_a_parameter_and_multifd_a_capability() -> None:
    tuning = Tuning(scenario())
    assert tuning.parameters()["multifd-channels"] == 2
    tuning.set_parameters({"multifd-channels": 5})
    assert tuning.config.migration.multifd_channels == 0
    tuning.set_capabilities([{"capability": "multifd", "state": True}])
    assert tuning.config.migration.multifd_channels == 5
    tuning.set_parameters({"multifd-channels": 3})
    assert tuning.config.migration.multifd_channels == tuning.parameters()["multifd-channels"] == 3
