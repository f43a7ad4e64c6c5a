"""[fault]: what goes wrong, one table a fault, in Toxiproxy's words where it has one. Off unless ``enabled``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from livemig.config.quantity import Quantity
from livemig.config.section import Section
from livemig.config.units import BYTE_RATE, LINK_RATE, SIZE, TIME

FrameName = Literal[
    "", "hello", "welcome", "pages", "pass_end", "snapshot", "loaded", "switchover", "resumed", "cancel"
]


class Fault(Section):
    """A fault that may be there or not."""

    enabled: bool = Field(default=False, description="whether there is this fault")


class LinkFault(Fault):
    """A fault of the link, in one direction or both, for a time or from a point of the protocol on."""

    direction: Literal["both", "to-destination", "to-source"] = Field(
        default="both", description="of the frames that it meets"
    )
    start: Annotated[int, Quantity(TIME, "0ns", "1h")] = Field(default=0, description="when it begins")
    stop: Annotated[int, Quantity(TIME, "0ns", "1h")] = Field(
        default=0, description="when it is healed; 0 for never"
    )
    before: FrameName = Field(
        default="", description="it begins with the first such frame, not sooner; empty for any"
    )
    toxicity: int = Field(default=100, ge=1, le=100, description="per cent of the frames that it meets, drawn")


class Latency(LinkFault):
    """Frames take longer; they stay in order."""

    latency: Annotated[int, Quantity(TIME, "0ns", "1min")] = Field(
        default=TIME.parse("100ms"), description="how much longer"
    )
    jitter: Annotated[int, Quantity(TIME, "0ns", "1min")] = Field(
        default=0,
        description="of what is drawn around it: half the width of the uniform, standard deviation of the normal "
        "distribution",
    )
    distribution: Literal["uniform", "normal", "pareto", "paretonormal"] = Field(
        default="uniform", description="of the jitter, as netem has them"
    )
    correlation: int = Field(
        default=0, ge=0, le=100, description="per cent of a draw that the one before decides, as netem has it"
    )


class Bandwidth(LinkFault):
    """The link is slower."""

    rate: Annotated[int, Quantity(LINK_RATE, "1kbit/s", "1Tbit/s")] = Field(
        default=LINK_RATE.parse("10Mbit/s"), description="at which bytes pass"
    )


class SlowClose(LinkFault):
    """The end of the connection is noticed late."""

    delay: Annotated[int, Quantity(TIME, "0ns", "1min")] = Field(
        default=TIME.parse("1s"), description="how late"
    )


class Timeout(LinkFault):
    """Nothing passes any more."""

    timeout: Annotated[int, Quantity(TIME, "0ns", "1h")] = Field(
        default=0, description="after this the connection is closed; 0: it stays, a black hole"
    )


class ResetPeer(LinkFault):
    """The connection is reset: what is on its way is lost, and both sides are told."""

    timeout: Annotated[int, Quantity(TIME, "0ns", "1h")] = Field(default=0, description="how long after its start")


class Slicer(LinkFault):
    """Frames pass in slices with pauses between them."""

    average_size: Annotated[int, Quantity(SIZE, "1B", "1GiB")] = Field(
        default=SIZE.parse("4KiB"), description="of a slice"
    )
    delay: Annotated[int, Quantity(TIME, "0ns", "1s")] = Field(
        default=TIME.parse("100us"), description="between two slices"
    )


class LimitData(LinkFault):
    """The connection is closed when so much has passed."""

    bytes: Annotated[int, Quantity(SIZE, "0B", "1024GiB")] = Field(
        default=SIZE.parse("1MiB"), description="how much, counted from its start"
    )


class Stall(LinkFault):
    """Frames wait, and go on when it is over; nothing is lost."""

    duration: Annotated[int, Quantity(TIME, "1us", "1h")] = Field(
        default=TIME.parse("1s"), description="how long, from the first frame that it meets"
    )


class Corrupt(LinkFault):
    """One frame, the first that it meets, arrives damaged."""


class AtSide(Fault):
    """A fault of one host."""

    side: Literal["source", "destination"] = Field(default="source", description="whose")
    at: Annotated[int, Quantity(TIME, "0ns", "1h")] = Field(default=TIME.parse("1s"), description="when")


class ClockStep(AtSide):
    """The host's time of day is set, as NTP does it."""

    by: Annotated[int, Quantity(TIME, "-1000000h", "1000000h")] = Field(
        default=TIME.parse("1s"), description="how far; negative for back"
    )


