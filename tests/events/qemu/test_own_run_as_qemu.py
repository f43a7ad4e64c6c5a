"""A run of livemig's, exported as QEMU would have traced it and imported again, is judged as it was."""

from __future__ import annotations

from dataclasses import astuple
from pathlib import Path

import pytest
from as_qemu import export
from pure_pair import run_pure

from livemig.analysis.judge import judge
from livemig.analysis.result import Result
from livemig.config.model import Config
from livemig.events.qemu.importing import Wanted, import_qemu
from livemig.launch import run_directory

HZ = 16_600_000


def scenario(strategy: str) -> Config:
    return Config.model_validate(
        {
            "run": {"duration": "3s"},
            "machine": {"cpus": 2, "ram": "1MiB"},
            # nothing falls due in the blackout: what QEMU logs of a negative value that is restored is its own affair
            "guest": {"kind": "periodic", "periodic": {"period": "100ms"}},
            "migration": {"strategy": strategy, "start": "510ms", "downtime": "20ms"},
        }
    )


def both(strategy: str, tmp_path: Path) -> tuple[Result, Result]:
    """The verdict on the run itself, and on its exported and imported form."""
    config, own = scenario(strategy), tmp_path / "own"
    own.mkdir()
    run_pure(config, own)
    ended = {"status": "completed", "owner": "destination", "reason": ""}
    run_directory.write(own, {**run_directory.manifest(config, "-"), "complete": True, "migration": ended})
    source, destination = export(own, tmp_path)
    observed = tmp_path / "run.toml"
    observed.write_text('machine = "g3beige"\nvcpus = 2\nran_on_destination_after_s = 2.4\n')
    import_qemu(source, destination, tmp_path / "imported", Wanted(HZ, observed, 1_000_000, "advance"))
    return judge(own), judge(tmp_path / "imported")


def figures(result: Result) -> dict[str, object]:
    interrupts = result.interrupts
    return {
        "delivered": interrupts.delivered,
        "late": interrupts.late,
        "lost": interrupts.lost,
        "doubled": interrupts.doubled,
        "by cpu": [(tally.delivered, tally.lost) for tally in result.cpus],
        "decr": [(cpu.at_stop, cpu.at_resume) for cpu in result.decrementer if cpu.at_resume is not None][:1],
    }


@pytest.mark.parametrize("strategy", ["none", "absolute", "tb-offset"])
def test_the_same_figures_and_the_same_checks_fail(strategy: str, tmp_path: Path) -> None:
    own, imported = both(strategy, tmp_path)
    assert figures(imported) == figures(own)
    # QEMU's log tells microseconds
    for ours, theirs in zip(astuple(own.timebase)[1:3], astuple(imported.timebase)[1:3], strict=True):
        assert abs(ours - theirs) <= HZ // 1_000_000 + 1
    failed = {name for name, verdict in own.checks.items() if verdict.word == "invalid"}
    assert {name for name, verdict in imported.checks.items() if verdict.word == "invalid"} == failed
    assert imported.verdict == own.verdict
    assert own.inference is not None
    assert imported.inference is not None
    assert imported.inference.strategy == own.inference.strategy == strategy
