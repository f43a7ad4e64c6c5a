"""``livemig monitor``: what it shows of sides that run, end, die, or are not there."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from livemig.errors import UsageError
from livemig.launch.monitor import Screen, socket_of
from livemig.launch.monitor_text import Seen, cropped, one_line, screen

CONFIG = """
[run]
duration = "{duration}"
clock = "wall"
[machine]
cpus = 2
ram = "1MiB"
[migration]
start = "{start}"
downtime = "100ms"
"""
LIVEMIG = [sys.executable, "-m", "livemig"]


def seen(**changes: Any) -> Seen:
    ram = {
        "transferred": 3 << 20, "remaining": 1 << 20, "total": 64 << 20, "mbps": 99.6, "dirty-sync-count": 2,
        "dirty-pages-rate": 1200,
    }  # fmt: skip
    cpu = {
        "cpu-index": 0, "tb": 1_234_567, "decr": -5, "due-ns": 2_001_500_000, "raised": [], "interrupts": 7,
        "worst-late-ns": 300_000_000, "waits-for-page": True,
    }  # fmt: skip
    timer = {"tb-error-ticks": -8300, "worst-late-ns": 300_000_000, "lost": 1}
    side = Seen(
        "source",
        {"status": "running"},
        {"status": "active", "ram": ram, "expected-downtime": 50, "x-livemig-owner": "source"},
        {"t-ns": 2_000_000_000, "held": False, "timer": timer, "cpus": [cpu]},
    )
    each = {"bytes": 3 << 20, "duration_ns": 10**8, "rate": 30 << 20, "dirty_rate": 8 << 20, "remaining": 1 << 20}
    side.passes.append({"pass": 1, **each})
    for name, value in changes.items():
        setattr(side, name, value)
    return side


def test_a_side_is_shown_with_passes_rates_deadlines_timebase_and_owner() -> None:
    assert screen([seen()], colour=False) == [
        "source  running · migration active · owner source  t = 2.000 s",
        "  sent 3 MiB · remaining 1 MiB of 64 MiB · 100 Mbit/s · pass 2 · 1,200 dirty pages/s"
        " · downtime expected 50 ms",
        "  pass   sent    took      rate  dirtied  remaining",
        "     1  3 MiB  100 ms  30 MiB/s  8 MiB/s      1 MiB",
        "  TB -8,300 ticks off · latest interrupt 300 ms · 1 lost",
        "  cpu         TB  DECR  next interrupt  delivered  latest",
        "    0  1,234,567    -5       in 1.5 ms          7  300 ms  waits for a page",
    ]


def test_a_real_qemu_is_shown_without_what_it_does_not_say() -> None:
    qemu = Seen("/s.qmp", {"status": "postmigrate"}, {"status": "failed", "error-desc": "no"})
    assert screen([qemu], colour=False) == ["/s.qmp  postmigrate · migration failed (no)"]
    assert one_line(qemu) == "/s.qmp: postmigrate  migration failed (no)"


def test_on_a_terminal_the_same_lines_are_written_again_and_cropped_to_its_width(monkeypatch: Any) -> None:
    class Terminal(StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("LINES", "24")
    out = Terminal()
    shown = Screen(out)
    shown.show([seen()])
    first = out.getvalue()
    assert first.count("\n") == 7
    shown.show([seen()])
    assert out.getvalue()[len(first) :] == "\x1b[7A" + first
    plain = re.sub(r"\x1b\[[0-9;]*[mKJA]|\r", "", first)
    assert max(map(len, plain.splitlines())) == 40
    assert cropped("\x1b[1mabc\x1b[0mdef", 4) == "\x1b[1mabc\x1b[0md"


def test_elsewhere_a_line_is_written_where_something_has_happened() -> None:
    out = StringIO()
    shown = Screen(out)
    for side in (seen(), seen(), seen(gone=True), seen(gone=True)):
        shown.show([side])
    first, second = out.getvalue().splitlines()
    assert first.startswith("source: t= 2 s  running  migration active  sent 3 MiB")
    assert second.startswith("source: t= 2 s  gone")


def test_what_is_no_socket_is_said_to_be_none() -> None:
    assert (socket_of("unix:/a:b"), socket_of("./a:b"), socket_of("s.qmp")) == ("/a:b", "./a:b", "s.qmp")
    for where in ("tcp:host:1", "unix:", ""):
        with pytest.raises(UsageError, match="no QMP socket"):
            socket_of(where)


def start(tmp_path: Path, duration: str = "8s", begins: str = "4s") -> subprocess.Popen[str]:
    (tmp_path / "config.toml").write_text(CONFIG.format(duration=duration, start=begins))
    command = [*LIVEMIG, "run", "config.toml", "--out", "run", "--qmp", "sockets"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 30
    while not (tmp_path / "sockets/source.qmp").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    return process


MONITOR = [*LIVEMIG, "monitor", "unix:sockets/source.qmp", "unix:sockets/destination.qmp"]


@pytest.mark.wall
def test_a_pair_that_runs_is_followed_to_its_end(tmp_path: Path) -> None:
    with start(tmp_path) as pair:
        done = subprocess.run(MONITOR, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        assert pair.wait(30) == 0
    last = {line.partition(":")[0]: line for line in done.stdout.splitlines()}
    assert last.keys() == {"source", "destination"}
    assert "postmigrate  migration completed" in last["source"]
    assert "ended: migrated" in last["source"]
    assert "shutdown  migration completed" in last["destination"]
    assert not list((tmp_path / "sockets").iterdir())


@pytest.mark.wall
def test_a_side_that_is_killed_is_gone_and_the_code_says_so(tmp_path: Path) -> None:
    with start(tmp_path, "90s", "80s") as pair:
        watching = subprocess.Popen(MONITOR, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert watching.stdout is not None
        said = watching.stdout.readline() + watching.stdout.readline()
        assert "destination: " in said, (watching.communicate(), pair.poll())
        for child in Path(f"/proc/{pair.pid}/task/{pair.pid}/children").read_text().split():
            with suppress(ProcessLookupError):
                os.kill(int(child), signal.SIGKILL)
        out, error = watching.communicate(timeout=30)
        assert (watching.returncode, error) == (3, "")
        assert "source: " in out
        assert out.count("  gone  ") == 2
        pair.wait(30)
        pair.communicate()


@pytest.mark.wall
def test_ctrl_c_leaves_the_terminal_as_it_should_be(tmp_path: Path) -> None:
    with start(tmp_path, "90s", "80s") as pair:
        ours, theirs = pty.openpty()
        watching = subprocess.Popen(MONITOR, cwd=tmp_path, stdout=theirs, stderr=theirs)
        os.close(theirs)
        said = b""
        while b"source" not in said:
            said += os.read(ours, 4096)
        watching.send_signal(signal.SIGINT)
        assert watching.wait(20) == 130
        with suppress(OSError):
            while more := os.read(ours, 4096):
                said += more
        os.close(ours)
        assert b"Traceback" not in said
        assert b"\x1b[?" not in said  # no mode was set that would have to be set back
        assert said.endswith(b"\x1b[J")
        pair.send_signal(signal.SIGINT)
        assert pair.wait(30) == 130
        pair.communicate()


def test_nobody_there_is_one_line(tmp_path: Path) -> None:
    done = subprocess.run([*LIVEMIG, "monitor", "unix:none"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == "livemig: unix:none: no peer within 2 s (No such file or directory)\n"


def test_run_shows_it_live_and_keeps_standard_output_for_the_result(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(CONFIG.format(duration="3s", start="1s"))
    command = [*LIVEMIG, "run", "config.toml", "--out", "run", "--live", "--json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0
    assert done.stdout.startswith("{")
    assert done.stdout.count("\n") == 1
    assert "source: " in done.stderr
    assert "destination: " in done.stderr
