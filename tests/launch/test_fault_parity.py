"""One scenario file, both ways: in virtual time, in one loop, and in wall time, by two processes over a real socket, on
which the faults are real. The judge comes to the same verdict."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest

from livemig.config.load import load
from livemig.launch.scenario import run_scenario

pytestmark = [pytest.mark.wall, pytest.mark.slow]

SCENARIO = """
[run]
duration = "900ms"
[machine]
cpus = 2
ram = "1MiB"
[guest]
kind = "periodic"
[guest.periodic]
period = "10ms"
[guest.memory]
dirty_rate = "256KiB/s"
[migration]
start = "150ms"
downtime = "60ms"
peer_timeout = "250ms"
[checks]
late_tolerance = "60ms"
"""
# the tolerance is for hosts that have other work: what is late by more than that is late in both

CASES: dict[str, dict[str, Any]] = {
    "latency": {"latency": {"enabled": True, "latency": "15ms", "jitter": "5ms", "distribution": "normal"}},
    "bandwidth": {"bandwidth": {"enabled": True, "rate": "40Mbit/s"}},
    "bandwidth too low": {"bandwidth": {"enabled": True, "rate": "1Mbit/s"}},
    "slicer": {"slicer": {"enabled": True, "average_size": "16KiB", "delay": "200us"}},
    "stall before switchover": {"stall": {"enabled": True, "before": "switchover", "duration": "250ms"}},
    "corrupt snapshot": {"corrupt": {"enabled": True, "before": "snapshot"}},
    "corrupt pages": {"corrupt": {"enabled": True, "before": "pages", "direction": "to-destination"}},
    "reset": {"reset_peer": {"enabled": True, "before": "snapshot"}},
    "reset, heard of late": {
        "reset_peer": {"enabled": True, "before": "snapshot"}, "slow_close": {"enabled": True, "delay": "100ms"},
    },
    "reset after switchover": {"reset_peer": {"enabled": True, "before": "resumed", "timeout": "0ms"}},
    "black hole": {"timeout": {"enabled": True, "before": "snapshot"}},
    "black hole that closes": {"timeout": {"enabled": True, "before": "loaded", "timeout": "100ms"}},
    "so many bytes": {"limit_data": {"enabled": True, "bytes": "100KiB", "direction": "to-destination"}},
    "clock step": {"clock_step": {"enabled": True, "side": "destination", "at": "10ms", "by": "200ms"}},
    "clock drift": {"clock_drift": {"enabled": True, "side": "destination", "at": "10ms", "ppm": 100_000}},
    "pause of the source": {"pause": {"enabled": True, "at": "50ms", "duration": "80ms"}},
    "pause of the destination": {
        "pause": {"enabled": True, "side": "destination", "at": "500ms", "duration": "100ms"},
    },
    "steal": {"steal": {"enabled": True, "at": "20ms", "duration": "500ms", "percent": 40, "period": "100ms"}},
    "kill of the source, early": {"kill": {"enabled": True, "at": "60ms"}},
    "kill of the destination, early": {"kill": {"enabled": True, "side": "destination", "at": "20ms"}},
    "kill of the destination, late": {"kill": {"enabled": True, "side": "destination", "at": "800ms"}},
    "a destination that is killed and started again": {
        "kill": {"enabled": True, "side": "destination", "at": "200ms"},
        "restart": {"enabled": True, "after": "50ms"},
        "stall": {"enabled": True, "before": "snapshot", "duration": "150ms", "direction": "to-destination"},
    },
    "duplicate": {"duplicate": {"enabled": True, "at": "100ms"}},
    "clock skew": {},
    "tick counters of two frequencies": {},
    "timebases of two frequencies": {},
    "interrupts masked for long": {},
    "all deadlines at one instant": {},
    "watchdog short of the downtime": {},
    "dirty burst": {"dirty_burst": {"enabled": True, "at": "100ms", "duration": "100ms", "rate": "64MiB/s"}},
}  # fmt: skip
ACROSS = [
    "stall before switchover", "corrupt snapshot", "black hole", "so many bytes", "kill of the destination, early",
    "a destination that is killed and started again", "duplicate", "pause of the source", "clock step",
]  # fmt: skip
"""One of each kind; docs/faults.md says where all were run."""
MORE = {
    "clock drift": ["migration.start=700ms", "run.duration=2s"],  # 10 % of 0.75 s are more than the tolerance
    "kill of the destination, early": ["migration.start=500ms"],  # well before it could be connected to
    "clock skew": ["host.clock_skew=200ms"],
    "tick counters of two frequencies": ["host.source.tick_hz=1GHz", "host.destination.tick_hz=2.4GHz",
                                         "host.destination.tick_origin=98765"],
    "timebases of two frequencies": ["migration.frequency_policy=convert", "host.destination.timebase_hz=25MHz"],
    "interrupts masked for long": ["guest.masked_every=200ms", "guest.masked_for=120ms"],
    "all deadlines at one instant": ["machine.cpus=4", "guest.boot_interval=0ns"],
    "watchdog short of the downtime": [  # 2^21 ticks are 63 ms, three of which it takes to bite
        "machine.model=ppc405", "guest.kind=embedded", "guest.embedded.period=20ms", "guest.embedded.watchdog_bit=20",
        "migration.downtime=300ms",
    ],
}  # fmt: skip
TRANSPORT = {"latency": "tls", "slicer": "tcp", "reset": "tcp", "corrupt pages": "tls", "duplicate": "tcp"}


def told(tmp_path: Path, name: str, clock: str, across: bool = False) -> tuple[Any, ...]:
    """Verdict, failed checks, status and owner; and which faults acted. ``across``: two network namespaces."""
    scenario = tmp_path / "scenario.toml"
    tables = orjson.dumps
    lines = [SCENARIO]
    for fault, keys in CASES[name].items():
        lines += [f"[fault.{fault}]", *(f"{key} = {tables(value).decode()}" for key, value in keys.items())]
    scenario.write_text("\n".join(lines))
    overrides = [f"run.clock={clock}", f"migration.transport={TRANSPORT.get(name, 'unix') if not across else 'tcp'}"]
    overrides += MORE.get(name, [])
    out = tmp_path / (clock + "-across" * across)
    netns = (lambda lacks: None) if across else None
    result = run_scenario(load(scenario, overrides), str(scenario), out, netns=netns)
    failed = sorted(check for check, verdict in result.checks.items() if verdict.word == "invalid")
    events = [
        orjson.loads(line)
        for side in ("source", "destination")
        if (out / f"{side}.jsonl").exists()
        for line in (out / f"{side}.jsonl").read_bytes().splitlines()
        if b'"fault_injected"' in line
    ]
    acted = {event["fault"] for event in events}
    return result.verdict, failed, result.migration.status, result.migration.owner, acted


@pytest.mark.parametrize("name", CASES)
def test_the_verdict_is_the_same_in_virtual_and_in_wall_time(name: str, tmp_path: Path) -> None:
    virtual, wall = told(tmp_path, name, "virtual"), told(tmp_path, name, "wall")
    assert virtual == wall
    assert virtual[-1] >= {fault for fault in CASES[name] if fault not in ("slow_close", "dirty_burst")}


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("tc") is None, reason="network namespaces need root, ip and tc")
@pytest.mark.parametrize("name", ACROSS)
def test_and_across_a_kernels_network_stack(name: str, tmp_path: Path) -> None:
    assert told(tmp_path, name, "wall", across=True) == told(tmp_path, name, "virtual")


def test_one_side_alone_refuses_faults_that_need_both_in_virtual_time(tmp_path: Path) -> None:
    scenario = tmp_path / "scenario.toml"
    scenario.write_text(SCENARIO)
    line = [sys.executable, "-m", "livemig", "source", str(scenario), "--connect", "unix:/nowhere"]
    line += ["--out", str(tmp_path / "out"), "--set", "fault.stall.enabled=true"]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    said = "livemig: source: fault.stall in virtual time needs both sides: `livemig run`, or --clock wall\n"
    assert done.stderr == said
    assert not (tmp_path / "out").exists()
