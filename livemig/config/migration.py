"""[migration]: what is done to the guest, and by which rule time is saved and restored."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from livemig.config.presets import StrategyName
from livemig.config.quantity import Quantity
from livemig.config.section import Section
from livemig.config.units import TIME


class Migration(Section):
    """What is done to the guest, and by which rule time is saved and restored."""

    strategy: StrategyName = Field(default="tb-offset", description="the rule for saving and restoring time")
    time_policy: Literal["advance", "freeze"] = Field(
        default="advance",
        description="guest time goes on during the blackout (advance) or stands still (freeze)",
    )
    start: Annotated[int, Quantity(TIME, "0ns", "1h")] = Field(
        default=TIME.parse("500ms"), description="when migration begins; before `run.duration`"
    )
    downtime: Annotated[int, Quantity(TIME, "0ns", "1h")] = Field(
        default=0,
        description="blackout asked for: the destination resumes this long after the stop, later if it must",
    )
    downtime_limit: Annotated[int, Quantity(TIME, "0ns", "2000s")] = Field(
        default=TIME.parse("300ms"), description="precopy ends when what is left can be sent in this time"
    )
    max_passes: int = Field(
        default=30, ge=1, le=1000, description="precopy ends after this many passes over dirty memory"
    )
    connect_timeout: Annotated[int, Quantity(TIME, "1ms", "1h")] = Field(
        default=TIME.parse("5s"), description="host time that source and destination wait for each other"
    )
    transport: Literal["unix", "tcp"] = Field(
        default="unix", description="kind of socket between source and destination"
    )
