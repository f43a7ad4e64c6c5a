"""Defaults, presets and conflicts between keys."""

import subprocess
import sys
from fractions import Fraction

import pytest
from pydantic import ValidationError

from livemig.config.load import validated
from livemig.config.model import Config
from livemig.config.presets import PRESETS, STRATEGIES
from livemig.errors import ConfigError
from livemig.strategies.table import STRATEGIES as TABLE


def config(**tables):
    return validated(tables, "test.toml")


def test_a_real_qemu_is_judged_with_the_tolerance_that_its_host_needs():
    config = Config.model_validate({"engine": {"kind": "qemu"}})
    assert config.checks.late_tolerance == 20_000_000
    assert config.run.clock == "virtual"


def test_the_defaults_in_units():
    defaults = config().as_toml_values()
    assert not any(fault["enabled"] for fault in defaults.pop("fault").values())
    assert defaults == {
        "run": {"seed": 1, "duration": "2s", "clock": "virtual", "rate": 1.0},
        "machine": {
            "model": "g3beige", "cpus": 1, "ram": "64MiB", "prealloc": False,
            "timebase_hz": "16.6MHz", "decrementer_bits": 32,
            "trigger": "edge", "small_values": "wait", "underflow_at": "zero", "reset_decrementer": "clock",
            "hdecr_bits": 0, "hdecr_trigger": "edge", "hdecr_in_nap": "discarded",
            "wrap": "ignored",
            "ppc40x": {
                "level": True, "wrc_sticky": True, "wrs_survives": True, "watchdog_critical": True,
                "pit_needs_pie": False, "pit_ignores_small": False, "pit_reads_on": False, "tcr_write_restarts": False,
                "reload_rounds_down": False, "tsr_clears_pit_on_enw": False, "fit_never_started": False,
                "intervals_from_start": False, "watchdog_steps_on_tcr_write": False,
            },
            "booke": {
                "level": True, "wrc_sticky": True, "wrs_survives": True, "watchdog_critical": True,
                "intervals": "e500", "guard": "free", "least_interval": "0ns", "watchdog_stub": False,
                "resume_clears_watchdog": False, "reload_from_callback": False, "zero_interrupts": False,
                "inverted_read": False,
            },
        },
        "guest": {
            "kind": "darwin", "handler_time": "5us", "arm_delay": "1us", "boot_interval": "10us",
            "masked_every": "0ns", "masked_for": "0ns", "sets_timebase": 0,
            "darwin": {"min": "100us", "max": "2ms", "distribution": "uniform"},
            "linux": {"tick": "4ms", "idle_per_mille": 200, "decrementer_max": 0x7FFFFFFF},
            "periodic": {"period": "5ms", "rearm": "drift-free"},
            "trace": {"file": "", "repeat": True},
            "embedded": {
                "period": "1ms", "first": "1ms", "auto_reload": True, "order": "enable-first", "fit": True,
                "fit_bit": 16, "watchdog_bit": 20, "watchdog_reset": "system", "pet_every": 10,
                "pets_for": "0ns", "bark": "pet",
            },
            "hypervisor": {"guest": "linux", "slice": "10ms", "nap_every": "0ns"},
            "script": {"lines": ""},
            "memory": {
                "dirty_rate": "20MiB/s", "locality": "uniform", "working_set_percent": 100, "hot_percent": 10,
                "hot_share_percent": 90, "filled_percent": 50,
            },
        },
        "migration": {
            "strategy": "tb-offset", "time_policy": "advance", "machine_version": "newest",
            "frequency_policy": "refuse", "hops": 1, "hop_interval": "100ms", "start": "500ms", "downtime": "0ns",
            "save_step": "0ns", "load_step": "0ns",
            "downtime_limit": "300ms", "max_passes": 30, "connect_timeout": "5s", "transport": "unix",
            "max_bandwidth": "0B/s", "avail_switchover_bandwidth": "0B/s", "convergence": "static",
            "downtime_steps": 10, "downtime_delay": "1.25min", "ramp_start": "150ms", "ramp_after": 3,
            "ramp_step": "100ms", "ramp_cooldown": "5s", "ramp_limit": "1.05s", "stall_passes": 0,
            "auto_converge": False, "throttle_trigger_threshold": 50, "cpu_throttle_initial": 20,
            "cpu_throttle_increment": 10, "cpu_throttle_tailslow": False, "max_cpu_throttle": 99,
            "dirty_limit": False, "vcpu_dirty_limit": "1MiB/s", "pause_before_switchover": False,
            "cancel_at": "0ns", "xbzrle": False, "xbzrle_cache_size": "64MiB", "compression": "none", "zstd_level": 1,
            "peer_timeout": "30s", "tls_dir": "", "multifd_channels": 0, "postcopy_ram": False, "postcopy_start": 1,
            "postcopy_at": "0ns", "postcopy_preempt": False, "max_postcopy_bandwidth": "0B/s", "prepaging": 0,
            "recover_after": "0ns",
        },
        "link": {"bandwidth": "1Gbit/s", "latency": "100us", "return_latency": "0ns", "jitter": "0ns",
                 "cut_at": "0ns", "cut_again_at": "0ns"},
        "host": {
            "clock_skew": "0ns",
            "source": {"tick_hz": "2.5GHz", "tick_origin": 0, "clock_origin": "0ns"},
            "destination": {"tick_hz": "2.5GHz", "tick_origin": 0, "clock_origin": "0ns", "timebase_hz": "0Hz"},
        },
        "engine": {
            "kind": "emulator", "binary": "", "source_binary": "", "destination_binary": "", "qemu_root": "",
            "source_root": "", "destination_root": "", "source_version": "", "destination_version": "",
            "method": "live", "at_stop": "any", "masked_loops": 0, "kernel": "", "initrd": "",
            "append": "", "arguments": "", "start_timeout": "20s",
        },
        "checks": {"late_tolerance": "0ns", "lost_after": "1s", "twin": False},
    }  # fmt: skip


