"""Crosscheck: the model's word for what QEMU restores. Here QEMU's own word is that of captured runs."""

from __future__ import annotations

import gzip
import tomllib
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from livemig.analysis.result import Result
from livemig.cli.main import main
from livemig.config.load import validated
from livemig.config.model import Config
from livemig.launch.prediction import CpuRestored, Rules
from livemig.launch.qemu import crosscheck as module
from livemig.launch.qemu.binary import Binary
from livemig.launch.qemu.crosscheck import Difference, crosscheck, foreseen, last_offset
from livemig.launch.qemu.pair import TOO_SLOW, Crossing
from livemig.launch.qemu.registers import Registers
from livemig.launch.qemu.scenario import QemuRun
from livemig.launch.qemu_versions import Version

CAPTURES = Path(__file__).parents[2] / "fixtures/qemu"
CONFIGS = Path(__file__).parents[3] / "configs"


def standing() -> list[str]:
    """Captures whose TB and DECR were read while both sides stood still."""
    found = []
    for path in sorted(CAPTURES.glob("*/run.toml")):
        measured = tomllib.loads(path.read_text()).get("measured", {})
        if str(measured.get("destination_first_values_read_while")).startswith("stopped"):
            found.append(path.parent.name)
    return found


def captured(name: str, tmp_path: Path) -> tuple[QemuRun, int, dict[str, Any]]:
    facts = tomllib.loads((CAPTURES / name / "run.toml").read_text())
    log = tmp_path / "source.log"
    log.write_bytes(gzip.decompress((CAPTURES / name / "source.log.gz").read_bytes()))
    measured, version = facts["measured"], facts["run"]["qemu_version"]
    there = facts["run"].get("destination_qemu_version", version)
    source, destination = (Binary("qemu", Version.of(each)) for each in (version, there))
    nip, msr = int(measured["source_nip_at_stop"], 16), measured["source_msr_ee_at_stop"] << 15
    stopped = Registers(measured["source_tb_at_stop"], measured["source_decr_at_stop"], nip, msr)
    crossing = Crossing(stopped=[stopped], restored=[], stop_ns=0, resume_ns=int(measured["host_downtime_s"] * 1e9))
    run = QemuRun(cast(Result, None), crossing, source, destination, facts["run"]["timebase_hz"])
    return run, last_offset(log), facts


def test_there_are_captures_to_check_against() -> None:
    assert len(standing()) >= 9


@pytest.mark.parametrize("name", standing())
def test_the_model_says_what_the_captured_qemu_restored_to_the_tick(name: str, tmp_path: Path) -> None:
    run, offset, facts = captured(name, tmp_path)
    config = validated({"machine": {"model": facts["run"]["machine"]}}, "")
    [model] = foreseen(config, run, offset)
    measured = facts["measured"]
    assert (model.tb, model.decr) == (measured["destination_tb_first"], measured["destination_decr_first"])


def test_by_another_rule_it_would_say_something_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, offset, facts = captured("q100-mac99-stopcopy-1s", tmp_path)
    config = validated({"machine": {"model": "mac99"}}, "")
    monkeypatch.setattr(module, "crossing", lambda *versions: (Rules("none", "none"), True))
    [model] = foreseen(config, run, offset)
    assert model.decr != facts["measured"]["destination_decr_first"]
    monkeypatch.setattr(module, "crossing", lambda *versions: (Rules("absolute", "absolute"), True))
    [model] = foreseen(config, run, offset)
    assert model.tb == facts["measured"]["destination_tb_first"] + 25_011_350  # 1.000454 s of 25 MHz


