"""[migration]: what is done to the guest, and by which rule time is saved and restored."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Final, Literal, get_args

from pydantic import BeforeValidator, Field

from livemig.config.presets import MachineModel, MachineVersionName, StrategyName
from livemig.config.quantity import Quantity, TimePolicy
from livemig.config.section import Section
from livemig.config.units import BYTE_RATE, SIZE, TIME


def _version(given: Any) -> Any:
    """1, 2, … and names with a machine model before them, as the names that there are."""
    name = str(given) if type(given) in (int, float, Decimal) else given
    if not isinstance(name, str):
        return given
    model, _, number = name.rpartition("-")
    name = number if model in get_args(MachineModel) else name
    names = get_args(MachineVersionName)
    return names[int(name) - 1] if name in map(str, range(1, len(names) + 1)) else name

MAX_CHANNELS = 16


TIME_POLICY: Final = TimePolicy(Quantity(TIME, "0ns", "1h"))


class Migration(Section):
    """What is done to the guest, and by which rule time is saved and restored."""

    strategy: StrategyName = Field(default="tb-offset", description="the rule for saving and restoring time")
    time_policy: Annotated[str, TIME_POLICY] = Field(
        default="advance",
        description="guest time goes on during the blackout (advance), stands still (freeze), or goes on for so long "
        "and then stands still (`advance-at-most:1s`): what the run is judged by, and what a guest that stays gets",
    )
    machine_version: Annotated[MachineVersionName, BeforeValidator(_version)] = Field(
        default="newest",
        description="form of the state that the source writes: `7.2` has no timers, `8.2` not what is pending; "
        "also 1, 2, 3, and with a model before it: `pseries-7.2`",
    )
    frequency_policy: Literal["refuse", "convert"] = Field(
        default="refuse",
        description="a destination whose timebase has another frequency refuses the guest, unless the strategy knows "
        "what to do, or goes on counting the guest's at the source's (convert)",
    )
    start: Annotated[int, Quantity(TIME, "0ns", "1h")] = Field(
        default=TIME.parse("500ms"), description="when migration begins; before `run.duration`"
    )
    downtime: Annotated[int, Quantity(TIME, "0ns", "1h")] = Field(
        default=0,
        description="blackout asked for: the destination resumes this long after the stop, later if it must",
    )
    save_step: Annotated[int, Quantity(TIME, "0ns", "1s")] = Field(
        default=0,
        description="host time from step to step of the save: the stop, TB is read, each CPU's timers in turn, "
        "all is saved",
    )
    load_step: Annotated[int, Quantity(TIME, "0ns", "1s")] = Field(
        default=0,
        description="the same at the destination: TB is loaded, each CPU's timers in turn, they are armed, the resume",
    )
    downtime_limit: Annotated[int, Quantity(TIME, "0ns", "2000s")] = Field(
        default=TIME.parse("300ms"),
        description="precopy ends when what is left can be sent in this time, by the measured bandwidth",
    )
    max_passes: int = Field(
        default=30, ge=1, le=1000, description="precopy ends after this many passes over dirty memory"
    )
    max_bandwidth: Annotated[int, Quantity(BYTE_RATE, "0B/s", "128GiB/s")] = Field(
        default=0, description="bytes that precopy may send, by windows of 100 ms; 0 for all that the link takes"
    )
    avail_switchover_bandwidth: Annotated[int, Quantity(BYTE_RATE, "0B/s", "128GiB/s")] = Field(
        default=0, description="bandwidth that the last pass is taken to have; 0 for the measured one"
    )
    convergence: Literal["static", "stepped", "ramp"] = Field(
        default="static",
        description="the downtime limit over the passes: `downtime_limit` (static), in steps up to it (stepped: Nova), "
        "or rising from `ramp_start`, and the stop at a good moment of a stall (ramp: KubeVirt)",
    )
    downtime_steps: int = Field(default=10, ge=1, le=1000, description="steps up to `downtime_limit`; stepped only")
    downtime_delay: Annotated[int, Quantity(TIME, "1us", "1h")] = Field(
        default=TIME.parse("75s"), description="time from step to step, for each GiB of RAM; stepped only"
    )
    ramp_start: Annotated[int, Quantity(TIME, "0ns", "2000s")] = Field(
        default=TIME.parse("150ms"), description="the downtime limit at first; ramp only"
    )
    ramp_after: int = Field(default=3, ge=0, le=1000, description="passes before the limit rises; ramp only")
    ramp_step: Annotated[int, Quantity(TIME, "0ns", "2000s")] = Field(
        default=TIME.parse("100ms"), description="by how much the limit rises at a time; ramp only"
    )
    ramp_cooldown: Annotated[int, Quantity(TIME, "1us", "1h")] = Field(
        default=TIME.parse("5s"), description="time from rise to rise; ramp only"
    )
    ramp_limit: Annotated[int, Quantity(TIME, "0ns", "2000s")] = Field(
        default=TIME.parse("1050ms"), description="the highest downtime limit; not below `ramp_start`; ramp only"
    )
    stall_passes: int = Field(
        default=0,
        ge=0,
        le=1000,
        description="passes without less left than ever before, after which the next pass that leaves no more than the "
        "one before it ends precopy; 0 for never; ramp only",
    )
    auto_converge: bool = Field(
        default=False, description="throttle the guest's CPUs while it writes memory faster than the link takes it"
    )
    throttle_trigger_threshold: int = Field(
        default=50, ge=1, le=100, description="per cent of the bytes sent; who writes more, twice, is throttled"
    )
    cpu_throttle_initial: int = Field(default=20, ge=1, le=99, description="per cent of CPU time taken away at first")
    cpu_throttle_increment: int = Field(default=10, ge=1, le=99, description="per cent more, each further time")
    cpu_throttle_tailslow: bool = Field(
        default=False, description="no larger an increment than what should be enough, by the dirty rate"
    )
    max_cpu_throttle: int = Field(
        default=99, ge=1, le=99, description="per cent taken away at most; not below `cpu_throttle_initial`"
    )
    dirty_limit: bool = Field(
        default=False, description="limit each CPU's writes to `vcpu_dirty_limit` when memory is written too fast"
    )
    vcpu_dirty_limit: Annotated[int, Quantity(BYTE_RATE, "4KiB/s", "64GiB/s")] = Field(
        default=BYTE_RATE.parse("1MiB/s"), description="of each CPU; dirty_limit only"
    )
    xbzrle: bool = Field(
        default=False, description="from the second pass on send what changed in a page, where that is known"
    )
    xbzrle_cache_size: Annotated[int, Quantity(SIZE, "4KiB", "64GiB")] = Field(
        default=SIZE.parse("64MiB"), description="pages remembered for xbzrle; a power of two"
    )
    compression: Literal["none", "zstd"] = Field(
        default="none", description="of each page by itself; beside xbzrle in the first pass only; needs livemig[zstd]"
    )
    zstd_level: int = Field(default=1, ge=1, le=20, description="1 is fast, 20 is small; zstd only")
    pause_before_switchover: bool = Field(
        default=False, description="the guest stopped, wait for QMP `migrate-continue`; `livemig run` says it at once"
    )
    cancel_at: Annotated[int, Quantity(TIME, "0ns", "1h")] = Field(
        default=0, description="when the migration is cancelled, if it is not too late; 0 for never"
    )
    postcopy_ram: bool = Field(
        default=False, description="the guest goes on at the destination before all its pages are there"
    )
    postcopy_start: int = Field(
        default=1, ge=0, le=1000, description="passes of precopy before that, at most; 0 for none; postcopy_ram only"
    )
    postcopy_at: Annotated[int, Quantity(TIME, "0ns", "1h")] = Field(
        default=0, description="when precopy ends at the latest; 0 for no such time; postcopy_ram only"
    )
    postcopy_preempt: bool = Field(
        default=False, description="pages that a CPU waits for go by a connection of their own, past what is pushed; "
        "on both sides; postcopy_ram only"
    )
    max_postcopy_bandwidth: Annotated[int, Quantity(BYTE_RATE, "0B/s", "128GiB/s")] = Field(
        default=0, description="bytes pushed of pages that no CPU waits for; 0 for all that the link takes"
    )
    prepaging: int = Field(
        default=0, ge=0, le=4096, description="pages around one that a CPU waits for, which are pushed next"
    )
    recover_after: Annotated[int, Quantity(TIME, "0ns", "1h")] = Field(
        default=0, description="a postcopy whose link broke is taken up again after this time; 0 for never by itself"
    )
    hops: int = Field(
        default=1,
        ge=1,
        le=10_000,
        description="how often the guest crosses: back and forth between the two sides, which change roles",
    )
    hop_interval: Annotated[int, Quantity(TIME, "1ms", "1h")] = Field(
        default=TIME.parse("100ms"), description="the guest's stay on a side between two hops, from its resume"
    )
    connect_timeout: Annotated[int, Quantity(TIME, "1ms", "1h")] = Field(
        default=TIME.parse("5s"), description="host time that source and destination wait for each other"
    )
    peer_timeout: Annotated[int, Quantity(TIME, "100ms", "1h")] = Field(
        default=TIME.parse("30s"),
        description="host time in which a peer must identify itself, and for which it may be silent when it is due",
    )
    transport: Literal["unix", "tcp", "tls", "file"] = Field(
        default="unix",
        description="between source and destination: a socket (tls is over tcp), or a file in the run directory",
    )
    tls_dir: str = Field(
        default="",
        pattern=r"^[^\x00]*$",
        description="directory of the certificates, relative to the configuration file; `run` makes its own if empty",
    )
    multifd_channels: int = Field(
        default=0, ge=0, le=MAX_CHANNELS, description="connections for pages, beside the main one; 0 for none"
    )
