"""In wall time a guest boots when its process is ready, and its twin at 0: they are compared from the boot on."""

from __future__ import annotations

from typing import Any

from .histories import arm, ended, irq, judged, resume, state

TWIN = [arm(0, 40), irq(40), arm(42, 200), irq(242), arm(250, 60), irq(310)]


def booted(at: int) -> list[dict[str, Any]]:
    """The twin's first four acts, by a guest that boots then; its registers are those of the twin."""
    return [
        arm(at, 40, tb=0), resume(at, "source", tb=0), irq(at + 40, tb=40), state(at + 41, "cancelled"),
        arm(at + 42, 200, tb=42), irq(at + 242, tb=242),
    ]  # fmt: skip


def said(history: list[dict[str, Any]]) -> str:
    told = judged(*history, twin=TWIN, clock="wall", status="cancelled", owner="source")
    verdict = told.checks["as_if_never_migrated"]
    return f"{verdict.word}: {verdict.reason}"


def test_a_guest_that_boots_late_has_missed_nothing() -> None:
    """It ends 249 ns after its boot; the twin's last interrupt, at 310, is beyond that, though the clock shows 349."""
    assert said([*booted(100), ended(349)]) == "valid: the guest does what its twin does, to the end"
    assert said([*booted(0), ended(249)]) == "valid: the guest does what its twin does, to the end"


def test_what_it_does_otherwise_is_seen_in_wall_time_too() -> None:
    late = booted(100)
    late[-1] = irq(343, tb=243)
    assert said([*late, ended(349)]).startswith("invalid: before any stop")
    assert said([*booted(100)[:-1], ended(349)]).startswith("invalid: before any stop")
