"""What a campaign draws from: features, each with the keys it sets.

Swarm testing (Groce et al., ISSTA 2012): a run draws first *which* features it has at all, then their parameters; a
campaign in which every run has a little of everything does not reach what needs one thing alone.

A feature is *promised* to a strategy if the guest must survive it unharmed under that strategy. Where two hosts'
times of day differ, for instance, ``tb-offset`` promises nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

from livemig.config.presets import PRESETS
from livemig.errors import UsageError
from livemig.stress.scenario import Settings, Value

Draw = Callable[[Random], Mapping[str, Value]]


@dataclass(frozen=True, slots=True)
class Feature:
    """Args: ``name``: for ``--faults``. draw: the keys it sets in one run. breaks: strategies to which it is not
    promised, or ``*``."""

    name: str
    draw: Draw
    breaks: frozenset[str] = frozenset()

    def is_promised(self, strategy: str) -> bool:
        """Whether a guest that migrates by ``strategy`` must survive it."""
        return "*" not in self.breaks and strategy not in self.breaks


def _one(key: str, *values: Value) -> Draw:
    return lambda random: {key: random.choice(values)}


def _time(key: str, *bounds_us: int) -> Draw:
    """From one bound to the other, evenly over their orders of magnitude."""
    low, high = bounds_us
    return lambda random: {key: f"{_log_uniform(random, low, high)}us"}


def _all(*draws: Draw) -> Draw:
    def draw(random: Random) -> dict[str, Value]:
        drawn: dict[str, Value] = {}
        for each in draws:
            drawn |= each(random)
        return drawn

    return draw


def _log_uniform(random: Random, low: int, high: int) -> int:
    """An integer with about as many draws below 10 × as above; no logarithm, whose last bit differs by host."""
    top = random.randint(low.bit_length(), high.bit_length())
    return min(max(random.randrange(1 << max(top - 1, 0), 1 << top), low), high)


def _masking(random: Random) -> dict[str, Value]:
    every = _log_uniform(random, 2_000, 400_000)
    return {"guest.masked_every": f"{every}us", "guest.masked_for": f"{random.randrange(1, every)}us"}


def _darwin(random: Random) -> dict[str, Value]:
    low = _log_uniform(random, 20, 20_000)
    high = low + _log_uniform(random, 1, 200_000)
    return {"guest.kind": "darwin", "guest.darwin.min": f"{low}us", "guest.darwin.max": f"{high}us"}


def _together(random: Random) -> dict[str, Value]:
    """The deadlines of all CPUs at one instant: they start at one, with the same period, drift-free."""
    period = f"{_log_uniform(random, 100, 100_000)}us"
    return {"guest.kind": "periodic", "guest.periodic.period": period, "guest.boot_interval": "0ns"}


def _in_the_blackout(random: Random) -> dict[str, Value]:
    period = _log_uniform(random, 5_000, 200_000)
    return {
        "guest.kind": "periodic",
        "guest.periodic.period": f"{period}us",
        "migration.downtime": f"{period + random.randrange(period)}us",
    }


def _in_hypervisor(random: Random) -> dict[str, Value]:
    if random.choice((True, False)):
        return {"guest.hypervisor.guest": "linux", "guest.linux.tick": f"{_log_uniform(random, 2_000, 50_000)}us"}
    period = f"{_log_uniform(random, 2_000, 100_000)}us"
    return {"guest.hypervisor.guest": "periodic", "guest.periodic.period": period}


def _embedded(random: Random) -> dict[str, Value]:
    """Firmware on timers that are no Book3S decrementer, whose keys must then be as the model has them."""
    model = random.choice(("ppc405", "e500"))
    rest = ("trigger", "small_values", "underflow_at", "reset_decrementer")
    return {
        **{f"machine.{key}": PRESETS[model][key] for key in rest},
        "machine.model": model,
        "guest.kind": "embedded",
        "guest.embedded.period": f"{_log_uniform(random, 2_000, 50_000)}us",
        "guest.embedded.fit": random.choice((True, False)),
        "guest.embedded.fit_bit": 20,
        "guest.embedded.watchdog_bit": 28 if model == "ppc405" else 33,  # no host stands for so long
    }


def _watchdog_short(random: Random) -> dict[str, Value]:
    """A watchdog of 2^21 ticks of 33 MHz, 63 ms, petted every 40 to 60 ms, and a downtime of more than three time-outs,
    which begins anywhere between two of them: if the watchdog timed out since it was petted, it barks at the resume."""
    downtime = f"{random.randrange(200_000, 700_000)}us"
    return {**_embedded(random), "machine.model": "ppc405", "guest.embedded.watchdog_bit": 20,
            "guest.embedded.period": f"{random.randrange(20_000, 30_000)}us", "guest.embedded.pet_every": 2,
            "migration.start": f"{random.randrange(200_000, 263_000)}us", "migration.downtime": downtime}  # fmt: skip


def _fault(kind: str, **keys: Sequence[Value]) -> Draw:
    """A fault of the link: from some time on, or from a point of the protocol; healed after a while, or not."""

    def draw(random: Random) -> dict[str, Value]:
        start = random.randrange(900_000)
        healed = random.randrange(start, 1_000_000) + 1
        table: dict[str, Value] = {
            "enabled": True,
            "direction": random.choice(("both", "to-destination", "to-source")),
            "start": f"{start}us",
            "stop": random.choice(("0us", f"{healed}us")),
            "before": random.choice(("", "", *_POINTS)),
            "toxicity": random.choice((100, 100, 50, 10)),
        }
        table |= {key: random.choice(values) for key, values in keys.items()}
        if table["before"]:
            table |= {"start": "0us", "stop": "0us"}
        return {f"fault.{kind}.{key}": value for key, value in table.items()}

    return draw


def _at_side(kind: str, **keys: Sequence[Value]) -> Draw:
    def draw(random: Random) -> dict[str, Value]:
        side, at = random.choice(("source", "destination")), f"{random.randrange(1_000_000)}us"
        table = {"enabled": True, "side": side, "at": at, **{key: random.choice(some) for key, some in keys.items()}}
        return {f"fault.{kind}.{key}": value for key, value in table.items()}

    return draw


def _restart(random: Random) -> dict[str, Value]:
    kill = {**_at_side("kill")(random), "fault.kill.side": "destination"}
    return {**kill, "fault.restart.enabled": True, "fault.restart.after": random.choice(_TIMES)}


_POINTS: Final = ("hello", "welcome", "pages", "pass_end", "snapshot", "loaded", "switchover", "resumed")
_TIMES: Final = ("10us", "700us", "3ms", "20ms", "150ms", "600ms")
_BY_TIME_OF_DAY: Final = frozenset(
    {
        "absolute", "tb-offset", "snapshot-tuple", "per-cpu-timebase", "cpu-before-machine", "clamped",
        "kvm-random-dec", "deadline-before-clock", "negative-delta", "round-down", "double-read", "decr-only",
        "line-not-recomputed",
    }
)  # fmt: skip
"""Strategies that believe the two hosts' clocks."""
_BY_A_STEADY_CLOCK: Final = _BY_TIME_OF_DAY | {"channel-clock"}
"""Those that a clock deceives which goes wrong between the measurement and the resume."""
_BY_AN_EVEN_LINK: Final = frozenset({"channel-clock"})
"""Strategies that take the two directions of the link to be alike."""

