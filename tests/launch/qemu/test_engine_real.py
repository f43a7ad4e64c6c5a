"""A real QEMU as engine, whichever is installed: what it does with TB and DECR is known by its release."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import Any

import pytest

from livemig.config.load import load
from livemig.launch.qemu import pair
from livemig.launch.qemu.process import QemuError
from livemig.launch.qemu.scenario import QemuRun, run_qemu
from livemig.link.toxics import LimitData

pytestmark = [pytest.mark.qemu, pytest.mark.slow]

CONFIGS = Path(__file__).parents[3] / "configs"
SHORT = [
    "run.duration=1200ms", "migration.start=150ms", "migration.downtime=200ms", "guest.memory.dirty_rate=0B/s",
    "guest.memory.filled_percent=0",
]  # fmt: skip


THE_HOSTS = {"lateness_bounded", "blackout_as_configured"}
"""What a busy host alone makes fail."""


UNHURRIED = "run.duration=3s"
"""For a guest that must cross, however busy the host."""


def run(tmp_path: Path, machine: str, *overrides: str) -> QemuRun:
    path = str(CONFIGS / f"qemu-{machine}.toml")
    if root := os.environ.get("LIVEMIG_QEMU_ROOT"):
        overrides = (f"engine.qemu_root='{os.path.abspath(root)}'", *overrides)
    return run_qemu(load(path, [*SHORT, *overrides]), path, tmp_path / "run")


def children() -> set[str]:
    """QEMU processes of whoever runs this test."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            _, name, rest = path.read_text().replace("(", ")").split(")", 2)
        except OSError:
            continue
        if name.startswith("qemu-system") and int(rest.split()[1]) == os.getpid():
            found.add(path.parent.name)
    return found


@pytest.mark.parametrize("machine", ["g3beige", "mac99", "pseries"])
def test_a_live_migration_is_run_imported_and_judged(machine: str, tmp_path: Path) -> None:
    """The run directory is one of ours, and holds QEMU's own logs and the guest's own records beside."""
    done = run(tmp_path, machine, UNHURRIED)
    stopped, restored = done.crossing.stopped, done.crossing.restored
    assert stopped is not None
    assert restored is not None
    assert restored[0].tb == stopped[0].tb  # either release freezes TB
    migrates = done.source.version >= (8, 2, 0)
    assert restored[0].decr == (stopped[0].decr if migrates else -stopped[0].tb - 1)
    result = done.result.as_dict()
    wrong = {name for name, check in result["checks"].items() if check["verdict"] == "invalid"}
    if migrates and stopped[0].interrupt == "none":
        assert wrong <= THE_HOSTS
    elif not migrates:
        assert "decr_matches_tb" in wrong
    directory = tmp_path / "run"
    manifest = json.loads((directory / "run.json").read_text())
    assert (manifest["engine"], manifest["complete"]) == ("qemu", True)
    assert manifest["migration"] == {"status": "completed", "owner": "destination", "reason": "", "torn": []}
    facts = tomllib.loads((directory / "qemu/run.toml").read_text())
    assert facts["measured"]["source_tb_at_stop"] == stopped[0].tb
    assert facts["run"]["qemu_version"] == done.source.release
    records = (directory / "qemu/guest_records.tsv").read_text().splitlines()[1:]
    assert len(records) == sum(cpu["delivered"] for cpu in result["cpus"])
    assert done.crossing.resume_ns - done.crossing.stop_ns >= 200_000_000
    assert children() == set()


def test_stop_and_copy_over_tcp_with_the_interrupt_masked_at_the_stop(tmp_path: Path) -> None:
    done = run(
        tmp_path, "mac99", "engine.method=stop-and-copy", "engine.at_stop=raised", "engine.masked_loops=3000000",
        "migration.transport=tcp", UNHURRIED,
    )  # fmt: skip
    assert done.crossing.stopped is not None
    stopped = done.crossing.stopped[0]
    assert stopped.decr < 0
    assert stopped.masked
    assert done.result.as_dict()["checks"]["pending_preserved"]["verdict"] == "invalid"


def test_the_link_s_bandwidth_is_that_of_the_stream(tmp_path: Path) -> None:
    """At 80 Mbit/s a second's worth of pages does not cross in the half second that there is: QEMU is told to cancel,
    and the guest goes on where it was."""
    done = run(tmp_path, "g3beige", "guest.memory.filled_percent=100", "link.bandwidth=80Mbit/s")
    assert (done.crossing.status, done.crossing.owner) == ("cancelled", "source")
    assert done.crossing.reason == "not complete by run.duration"
    sent = done.crossing.query["ram"]["transferred"]
    assert sent < 10_000_000 * 0.7 + 6_000_000  # and what the buffers on the way take
    manifest = json.loads((tmp_path / "run/run.json").read_text())
    assert manifest["migration"]["owner"] == "source"


