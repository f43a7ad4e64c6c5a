"""A connection of their own for pages that a CPU waits for: on any transport, beside several channels, taken up again.

Two real processes, as ``livemig run`` starts them.
"""

from __future__ import annotations

from dataclasses import replace
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
from livemig.migration.destination import Destination
from livemig.migration.frames import Frame

PREEMPT = {"postcopy_ram": True, "postcopy_start": 0, "downtime_limit": "1ms", "postcopy_preempt": True}
LINK = {"bandwidth": "100Mbit/s", "latency": "200us"}
CUT = {"cut_at": "300ms"}


def config(clock: str = "virtual", link: dict[str, Any] | None = None, **migration: Any) -> Config:
    values = {
        "run": {"duration": "2s", "clock": clock},
        "machine": {"cpus": 2, "ram": "4MiB"},
        "guest": {"kind": "periodic", "memory": {"dirty_rate": "8MiB/s", "filled_percent": 100}},
        "migration": {"start": "100ms", "downtime": "60ms", **PREEMPT, **migration},
        "link": {**LINK, **(link or {})},
    }
    return validated(values, "test")


def run(made: Config, directory: Path) -> Result:
    run_scenario(made, "test", directory)
    result = judge(directory)
    for name in ("ram_identical", "one_owner", "no_interrupt_lost"):
        assert result.checks[name].word == "valid", (name, result.checks[name], result.migration)
    assert result.migration.status == "completed"
    return result


@pytest.mark.parametrize(
    ("transport", "channels", "recover"),
    [("unix", 0, False), ("tcp", 0, True), ("unix", 2, True), ("tls", 2, False)],
)
def test_in_virtual_time_the_logs_are_those_of_one_loop_without_a_wire(
    tmp_path: Path, transport: str, channels: int, recover: bool
) -> None:
    more: dict[str, Any] = {"recover_after": "50ms"} if recover else {}
    made = config(link=CUT if recover else None, transport=transport, multifd_channels=channels, **more)
    result = run(made, tmp_path / "run")
    assert result.postcopy is not None
    assert result.postcopy["preempted"] > 0
    (tmp_path / "pure").mkdir()
    run_pure(made, tmp_path / "pure")
    for side in ("source", "destination"):
        assert (tmp_path / f"run/{side}.jsonl").read_bytes() == (tmp_path / f"pure/{side}.jsonl").read_bytes()


@pytest.mark.wall
@pytest.mark.parametrize(
    ("transport", "channels", "recover"),
    [("unix", 0, False), ("unix", 2, True), ("tcp", 0, True), ("tls", 0, False), ("tls", 2, True)],
)
def test_in_wall_time_every_page_comes_once_by_one_or_the_other(
    tmp_path: Path, transport: str, channels: int, recover: bool
) -> None:
    more: dict[str, Any] = {"recover_after": "50ms"} if recover else {}
    link = {"cut_at": "350ms", "bandwidth": "30Mbit/s"} if recover else None
    result = run(config("wall", link, transport=transport, multifd_channels=channels, **more), tmp_path / "run")
    told = result.postcopy
    assert told is not None
    assert told["pages"] == 1024
    assert 0 < told["preempted"] <= told["requests"]
    said = [event["status"] for event in events(tmp_path / "run", "migration_state")]
    assert ("postcopy-paused" in said) == recover


@pytest.mark.wall
def test_beside_a_push_that_fills_the_line_a_cpu_waits_less_with_it_than_without(tmp_path: Path) -> None:
    """A pushed frame is 10 ms of the line: without, a page waits for the rest of one, with, for its own 1.1 ms and two
    trips. The host adds to both."""
    typical: dict[bool, int] = {}
    for preempt in (False, True):
        link = {"bandwidth": "30Mbit/s"}
        result = run(config("wall", link, postcopy_preempt=preempt), tmp_path / f"{preempt}")
        assert result.postcopy is not None
        assert (result.postcopy["preempted"] > 0) == preempt
        came = events(tmp_path / f"{preempt}", "page_arrived", side="destination")
        stood = sorted(event["wait_ns"] for event in came)
        typical[preempt] = stood[len(stood) // 2]
    assert typical[True] < typical[False] * 3 // 4, typical


def test_both_sides_must_want_it(tmp_path: Path) -> None:
    right = Destination.receive

    def without(self: Destination, now: int, frame: Frame) -> None:
        self.settings = replace(self.settings, postcopy=replace(self.settings.postcopy, preempt=False))
        right(self, now, frame)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Destination, "receive", without)
        run_scenario(config(), "test", tmp_path / "run")
    result = judge(tmp_path / "run")
    assert (result.migration.status, result.migration.owner) == ("failed", "source")
    assert "postcopy-preempt is on at the source and off here" in result.migration.reason
