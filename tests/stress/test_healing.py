"""First faults, then healed: the migration must then end, and a campaign says so where it does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from livemig.launch import in_process
from livemig.stress.healing import healed, owed_ns, unfinished
from livemig.stress.order import Order, plan_of
from livemig.stress.scenario import Scenario
from livemig.stress.trial import UNFINISHED, attempt
from livemig.timers.ticks import NEVER

CAMPAIGN = str(Path(__file__).parents[2] / "configs" / "stress-small.toml")
MS = 1_000_000
BLACK_HOLE: dict[str, Any] = {
    "machine.ram": "1MiB",
    "guest.kind": "periodic",
    "guest.memory.dirty_rate": "0B/s",
    "migration.start": "200ms",
    "fault.timeout.enabled": True,
    "fault.timeout.direction": "to-source",
}


def scenario(**more: Any) -> Scenario:
    return Scenario({}, healed({**BLACK_HOLE, **{key.replace("__", "."): value for key, value in more.items()}}))


def test_every_fault_of_the_link_ends_and_there_is_time_after_it() -> None:
    settings = healed({"fault.stall.enabled": True, "fault.stall.before": "hello", "fault.kill.enabled": True})
    assert settings["fault.stall.stop"] == "1s"
    assert "fault.kill.stop" not in settings
    assert (settings["run.duration"], settings["migration.peer_timeout"]) == ("10s", "1s")


def test_by_when_it_must_have_ended_by_hand() -> None:
    """Healed at 1 s; 1 MiB three times over 1 Gbit/s, 8,388,608 ns each; 20 trips of 200 µs; three times 1.2 s of
    patience; the default downtime; and a second."""
    config = scenario(link__return_latency="100us").config("-")
    trips = 20 * 200_000
    assert owed_ns(config) == 1000 * MS + 3 * 8_388_608 + trips + 3600 * MS + config.migration.downtime + 1000 * MS


@pytest.mark.parametrize(
    "more",
    [
        {"fault.timeout.stop": "0ns"},
        {"fault.kill.enabled": True},
        {"guest.memory.dirty_rate": "64MiB/s"},
        {"migration.postcopy_ram": True, "migration.recover_after": "0ns"},
    ],
    ids=["never healed", "killed", "writes faster than it is sent", "waits for an operator"],
)
def test_nothing_is_owed_where_nothing_can_be(more: dict[str, Any]) -> None:
    settings = {**scenario().settings, **more}
    assert owed_ns(Scenario({}, settings).config("-")) is None


@pytest.mark.parametrize(
    ("status", "reason", "owes"),
    [
        ("completed", "", False), ("failed", "the peer said nothing", False), ("cancelled", "asked for", False),
        ("active", "", True), ("postcopy-paused", "", True), ("failed", "not complete within run.duration", True),
    ],
)  # fmt: skip
def test_what_has_ended(status: str, reason: str, owes: bool) -> None:
    config = scenario().config("-")
    assert unfinished(config, status, reason) == owes
    short = Scenario({}, {**scenario().settings, "run.duration": "5s"}).config("-")
    assert not unfinished(short, status, reason)


@pytest.mark.parametrize("before", ["welcome", "loaded"])
def test_a_source_that_would_wait_for_ever_is_found(before: str, monkeypatch: pytest.MonkeyPatch) -> None:
    cut_off = scenario(fault__timeout__before=before)
    assert UNFINISHED not in attempt(cut_off, "-").failed
    monkeypatch.setattr(in_process._Pair, "_patience_ends", lambda self, side: NEVER)
    assert UNFINISHED in attempt(cut_off, "-").failed


def test_a_healed_campaign_ends_every_migration() -> None:
    plan, _ = plan_of(Order(CAMPAIGN, seed=3, heal=True))
    owed = 0
    for number in range(30):
        _, config = plan.drawn(number)
        due = owed_ns(config)
        owed += due is not None and due <= config.run.duration
        assert plan.attempt([number])[0].failed == ()
    assert owed > 20
