"""One quantity, as the model predicts it and as QEMU had it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from livemig.events.qemu.window import Window

Value = Window | str | None
"""A number, or between which two it is; in words (``never``); None: not known."""


@dataclass(frozen=True, slots=True)
class Row:
    """Args: ``unit``: ticks, Hz, or empty for what is counted. ``hz``: of the ticks. ``noise``: how far apart the two
    may be and still agree, in ``unit``; 0 where the log gives both exactly. ``says``: whether they agree, where they
    are words."""

    quantity: str
    predicted: Value
    qemu: Value
    unit: str = "ticks"
    hz: int = 0
    cpu: int | None = None
    noise: int = 0
    says: bool | None = None
    note: str = ""

    @property
    def difference(self) -> int | None:
        """QEMU's less the model's; 0 where they may be the same."""
        if not isinstance(self.predicted, Window) or not isinstance(self.qemu, Window):
            return None
        return self.predicted.gap(self.qemu)

    @property
    def agrees(self) -> bool | None:
        """None: not known."""
        if self.says is not None:
            return self.says
        difference = self.difference
        return None if difference is None else abs(difference) <= self.noise

    def as_dict(self) -> dict[str, Any]:
        return {
            "quantity": self.quantity,
            "cpu": self.cpu,
            "unit": self.unit or None,
            "predicted": _plain(self.predicted),
            "qemu": _plain(self.qemu),
            "difference": self.difference,
            "difference_us": self._us(self.difference),
            "noise": self.noise,
            "noise_us": self._us(self.noise),
            "agrees": self.agrees,
            "note": self.note or None,
        }

    def _us(self, ticks: int | None) -> float | None:
        return None if ticks is None or self.unit != "ticks" else round(ticks * 1e6 / self.hz, 3)


def _plain(value: Value) -> int | str | list[int] | None:
    if isinstance(value, Window):
        return value.low if value.exact else [value.low, value.high]
    return value
