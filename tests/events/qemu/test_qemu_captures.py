"""Every capture of a real QEMU, imported: held against what its run.toml measured and what its guest wrote down."""

from __future__ import annotations

import csv
import gzip
import tomllib
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pytest

from livemig.events.qemu.importing import Wanted, import_qemu
from livemig.events.schema import EVENTS

CAPTURES = Path(__file__).parents[2] / "fixtures/qemu"
RUNS = sorted(path.name for path in CAPTURES.iterdir() if path.is_dir())
BARE = [name for name in RUNS if (CAPTURES / name / "guest_records.tsv").exists()]
"""Those whose guest kept records."""

Event = dict[str, Any]


class Capture(NamedTuple):
    """One capture, imported."""

    manifest: dict[str, Any]
    facts: dict[str, Any]
    measured: dict[str, Any]
    source: list[Event]
    destination: list[Event]

    def named(self, side: str, *names: str) -> list[Event]:
        return [event for event in getattr(self, side) if event["event"] in names]


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Name → capture."""

    @cache
    def get(name: str) -> Capture:
        directory = CAPTURES / name
        facts = tomllib.loads((directory / "run.toml").read_text())
        out = tmp_path_factory.mktemp("captures") / name
        logs = directory / "source.log.gz", directory / "destination.log.gz"
        wanted = Wanted(facts.get("run", facts)["timebase_hz"], directory / "run.toml")
        manifest = import_qemu(*logs, out, wanted)
        source, destination = (
            [orjson.loads(line) for line in (out / f"{side}.jsonl").read_bytes().splitlines()]
            for side in ("source", "destination")
        )
        return Capture(manifest, facts, facts.get("measured", {}), source, destination)

    return get


def records(name: str) -> list[dict[str, int]]:
    with (CAPTURES / name / "guest_records.tsv").open() as file:
        return [{key: int(value) for key, value in row.items()} for row in csv.DictReader(file, delimiter="\t")]


def handler_readings(name: str) -> list[list[int]]:
    """By another way, straight from the text: the three reads of TB before each handler's first read of DECR."""
    found: list[list[int]] = []
    for side in ("source", "destination"):
        text = gzip.decompress((CAPTURES / name / f"{side}.log.gz").read_bytes()).decode()
        lines = [line.split("@", 1) for line in text.splitlines()]
        tids = {tid for tid, rest in lines if "ppc_decr_excp" not in rest and "vm_state_notify" not in rest}
        vcpu = max(tids & {tid for tid, rest in lines if "ppc_tb_load" in rest}, key=int)
        events = [rest.split(":", 1)[1].split() for tid, rest in lines if tid == vcpu]
        for index in range(3, len(events)):
            if events[index][0] == "ppc_decr_load" and all(e[0] == "ppc_tb_load" for e in events[index - 3 : index]):
                found.append([int(event[2], 16) for event in events[index - 3 : index]])
    return found


@pytest.mark.parametrize("name", RUNS)
def test_every_line_is_understood_and_every_interrupt_finds_its_cpu(name: str, capture: Any) -> None:
    account = capture(name).manifest["import"]
    lines = sum(gzip.decompress((CAPTURES / name / f"{side}.log.gz").read_bytes()).count(b"\n")
                for side in ("source", "destination"))  # fmt: skip
    assert (account["lines"], account["not_understood"], account["interrupts_unplaced"]) == (lines, 0, 0)
    # Windows of a log begin in the middle: at most one a CPU is not shown from its beginning.
    assert account["interrupts_before_the_first_arm"] <= (2 if name.startswith("linux") else 0)


@pytest.mark.parametrize("name", RUNS)
def test_both_histories_are_in_order_and_by_the_schema(name: str, capture: Any) -> None:
    for side in ("source", "destination"):
        events = getattr(capture(name), side)
        times = [event["t_ns"] for event in events]
        assert times == sorted(times)
        assert all(tuple(event) == ("t_ns", "side", "event", *EVENTS[event["event"]]) for event in events)
        assert all(event["side"] == side for event in events)
        assert events[-1]["event"] == "run_ended"


@pytest.mark.parametrize("name", BARE)
def test_the_account_of_interrupts_is_the_guests_own(name: str, capture: Any) -> None:
    """One to one: TB is one of the three that the handler read, DECR the one it read, the value the one it wrote."""
    run, told = capture(name), records(name)
    acts = run.named("source", "interrupt", "timer_armed") + run.named("destination", "interrupt", "timer_armed")
    acts = [event for event in acts if event.get("cause", "guest") == "guest"]
    assert [event["event"] for event in acts] == ["timer_armed"] + ["interrupt", "timer_armed"] * len(told)
    interrupts, writes, readings = acts[1::2], acts[2::2], handler_readings(name)
    assert len(readings) == len(told)
    for record, interrupt, write, reading in zip(told, interrupts, writes, readings, strict=True):
        assert record["tb"] in reading
        assert interrupt["tb"] in reading
        assert interrupt["decr"] == record["decr_at_entry"]
        assert write["value"] == record["decr_written"]


@pytest.mark.parametrize("name", BARE)
def test_what_is_raised_is_what_the_driver_counted(name: str, capture: Any) -> None:
    run = capture(name)
    assert len(run.named("source", "interrupt_masked")) == run.measured["source_decr_raised"] - run_at_reset(name)
    assert len(run.named("destination", "interrupt_masked")) == run.measured["destination_decr_raised"]
    assert len(run.named("destination", "interrupt")) == run.measured["destination_handler_entries"]