def test_the_model_holds_base_units_and_no_float():
    one = config(
        run={"duration": "1.5ms", "rate": 0.5}, migration={"start": "0s"}, link={"bandwidth": "1Mbit/s"}
    )
    assert one.run.duration == 1_500_000
    assert one.run.rate == Fraction(1, 2)
    assert one.machine.ram == 64 * 2**20
    assert one.machine.timebase_hz == 16_600_000
    assert one.link.bandwidth == 1_000_000
    assert one.guest.memory.dirty_rate == 20 * 2**20

    def leaves(value):
        if hasattr(value, "as_toml_values"):
            return [leaf for name in type(value).model_fields for leaf in leaves(getattr(value, name))]
        return [value]

    assert {type(leaf) for leaf in leaves(one)} == {int, str, bool, Fraction}


@pytest.mark.parametrize(
    ("model", "hz", "trigger"),
    [("g3beige", 16_600_000, "edge"), ("mac99", 25_000_000, "edge"), ("pseries", 512_000_000, "level")],
)
def test_a_model_brings_its_preset(model, hz, trigger):
    machine = config(machine={"model": model}).machine
    assert (machine.timebase_hz, machine.trigger) == (hz, trigger)
    assert (machine.decrementer_bits, machine.small_values, machine.underflow_at) == (32, "wait", "zero")


def test_a_key_given_wins_over_the_preset_and_leaves_the_others():
    machine = config(machine={"model": "mac99", "timebase_hz": "100MHz"}).machine
    assert (machine.timebase_hz, machine.trigger) == (100_000_000, "edge")


def test_presets_are_all_for_the_same_keys():
    assert len({tuple(preset) for preset in PRESETS.values()}) == 1
    assert set(STRATEGIES) == set(TABLE)


@pytest.mark.parametrize(
    ("run", "checks", "tolerance"),
    [
        ({}, {}, 0),
        ({"clock": "wall"}, {}, 20_000_000),
        ({"clock": "wall"}, {"twin": True}, 20_000_000),
        ({"clock": "wall"}, {"late_tolerance": "3ms"}, 3_000_000),
        ({"clock": "virtual"}, {"late_tolerance": "3ms"}, 3_000_000),
    ],
)
def test_lateness_is_tolerated_by_clock_unless_given(run, checks, tolerance):
    assert config(run=run, checks=checks).checks.late_tolerance == tolerance


