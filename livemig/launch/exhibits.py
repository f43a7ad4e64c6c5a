"""The bugs in the museum: each as the smallest scenario that shows it, and what mends it. docs/museum.md tells of
them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from livemig.config.write import scalar

Value = str | int
Keys = Mapping[str, Value]

ROOM: Final[Keys] = MappingProxyType(
    {
        "run.duration": "400ms",
        "machine.ram": "1MiB",
        "guest.kind": "periodic",
        "guest.periodic.period": "10ms",
        "guest.memory.dirty_rate": "0B/s",
        "migration.start": "205ms",
        "migration.downtime": "50ms",
    }
)
"""What all have in common: a guest with an interrupt every 10 ms, away for 50 ms from the middle of a period."""


class Exhibit(NamedTuple):
    """A bug.

    Args:
        bug: what is wrong, in a few words. scenario: keys beside those of ``ROOM``. fix: the keys that mend it.
    """

    bug: str
    scenario: Keys
    fix: Keys

    @property
    def shown(self) -> dict[str, Value]:
        """The scenario with the bug, by dotted key."""
        return {**ROOM, **self.scenario}

    @property
    def mended(self) -> dict[str, Value]:
        """The same with the fix."""
        return {**self.shown, **self.fix}


def _strategy(name: str, bug: str, fix: str, **scenario: Value) -> tuple[str, Exhibit]:
    """A strategy and the one that mends it. Keys are written with ``__`` for the dot."""
    keys = {key.replace("__", "."): value for key, value in scenario.items()}
    return name, Exhibit(bug, {"migration.strategy": name, **keys}, {"migration.strategy": fix})


_MASKED: Final[Mapping[str, Value]] = {"guest__masked_every": "20ms", "guest__masked_for": "15ms"}
_FREEZE: Final[Mapping[str, Value]] = {"migration__time_policy": "freeze"}

_E500: Final[Keys] = {"machine.model": "e500", "guest.kind": "embedded"}
_DECR_ONLY: Final[Keys] = {"migration.strategy": "decr-only"}
_TB_OFFSET: Final[Keys] = {"migration.strategy": "tb-offset"}

EXHIBITS: Final[Mapping[str, Exhibit]] = dict(
    [
        _strategy("none", "no timer is sent", "tb-offset"),
        _strategy("absolute", "DECR stands still while TB goes on", "tb-offset"),
        _strategy("absolute-frozen-tb", "the guest's clock stands still", "tb-offset"),
        _strategy("host-ticks", "the TSC is taken for a timebase", "absolute-frozen-tb", **_FREEZE),
        _strategy(
            "kvm-raw-offset", "TB is an offset to the host's", "tb-offset", host__destination__tick_origin=10**15
        ),
        _strategy("per-cpu-timebase", "each CPU's TB by itself", "tb-offset", machine__cpus=2),
        _strategy("cpu-before-machine", "DECR before TB", "tb-offset"),
        _strategy("deadline-before-clock", "DECR before the virtual clock", "tb-offset"),
        _strategy("qemu-dead-clamp", "min(0, gap)", "clamped"),
        _strategy("clamped", "a second, however long it was", "tb-offset", migration__downtime="1500ms",
                  run__duration="2s"),
        _strategy("kvm-tbu40", "TB rounded up to 2^24", "tb-offset"),
        _strategy("kvm-random-dec", "DECR is what was there", "tb-offset"),
        _strategy("round-down", "ticks to ns and back", "tb-offset", machine__model="pseries"),
        _strategy("double-read", "the clock is read twice", "tb-offset"),
        _strategy("pending-dropped", "what is masked is not sent", "absolute-frozen-tb", **_MASKED, **_FREEZE),
        _strategy(
            "tb-write-dropped", "the guest's mttb is not sent", "absolute-frozen-tb", **_FREEZE,
            guest__sets_timebase=10**9,
        ),
        _strategy("line-not-recomputed", "the line is not sent", "tb-offset", **_MASKED, machine__model="pseries"),
        _strategy(
            "decr-only", "HDECR is not sent", "tb-offset", machine__model="powernv", guest__kind="hypervisor",
            guest__hypervisor__guest="periodic",
        ),
        ("fit-not-sent", Exhibit("the FIT is not sent", {**_E500, **_DECR_ONLY}, _TB_OFFSET)),
        (
            "watchdog-not-rearmed",
            Exhibit(
                "a hung guest's watchdog is dead",
                {
                    **_E500, **_DECR_ONLY, "guest.embedded.fit": False, "guest.embedded.pets_for": "230ms",
                    "checks.twin": True, "run.duration": "600ms",
                },
                _TB_OFFSET,
            ),
        ),
        (
            "booke-inverted-compare",
            Exhibit(
                "a running DECR reads 0",
                {**_E500, "machine.booke.inverted_read": True},
                {"machine.booke.inverted_read": False},
            ),
        ),
        (
            "wrap-ignored",
            Exhibit(
                "DECR goes round, its interrupt stays up",
                {
                    "machine.model": "pseries", "guest.kind": "script", "machine.wrap": "ignored",
                    "guest.script.lines": "ee off; wait 190ms; decr = 0x81000000; wait 60ms; expect decr reads 0..; "
                    "ee on; wait 10us; expect decr 0; on decr; decr = 0x7fffffff",
                },
                {"machine.wrap": "acts"},
            ),
        ),
        (
            "state-7.2",
            Exhibit(
                "an old form without timers", {"migration.machine_version": "7.2"},
                {"migration.machine_version": "newest"},
            ),
        ),
        (
            "state-8.2",
            Exhibit(
                "an old form without pending",
                {"guest.masked_every": "20ms", "guest.masked_for": "15ms", "migration.machine_version": "8.2"},
                {"migration.machine_version": "newest"},
            ),
        ),
        _strategy("tb-offset", "two clocks that disagree", "channel-clock", host__clock_skew="300ms"),
        _strategy("snapshot-tuple", "two clocks that disagree", "channel-clock", host__clock_skew="-20ms"),
        _strategy("negative-delta", "a negative gap is believed", "channel-clock", host__clock_skew="-80ms"),
        (
            "frequency-change",
            Exhibit(
                "the same clock in other ticks",
                {
                    "machine.model": "mac99",
                    "machine.timebase_hz": "100MHz",
                    "host.destination.timebase_hz": "25MHz",
                    "migration.strategy": "frequency-change",
                    "migration.time_policy": "freeze",
                },
                {"migration.strategy": "absolute-frozen-tb", "migration.frequency_policy": "convert"},
            ),
        ),
    ]
)  # fmt: skip
"""By name; those of a strategy have its name."""


def toml(keys: Keys) -> str:
    """A configuration file with ``keys``."""
    return "".join(f"{key} = {scalar(value)}\n" for key, value in keys.items())
