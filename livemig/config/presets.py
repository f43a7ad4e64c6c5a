"""What follows from a name: the decrementer of each machine model, and the names of the strategies.

Frequencies are QEMU's: g3beige and pseries at every release; mac99 since QEMU 10 (7.2 ran it at 100 MHz).
All three interrupt when the decrementer reads 0: QEMU's rule, not the architecture book's step from 0 to −1.
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
]
STRATEGIES: Final[tuple[str, ...]] = get_args(StrategyName)

MachineVersionName = Literal["7.2", "8.2", "newest"]
"""Forms of the state that a source can write, the oldest first."""

MachineModel = Literal["g3beige", "mac99", "pseries"]
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
    },
    "mac99": {
        "timebase_hz": "25MHz",
        "decrementer_bits": 32,
        "trigger": "edge",
        "small_values": "wait",
        "underflow_at": "zero",
        "reset_decrementer": "clock",
    },
    "pseries": {
        "timebase_hz": "512MHz",
        "decrementer_bits": 32,
        "trigger": "level",
        "small_values": "wait",
        "underflow_at": "zero",
        "reset_decrementer": "clock",
    },
}