@pytest.mark.parametrize(
    ("tables", "key", "allowed"),
    [
        ({"migration": {"start": "2s"}}, "migration.start", "migration.start < run.duration"),
        ({"guest": {"arm_delay": "6us"}}, "guest.arm_delay", "guest.arm_delay <= guest.handler_time"),
        (
            {"guest": {"masked_every": "1ms", "masked_for": "1ms"}},
            "guest.masked_for",
            "guest.masked_for < guest.masked_every",
        ),
        ({"guest": {"darwin": {"min": "3ms"}}}, "guest.darwin.min", "guest.darwin.min <= guest.darwin.max"),
        (
            {"guest": {"kind": "linux", "linux": {"decrementer_max": 2**31}}},
            "guest.linux.decrementer_max",
            "guest.linux.decrementer_max < 2^(machine.decrementer_bits − 1)",
        ),
        (
            {"migration": {"start": "1s", "cancel_at": "1s"}},
            "migration.start",
            "migration.start < migration.cancel_at",
        ),
        (
            {"migration": {"ramp_start": "2s"}},
            "migration.ramp_start",
            "migration.ramp_start <= migration.ramp_limit",
        ),
        (
            {"migration": {"cpu_throttle_initial": 50, "max_cpu_throttle": 49}},
            "migration.max_cpu_throttle",
            "migration.cpu_throttle_initial <= migration.max_cpu_throttle",
        ),
        (
            {"migration": {"auto_converge": True, "dirty_limit": True}},
            "migration.dirty_limit",
            "one of dirty_limit and auto_converge",
        ),
        (
            {"migration": {"xbzrle": True, "multifd_channels": 2}},
            "migration.multifd_channels",
            "0 channels beside xbzrle",
        ),
        (
            {"migration": {"transport": "file", "multifd_channels": 2}},
            "migration.multifd_channels",
            "0 channels beside transport",
        ),
        ({"migration": {"xbzrle_cache_size": "12KiB"}}, "migration.xbzrle_cache_size", "a power of two"),
        ({"guest": {"kind": "trace"}}, "guest.trace.file", "a path in guest.trace.file"),
    ],
)
def test_keys_at_odds_are_refused(tables, key, allowed):
    with pytest.raises(ConfigError) as caught:
        config(**tables)
    assert (caught.value.file, caught.value.key, caught.value.allowed) == ("test.toml", key, allowed)


@pytest.mark.parametrize(
    "tables",
    [
        {"migration": {"start": "1999999999ns"}},
        {"guest": {"arm_delay": "5us"}},
        {"guest": {"masked_every": "1ms", "masked_for": "999999ns"}},
        {"guest": {"masked_every": "0s", "masked_for": "1ms"}},
        {"guest": {"darwin": {"min": "2ms"}}},
        {"guest": {"kind": "linux", "linux": {"decrementer_max": 2**31 - 1}}},
        {"guest": {"kind": "darwin", "linux": {"decrementer_max": 2**31}}},
        {
            "guest": {"kind": "linux", "linux": {"decrementer_max": 2**55 - 1}},
            "machine": {"decrementer_bits": 56},
        },
        {"guest": {"kind": "trace", "trace": {"file": "log"}}},
    ],
)
def test_keys_just_not_at_odds_are_allowed(tables):
    assert config(**tables)


def test_a_configuration_cannot_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        config().guest.memory.dirty_rate = 0
    assert hash(config()) == hash(Config.model_validate({}))


def test_loading_imports_nothing_heavy():
    """Start-up is on every command's path: of the dependencies only pydantic, nothing for errors only."""
    listing = "import sys, livemig.config.load; print(*sys.modules)"
    modules = subprocess.run(
        [sys.executable, "-c", listing], capture_output=True, text=True, check=True
    ).stdout.split()
    assert "pydantic" in modules
    assert not {"numpy", "trio", "asyncio", "structlog", "difflib", "livemig.config.problems"} & set(modules)
