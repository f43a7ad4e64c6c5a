"""The run directory that is made of two logs: whole or not at all, and saying what it rests on."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_log import HZ, MAIN, SAVER, handler, load, migration, raised, reset, runs, saved, stops, tb, write

from livemig.errors import InputError, LivemigError, OutputError
from livemig.events.qemu.importing import Wanted, import_qemu

CAPTURES = Path(__file__).parents[2] / "fixtures/qemu"
SOURCE = (
    reset(0) + runs(10) + write(20, -11, 100) + raised(121) + handler(125, 115, -6, 100)
    + stops(200) + load(210, 30, SAVER) + migration(220, "completed", SAVER)
)  # fmt: skip
DESTINATION = reset(300) + write(310, -200, 30, MAIN) + runs(1_000) + raised(1_031) + handler(1_035, 224, -5, 100)


def imported(tmp_path: Path, source: str, destination: str, **wanted: Any) -> dict[str, Any]:
    logs = saved(tmp_path / "source.log", source), saved(tmp_path / "destination.log", destination)
    return import_qemu(*logs, tmp_path / "out", Wanted(HZ, **wanted))


def events(directory: Path, side: str) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in (directory / f"{side}.jsonl").read_bytes().splitlines()]


def test_the_directory_holds_both_histories_and_the_manifest_that_was_given_back(tmp_path: Path) -> None:
    manifest = imported(tmp_path, SOURCE, DESTINATION)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "destination.jsonl", "run.json", "source.jsonl",
    ]  # fmt: skip
    assert orjson.loads((tmp_path / "out/run.json").read_bytes()) == manifest
    assert (manifest["engine"], manifest["complete"], manifest["strategy"]) == ("qemu", True, None)
    assert manifest["migration"] == {"status": "completed", "owner": "destination", "reason": None}
    assert [event["event"] for event in events(tmp_path / "out", "destination")][-2:] == ["timer_armed", "run_ended"]


def test_t_0_is_the_first_event_of_either_log(tmp_path: Path) -> None:
    imported(tmp_path, SOURCE, DESTINATION)
    assert events(tmp_path / "out", "source")[0]["t_ns"] == 0
    assert events(tmp_path / "out", "destination")[0]["t_ns"] == 300_000


def test_without_a_run_toml_the_trigger_is_guessed_by_the_frequency_and_the_guess_is_named(tmp_path: Path) -> None:
    manifest = imported(tmp_path, SOURCE, DESTINATION)
    assert (manifest["machine"]["model"], manifest["machine"]["trigger"]) == ("unknown", "edge")
    assert manifest["import"]["guessed"] == ["machine.trigger, from the frequency of the timebase"]


def test_a_run_toml_says_what_the_logs_do_not(tmp_path: Path) -> None:
    toml = saved(
        tmp_path / "run.toml",
        'timebase_hz = 1_000_000\nmachine = "pseries"\nram_mib = 3\nvcpus = 2\ndowntime_requested_s = 0.0005\n',
    )
    manifest = imported(tmp_path, SOURCE, DESTINATION, run_toml=toml)
    machine = manifest["machine"]
    assert (machine["model"], machine["trigger"], machine["cpus"]) == ("pseries", "level", 2)
    assert machine["ram_bytes"] == 3 << 20
    assert (manifest["judge"]["downtime_ns"], manifest["import"]["guessed"]) == (500_000, [])
    assert manifest["facts"]["downtime_requested_s"] == 0.0005


@pytest.mark.parametrize(
    ("toml", "problem"),
    [
        ("timebase_hz = 25_000_000", "timebase_hz is 25000000, but 1000000 was given"),
        ("timebase_hz = ", "not TOML"),
        ('ram_mib = "much"', "ram_mib: 'much', needed: an integer"),
        ("vcpus = -1", "vcpus: -1, needed: an integer from 1"),
        ("vcpus = 1_000_000_000", "vcpus: 1000000000, needed: at most 4096"),
        ("downtime_requested_s = nan", "downtime_requested_s: NaN, needed: a time"),
    ],
)
def test_a_run_toml_that_cannot_be(tmp_path: Path, toml: str, problem: str) -> None:
    path = saved(tmp_path / "run.toml", toml)
    with pytest.raises(InputError) as raised_error:
        imported(tmp_path, SOURCE, DESTINATION, run_toml=path)
    assert problem in str(raised_error.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("source", "destination", "problem"),
    [
        ("", DESTINATION, "source.log: not one of QEMU's trace events in 0 lines"),
        (SOURCE, "nothing\nat all\n", "destination.log: not one of QEMU's trace events in 2 lines"),
        (reset(0) + runs(9), DESTINATION, "source.log: no guest in it"),
    ],
)
def test_logs_that_show_no_run(tmp_path: Path, source: str, destination: str, problem: str) -> None:
    with pytest.raises(InputError) as raised_error:
        imported(tmp_path, source, destination)
    assert problem in str(raised_error.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["destination.log", "source.log"]


def test_one_log_is_not_both(tmp_path: Path) -> None:
    log = saved(tmp_path / "source.log", SOURCE)
    with pytest.raises(InputError, match="given as both"):
        import_qemu(log, log, tmp_path / "out", Wanted(HZ))


def test_a_directory_that_holds_something_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine").write_text("dear")
    with pytest.raises(OutputError, match="not empty"):
        imported(tmp_path, SOURCE, DESTINATION)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine"]
    (tmp_path / "out/mine").unlink()
    imported(tmp_path, SOURCE, DESTINATION)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["destination.log", "out", "source.log"]


def test_lines_not_understood_are_counted_with_their_places(tmp_path: Path) -> None:
    account = imported(tmp_path, SOURCE + "oops\n", "oops\n" + DESTINATION + "103@17")["import"]
    assert account["not_understood"] == 3
    assert account["first_places"] == ["source.log:16", "destination.log:1", "destination.log:14"]
    assert account["lines"] == 16 + 14


def test_a_destination_where_the_guest_is_not_seen_never_resumes(tmp_path: Path) -> None:
    manifest = imported(tmp_path, SOURCE, migration(400, "active") + migration(500, "failed"))
    assert manifest["migration"] == {"status": None, "owner": "source", "reason": None}
    assert manifest["import"]["resumed_by"] is None
    kinds = [event["event"] for event in events(tmp_path / "out", "destination")]
    assert kinds == ["migration_state", "migration_state", "run_ended"]


def test_the_time_policy_is_either_unless_one_is_asked_for(tmp_path: Path) -> None:
    assert imported(tmp_path, SOURCE, DESTINATION)["judge"]["time_policy"] is None
    again = import_qemu(
        tmp_path / "source.log", tmp_path / "destination.log", tmp_path / "again", Wanted(HZ, time_policy="advance")
    )
    assert again["judge"]["time_policy"] == "advance"


def test_a_frozen_guest_was_watched_for_as_long_as_the_run_toml_says(tmp_path: Path) -> None:
    """The destination logs nothing after its start; that it was watched for 2 s makes an interrupt missing."""
    toml = saved(tmp_path / "run.toml", "ran_on_destination_after_s = 2")
    imported(tmp_path, SOURCE, reset(300) + runs(1_000), run_toml=toml)
    assert events(tmp_path / "out", "destination")[-1]["t_ns"] == 1_000_000 + 2_000_000_000


CAPTURE = CAPTURES / "q100-g3beige-live-fixed"


@settings(max_examples=25)
@given(st.data())
def test_mutilated_logs_end_in_a_whole_directory_or_in_none(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    directory = tmp_path_factory.mktemp("mutilated")
    for side in ("source", "destination"):
        whole = gzip.decompress((CAPTURE / f"{side}.log.gz").read_bytes())
        begin = data.draw(st.integers(0, len(whole)))
        end = data.draw(st.integers(begin, len(whole)))
        text = bytearray(whole[begin:end])
        for place in data.draw(st.lists(st.integers(0, len(text)), max_size=20)):
            text[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
        (directory / f"{side}.log").write_bytes(text)
    out = directory / "out"
    try:
        import_qemu(directory / "source.log", directory / "destination.log", out, Wanted(16_600_000))
    except LivemigError:
        assert not out.exists()
    else:
        for side in ("source", "destination"):
            times = [event["t_ns"] for event in events(out, side)]
            assert times == sorted(times)
            assert times[0] >= 0
    assert not [path for path in directory.iterdir() if path.name.startswith(".")]


# ── what is the host's, and what the destination's ──


@pytest.mark.parametrize(("given", "tolerance"), [(None, 30_000_000), (5_000_000, 5_000_000)])
def test_the_host_is_excused_as_late_as_it_was_before_the_migration(
    tmp_path: Path, given: int | None, tolerance: int
) -> None:
    """Due at 229 and raised 30 ms later; then the migration begins, and what is raised 80 ms late is not excused."""
    late = raised(30_229) + handler(30_240, 30_230, -30_005, 100) + migration(30_250, "setup")
    source = reset(0) + runs(10) + write(20, -11, 100) + raised(121) + handler(125, 115, -6, 100) + late
    source += raised(110_344) + handler(110_350, 110_340, -80_010, 100) + stops(110_360)
    manifest = imported(tmp_path, source, DESTINATION, late_tolerance_ns=given)
    assert manifest["judge"]["late_tolerance_ns"] == tolerance


def test_a_host_that_was_not_late_is_excused_for_what_any_host_may_be(tmp_path: Path) -> None:
    assert imported(tmp_path, SOURCE, DESTINATION)["judge"]["late_tolerance_ns"] == 20_000_000


def test_a_destination_s_timebase_may_tick_at_another_known_frequency(tmp_path: Path) -> None:
    """The guest reads 5,000,000 ticks in 200 ms. Of the due times on the destination each is of those."""
    reads = tb(1_010, 1) + tb(201_010, 5_000_001) + write(201_020, 0, 2_500) + raised(201_121)
    manifest = imported(tmp_path, SOURCE, reset(300) + runs(1_000) + reads)
    assert manifest["import"]["destination_timebase_hz"] == 25_000_000
    armed = [event for event in events(tmp_path / "out", "destination") if event["event"] == "timer_armed"]
    assert armed[-1]["deadline_ns"] == 1000 * (201_020 + 100)


def test_an_integer_of_the_run_toml_beyond_64_bits_is_kept_as_text(tmp_path: Path) -> None:
    toml = saved(tmp_path / "run.toml", f"tb_change = {-(1 << 64)}\n")
    manifest = imported(tmp_path, SOURCE, DESTINATION, run_toml=toml)
    assert manifest["facts"] == {"tb_change": "-18446744073709551616"}
