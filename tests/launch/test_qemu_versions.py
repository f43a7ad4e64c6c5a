"""What a version of QEMU does, by the announcements of its releases and by logs of two of them."""

from __future__ import annotations

import pytest

from livemig.launch.prediction import Rules
from livemig.launch.qemu_versions import (
    CHANGES,
    DECR_IN_TICKS,
    DECR_MIGRATED,
    MAC99_25MHZ,
    ONE_CLOCK_READ,
    START_KEPT_APART,
    TIMERS_RESET,
    Change,
    Version,
    crossing,
    level_triggered,
    start_up,
    takes_interrupts,
    timebase_hz,
)
from livemig.strategies.table import STRATEGIES
from livemig.timers.decrementer import Reset


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("7.2.22", (7, 2, 22)), ("8.2", (8, 2, 0)), ("v9.0.1", (9, 0, 1)), ("10.0.2 (Debian 1:10.0.2)", (10, 0, 2)),
        ("8.1.50", (8, 2, 0)), ("8.2.91", (9, 0, 0)), ("9.2.0-rc1", (9, 2, 0)),
    ],
)  # fmt: skip
def test_a_version_is_read(text: str, version: tuple[int, int, int]) -> None:
    assert Version.of(text) == version


@pytest.mark.parametrize("text", ["", "ten", "8", "8.x", "1.2.3.4", "-8.2"])
def test_what_is_no_version_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a version of QEMU"):
        Version.of(text)


TICKS, ONE, RESET, SENT, MHZ25 = DECR_IN_TICKS, ONE_CLOCK_READ, TIMERS_RESET, DECR_MIGRATED, MAC99_25MHZ
NINE = {TICKS, ONE, RESET, SENT, MHZ25}


@pytest.mark.parametrize(
    ("version", "changes"),
    [
        ("6.0.0", set()), ("7.2.6", set()), ("7.2.7", {TICKS}), ("7.2.22", {TICKS}), ("8.0.5", set()),
        ("8.1.1", set()), ("8.1.2", {TICKS, ONE, RESET}), ("8.2.0", {TICKS, ONE, RESET, SENT}),
        ("8.2.9", {TICKS, ONE, RESET, SENT}), ("9.0.0", NINE), ("10.0.2", NINE | {START_KEPT_APART}),
        ("11.1.3", set(CHANGES)),
    ],
)  # fmt: skip
def test_which_changes_a_version_has(version: str, changes: set[Change]) -> None:
    assert {change for change in CHANGES if change.in_version(Version.of(version))} == changes


def test_every_rule_is_a_strategy() -> None:
    for version, none in (("7.2.22", True), ("8.1.2", True), ("8.2.0", False), ("10.0.2", False)):
        rules = crossing(Version.of("7.2.22"), Version.of(version)).rules
        assert set(rules) <= set(STRATEGIES)
        assert (rules == Rules("none", "none")) == none


@pytest.mark.parametrize(
    ("destination", "takes"),
    [("7.2.22", True), ("9.2.4", True), ("10.0.2", False), ("10.0.13", False), ("11.1.3", True)],
)
def test_a_cpu_that_rtas_started_is_forgotten_by_some_releases(destination: str, takes: bool) -> None:
    """Seen on two CPUs under Linux: of 10.0.2 and 10.0.13 the second takes no more interrupts, of 11.1.3 it does."""
    version = Version.of(destination)
    assert takes_interrupts("pseries", version, 1) == takes
    assert takes_interrupts("pseries", version, 0)
    assert takes_interrupts("mac99", version, 1)


def test_the_timebase_of_the_machines() -> None:
    old, new = Version(7, 2, 22), Version(10, 0, 2)
    assert [timebase_hz("mac99", version) for version in (old, new)] == [100_000_000, 25_000_000]
    assert [timebase_hz(machine, old) for machine in ("g3beige", "pseries-7.2")] == [16_600_000, 512_000_000]
    assert timebase_hz("sam460ex", new) is None


def test_cpus_with_64_bits_are_level_triggered() -> None:
    assert level_triggered("pseries", None, None)
    assert level_triggered("powernv9", None, None)
    assert level_triggered("mac99", None, "/usr/bin/qemu-system-ppc64")
    assert level_triggered("mac99", "970fx", "qemu-system-ppc")
    assert not level_triggered("mac99", "g4", "qemu-system-ppc64")
    assert not level_triggered("mac99", None, "qemu-system-ppc")
    assert not level_triggered("g3beige", None, None)


def test_the_start_up_decrementer() -> None:
    def at(machine: str, version: str, level: bool) -> Reset:
        return start_up(machine, Version.of(version), level)

    assert at("g3beige", "7.2.22", False) is at("pseries", "7.2.22", True) is Reset.CLOCK
    assert at("pseries", "7.2.6", True) is at("mac99", "10.0.2", False) is Reset.ZERO
    assert at("g3beige", "7.2.6", False) is Reset.CLOCK
    assert (at("g3beige", "10.0.2", False), at("pseries", "10.0.2", True)) == (Reset.EXPIRED, Reset.RAISED)
