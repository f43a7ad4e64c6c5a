"""[guest.embedded] and [guest.hypervisor]: guests that use more than the decrementer."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from livemig.config.quantity import Quantity
from livemig.config.section import Section
from livemig.config.units import TIME


class Embedded(Section):
    """kind = "embedded": a tick from the PIT or the BookE decrementer, a FIT, and a watchdog to be petted."""

    period: Annotated[int, Quantity(TIME, "1us", "1h")] = Field(
        default=TIME.parse("1ms"), description="interval between ticks"
    )
    first: Annotated[int, Quantity(TIME, "0ns", "1h")] = Field(
        default=TIME.parse("1ms"),
        description="what is written to the main timer at boot; 0 starts none, by the manuals",
    )
    auto_reload: bool = Field(
        default=True, description="the timer reloads itself (TCR[ARE]), or each handler writes it, by TB"
    )
    order: Literal["enable-first", "start-first"] = Field(
        default="enable-first", description="at boot TCR is written before the main timer, or after it"
    )
    fit: bool = Field(default=True, description="it takes interrupts of the fixed interval timer")
    fit_bit: int = Field(
        default=16, ge=0, le=63, description="bit of TB, from the lowest, whose rise the FIT waits for"
    )
    watchdog_bit: int = Field(default=20, ge=0, le=63, description="the same for the watchdog")
    watchdog_reset: Literal["none", "core", "chip", "system"] = Field(
        default="system", description="TCR[WRC]: what the watchdog's third time-out resets"
    )
    pet_every: int = Field(default=10, ge=1, le=1_000_000, description="ticks between two pettings of the watchdog")
    pets_for: Annotated[int, Quantity(TIME, "0ns", "1h")] = Field(
        default=0,
        description="after so long it stops petting, unless TSR[WRS] told it at boot that the watchdog had reset it; "
        "0 for never",
    )
    bark: Literal["pet", "wait", "disarm"] = Field(
        default="pet",
        description="at the watchdog's interrupt it pets it, or clears TCR[WIE] and waits, or tries to clear TCR[WRC] "
        "too",
    )


class Hypervisor(Section):
    """kind = "hypervisor": slices of HDECR beside a guest that has the decrementer."""

    guest: Literal["darwin", "linux", "periodic"] = Field(
        default="linux", description="what runs in it; that guest's table holds what it needs"
    )
    slice: Annotated[int, Quantity(TIME, "1us", "1h")] = Field(
        default=TIME.parse("10ms"), description="interval between interrupts of the hypervisor decrementer"
    )
    nap_every: Annotated[int, Quantity(TIME, "0ns", "1h")] = Field(
        default=0,
        description="at the first decrementer interrupt in every stretch of TB so long, it naps to the next one; 0 for "
        "never",
    )
