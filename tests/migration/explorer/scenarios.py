"""What is explored: small enough to be walked to its end, each with all that one way of migrating can meet."""

from __future__ import annotations

from typing import Any, Final

from explorer.kept import KeptScenario
from explorer.world import Scenario
from livemig.migration.settings import Convergence, Encodings, Postcopy, Settings


def _settings(passes: int = 1, **more: Any) -> Settings:
    """A page a frame; the guest is stopped when nothing is dirty, or after so many passes."""
    return Settings(
        downtime_ns=0, max_passes=passes, advance_at_most_ns=None, chunk_pages=1,
        convergence=Convergence(limit_ns=0), **more,
    )  # fmt: skip


def _postcopy(passes: int, **more: Any) -> Settings:
    preempt, prepaging = more.pop("preempt", False), more.pop("prepaging", 0)
    wanted = Postcopy(enabled=True, passes=passes, promises=False, preempt=preempt, prepaging=prepaging)
    return _settings(postcopy=wanted, **more)


_ALL: Final = (
    Scenario("precopy", _settings(), writes=2, cuts=1, crashes=1, cancels=1),
    Scenario("precopy, three pages", _settings(), pages=3, writes=1, cuts=1),
    Scenario(
        "pause before switchover", _settings(pause_before_switchover=True), writes=1, cuts=1, crashes=1, cancels=1
    ),
    Scenario("deltas", _settings(2, encodings=Encodings(xbzrle=True, cache_size=8192)), writes=2, cuts=1),
    Scenario("two channels", _settings(), writes=2, cuts=1, channels=2),
    Scenario("postcopy", _postcopy(0), touches=1, cuts=1, crashes=1, cancels=1),
    Scenario("postcopy, written to", _postcopy(0), writes=1, touches=1, cuts=1),
    Scenario("postcopy, cut twice", _postcopy(0), touches=1, cuts=2),
    Scenario("postcopy, three pages", _postcopy(0), pages=3, touches=1, cuts=1),
    Scenario("postcopy, both crash", _postcopy(0), cuts=1, crashes=2),
    Scenario("postcopy after a pass", _postcopy(1), writes=2, cuts=1),
    Scenario("postcopy when asked", _postcopy(1, pause_before_switchover=True), writes=1, cuts=1, postcopies=1),
    Scenario("postcopy, two CPUs", _postcopy(0), cpus=2, touches=2, cuts=1),
    Scenario("postcopy, preempt", _postcopy(0, preempt=True), cpus=2, touches=2, cuts=1),
    Scenario("two hops", _settings(), writes=1, cuts=1, crashes=1, cancels=1, hops=2),
    Scenario("three hops", _settings(), writes=1, cuts=1, hops=3),
    Scenario("postcopy, prepaging", _postcopy(0, prepaging=2), pages=3, touches=1),
)
SCENARIOS: Final = {scenario.name: scenario for scenario in _ALL}
FILES: Final = {
    scenario.name: scenario
    for scenario in (
        KeptScenario("a file", _settings(), writes=1, cancels=1, faults=2, restores=0),
        KeptScenario("a file, restored", _settings(), writes=1, cancels=1, faults=1, restores=1),
        KeptScenario("a file, restored twice", _settings(), writes=1, restores=2),
        KeptScenario("a file, kept again", _settings(), writes=1, faults=1, restores=1, again=True),
        KeptScenario("a file, kept again and restored", _settings(), faults=1, restores=2, again=True),
    )
}
