"""Every key does something: turning it changes the logs, or the verdict, or what the key's own test watches."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pure_pair import run_pure

from livemig.config.keys import leaves, tables
from livemig.config.load import load
from livemig.config.model import Config

BASE = """
[run]
duration = "400ms"
[machine]
cpus = 2
ram = "1MiB"
[guest.memory]
working_set_percent = 50
[migration]
start = "100ms"
downtime = "30ms"
downtime_limit = "200us"
"""

POSTCOPY, AT_ONCE, SLOW = "migration.postcopy_ram=true", "migration.postcopy_start=0", "link.bandwidth=100Mbit/s"
BUSY = "guest.memory.dirty_rate=100MiB/s"
SCRIPT = "guest.kind=script"
LINUX, PERIODIC, TRACE = "guest.kind=linux", "guest.kind=periodic", "guest.kind=trace"
STEPPED = "migration.convergence=stepped"
# writes as fast as the link: the passes neither shrink nor grow, and the ramp has time to rise
RAMP = ["migration.convergence=ramp", "migration.ramp_start=100us", "migration.ramp_step=100us",
        "migration.ramp_cooldown=1ms", "migration.ramp_limit=2ms", "guest.memory.dirty_rate=110MiB/s"]
# a guest that writes faster than the link takes it, for as many seconds as throttling needs to be seen
FAST = ["guest.kind=periodic", "machine.ram=64MiB", "run.duration=8s", "guest.memory.dirty_rate=200MiB/s",
        "guest.memory.filled_percent=100", "migration.max_passes=40", "machine.cpus=1"]
AUTO = "migration.auto_converge=true"
PPC405 = ["machine.model=ppc405", "guest.kind=embedded"]
E500 = ["machine.model=e500", "machine.timebase_hz=33MHz", "guest.kind=embedded"]
HANGS = ["guest.embedded.pets_for=30ms", "guest.embedded.bark=wait", "guest.embedded.watchdog_bit=20"]
HANGS_405, HANGS_E500 = [*PPC405, *HANGS], [*E500, *HANGS]
HYPERVISOR = ["machine.model=powernv", "guest.kind=hypervisor"]
LOG = Path(__file__).parents[2] / "configs/traces/linux-pseries-7.2-live.source.log.gz"

# key → what makes it matter, and the change
CHANGES: dict[str, list[str]] = {
    "run.seed": ["run.seed=2"],
    "run.duration": ["run.duration=401ms"],
    "machine.model": ["machine.model=mac99"],
    "machine.cpus": ["machine.cpus=3"],
    "machine.ram": ["machine.ram=2MiB"],
    "machine.timebase_hz": ["machine.timebase_hz=25MHz"],
    "machine.decrementer_bits": ["machine.decrementer_bits=33"],
    "machine.trigger": ["machine.trigger=level"],
    "machine.small_values": ["guest.darwin.min=1us", "guest.darwin.max=1us", "machine.timebase_hz=1MHz",
                             "machine.small_values=immediate"],
    "machine.underflow_at": ["machine.underflow_at=minus-one"],
    "machine.reset_decrementer": ["machine.reset_decrementer=zero"],
    "machine.wrap": ["machine.trigger=level", SCRIPT, "guest.script.lines=ee off; decr = 0x80000000; wait 9; ee on",
                     "machine.wrap=acts"],
    "machine.hdecr_bits": ["machine.hdecr_bits=56"],
    "machine.hdecr_trigger": [*HYPERVISOR, "guest.handler_time=4ms", "guest.arm_delay=4ms",
                              "guest.hypervisor.slice=5ms", "machine.hdecr_trigger=level"],
    "machine.hdecr_in_nap": [*HYPERVISOR, "guest.hypervisor.slice=1ms", "guest.hypervisor.nap_every=9ms",
                             "machine.hdecr_in_nap=pending"],
    "machine.ppc40x.level": [*PPC405, "machine.ppc40x.level=false"],
    "machine.ppc40x.wrc_sticky": [*HANGS_405, "guest.embedded.bark=disarm", "machine.ppc40x.wrc_sticky=false"],
    "machine.ppc40x.wrs_survives": [*HANGS_405, "machine.ppc40x.wrs_survives=false"],
    "machine.ppc40x.watchdog_critical": [*HANGS_405, "guest.masked_every=10ms", "guest.masked_for=8ms",
                                         "machine.ppc40x.watchdog_critical=false"],
    "machine.ppc40x.pit_needs_pie": [*PPC405, "guest.embedded.order=start-first", "machine.ppc40x.pit_needs_pie=true"],
    "machine.ppc40x.pit_ignores_small": [*PPC405, "machine.timebase_hz=100kHz", "guest.embedded.period=10us",
                                         "guest.embedded.first=10us", "machine.ppc40x.pit_ignores_small=true"],
    "machine.ppc40x.pit_reads_on": [*PPC405, "guest.embedded.auto_reload=false", "machine.ppc40x.pit_reads_on=true"],
    "machine.ppc40x.tcr_write_restarts": [*PPC405, "guest.embedded.order=start-first",
                                          "machine.ppc40x.tcr_write_restarts=true"],
    "machine.ppc40x.reload_rounds_down": [*PPC405, "machine.timebase_hz=999.999937MHz",
                                          "machine.ppc40x.reload_rounds_down=true"],
    "machine.ppc40x.tsr_clears_pit_on_enw": [*PPC405, "machine.ppc40x.level=false", "guest.embedded.period=10us",
                                             "guest.embedded.first=10us", "guest.arm_delay=12us",
                                             "guest.handler_time=15us", "machine.ppc40x.tsr_clears_pit_on_enw=true"],
    "machine.ppc40x.fit_never_started": [*PPC405, "machine.ppc40x.fit_never_started=true"],
    "machine.ppc40x.intervals_from_start": [*PPC405, "machine.ppc40x.intervals_from_start=true"],
    "machine.ppc40x.watchdog_steps_on_tcr_write": [*PPC405, "machine.ppc40x.watchdog_steps_on_tcr_write=true"],
    "machine.booke.level": [*E500, "machine.booke.level=false"],
    "machine.booke.wrc_sticky": [*HANGS_E500, "guest.embedded.bark=disarm", "machine.booke.wrc_sticky=false"],
    "machine.booke.wrs_survives": [*HANGS_E500, "machine.booke.wrs_survives=false"],
    "machine.booke.watchdog_critical": [*HANGS_E500, "guest.masked_every=10ms", "guest.masked_for=8ms",
                                        "machine.booke.watchdog_critical=false"],
    "machine.booke.guard": [*E500, "machine.booke.guard=pending"],
    "machine.booke.least_interval": [*E500, "guest.embedded.fit_bit=10", "machine.booke.least_interval=1ms"],
    "machine.booke.watchdog_stub": [*HANGS_E500, "machine.booke.watchdog_stub=true"],
    "machine.booke.resume_clears_watchdog": [*HANGS_E500, "guest.embedded.pets_for=80ms",
                                             "machine.booke.resume_clears_watchdog=true"],
    "machine.booke.reload_from_callback": [*E500, "machine.booke.reload_from_callback=true"],
    "machine.booke.zero_interrupts": [*E500, "guest.embedded.first=0ns", "machine.booke.zero_interrupts=true"],
    "machine.booke.inverted_read": [*E500, "machine.booke.inverted_read=true"],
    "guest.embedded.period": [*PPC405, "guest.embedded.period=2ms"],
    "guest.embedded.first": [*PPC405, "guest.embedded.first=2ms"],
    "guest.embedded.auto_reload": [*PPC405, "guest.embedded.auto_reload=false"],
    "guest.embedded.order": [*PPC405, "guest.embedded.order=start-first"],
    "guest.embedded.fit": [*PPC405, "guest.embedded.fit=false"],
    "guest.embedded.fit_bit": [*PPC405, "guest.embedded.fit_bit=20"],
    "guest.embedded.watchdog_bit": [*PPC405, "guest.embedded.watchdog_bit=16"],
    "guest.embedded.watchdog_reset": [*HANGS_405, "guest.embedded.watchdog_reset=none"],
    "guest.embedded.pet_every": [*PPC405, "guest.embedded.pet_every=7"],
    "guest.embedded.pets_for": [*PPC405, "guest.embedded.pets_for=50ms"],
    "guest.embedded.bark": [*PPC405, "guest.embedded.pet_every=1000000", "guest.embedded.bark=wait"],
    "guest.hypervisor.guest": [*HYPERVISOR, "guest.hypervisor.guest=darwin"],
    "guest.hypervisor.slice": [*HYPERVISOR, "guest.hypervisor.slice=3ms"],
    "guest.hypervisor.nap_every": [*HYPERVISOR, "guest.hypervisor.slice=1ms", "guest.hypervisor.nap_every=9ms"],
    "guest.kind": ["guest.kind=linux"],
    "guest.script.lines": ["guest.script.lines=decr = 70", SCRIPT, "guest.script.lines=decr = 71"],
    "guest.sets_timebase": ["guest.sets_timebase=4096"],
    "guest.handler_time": ["guest.darwin.min=1us", "guest.handler_time=9us"],
    "guest.arm_delay": ["guest.arm_delay=2us"],
    "guest.boot_interval": ["machine.cpus=2", "guest.boot_interval=0ns"],
    "guest.masked_every": ["guest.masked_for=1ms", "guest.masked_every=5ms"],
    "guest.masked_for": ["guest.masked_every=5ms", "guest.masked_for=1ms"],
    "guest.darwin.min": ["guest.darwin.min=200us"],
    "guest.darwin.max": ["guest.darwin.max=3ms"],
    "guest.darwin.distribution": ["guest.darwin.distribution=skewed"],
    "guest.linux.tick": [LINUX, "guest.linux.tick=3ms"],
    "guest.linux.idle_per_mille": [LINUX, "guest.linux.idle_per_mille=700"],
    "guest.linux.decrementer_max": [LINUX, "guest.linux.decrementer_max=20000"],
    "guest.periodic.period": [PERIODIC, "guest.periodic.period=4ms"],
    "guest.periodic.rearm": [PERIODIC, "guest.periodic.rearm=fixed"],
    "guest.trace.file": [f"guest.trace.file={LOG}", TRACE],
    "guest.trace.repeat": [f"guest.trace.file={LOG}", TRACE, "machine.timebase_hz=1GHz", "run.duration=3s",
                           "guest.trace.repeat=false"],
    "guest.memory.dirty_rate": ["guest.memory.dirty_rate=90MiB/s"],
    "guest.memory.locality": ["guest.memory.locality=hot"],
    "guest.memory.working_set_percent": ["guest.memory.working_set_percent=20"],
    "guest.memory.hot_percent": ["guest.memory.locality=hot", "guest.memory.hot_percent=40"],
    "guest.memory.hot_share_percent": ["guest.memory.locality=hot", "guest.memory.hot_share_percent=10"],
    "guest.memory.filled_percent": ["guest.memory.filled_percent=90"],
    "migration.strategy": ["migration.strategy=absolute"],
    "migration.machine_version": ["migration.machine_version=7.2"],
    "migration.hops": ["migration.hops=2"],
    "migration.hop_interval": ["migration.hops=2", "migration.hop_interval=101ms"],
    "migration.start": ["migration.start=101ms"],
    "migration.downtime": ["migration.downtime=31ms"],
    "migration.save_step": ["migration.save_step=10us"],
    "migration.load_step": ["migration.load_step=10us"],
    "migration.downtime_limit": ["migration.downtime_limit=10ms"],
    "migration.max_passes": ["guest.memory.dirty_rate=4GiB/s", "migration.max_passes=2"],
    "migration.max_bandwidth": ["migration.max_bandwidth=10MiB/s"],
    "migration.avail_switchover_bandwidth": ["migration.avail_switchover_bandwidth=16GiB/s"],
    "migration.convergence": ["migration.convergence=stepped"],
    "migration.downtime_steps": [STEPPED, "migration.downtime_steps=2"],
    "migration.downtime_delay": [STEPPED, "migration.downtime_delay=1ms"],
    "migration.ramp_start": [*RAMP, "migration.ramp_start=500us"],
    "migration.ramp_after": [*RAMP, "migration.ramp_after=1"],
    "migration.ramp_step": [*RAMP, "migration.ramp_step=1ms"],
    "migration.ramp_cooldown": [*RAMP, "migration.ramp_cooldown=9ms"],
    "migration.ramp_limit": [*RAMP, "migration.ramp_limit=120us"],
    "migration.stall_passes": [*RAMP, "guest.memory.dirty_rate=200MiB/s", "migration.ramp_limit=120us",
                               "migration.stall_passes=2"],
    "migration.auto_converge": [*FAST, "migration.auto_converge=true"],
    "migration.throttle_trigger_threshold": [*FAST, AUTO, "migration.throttle_trigger_threshold=100"],
    "migration.cpu_throttle_initial": [*FAST, AUTO, "migration.cpu_throttle_initial=40"],
    "migration.cpu_throttle_increment": [*FAST, AUTO, "migration.cpu_throttle_increment=20"],
    "migration.cpu_throttle_tailslow": [*FAST, AUTO, "migration.cpu_throttle_increment=60",
                                        "migration.cpu_throttle_tailslow=true"],
    "migration.max_cpu_throttle": [*FAST, AUTO, "migration.max_cpu_throttle=25"],
    "migration.dirty_limit": [*FAST, "migration.dirty_limit=true"],
    "migration.vcpu_dirty_limit": [*FAST, "migration.dirty_limit=true", "migration.vcpu_dirty_limit=5MiB/s"],
    "migration.pause_before_switchover": ["migration.pause_before_switchover=true"],
    "migration.xbzrle": ["migration.xbzrle=true"],
    "migration.xbzrle_cache_size": ["guest.memory.dirty_rate=90MiB/s", "migration.xbzrle=true",
                                    "migration.xbzrle_cache_size=64KiB"],
    "migration.compression": ["migration.compression=zstd"],
    "migration.zstd_level": ["migration.compression=zstd", "migration.zstd_level=19"],
    "migration.cancel_at": ["migration.cancel_at=103ms"],
    "migration.postcopy_ram": ["migration.postcopy_ram=true"],
    "migration.postcopy_start": [POSTCOPY, "migration.postcopy_start=0"],
    "migration.postcopy_at": [POSTCOPY, "migration.postcopy_at=104ms"],
    "migration.postcopy_preempt": [POSTCOPY, AT_ONCE, SLOW, BUSY, "migration.postcopy_preempt=true"],
    "migration.max_postcopy_bandwidth": [POSTCOPY, AT_ONCE, SLOW, BUSY,
                                         "migration.max_postcopy_bandwidth=2MiB/s"],
    "migration.prepaging": [POSTCOPY, AT_ONCE, SLOW, BUSY, "migration.prepaging=16"],
    "migration.recover_after": [POSTCOPY, AT_ONCE, SLOW, "link.cut_at=140ms", "migration.recover_after=20ms"],
    "link.cut_at": [POSTCOPY, AT_ONCE, SLOW, "link.cut_at=140ms"],
    "link.cut_again_at": [POSTCOPY, AT_ONCE, SLOW, "link.cut_at=140ms", "migration.recover_after=20ms",
                          "link.cut_again_at=162ms"],
    "link.bandwidth": ["link.bandwidth=900Mbit/s"],
    "link.latency": ["link.latency=150us"],
    "link.return_latency": ["link.return_latency=150us"],
    "link.jitter": ["link.jitter=50us"],
    "host.clock_skew": ["host.clock_skew=-1ms"],
    "host.source.tick_hz": ["host.source.tick_hz=2GHz"],
    "host.source.tick_origin": ["host.source.tick_origin=12345"],
    "host.source.clock_origin": ["host.source.clock_origin=7s"],
    "host.destination.tick_hz": ["host.destination.tick_hz=2GHz"],
    "host.destination.tick_origin": ["host.destination.tick_origin=12345"],
    "host.destination.timebase_hz": ["migration.frequency_policy=convert", "host.destination.timebase_hz=25MHz"],
    "host.destination.clock_origin": ["host.destination.clock_origin=7s"],
}  # fmt: skip

# these do not show in the logs of a pure pair; where they are watched
ELSEWHERE = {
    "machine.booke.intervals": "tests/config/test_timers.py: which bits may be chosen",
    "machine.prealloc": "tests/machine/test_ram.py, tests/launch/qemu/test_engine_workload.py",
    "run.clock": "tests/e2e/test_pair.py: wall time",
    "run.rate": "tests/clock/test_clocks.py",
    "migration.connect_timeout": "below",
    "migration.transport": "tests/e2e/test_pair.py: all transports",
    "migration.multifd_channels": "tests/emulator/test_peers.py: connections are counted",
    "migration.peer_timeout": "tests/emulator/test_peers.py",
    "migration.tls_dir": "tests/launch/test_tls_sides.py",
    "migration.time_policy": "below",
    "migration.frequency_policy": "tests/migration/test_versions.py",
    "checks.late_tolerance": "below",
    "checks.lost_after": "below",
    "checks.twin": "below",
}


def test_every_key_of_the_configuration_is_watched_somewhere() -> None:
    """Those of [fault] in test_fault_liveness.py."""
    keys = {f"{name}.{key}" for name, model in tables(Config) for key in leaves(model)}
    keys -= {key for key in keys if key.startswith("engine.")}  # tests/launch/qemu/test_engine_workload.py
    assert {key for key in keys if not key.startswith("fault.")} == set(CHANGES) | set(ELSEWHERE)


def logs(tmp_path: Path, name: str, overrides: list[str]) -> tuple[bytes, bytes]:
    path = tmp_path / "base.toml"
    path.write_text(BASE)
    out = tmp_path / name
    out.mkdir()
    run_pure(load(str(path), overrides), out)
    return (out / "source.jsonl").read_bytes(), (out / "destination.jsonl").read_bytes()


@pytest.mark.parametrize("key", CHANGES)
def test_turning_it_changes_what_is_logged(key: str, tmp_path: Path) -> None:
    *setting, change = CHANGES[key]
    assert change.startswith(f"{key}=") or key == "guest.trace.file"
    if key == "guest.trace.file":
        setting, change = [], change
        other = tmp_path / "other.log"
        other.write_text("1@2.000003:ppc_decr_store 32-bit 0x0000000000000001 => 0x0000000000010000\n")
        assert logs(tmp_path, "before", [f"guest.trace.file={other}", TRACE]) != logs(tmp_path, "after", CHANGES[key])
        return
    assert logs(tmp_path, "before", setting) != logs(tmp_path, "after", [*setting, change])


def verdict(tmp_path: Path, name: str, *overrides: str) -> dict[str, Any]:
    import json

    path = tmp_path / "base.toml"
    path.write_text(BASE)
    command = [sys.executable, "-m", "livemig", "run", str(path), "--json", "--out", str(tmp_path / name)]
    for override in overrides:
        command += ["--set", override]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return dict(json.loads(done.stdout))


def test_time_policy_and_tolerances_and_twin_change_the_verdict(tmp_path: Path) -> None:
    right = verdict(tmp_path, "advance")
    assert right["verdict"] == "valid"
    assert right["cpus"][0]["missing"] is None
    assert verdict(tmp_path, "freeze", "migration.time_policy=freeze")["verdict"] == "invalid"
    assert verdict(tmp_path, "at-most", "migration.time_policy=advance-at-most:29ms")["verdict"] == "invalid"
    assert verdict(tmp_path, "long", "migration.time_policy=advance-at-most:30ms")["verdict"] == "valid"

    late = ["migration.strategy=absolute"]
    assert verdict(tmp_path, "late", *late)["checks"]["lateness_bounded"]["verdict"] == "invalid"
    tolerant = verdict(tmp_path, "tolerant", *late, "checks.late_tolerance=1s")
    assert tolerant["checks"]["lateness_bounded"]["verdict"] == "valid"

    hangs = ["migration.strategy=none", "run.duration=3s"]
    assert verdict(tmp_path, "lost", *hangs)["interrupts"]["lost"] == 2
    patient = verdict(tmp_path, "patient", "migration.strategy=absolute", "checks.lost_after=1us")
    assert patient["interrupts"]["lost"] == 0  # a blackout late is late, not lost, however short the patience

    assert verdict(tmp_path, "twin", "checks.twin=true")["cpus"][0]["missing"] is not None


def test_connect_timeout_is_how_long_the_source_tries(tmp_path: Path) -> None:
    import time

    path = tmp_path / "base.toml"
    path.write_text(BASE)
    took = []
    for timeout in ("50ms", "900ms"):
        began = time.monotonic()
        command = [sys.executable, "-m", "livemig", "source", str(path), "--connect", f"unix:{tmp_path}/nobody"]
        command += ["--out", str(tmp_path / timeout), "--set", f"migration.connect_timeout={timeout}"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        took.append(time.monotonic() - began)
        assert done.returncode == 3
        assert "no peer within" in done.stdout
    assert took[1] - took[0] > 0.6