FEATURES: Final[Sequence[Feature]] = (
    Feature("cpus", _one("machine.cpus", 1, 2, 3, 4)),
    Feature("machine", _one("machine.model", "g3beige", "mac99", "pseries")),
    Feature("level", _one("machine.trigger", "level", "edge")),
    Feature("small-values", _one("machine.small_values", "immediate")),
    Feature("book-underflow", _one("machine.underflow_at", "minus-one")),
    Feature("reset-decrementer", _one("machine.reset_decrementer", "clock", "expired", "raised", "zero")),
    Feature("darwin", _darwin),
    Feature("linux", _all(_one("guest.kind", "linux"), _time("guest.linux.tick", 500, 20_000))),
    Feature("deadlines-together", _together),
    Feature("deadline-in-blackout", _in_the_blackout),
    Feature("hypervisor", _all(_one("machine.model", "powernv"), _one("guest.kind", "hypervisor"), _in_hypervisor)),
    Feature("embedded", _embedded),
    Feature("watchdog-short", _watchdog_short),
    Feature("masked-long", _masking),
    Feature("guest-sets-timebase", _one("guest.sets_timebase", 1, 2**32 - 1, 2**40, 2**63, 2**64 - 2**20)),
    Feature("dirty-burst", _all(_one("guest.memory.dirty_rate", "0B/s", "1MiB/s", "64MiB/s", "400MiB/s"),
                                _one("guest.memory.locality", "uniform", "hot", "sequential"))),
    Feature("downtime", _time("migration.downtime", 1, 700_000)),
    Feature("long-downtime", _all(_one("run.duration", "2s"), _time("migration.downtime", 1_000_000, 1_500_000))),
    Feature("start", _time("migration.start", 1, 400_000)),
    Feature("bandwidth", _one("link.bandwidth", "10Mbit/s", "100Mbit/s", "1Gbit/s", "10Gbit/s")),
    Feature("latency", _time("link.latency", 1, 50_000)),
    Feature("jitter", _time("link.jitter", 1, 20_000), _BY_AN_EVEN_LINK),
    Feature("tick-counter", _all(_one("host.source.tick_hz", "1GHz", "2.5GHz", "3.333GHz"),
                                 _one("host.destination.tick_hz", "1GHz", "2.4GHz", "25MHz"),
                                 lambda random: {"host.destination.tick_origin": random.randrange(2**62)})),
    Feature("timebase-frequency", _all(_one("host.destination.timebase_hz", "10MHz", "25MHz", "100MHz"),
                                       _one("migration.frequency_policy", "convert", "refuse"))),
    Feature("clock-origin", lambda random: {"host.destination.clock_origin": f"{random.randrange(10**6)}s"}),
    Feature("clock-skew", lambda random: {"host.clock_skew": f"{random.randint(-300_000, 300_000)}us"},
            _BY_TIME_OF_DAY),
    Feature("postcopy", _all(_one("migration.postcopy_ram", True), _one("migration.postcopy_start", 1, 2, 3),
                             _one("migration.postcopy_preempt", True, False), _one("migration.prepaging", 0, 4))),
    Feature("xbzrle", _one("migration.xbzrle", True)),
    Feature("auto-converge", _one("migration.auto_converge", True)),
    Feature("cancel", lambda random: {"migration.cancel_at": f"{random.randrange(1, 990_000)}us"}),
    Feature("fault-latency", _fault("latency", latency=_TIMES, jitter=("0us", *_TIMES), correlation=(0, 25, 90),
                                    distribution=("uniform", "normal", "pareto", "paretonormal")), _BY_AN_EVEN_LINK),
    Feature("fault-bandwidth", _fault("bandwidth", rate=("1Mbit/s", "10Mbit/s", "50Mbit/s")), _BY_AN_EVEN_LINK),
    Feature("fault-slicer", _fault("slicer", average_size=("100B", "1KiB", "64KiB"), delay=("1us", "50us", "1ms")),
            _BY_AN_EVEN_LINK),
    Feature("fault-stall", _fault("stall", duration=_TIMES), _BY_AN_EVEN_LINK),
    Feature("fault-timeout", _fault("timeout", timeout=("0us", *_TIMES))),
    Feature("fault-reset_peer", _fault("reset_peer", timeout=("0us", *_TIMES))),
    Feature("fault-limit_data", _fault("limit_data", bytes=("0B", "100B", "4KiB", "100KiB", "1MiB"))),
    Feature("fault-slow_close", _fault("slow_close", delay=_TIMES)),
    Feature("fault-corrupt", _fault("corrupt")),
    Feature("fault-clock_step", _at_side("clock_step", by=("-1s", "-3ms", "5us", "2ms", "1s")), _BY_A_STEADY_CLOCK),
    Feature("fault-clock_drift", _at_side("clock_drift", ppm=(-500, -50, 20, 1000)), _BY_A_STEADY_CLOCK),
    Feature("fault-dirty_burst", lambda random: {
        "fault.dirty_burst.enabled": True, "fault.dirty_burst.at": f"{random.randrange(600_000)}us",
        "fault.dirty_burst.duration": random.choice(_TIMES), "fault.dirty_burst.rate": "500MiB/s"}),
    Feature("fault-duplicate", lambda random: {
        "fault.duplicate.enabled": True, "fault.duplicate.at": f"{random.randrange(900_000)}us",
        "fault.duplicate.count": random.choice((1, 3))}),
    Feature("fault-pause", _at_side("pause", duration=_TIMES)),
    Feature("fault-steal", _at_side("steal", duration=_TIMES, percent=(5, 50, 95), period=("1ms", "10ms", "100ms"))),
    Feature("fault-kill", _at_side("kill"), frozenset({"*"})),
    Feature("fault-restart", _restart, frozenset({"*"})),
)  # fmt: skip


