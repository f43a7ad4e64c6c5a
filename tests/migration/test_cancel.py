"""A migration that was cancelled, at whatever state: the source's timers are as if none had ever been asked for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from judged_pair import events, run_judged

from livemig.analysis.judge import judge
from livemig.config.load import validated
from livemig.config.model import Config

MS = 10**6


def config(**migration: Any) -> Config:
    return validated(
        {
            "run": {"duration": "1s"},
            "machine": {"cpus": 3, "ram": "4MiB"},
            "guest": {"masked_every": "7ms", "masked_for": "2ms", "memory": {"dirty_rate": "40MiB/s"}},
            "migration": {"start": "200ms", "downtime": "60ms", "downtime_limit": "2ms", **migration},
            "link": {"latency": "3ms"},
        },
        "test",
    )


def states(directory: Path, side: str = "source") -> dict[str, int]:
    return {event["status"]: event["t_ns"] for event in events(directory, "migration_state", side=side)}


@pytest.fixture(scope="module")
def timeline(tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    """When each status is entered if nobody cancels."""
    directory = tmp_path_factory.mktemp("uncancelled")
    assert run_judged(config(), directory).verdict == "valid"
    return states(directory)


@pytest.mark.parametrize(
    ("status", "after"),
    [("setup", MS), ("active", 1), ("active", 11 * MS), ("device", 1), ("device", 2 * MS), ("device", 50 * MS)],
)
def test_cancelled_at_any_state_the_guest_goes_on_as_if_nobody_had_asked(
    status: str, after: int, timeline: dict[str, int], tmp_path: Path
) -> None:
    at = timeline[status] + after
    result = run_judged(config(cancel_at=f"{at}ns"), tmp_path)
    assert [name for name, check in result.checks.items() if check.word == "invalid"] == []
    assert (result.migration.status, result.migration.owner) == ("cancelled", "source")
    assert result.checks["as_if_never_migrated"].word == "valid"
    assert result.checks["no_interrupt_lost"].word == "valid"
    said = states(tmp_path)
    assert (said["cancelling"], said["cancelled"]) == (at, at)
    order = [e.get("status", "resumed") for e in events(tmp_path, "migration_state", "machine_resumed")]
    stopped = status == "device"
    assert order[order.index("cancelling") :] == ["cancelling", *["resumed"] * stopped, "cancelled"]
    if status != "setup":
        assert states(tmp_path, "destination")["cancelled"] >= at + 3 * MS
    if not stopped:  # to the last byte what the twin did
        guest = ("timer_armed", "interrupt", "interrupt_masked", "interrupt_coalesced")
        twin = [json.loads(line) for line in (tmp_path / "twin.jsonl").open()]
        assert events(tmp_path, *guest) == [event for event in twin if event["event"] in guest]


def test_after_the_switchover_it_is_too_late(timeline: dict[str, int], tmp_path: Path) -> None:
    result = run_judged(config(cancel_at=f"{timeline['device'] + 58 * MS}ns"), tmp_path)
    assert (result.verdict, result.migration.status) == ("valid", "completed")
    assert result.migration.owner == "destination"
    assert "as_if_never_migrated" not in result.checks


def spoil(directory: Path, what: Any) -> str:
    """Change the events of the source's log and judge again; gives the verdict on `as_if_never_migrated`."""
    path = directory / "source.jsonl"
    lines = [json.loads(line) for line in path.open()]
    what(lines)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    verdict = judge(directory).checks["as_if_never_migrated"]
    return f"{verdict.word}: {verdict.reason}"


def test_a_guest_that_is_not_as_it_would_have_been_is_seen(timeline: dict[str, int], tmp_path: Path) -> None:
    device = timeline["device"]
    for name, at in (("running", timeline["active"] + MS), ("stopped", device + 30 * MS)):
        run_judged(config(cancel_at=f"{at}ns"), tmp_path / name)

    def drops_an_interrupt(lines: list[dict[str, Any]]) -> None:
        lines.remove(next(line for line in lines if line["event"] == "interrupt" and line["t_ns"] > 500 * MS))

    def sets_tb_back(lines: list[dict[str, Any]]) -> None:
        resume = next(line for line in lines if line["event"] == "machine_resumed" and line["t_ns"] > device)
        resume["tb"] -= 498_000  # the 30 ms that the guest stood still, at 16.6 MHz
        resume["cpu_tb"] = [tb - 498_000 for tb in resume["cpu_tb"]]

    def forgets_decr(lines: list[dict[str, Any]]) -> None:
        resume = next(line for line in lines if line["event"] == "machine_resumed" and line["t_ns"] > device)
        resume["decr"][2] += 498_000

    assert spoil(tmp_path / "running", drops_an_interrupt).startswith("invalid: before any stop")
    original = (tmp_path / "stopped/source.jsonl").read_text()
    assert spoil(tmp_path / "stopped", sets_tb_back) == "invalid: TB goes on 498,000 ticks off"
    (tmp_path / "stopped/source.jsonl").write_text(original)
    assert "DECR does not go on as it was; first on cpu 2" in spoil(tmp_path / "stopped", forgets_decr)


@pytest.mark.parametrize(("policy", "passes_ms"), [("advance", 25), ("freeze", 0), ("advance-at-most:10ms", 10)])
def test_a_guest_that_stays_gets_the_time_that_the_policy_says(
    policy: str, passes_ms: int, timeline: dict[str, int], tmp_path: Path
) -> None:
    """Cancelled 25 ms after the stop, at 16.6 MHz."""
    result = run_judged(config(time_policy=policy, cancel_at=f"{timeline['device'] + 25 * MS}ns"), tmp_path)
    stopped, resumed = events(tmp_path, "machine_stopped", "machine_resumed")[1:]
    assert resumed["t_ns"] - stopped["t_ns"] == 25 * MS
    ticks = passes_ms * 16_600
    assert resumed["tb"] - stopped["tb"] in (ticks, ticks + 1)  # by where in a tick it was
    assert [stopped["decr"][cpu] - resumed["decr"][cpu] for cpu in range(3)] == [resumed["tb"] - stopped["tb"]] * 3
    assert [name for name, check in result.checks.items() if check.word == "invalid"] == []
