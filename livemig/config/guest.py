"""[guest]: what the operating system in the machine does with its timers and its memory."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from livemig.config.firmware import Embedded, Hypervisor
from livemig.config.quantity import Quantity
from livemig.config.script import Script as ScriptText
from livemig.config.section import Section
from livemig.config.units import BYTE_RATE, TIME


class Darwin(Section):
    """kind = "darwin": no periodic tick; every handler arms the next deadline of a random timer queue."""

    min: Annotated[int, Quantity(TIME, "1us", "1h")] = Field(
        default=TIME.parse("100us"), description="shortest interval that is armed"
    )
    max: Annotated[int, Quantity(TIME, "1us", "1h")] = Field(
        default=TIME.parse("2ms"), description="longest interval that is armed; not below `min`"
    )
    distribution: Literal["uniform", "skewed"] = Field(
        default="uniform", description="how intervals spread: evenly, or most of them short and a few long (skewed)"
    )


class Linux(Section):
    """kind = "linux": a periodic tick that stops while the CPU idles (NO_HZ)."""

    tick: Annotated[int, Quantity(TIME, "1us", "1h")] = Field(
        default=TIME.parse("4ms"), description="period of the tick; 4ms is HZ=250"
    )
    idle_per_mille: int = Field(
        default=200,
        ge=0,
        le=1000,
        description="probability, in thousandths, that the CPU goes idle and sleeps over up to 63 ticks",
    )
    decrementer_max: int = Field(
        default=0x7FFF_FFFF,
        ge=1,
        le=2**63 - 1,
        description="largest value the kernel writes to the decrementer, in ticks; "
        "below 2^(`machine.decrementer_bits` − 1)",
    )


class Periodic(Section):
    """kind = "periodic": one timer with a fixed period, the simplest guest there is."""

    period: Annotated[int, Quantity(TIME, "1us", "1h")] = Field(
        default=TIME.parse("5ms"), description="interval between interrupts"
    )
    rearm: Literal["drift-free", "fixed"] = Field(
        default="drift-free",
        description="count the period from the last deadline (drift-free) or from the handler (fixed)",
    )


class Trace(Section):
    """kind = "trace": the timer writes of a recorded log, replayed."""

    file: str = Field(
        default="",
        pattern=r"^[^\x00]*$",
        description="path of the log, relative to the configuration file; empty for none",
    )
    repeat: bool = Field(default=True, description="start over at the end of the log, or else fall silent")


class Script(Section):
    """kind = "script": one act after the other, on every CPU alike; the language is above."""

    lines: Annotated[str, ScriptText()] = Field(
        default="", description="what the guest does from its boot on, and in its handlers"
    )


class Memory(Section):
    """Which pages the guest writes, and how fast."""

    dirty_rate: Annotated[int, Quantity(BYTE_RATE, "0B/s", "64GiB/s")] = Field(
        default=BYTE_RATE.parse("20MiB/s"), description="page bytes written, by all CPUs together; 0 for none"
    )
    locality: Literal["uniform", "hot", "sequential"] = Field(
        default="uniform",
        description="the order of writes: anywhere, mostly in a hot part, or page after page",
    )
    working_set_percent: int = Field(
        default=100, ge=1, le=100, description="per cent of RAM that is ever written"
    )
    hot_percent: int = Field(
        default=10, ge=1, le=100, description='per cent of the working set that is hot; for locality = "hot"'
    )
    hot_share_percent: int = Field(
        default=90,
        ge=0,
        le=100,
        description='per cent of the writes that go to the hot part; for locality = "hot"',
    )
    filled_percent: int = Field(
        default=50, ge=0, le=100, description="per cent of the pages that are not zero at boot"
    )


class Guest(Section):
    """The guest, the same on every CPU but for its random numbers."""

    kind: Literal["darwin", "linux", "periodic", "trace", "embedded", "hypervisor", "script"] = Field(
        default="darwin",
        description="which operating system; the table of that name holds what only it needs",
    )
    handler_time: Annotated[int, Quantity(TIME, "0ns", "1s")] = Field(
        default=TIME.parse("5us"),
        description="from an interrupt's delivery on, interrupts stay masked this long",
    )
    arm_delay: Annotated[int, Quantity(TIME, "0ns", "1s")] = Field(
        default=TIME.parse("1us"),
        description="from an interrupt's delivery to the write of the decrementer; at most `handler_time`",
    )
    boot_interval: Annotated[int, Quantity(TIME, "0ns", "1s")] = Field(
        default=TIME.parse("10us"),
        description="from one CPU's start to the next one's; 0ns: all at one instant, and so are their deadlines if "
        "the guest arms alike on each",
    )
    masked_every: Annotated[int, Quantity(TIME, "0ns", "1h")] = Field(
        default=0, description="period of further stretches with interrupts masked (EE=0); 0 for never"
    )
    masked_for: Annotated[int, Quantity(TIME, "0ns", "1h")] = Field(
        default=0, description="length of such a stretch; below `masked_every` unless that is 0"
    )
    sets_timebase: int = Field(
        default=0, ge=0, le=2**64 - 1, description="what the guest writes to TB as it boots, in ticks; 0 for nothing"
    )
    darwin: Darwin = Darwin.untouched()
    linux: Linux = Linux.untouched()
    periodic: Periodic = Periodic.untouched()
    trace: Trace = Trace.untouched()
    embedded: Embedded = Embedded.untouched()
    hypervisor: Hypervisor = Hypervisor.untouched()
    script: Script = Script.untouched()
    memory: Memory = Memory.untouched()