def run_at_reset(name: str) -> int:
    """pseries 7.2 and 10.0 raise once by QEMU's own reset: the driver counts from the start of the source."""
    text = gzip.decompress((CAPTURES / name / "source.log.gz").read_bytes()).decode()
    return text.split("vm_state_notify")[0].count("ppc_decr_excp")


@pytest.mark.parametrize("name", BARE)
def test_stop_and_resume_are_where_the_driver_saw_them(name: str, capture: Any) -> None:
    run = capture(name)
    stop, resume = run.named("source", "machine_stopped")[-1], run.named("destination", "machine_resumed")[0]
    blackout_us = (resume["t_ns"] - stop["t_ns"]) // 1000
    assert blackout_us == round(run.measured["host_downtime_s"] * 1_000_000)
    assert (stop["tb"], stop["decr"]) == (run.measured["source_tb_at_stop"], [run.measured["source_decr_at_stop"]])
    if run.measured["destination_first_values_read_while"] == "stopped, before cont":
        assert resume["tb"] == run.measured["destination_tb_first"]
        assert resume["decr"] == [run.measured["destination_decr_first"]]
    else:  # Some milliseconds later: less than the driver read, by the time since.
        behind = run.measured["destination_tb_first"] - resume["tb"]
        assert 0 < behind < run.manifest["machine"]["timebase_hz"] // 100
    assert stop["pending"] == [["decr"] if run.measured["decr_interrupt_at_stop"] == "raised, not taken" else []]


@pytest.mark.parametrize("name", ["q100-g3beige-live-fixed", "q72-g3beige-live-fixed", "q72-mac99-live-long-freeze"])
def test_tb_at_a_live_resume_is_the_one_at_the_stop_within_ten_microseconds(name: str, capture: Any) -> None:
    """QEMU's virtual clock stands still: the README of the captures. It was read only later, and is reckoned back."""
    run = capture(name)
    stop, resume = run.named("source", "machine_stopped")[-1], run.named("destination", "machine_resumed")[0]
    assert abs(resume["tb"] - stop["tb"]) <= run.manifest["machine"]["timebase_hz"] // 100_000


@pytest.mark.parametrize("name", BARE)
def test_without_the_run_toml_the_same_is_told(name: str, capture: Any, tmp_path: Path) -> None:
    """It adds only what was taken at the stop and for how long a frozen guest was watched."""
    run, directory = capture(name), CAPTURES / name
    import_qemu(
        directory / "source.log.gz",
        directory / "destination.log.gz",
        tmp_path / "out",
        Wanted(run.manifest["machine"]["timebase_hz"]),
    )
    again = [orjson.loads(line) for line in (tmp_path / "out/destination.jsonl").read_bytes().splitlines()]
    assert again == run.destination


def test_linux_on_two_cpus_finds_them_by_the_decr_that_was_loaded(capture: Any) -> None:
    """One thread acts on the destination; by its number it might be either CPU's."""
    assert capture("linux-pseries-10.0-stop3").manifest["import"]["cpus"] == [
        {"source_thread": 8370, "destination_thread": 8427, "matched_by": "DECR"},
        {"source_thread": 8371, "destination_thread": None, "matched_by": None},
    ]


def test_linux_stop3_stands_still_for_what_the_run_toml_says(capture: Any) -> None:
    run = capture("linux-pseries-10.0-stop3")
    stop, resume = run.named("source", "machine_stopped")[-1], run.named("destination", "machine_resumed")[0]
    assert resume["t_ns"] - stop["t_ns"] == (1795376167_401362 - 1795376164_104855) * 1000
    # 0x2b2ba8 and 0xeac1c09 in the last two lines of the source's log, and in the loads of the destination's.
    assert stop["decr"] == resume["decr"] == [2829224, 246160393]
    assert abs(resume["tb"] - stop["tb"]) < 512_000  # a millisecond, of 3.3 s


def test_linux_stop3_shows_the_same_without_the_run_toml(tmp_path: Path) -> None:
    """The stop and the resume are then inferred from DECR, half a millisecond off what the driver noted."""
    directory = CAPTURES / "linux-pseries-10.0-stop3"
    manifest = import_qemu(
        directory / "source.log.gz", directory / "destination.log.gz", tmp_path / "out", Wanted(512_000_000)
    )
    assert manifest["import"]["stopped_by"] == "inferred from the DECR that was saved"
    assert manifest["import"]["resumed_by"] == "inferred from the first interrupt, and the DECR that was loaded"
    lines = [orjson.loads(line) for side in ("source", "destination")
             for line in (tmp_path / f"out/{side}.jsonl").read_bytes().splitlines()]  # fmt: skip
    (stop,) = (event for event in lines if event["event"] == "machine_stopped")
    (resume,) = (event for event in lines if event["event"] == "machine_resumed")
    assert abs(resume["t_ns"] - stop["t_ns"] - 3_296_507_000) < 500_000


def test_linux_live_of_7_2_shows_the_downtime_that_qemu_reported(capture: Any) -> None:
    run = capture("linux-pseries-7.2-live")
    stop, resume = run.named("source", "machine_stopped")[-1], run.named("destination", "machine_resumed")[0]
    assert resume["t_ns"] - stop["t_ns"] == 25_000_000
    assert resume["decr"][1] is None  # The monitor shows the first CPU only.
    # Not migrated: DECR is what it is from QEMU's start, 0xffffffff less the virtual clock's ticks.
    assert abs((resume["decr"][0] + resume["tb"] + 1 + (1 << 31)) % (1 << 32) - (1 << 31)) < 51_200
