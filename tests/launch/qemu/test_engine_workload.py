"""What of a configuration a real QEMU can do, how it is told, and what is refused in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from livemig.config.engine import Engine
from livemig.config.keys import leaves
from livemig.config.load import load
from livemig.errors import ConfigError
from livemig.launch.qemu.binary import Binary
from livemig.launch.qemu.command import command, machine_option
from livemig.launch.qemu.pair import parameters
from livemig.launch.qemu.workload import workload
from livemig.launch.qemu_versions import Version

BASE = """
[guest]
kind = "periodic"
[guest.periodic]
period = "10ms"
[engine]
kind = "qemu"
"""
CONFIGS = Path(__file__).parents[3] / "configs"
OLD, NEW = Binary("qemu", Version(7, 2, 22)), Binary("qemu", Version(10, 0, 2))


@pytest.fixture
def base(tmp_path: Path) -> str:
    path = tmp_path / "base.toml"
    path.write_text(BASE)
    return str(path)


def loaded(base: str, *overrides: str) -> Any:
    return workload(load(base, overrides), base, OLD)


def test_times_become_ticks_of_the_release_that_runs_the_guest(base: str) -> None:
    config = load(base, ["machine.model=mac99"])
    assert workload(config, base, OLD).orders.period == 1_000_000  # type: ignore[union-attr]
    assert workload(config, base, NEW).orders.period == 250_000  # type: ignore[union-attr]


def test_the_memory_workload_becomes_pages_by_interrupt(base: str) -> None:
    orders = loaded(base, "guest.memory.dirty_rate=20MiB/s", "guest.memory.working_set_percent=25").orders
    assert orders.dirty_pages == 51  # 20 MiB/s for 10 ms are 51.2 pages
    assert orders.working_set == 16 << 20
    assert orders.filled == 32 << 20
    assert loaded(base, "guest.memory.filled_percent=100").orders.filled == 48 << 20  # above its own 16 MiB
    assert loaded(base, "guest.memory.dirty_rate=0B/s").orders.dirty_pages == 0


@pytest.mark.parametrize(
    ("overrides", "key"),
    [
        (["guest.kind=darwin"], "guest.kind"),
        (["guest.kind=linux"], "guest.kind"),
        (["machine.model=e500"], "machine.model"),
        (["machine.cpus=2"], "machine.cpus"),
        (["machine.cpus=2", "engine.kernel=vmlinux"], "machine.cpus"),
        (["machine.cpus=2", "machine.model=pseries", "machine.ram=256MiB"], "machine.cpus"),
        (["machine.model=pseries"], "machine.ram"),
        (["machine.model=pseries", "machine.ram=384MiB"], "machine.ram"),
        (["machine.ram=66000KiB"], "machine.ram"),
        (["machine.timebase_hz=20MHz"], "machine.timebase_hz"),
        (["machine.decrementer_bits=56"], "machine.decrementer_bits"),
        (["machine.trigger=level"], "machine.trigger"),
        (["machine.small_values=immediate"], "machine.small_values"),
        (["machine.underflow_at=minus-one"], "machine.underflow_at"),
        (["guest.handler_time=6us"], "guest.handler_time"),
        (["guest.arm_delay=2us"], "guest.arm_delay"),
        (["guest.masked_for=1ms", "guest.masked_every=5ms"], "guest.masked_every"),
        (["guest.memory.locality=hot"], "guest.memory.locality"),
        (["guest.periodic.period=200s", "run.duration=1h"], "guest.periodic.period"),
        (["migration.max_passes=5"], "migration.max_passes"),
        (["migration.convergence=ramp"], "migration.convergence"),
        (["migration.dirty_limit=true"], "migration.dirty_limit"),
        (["migration.pause_before_switchover=true"], "migration.pause_before_switchover"),
        (["host.clock_skew=1ms"], "host.clock_skew"),
        (["host.source.tick_hz=1GHz"], "host.source"),
        (["run.rate=2"], "run.rate"),
        (["checks.twin=true"], "checks.twin"),
        (["engine.at_stop=raised"], "engine.at_stop"),
        (["engine.initrd=x"], "engine.initrd"),
        (["engine.append=x"], "engine.append"),
        (["engine.kernel=k", "engine.masked_loops=5"], "engine.masked_loops"),
        (["engine.kernel=k", "guest.sets_timebase=5"], "guest.sets_timebase"),
        (["engine.kernel=k", "engine.at_stop=raised", "engine.method=stop-and-copy"], "engine.at_stop"),
    ],
)
def test_what_qemu_cannot_do_is_one_line_that_names_the_key(base: str, overrides: list[str], key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(base, *overrides)
    assert caught.value.key == key
    assert caught.value.allowed
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.toml")), ids=lambda path: path.stem)
def test_a_scenario_that_ships_for_qemu_is_taken_and_one_for_other_guests_is_refused(path: Path) -> None:
    config = load(str(path))
    if config.engine.kind == "qemu":
        assert workload(config, str(path), OLD).orders is not None
    elif config.guest.kind != "periodic":
        with pytest.raises(ConfigError):
            workload(config, str(path), OLD)


CHANGES: dict[str, list[str]] = {
    "masked_loops": ["engine.masked_loops=5"],
    "kernel": ["engine.kernel=vmlinux"],
    "initrd": ["engine.kernel=vmlinux", "engine.initrd=initrd"],
    "append": ["engine.kernel=vmlinux", "engine.append=quiet"],
    "arguments": ["engine.arguments=-rtc 'base=utc'"],
}
ELSEWHERE = {
    "kind": "tests/launch/qemu/test_engine_real.py",
    **dict.fromkeys(("binary", "source_binary", "destination_binary"), "tests/launch/qemu/test_engine_binary.py"),
    **dict.fromkeys(("qemu_root", "source_root", "destination_root"), "tests/launch/qemu/test_engine_binary.py"),
    **dict.fromkeys(("source_version", "destination_version"), "tests/launch/qemu/test_engine_binary.py"),
    **dict.fromkeys(("method", "at_stop", "start_timeout"), "tests/launch/qemu/test_engine_real.py"),
}


def test_every_key_of_the_engine_is_watched_somewhere() -> None:
    assert set(leaves(Engine)) == set(CHANGES) | set(ELSEWHERE)


def line(base: str, overrides: list[str]) -> list[str]:
    return command(OLD, loaded(base, *overrides), "g3beige", Path("log"), Path("qmp"))


@pytest.mark.parametrize("key", CHANGES)
def test_turning_it_changes_the_command_line(base: str, key: str) -> None:
    *setting, change = CHANGES[key]
    assert change.startswith(f"engine.{key}=")
    assert line(base, setting) != line(base, [*setting, change])


def test_a_timebase_that_the_guest_sets_is_in_its_orders(base: str) -> None:
    assert loaded(base, "guest.sets_timebase=1311768467463790320").orders.set_timebase == 0x1234_5678_9ABC_DEF0


def test_a_kernel_of_your_own_takes_the_place_of_the_guest(base: str) -> None:
    words = line(base, ["engine.kernel=vmlinux", "engine.append=console=ttyS0 quiet"])
    assert words[words.index("-kernel") + 1] == str(Path(base).parent / "vmlinux")
    assert words[words.index("-append") + 1] == "console=ttyS0 quiet"
    assert "-bios" not in words
    assert not any(word.startswith("loader,") for word in words)


def test_the_parameters_are_qemu_s_in_its_units(base: str) -> None:
    plain = load(base, ["migration.downtime_limit=1500us"]).migration
    assert parameters(plain) == {"downtime-limit": 2, "max-bandwidth": 0}
    told = ["migration.auto_converge=true", "migration.cpu_throttle_initial=33", "migration.max_bandwidth=1MiB/s"]
    assert parameters(load(base, [*told, "migration.avail_switchover_bandwidth=2MiB/s"]).migration) == {
        "downtime-limit": 300, "max-bandwidth": 1 << 20, "avail-switchover-bandwidth": 2 << 20,
        "throttle-trigger-threshold": 50, "cpu-throttle-initial": 33, "cpu-throttle-increment": 10,
        "cpu-throttle-tailslow": False, "max-cpu-throttle": 99,
    }  # fmt: skip


def test_arguments_are_quoted_as_for_a_shell(base: str) -> None:
    assert line(base, ["engine.arguments=-rtc 'base=utc, clock=vm'"])[-2:] == ["-rtc", "base=utc, clock=vm"]


def test_prealloc_is_qemu_s_mem_prealloc(base: str) -> None:
    assert "-mem-prealloc" in line(base, ["machine.prealloc=true"])
    assert "-mem-prealloc" not in line(base, [])


def test_a_destination_waits_for_its_guest_and_stays_paused(base: str) -> None:
    words = command(OLD, loaded(base), "g3beige", Path("log"), Path("qmp"), "unix:in")
    assert words[words.index("-incoming") + 1] == "unix:in"
    assert "-S" in words
    assert "-S" not in line(base, [])


def test_of_two_releases_the_older_one_s_pseries_is_taken() -> None:
    assert machine_option("pseries", OLD, NEW) == machine_option("pseries", NEW, OLD) == "pseries-7.2"
    assert machine_option("pseries", NEW, NEW) == "pseries"
    assert machine_option("mac99", OLD, NEW) == "mac99"