def test_a_migration_that_is_cancelled_leaves_the_guest_where_it_was(tmp_path: Path) -> None:
    told = ["migration.cancel_at=300ms", "migration.auto_converge=true", "migration.max_bandwidth=1MiB/s"]
    done = run(tmp_path, "g3beige", "guest.memory.filled_percent=30", *told)
    assert (done.crossing.status, done.crossing.owner) == ("cancelled", "source")
    assert done.crossing.reason == "cancelled at migration.cancel_at"
    assert len(done.crossing.records) > 50  # 1200 ms of 10 ms each


def test_a_link_that_is_cut_leaves_the_guest_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pair, "link_toxics", lambda *link: [LimitData(50_000)])
    done = run(tmp_path, "g3beige")
    assert (done.crossing.status, done.crossing.owner) == ("failed", "source")
    result = done.result.as_dict()
    assert (result["migration"]["owner"], result["interrupts"]["lost"]) == ("source", 0)


def test_a_guest_that_the_destination_cannot_load_goes_on_at_the_source(tmp_path: Path) -> None:
    """Its source calls the migration completed; the destination, of another amount of RAM, has ended."""
    wrapper = tmp_path / "other-ram"
    wrapper.write_text('#!/bin/sh\nfor word; do shift; [ "$word" = 64 ] && word=96; set -- "$@" "$word"; done\n'
                       'exec qemu-system-ppc "$@"\n')  # fmt: skip
    wrapper.chmod(0o755)
    done = run(tmp_path, "g3beige", f"engine.destination_binary={wrapper}")
    assert (done.crossing.status, done.crossing.owner) == ("failed", "source")
    assert done.crossing.reason
    assert len(done.crossing.records) > 50
    result = done.result.as_dict()
    assert (result["migration"]["status"], result["migration"]["owner"]) == ("failed", "source")


def test_a_qemu_that_does_not_start_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(QemuError, match=r"^destination: QEMU ended with exit code 1: .*nonesuch"):
        run(tmp_path, "g3beige", "engine.arguments=-device nonesuch")
    assert children() == set()


def test_a_guest_that_does_not_get_ready_is_waited_for_so_long(tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(QemuError, match=r"start_timeout"):
        run(tmp_path, "g3beige", "engine.arguments=-S", "engine.start_timeout=1s")
    assert time.monotonic() - began < 5
    assert children() == set()


def command(tmp_path: Path, *more: str) -> list[str]:
    config = str(CONFIGS / "qemu-g3beige.toml")
    return [sys.executable, "-m", "livemig", "run", config, "--out", str(tmp_path / "run"), "--json", *more]


def qemus_of(tmp_path: Path) -> list[str]:
    """The command lines of QEMUs that log into ``tmp_path``."""
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().decode(errors="replace")
        except OSError:
            continue
        if "qemu-system" in line.split("\0")[0] and str(tmp_path) in line:
            lines.append(line)
    return lines


@pytest.mark.parametrize(("how", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_whatever_ends_the_launcher_no_qemu_is_left(tmp_path: Path, how: signal.Signals, code: int) -> None:
    private = tmp_path / "private"
    private.mkdir()
    launcher = subprocess.Popen(
        command(tmp_path),
        env={**os.environ, "TMPDIR": str(private)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # A shell's background job ignores it.
    )
    deadline = time.monotonic() + 20
    while len(qemus_of(tmp_path)) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert len(qemus_of(tmp_path)) == 2
    [directory] = private.iterdir()
    assert directory.stat().st_mode & 0o777 == 0o700
    time.sleep(0.2)
    launcher.send_signal(how)
    _, said = launcher.communicate(timeout=20)
    assert launcher.returncode == code
    while qemus_of(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert qemus_of(tmp_path) == []
    if how == signal.SIGINT:
        assert b"Traceback" not in said
        assert list(private.iterdir()) == []


def test_the_command_line_gives_verdict_and_exit_code(tmp_path: Path) -> None:
    sets = [word for change in SHORT for word in ("--set", change)]
    done = subprocess.run(command(tmp_path, *sets), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode in (0, 1), done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == {"valid": 0, "invalid": 1}[result["verdict"]]
    assert "destination: the guest runs" in done.stderr
