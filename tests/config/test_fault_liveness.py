"""Every key of [fault] does something: turning it changes what is logged."""

from __future__ import annotations

from pathlib import Path

import pytest

from livemig.config.keys import leaves, tables
from livemig.config.model import Config
from livemig.launch.in_process import run_in_process
from livemig.stress.scenario import Scenario

BASE = {
    "run": {"duration": "400ms"},
    "machine": {"ram": "1MiB"},
    "migration": {"start": "100ms", "downtime": "30ms"},
    "guest": {"memory": {"dirty_rate": "20MiB/s"}},
}
OF_LINK = {"direction": "to-source", "start": "110ms", "stop": "102ms", "before": "switchover", "toxicity": 30}
OF_SIDE = {"side": "destination", "at": "103ms"}

# what each fault is given in every run of its own, and for each of its own keys another value
KINDS: dict[str, tuple[dict[str, object], dict[str, object]]] = {
    "latency": (
        {"latency.jitter": "3ms"},
        {**OF_LINK, "latency": "7ms", "jitter": "9ms", "distribution": "pareto", "correlation": 80},
    ),
    "bandwidth": ({}, {**OF_LINK, "rate": "20Mbit/s"}),
    "slow_close": ({"reset_peer.enabled": True, "reset_peer.start": "105ms"}, {**OF_LINK, "delay": "2ms"}),
    "timeout": ({"timeout.start": "105ms"}, {**OF_LINK, "stop": "104ms", "toxicity": 3, "timeout": "1ms"}),
    "reset_peer": (
        {"reset_peer.before": "pages"},
        {**OF_LINK, "stop": "99ms", "before": "loaded", "toxicity": 3, "timeout": "3ms"},
    ),
    "slicer": ({}, {**OF_LINK, "average_size": "1KiB", "delay": "7us"}),
    "limit_data": ({}, {**OF_LINK, "bytes": "100KiB"}),
    "stall": ({"stall.start": "101ms"}, {**OF_LINK, "duration": "7ms"}),
    "corrupt": ({"corrupt.start": "100ms"}, {**OF_LINK, "stop": "99ms"}),
    "clock_step": ({"clock_step.at": "105ms"}, {**OF_SIDE, "by": "5ms"}),
    "clock_drift": ({"clock_drift.at": "105ms"}, {**OF_SIDE, "ppm": 700}),
    "pause": ({"pause.at": "105ms"}, {**OF_SIDE, "duration": "9ms"}),
    "steal": ({"steal.at": "105ms"}, {**OF_SIDE, "duration": "12ms", "percent": 45, "period": "17ms"}),
    "kill": ({"kill.at": "105ms"}, OF_SIDE),
    "restart": (
        {"kill.enabled": True, "kill.side": "destination", "kill.at": "103ms"}, {"after": "20ms"},
    ),
    "duplicate": ({"duplicate.at": "102ms"}, {"at": "103ms", "count": 2}),
    "dirty_burst": ({}, {"at": "50ms", "duration": "10ms", "rate": "2GiB/s"}),
}
CASES = [(kind, key) for kind, (_, keys) in KINDS.items() for key in ("enabled", *keys)]


def logs(tmp_path: Path, name: str, settings: dict[str, object]) -> tuple[bytes, bytes]:
    out = tmp_path / name
    out.mkdir()
    run_in_process(Scenario(BASE, settings).config("-"), out)  # type: ignore[arg-type]
    return (out / "source.jsonl").read_bytes(), (out / "destination.jsonl").read_bytes()


def test_every_key_of_every_fault_is_here() -> None:
    known = {name.removeprefix("fault."): set(leaves(model)) for name, model in tables(Config) if "fault." in name}
    assert {kind: {"enabled", *keys} for kind, (_, keys) in KINDS.items()} == known


@pytest.mark.parametrize(("kind", "key"), CASES, ids=map(".".join, CASES))
def test_turning_it_changes_what_is_logged(kind: str, key: str, tmp_path: Path) -> None:
    given, others = KINDS[kind]
    before = {f"fault.{name}": value for name, value in given.items()}
    if key != "enabled":
        before |= {f"fault.{kind}.enabled": True}
    change = {f"fault.{kind}.{key}": True if key == "enabled" else others[key]}
    assert logs(tmp_path, "before", before) != logs(tmp_path, "after", before | change)
