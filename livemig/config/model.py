"""The configuration of one run: what each table and key means, its default and its range.

In the model times are ``int`` ns, sizes ``int`` bytes, frequencies ``int`` Hz, link rates ``int`` bit/s, byte
rates ``int`` bytes/s. In TOML they are text with a unit. Read files with ``load.load``; elsewhere
``Config.model_validate({"machine": {"cpus": 2}})`` fills in all the rest.
"""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from livemig.config.conflicts import conflicts
from livemig.config.engine import Engine
from livemig.config.fault import Faults
from livemig.config.guest import Guest
from livemig.config.migration import Migration
from livemig.config.presets import DEFAULT_MODEL, PRESETS, MachineModel
from livemig.config.quantity import Quantity, Ratio
from livemig.config.section import Section
from livemig.config.timers import BookE, Ppc40x
from livemig.config.units import FREQUENCY, LINK_RATE, SIZE, TIME


class Run(Section):
    """The scenario as a whole."""

    seed: int = Field(default=1, ge=0, le=2**63 - 1, description="of every random number in the run")
    duration: Annotated[int, Quantity(TIME, "1ms", "1h")] = Field(
        default=TIME.parse("2s"),
        description="virtual time of the scenario; a migration not complete by then has failed",
    )
    clock: Literal["virtual", "wall"] = Field(
        default="virtual",
        description="time jumps from event to event (virtual) or follows the host's clock (wall)",
    )
    rate: Annotated[Fraction, Ratio(Decimal("0.001"), Decimal(1000))] = Field(
        default=Fraction(1), description="virtual seconds per host second; wall clock only"
    )


