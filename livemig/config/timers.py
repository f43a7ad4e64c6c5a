"""[machine.ppc40x] and [machine.booke]: where QEMU and the manuals differ. docs/timers.md says more of each."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from livemig.config.quantity import Quantity
from livemig.config.section import Section
from livemig.config.units import TIME


class Embedded(Section):
    """Switches that both families have."""

    level: bool = Field(
        default=True,
        description="an interrupt is up while its bits of TSR and TCR are set, or is a pulse that its delivery takes "
        "back (false: QEMU on 40x)",
    )
    wrc_sticky: bool = Field(
        default=True, description="WRC cannot be changed before a reset once it is set (false: QEMU)"
    )
    wrs_survives: bool = Field(
        default=True, description="after a reset, WRS tells that the watchdog made it (false: QEMU)"
    )
    watchdog_critical: bool = Field(
        default=True, description="MSR[EE] does not mask the watchdog's interrupt (false: QEMU)"
    )


class Ppc40x(Embedded):
    """The timers of a ppc405: every default is the manual's way, the other value QEMU's."""

    pit_needs_pie: bool = Field(default=False, description="the PIT is started only while TCR[PIE] is set")
    pit_ignores_small: bool = Field(default=False, description="a 0 or 1 written to the PIT stops it where it is")
    pit_reads_on: bool = Field(default=False, description="the PIT reads on below 0 where it has stopped")
    tcr_write_restarts: bool = Field(
        default=False, description="a write of TCR stops the PIT, or with TCR[ARE] gives it one period more"
    )
    reload_rounds_down: bool = Field(
        default=False, description="a reload of the PIT loses up to 1 ns of its period (QEMU up to 8.1)"
    )
    tsr_clears_pit_on_enw: bool = Field(
        default=False,
        description="a pulse of the PIT is taken back by clearing TSR[ENW], not TSR[PIS]; with level = false",
    )
    fit_never_started: bool = Field(default=False, description="nothing starts the FIT")
    intervals_from_start: bool = Field(
        default=False, description="FIT and watchdog count periods from their start, not rises of a bit of TB"
    )
    watchdog_steps_on_tcr_write: bool = Field(
        default=False, description="each write of TCR is a time-out of the watchdog, and only that starts it"
    )


class BookE(Embedded):
    """The timers of an e500 or 440: every default is the manual's way, the other values QEMU's."""

    intervals: Literal["e500", "440"] = Field(
        default="e500", description="FIT and watchdog choose among all bits of TB (e500) or among four each (440)"
    )
    guard: Literal["free", "acknowledged", "pending"] = Field(
        default="free",
        description="FIT and watchdog run freely, or start anew when their status bit is clear (acknowledged: as "
        "QEMU's comment says) or is set (pending: as its code does, so never)",
    )
    least_interval: Annotated[int, Quantity(TIME, "0ns", "1s")] = Field(
        default=0, description="FIT and watchdog take this long at least; QEMU: 1ms"
    )
    watchdog_stub: bool = Field(default=False, description="the watchdog's time-outs do nothing")
    resume_clears_watchdog: bool = Field(
        default=False, description="ENW, WIS and WRS are cleared whenever guest time goes on"
    )
    reload_from_callback: bool = Field(
        default=False, description="DECAR counts from when the interrupt was raised, not from when it was due"
    )
    zero_interrupts: bool = Field(default=False, description="a 0 written to DECR sets TSR[DIS] at once")
    inverted_read: bool = Field(
        default=False, description="a running DECR reads 0, an expired one negative (QEMU 8.2 to 9.0, 7.2.7 to 7.2.22)"
    )