def test_a_qemu_that_sends_no_decr_makes_the_newer_one_load_0(tmp_path: Path) -> None:
    run, offset, _ = captured("q72-mac99-stopcopy-1s", tmp_path)
    newer = QemuRun(run.result, run.crossing, run.source, Binary("qemu", Version(10, 0, 2)), run.timebase_hz)
    [model] = foreseen(validated({"machine": {"model": "mac99"}}, ""), newer, offset)
    assert run.crossing.stopped is not None
    assert (model.tb, model.decr) == (run.crossing.stopped[0].tb // 4, 0)  # 100 MHz there, 25 MHz here


def test_the_last_write_to_tb_counts(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text(
        "1@2.000003:ppc_tb_store tb 0x0000000000000000 offset 0x00000000\n"
        "1@2.000004:ppc_tb_store tb 0x0000000000000005 offset 0xfffffffffffffff0\n"
        "1@2.000005:ppc_tb_load tb 0x0000000000000005\n"
    )
    assert last_offset(log) == (1 << 64) - 16
    log.write_text("")
    assert last_offset(log) == 0


def test_differences_are_signed_and_wrap() -> None:
    one = Difference(0, Registers(0, 0, 0, 0), Registers(3, -5, 0, 0), CpuRestored((1 << 64) - 2, 5, 0, False, None))
    assert (one.tb, one.decr) == (5, -10)
    far = Difference(0, Registers(0, 0, 0, 0), Registers(0, 2**31 - 1, 0, 0), CpuRestored(0, -(2**31), 0, False, None))
    assert far.decr == -1


@pytest.mark.parametrize("times", ["1", "1s,", "2h", "1s 2s"])
def test_downtimes_are_times(times: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["crosscheck", str(CONFIGS / "qemu-mac99.toml"), "--downtimes", times])
    assert end.value.code == 2
    assert "--downtimes" in capsys.readouterr().err


QUICK = {
    "run": {"duration": "600ms"},
    "guest": {"kind": "periodic", "memory": {"filled_percent": 0, "dirty_rate": "0B/s"}},
    "migration": {"start": "100ms", "time_policy": "freeze"},
}


@pytest.mark.qemu
@pytest.mark.slow
@pytest.mark.parametrize("machine", ["g3beige", "mac99", "pseries"])
def test_model_and_the_installed_qemu_agree_to_the_tick(machine: str, tmp_path: Path) -> None:
    ram = "256MiB" if machine == "pseries" else "64MiB"
    config = validated({**QUICK, "machine": {"model": machine, "ram": ram}}, "", ())
    config = config.model_copy(update={"engine": config.engine.model_copy(update={"kind": "qemu"})})
    rows = list(crosscheck(config, "quick.toml", [0, 100_000_000], tmp_path / "out"))
    assert [row.agrees for row in rows] == [True, True]
    assert [row.differences[0].tb for row in rows] == [0, 0]
    assert rows[1].blackout_ns >= 100_000_000
    assert {path.name for path in (tmp_path / "out/00").iterdir()} >= {"qemu", "model"}


@pytest.mark.parametrize(("slow", "runs"), [(0, 1), (1, 2), (9, 3)])
def test_a_host_that_is_too_busy_is_given_twice_the_time_and_twice_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slow: int, runs: int
) -> None:
    ran: list[tuple[str, int]] = []

    def run(config: Config, config_file: str, out: Path) -> Any:
        ran.append((out.name, config.run.duration // 1_000_000))
        return SimpleNamespace(crossing=SimpleNamespace(reason=TOO_SLOW if len(ran) <= slow else ""))

    monkeypatch.setattr(module, "run_qemu", run)
    config, _, out = module._on_qemu(validated(QUICK, "", ()), "quick.toml", tmp_path)
    assert ran == [("qemu", 600), ("qemu-2", 1200), ("qemu-3", 2400)][:runs]
    assert (out.name, config.run.duration // 1_000_000) == ran[-1]


@pytest.mark.qemu
@pytest.mark.slow
def test_the_command_ends_with_1_where_they_differ(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module, "crossing", lambda *versions: (Rules("tb-offset", "tb-offset"), True))
    sets = ["run.duration=600ms", "migration.start=100ms", "guest.memory.filled_percent=0"]
    words = [word for change in sets for word in ("--set", change)]
    config = str(CONFIGS / "qemu-g3beige.toml")
    assert main(["crosscheck", config, "--downtimes", "100ms", "--out", str(tmp_path / "out"), *words]) == 1
    assert "1 of them differ" in capsys.readouterr().out