def draw(features: Sequence[Feature], seed: int, number: int) -> Settings:
    """The ``number``-th run of a campaign: an eighth, a quarter or half of the features, each with its parameters, and
    a seed. Each feature has a generator of its own, so that one more or less of them does not move the others."""
    chance = Random(f"livemig {seed} {number}")
    share = chance.choice((1, 2, 4))
    settings: dict[str, Value] = {"run.seed": chance.randrange(2**32)}
    for feature in features:
        random = Random(f"livemig {seed} {number} {feature.name}")
        if random.randrange(8) < share:
            settings |= feature.draw(random)
    return settings


def features_for(strategy: str, names: Sequence[str]) -> list[Feature]:
    """Those that ``--faults`` names: ``promised`` (to that strategy), ``all``, or single ones.

    Raises:
        UsageError: there is none of that name.
    """
    chosen: set[str] = set()
    known = {feature.name: feature for feature in FEATURES}
    for name in names:
        if name == "all":
            chosen |= known.keys()
        elif name == "promised":
            chosen |= {feature.name for feature in FEATURES if feature.is_promised(strategy)}
        elif name in known:
            chosen.add(name)
        else:
            raise UsageError(f"--faults: {name!r} is not known (allowed: promised, all, none, {', '.join(known)})")
    return [feature for feature in FEATURES if feature.name in chosen]
