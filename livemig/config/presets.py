"""What follows from a name: the timers of each machine model, and the names of the strategies.

Frequencies are QEMU's: g3beige, pseries and powernv at every release; mac99 since QEMU 10 (7.2 ran it at 100 MHz);
ppc405 that of the board ref405ep, e500 that of ppce500. Those with a Book3S decrementer interrupt when it reads 0:
QEMU's rule, not the architecture book's step from 0 to −1.
"""

from __future__ import annotations

from typing import Final, Literal, get_args

StrategyName = Literal[
    "none",
    "absolute",
    "absolute-frozen-tb",
    "tb-offset",
    "host-ticks",
    "snapshot-tuple",
    "kvm-raw-offset",
    "per-cpu-timebase",
    "cpu-before-machine",
    "qemu-dead-clamp",
    "clamped",
    "kvm-tbu40",
    "kvm-random-dec",
    "deadline-before-clock",
    "negative-delta",
    "round-down",
    "double-read",
    "pending-dropped",
    "tb-write-dropped",
    "frequency-change",
    "decr-only",
    "line-not-recomputed",
    "channel-clock",
]
STRATEGIES: Final[tuple[str, ...]] = get_args(StrategyName)

MachineVersionName = Literal["7.2", "8.2", "newest"]
"""Forms of the state that a source can write, the oldest first."""

MachineModel = Literal["g3beige", "mac99", "pseries", "powernv", "ppc405", "e500"]
EMBEDDED: Final = ("ppc405", "e500")
"""Models whose timers are not Book3S's."""
DEFAULT_MODEL: Final[MachineModel] = "g3beige"

# Keys of [machine], as they would stand in TOML.
PRESETS: Final[dict[str, dict[str, str | int]]] = {
    "g3beige": {
        "timebase_hz": "16.6MHz",
        "decrementer_bits": 32,
        "trigger": "edge",
        "small_values": "wait",
        "underflow_at": "zero",
        "reset_decrementer": "clock",
        "hdecr_bits": 0,
        "hdecr_trigger": "edge",
    },
    "mac99": {
        "timebase_hz": "25MHz",
        "decrementer_bits": 32,
        "trigger": "edge",
        "small_values": "wait",
        "underflow_at": "zero",
        "reset_decrementer": "clock",
        "hdecr_bits": 0,
        "hdecr_trigger": "edge",
    },
    "pseries": {
        "timebase_hz": "512MHz",
        "decrementer_bits": 32,
        "trigger": "level",
        "small_values": "wait",
        "underflow_at": "zero",
        "reset_decrementer": "clock",
        "hdecr_bits": 0,
        "hdecr_trigger": "edge",
    },
    "powernv": {
        "timebase_hz": "512MHz",
        "decrementer_bits": 56,
        "trigger": "level",
        "small_values": "wait",
        "underflow_at": "zero",
        "reset_decrementer": "clock",
        "hdecr_bits": 56,
        "hdecr_trigger": "edge",
    },
}

# of the rest these have the frequency; their timers are those of [machine.ppc40x] and [machine.booke]
PRESETS["ppc405"] = PRESETS["g3beige"] | {"timebase_hz": "33.333333MHz", "reset_decrementer": "zero"}
PRESETS["e500"] = PRESETS["g3beige"] | {"timebase_hz": "400MHz", "reset_decrementer": "zero"}