class ClockDrift(AtSide):
    """The host's time of day goes wrong, from ``at`` on."""

    ppm: int = Field(default=100, ge=-100_000, le=100_000, description="millionths that it is too fast")


class Pause(AtSide):
    """The host does not run the emulator: SIGSTOP, or CPU time that others took. Time goes on meanwhile."""

    duration: Annotated[int, Quantity(TIME, "1us", "1h")] = Field(
        default=TIME.parse("50ms"), description="how long"
    )


class Steal(AtSide):
    """Others take a share of the host's CPU time: at the beginning of each period the emulator does not run."""

    duration: Annotated[int, Quantity(TIME, "1us", "1h")] = Field(
        default=TIME.parse("500ms"), description="for how long they do"
    )
    percent: int = Field(default=30, ge=1, le=99, description="of each period")
    period: Annotated[int, Quantity(TIME, "1ms", "10s")] = Field(
        default=TIME.parse("10ms"), description="how often the emulator stands"
    )


class Kill(AtSide):
    """The emulator's process dies."""


class Restart(Fault):
    """The destination that `kill` ended is started again, with nothing in it; a source that still has the guest then
    migrates anew."""

    after: Annotated[int, Quantity(TIME, "0ns", "1h")] = Field(
        default=TIME.parse("50ms"), description="how long after its death"
    )


class Duplicate(Fault):
    """Further sources connect and say hello while one migrates, as when somebody has started a migration twice."""

    at: Annotated[int, Quantity(TIME, "0ns", "1h")] = Field(
        default=TIME.parse("1s"), description="when, or as soon after as the destination has let the first one in"
    )
    count: int = Field(default=1, ge=1, le=64, description="how many, one after the other")


class DirtyBurst(Fault):
    """The guest writes more memory for a while."""

    at: Annotated[int, Quantity(TIME, "0ns", "1h")] = Field(default=0, description="guest time at which it begins")
    duration: Annotated[int, Quantity(TIME, "1us", "1h")] = Field(
        default=TIME.parse("100ms"), description="how long, in guest time"
    )
    rate: Annotated[int, Quantity(BYTE_RATE, "1B/s", "64GiB/s")] = Field(
        default=BYTE_RATE.parse("1GiB/s"), description="page bytes written, instead of `guest.memory.dirty_rate`"
    )


class Faults(Section):
    """What goes wrong."""

    latency: Latency = Latency.untouched()
    bandwidth: Bandwidth = Bandwidth.untouched()
    slow_close: SlowClose = SlowClose.untouched()
    timeout: Timeout = Timeout.untouched()
    reset_peer: ResetPeer = ResetPeer.untouched()
    slicer: Slicer = Slicer.untouched()
    limit_data: LimitData = LimitData.untouched()
    stall: Stall = Stall.untouched()
    corrupt: Corrupt = Corrupt.untouched()
    clock_step: ClockStep = ClockStep.untouched()
    clock_drift: ClockDrift = ClockDrift.untouched()
    pause: Pause = Pause.untouched()
    steal: Steal = Steal.untouched()
    kill: Kill = Kill.untouched()
    restart: Restart = Restart.untouched()
    duplicate: Duplicate = Duplicate.untouched()
    dirty_burst: DirtyBurst = DirtyBurst.untouched()
