"""Capabilities that meet on the wire: zstd, several channels, postcopy, a link that breaks, any transport, both clocks.

Two real processes, as ``livemig run`` starts them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from judged_pair import events
from pure_pair import run_pure

from livemig.analysis.judge import judge
from livemig.analysis.result import Result
from livemig.config.load import validated
from livemig.config.model import Config
from livemig.launch.scenario import run_scenario

GUEST = {"kind": "periodic", "memory": {"dirty_rate": "8MiB/s", "filled_percent": 100}}
MIGRATION = {"start": "100ms", "downtime": "60ms", "downtime_limit": "30ms"}
POSTCOPY = {"postcopy_ram": True, "postcopy_start": 0, "downtime_limit": "1ms"}


def config(clock: str = "virtual", link: dict[str, Any] | None = None, **migration: Any) -> Config:
    values = {
        "run": {"duration": "2s", "clock": clock},
        "machine": {"cpus": 2, "ram": "4MiB"},
        "guest": GUEST,
        "migration": {**MIGRATION, **migration},
        "link": {"bandwidth": "100Mbit/s", "latency": "200us", **(link or {})},
    }
    return validated(values, "test")


def run(made: Config, directory: Path) -> Result:
    run_scenario(made, "test", directory)
    result = judge(directory)
    wrong = {name: check for name, check in result.checks.items() if check.word == "invalid"}
    wrong.pop("blackout_as_configured", None)  # in wall time the host's affair
    wrong.pop("lateness_bounded", None)
    assert not wrong
    assert result.checks["ram_identical"].word == "valid", result.migration
    assert result.checks["one_owner"].word == "valid"
    assert result.migration.status == "completed"
    return result


@pytest.mark.parametrize("clock", ["virtual", pytest.param("wall", marks=pytest.mark.wall)])
@pytest.mark.parametrize("transport", ["unix", "tcp", "tls"])
def test_compressed_pages_go_by_several_channels(tmp_path: Path, transport: str, clock: str) -> None:
    run(config(clock, transport=transport, compression="zstd", multifd_channels=3), tmp_path / "run")
    passes = events(tmp_path / "run", "migration_pass")
    pages = sum(each["encoded_pages"] for each in passes)
    assert pages >= 1024
    assert sum(each["bytes"] for each in passes) < pages * 4096 // 4  # a word or two in a page of zeros


@pytest.mark.parametrize("recover", [False, True])
def test_postcopy_beside_several_channels_is_what_it_is_with_one(tmp_path: Path, recover: bool) -> None:
    """With one loop and no wire at all, to the last byte; also where the link breaks and is made anew."""
    more: dict[str, Any] = {"recover_after": "50ms"} if recover else {}
    made = config(link={"cut_at": "250ms"} if recover else None, multifd_channels=2, **POSTCOPY, **more)
    result = run(made, tmp_path / "run")
    assert result.postcopy is not None
    (tmp_path / "pure").mkdir()
    run_pure(made, tmp_path / "pure")
    for side in ("source", "destination"):
        assert (tmp_path / f"run/{side}.jsonl").read_bytes() == (tmp_path / f"pure/{side}.jsonl").read_bytes()


@pytest.mark.wall
@pytest.mark.parametrize("channels", [0, 2])
@pytest.mark.parametrize("recover", [False, True])
def test_postcopy_in_wall_time(tmp_path: Path, channels: int, recover: bool) -> None:
    """The link breaks as soon as the guest can have been handed over; blocktime is in the result, per CPU."""
    more: dict[str, Any] = {"recover_after": "50ms"} if recover else {}
    link = {"cut_at": "350ms", "bandwidth": "30Mbit/s"} if recover else None
    result = run(config("wall", link, multifd_channels=channels, **POSTCOPY, **more), tmp_path / "run")
    assert result.postcopy is not None
    assert result.postcopy["pages"] == 1024
    assert len(result.postcopy["vcpu_blocktime_ns"]) == 2
    said = [event["status"] for event in events(tmp_path / "run", "migration_state")]
    assert ("postcopy-paused" in said) == recover