class Machine(Section):
    """The machine. A key without a default is as the presets above say for `model`."""

    model: MachineModel = Field(default=DEFAULT_MODEL, description="QEMU's name of the machine")
    cpus: int = Field(default=1, ge=1, le=64, description="number of CPUs, each with its decrementer")
    ram: Annotated[int, Quantity(SIZE, "1MiB", "64GiB", step="4KiB")] = Field(
        default=SIZE.parse("64MiB"), description="size of guest memory"
    )
    prealloc: bool = Field(
        default=False,
        description="take all of guest memory from the host at the start (QEMU's -mem-prealloc), not page by page as "
        "it is written to",
    )
    timebase_hz: Annotated[int, Quantity(FREQUENCY, "1Hz", "1GHz")] = Field(
        description="frequency of timebase and decrementer"
    )
    decrementer_bits: int = Field(
        ge=32, le=56, description="width of the decrementer; 56 is a large decrementer"
    )
    trigger: Literal["edge", "level"] = Field(
        description="an underflow is remembered (edge), or a negative decrementer is the interrupt (level)"
    )
    small_values: Literal["wait", "immediate"] = Field(
        description="a write below 3 counts down (wait) or interrupts at once (immediate: QEMU up to 8.1)"
    )
    underflow_at: Literal["zero", "minus-one"] = Field(
        description="the reading that interrupts: 0 (zero: QEMU) or −1 (minus-one: the architecture book)"
    )

    reset_decrementer: Literal["clock", "expired", "raised", "zero"] = Field(
        description="at power-on it is 0xffffffff at TB 0 (clock: QEMU up to 8.1), or all ones and never started "
        "(expired; raised: and its interrupt is up), or 0 and never started (zero: QEMU 10 on mac99)"
    )

    wrap: Literal["ignored", "acts"] = Field(
        default="ignored",
        description="a decrementer that goes round, from negative to positive, reads so and does nothing (ignored: "
        "QEMU's TCG), or takes a level interrupt back and underflows again (acts: the architecture book)",
    )
    hdecr_bits: int = Field(ge=0, le=56, description="width of the hypervisor decrementer; 0 where there is none")
    hdecr_trigger: Literal["edge", "level"] = Field(
        description="the same as `trigger` of the hypervisor decrementer (edge: QEMU 10; level: QEMU 7.2)"
    )
    hdecr_in_nap: Literal["discarded", "pending"] = Field(
        default="discarded", description="what becomes of its exception while the CPU naps (discarded: QEMU)"
    )
    ppc40x: Ppc40x = Ppc40x.untouched()
    booke: BookE = BookE.untouched()

    @model_validator(mode="before")
    @classmethod
    def _preset(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        model = given.get("model", DEFAULT_MODEL)
        return PRESETS.get(model, {}) | given if isinstance(model, str) else given


class Link(Section):
    """The link between the hosts, on top of what the sockets cost."""

    bandwidth: Annotated[int, Quantity(LINK_RATE, "1bit/s", "1Tbit/s")] = Field(
        default=LINK_RATE.parse("1Gbit/s"), description="rate at which bytes enter the link"
    )
    latency: Annotated[int, Quantity(TIME, "1us", "1min")] = Field(
        default=TIME.parse("100us"), description="delay of every byte, one way: from the source to the destination"
    )
    return_latency: Annotated[int, Quantity(TIME, "0ns", "1min")] = Field(
        default=0, description="the same from the destination to the source; 0ns for `latency`"
    )
    jitter: Annotated[int, Quantity(TIME, "0ns", "1min")] = Field(
        default=0, description="further delay, random from 0 to this; the order of bytes stays"
    )
    cut_at: Annotated[int, Quantity(TIME, "0ns", "1h")] = Field(
        default=0, description="when the link breaks: what has not arrived is lost; 0 for never"
    )
    cut_again_at: Annotated[int, Quantity(TIME, "0ns", "1h")] = Field(
        default=0, description="when it breaks once more; after `cut_at`; 0 for never"
    )


class HostSide(Section):
    """A host, as far as a guest's time could see it."""

    tick_hz: Annotated[int, Quantity(FREQUENCY, "1Hz", "10GHz")] = Field(
        default=FREQUENCY.parse("2.5GHz"), description="frequency of the host's tick counter"
    )
    tick_origin: int = Field(
        default=0, ge=0, le=2**63 - 1, description="the tick counter's reading at t = 0, in ticks"
    )
    clock_origin: Annotated[int, Quantity(TIME, "-1000000h", "1000000h")] = Field(
        default=0, description="the emulator's virtual clock's reading at t = 0"
    )


class DestinationHost(HostSide):
    """The host that the guest goes to."""

    timebase_hz: Annotated[int, Quantity(FREQUENCY, "0Hz", "1GHz")] = Field(
        default=0, description="frequency of the timebase there; 0Hz for `machine.timebase_hz`"
    )


class Host(Section):
    """What differs between the two hosts."""

    clock_skew: Annotated[int, Quantity(TIME, "-1000000h", "1000000h")] = Field(
        default=0, description="the destination's time of day minus the source's"
    )
    source: HostSide = HostSide.untouched()
    destination: DestinationHost = DestinationHost.untouched()


class Checks(Section):
    """What the verdict is based on."""

    late_tolerance: Annotated[int, Quantity(TIME, "0ns", "1h")] = Field(
        description="lateness outside the blackout that is no fault; by clock: 0ns if virtual, 20ms if wall; if "
        "`engine.kind` is qemu 20ms, or as late as the host was before the migration if that is more"
    )
    lost_after: Annotated[int, Quantity(TIME, "1us", "1h")] = Field(
        default=TIME.parse("1s"), description="an interrupt this late, with no reason to be, is lost"
    )
    twin: bool = Field(
        default=False, description="also run the twin, the same guest never migrated, and compare"
    )


class Config(Section):
    """Everything that one run depends on."""

    run: Run = Run.untouched()
    machine: Machine = Field(default_factory=lambda: Machine.model_validate({}))
    guest: Guest = Guest.untouched()
    migration: Migration = Migration.untouched()
    link: Link = Link.untouched()
    host: Host = Host.untouched()
    fault: Faults = Faults.untouched()
    engine: Engine = Engine.untouched()
    checks: Checks

    @model_validator(mode="before")
    @classmethod
    def _tolerance_by_clock(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        run, checks, engine = (given.get(name, {}) for name in ("run", "checks", "engine"))
        if not all(isinstance(table, dict) for table in (run, checks, engine)):
            return given
        tolerance = "20ms" if run.get("clock") == "wall" or engine.get("kind") == "qemu" else "0ns"
        return given | {"checks": {"late_tolerance": tolerance} | checks}

    @model_validator(mode="after")
    def _consistent(self) -> Config:
        for conflict in conflicts(self):
            raise PydanticCustomError("conflict", "{problem}", conflict._asdict())
        return self
