"""``--netns``: two network namespaces, a real network stack between them, and nothing left behind."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import orjson
import pytest

from livemig.config.model import Config
from livemig.events.schema import DESTINATION, SOURCE
from livemig.launch.netns import netem, network, tbf

rooted = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("tc") is None, reason="network namespaces need root, ip and tc"
)
SCENARIO = """
[run]
duration = "700ms"
clock = "wall"
[machine]
ram = "1MiB"
[migration]
start = "150ms"
downtime = "50ms"
[checks]
late_tolerance = "100ms"
"""


def wall(**tables: object) -> Config:
    return Config.model_validate({"run": {"clock": "wall"}, **tables})


def run(tmp_path: Path, *more: str, **kwargs: object) -> subprocess.CompletedProcess[str]:
    scenario = tmp_path / "scenario.toml"
    scenario.write_text(SCENARIO)
    line = [sys.executable, "-m", "livemig", "run", str(scenario), "--netns", "--json", "--out", str(tmp_path / "run")]
    return subprocess.run([*line, *more], capture_output=True, text=True, timeout=60, **kwargs)  # type: ignore[call-overload,no-any-return]


def test_a_link_in_netems_words() -> None:
    """1 Gbit/s and 10 ms, jitter 4 ms, half of which is delay: (12 + 4·2) ms of 1 Gbit/s are 1666 packets of 1500."""
    config = wall(link={"latency": "10ms", "jitter": "4ms", "return_latency": "30ms"})
    assert netem(config, SOURCE) == ["netem", "limit", "2666", "delay", "12000us", "2000us", "rate", "1000000000bit"]
    assert netem(config, DESTINATION)[4] == "32000us"


def test_faults_that_are_there_all_the_time_are_the_kernels() -> None:
    late = {"enabled": True, "latency": "5ms", "jitter": "1ms", "distribution": "pareto", "correlation": 25}
    config = wall(fault={"latency": late, "bandwidth": {"enabled": True, "rate": "20Mbit/s"}}, link={"latency": "1ms"})
    assert netem(config, SOURCE)[3:] == [
        "delay", "6000us", "1000us", "25%", "distribution", "pareto", "rate", "20000000bit",
    ]  # fmt: skip
    for other in ({"start": "1ms"}, {"before": "pages"}, {"toxicity": 50}, {"direction": "to-source"}):
        own = wall(fault={"latency": {**late, **other}}, link={"latency": "1ms"})
        assert netem(own, SOURCE)[3:] == ["delay", "1000us", "rate", "1000000000bit"]


def test_bandwidth_alone_in_tbfs_words() -> None:
    assert tbf(wall(link={"bandwidth": "80Mbit/s"})) == [
        "tbf", "rate", "80000000bit", "burst", "100000", "latency", "100ms",
    ]  # fmt: skip


@rooted
@pytest.mark.wall
def test_the_kernel_shapes_what_crosses() -> None:
    """1 MiB at 16 Mbit/s takes 524 ms, less what the bucket lets through at once (32 KiB of tbf, 16 ms)."""
    with network(wall(link={"bandwidth": "16Mbit/s"})) as (laid, _):
        with laid.within(DESTINATION):
            listener = socket.create_server((laid.host, 0))
        with laid.within(SOURCE):
            near = socket.create_connection(listener.getsockname())
        far, (address, _) = listener.accept()
        assert address != laid.host
        began = time.monotonic()
        near.setblocking(False)
        left, got = 1 << 20, 0
        while got < 1 << 20:
            if left:
                try:
                    left -= near.send(bytes(min(left, 1 << 16)))
                except BlockingIOError:
                    pass
            far.settimeout(5)
            got += len(far.recv(1 << 16))
        assert time.monotonic() - began > 0.45
        for each in (near, far, listener):
            each.close()


@rooted
@pytest.mark.wall
@pytest.mark.slow
def test_netem_delays_what_crosses() -> None:
    with network(wall(link={"latency": "40ms"})) as (laid, lacks):
        if lacks:
            pytest.skip(lacks)
        with laid.within(DESTINATION):
            listener = socket.create_server((laid.host, 0))
        began = time.monotonic()
        with laid.within(SOURCE):
            near = socket.create_connection(listener.getsockname())
        assert time.monotonic() - began >= 0.08
        near.close()
        listener.close()


@rooted
@pytest.mark.wall
@pytest.mark.slow
@pytest.mark.parametrize("fault", ["", "reset_peer"])
def test_the_same_scenario_crosses_and_its_faults_too(fault: str, tmp_path: Path) -> None:
    more = [f"--set=fault.{fault}.enabled=true", f"--set=fault.{fault}.before=snapshot"] if fault else []
    done = run(tmp_path, *more)
    result = orjson.loads(done.stdout)
    word = ("unknown", "failed", "source") if fault else ("valid", "completed", "destination")
    assert (result["verdict"], result["migration"]["status"], result["migration"]["owner"]) == word, done.stderr
    assert not [line for line in done.stderr.splitlines() if "netns" in line and "netem" not in line]


@rooted
@pytest.mark.wall
@pytest.mark.slow
def test_nothing_is_left_of_a_run_that_is_killed(tmp_path: Path) -> None:
    scenario = tmp_path / "scenario.toml"
    scenario.write_text(SCENARIO.replace("700ms", "20s"))
    for how in (signal.SIGINT, signal.SIGKILL):
        line = [sys.executable, "-m", "livemig", "run", str(scenario), "--netns", "--out", str(tmp_path / how.name)]
        before = spaces()
        process = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        log = tmp_path / how.name / "source.jsonl"
        deadline = time.monotonic() + 30
        while not (log.exists() and log.stat().st_size) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert len(spaces() - before) == 2
        process.send_signal(how)
        process.wait(20)
        while spaces() - before and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not spaces() - before
        assert b"veth-source" not in subprocess.run(["ip", "link"], capture_output=True, check=True).stdout


def spaces() -> set[str]:
    """The network namespaces in which there is a process."""
    found = set()
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                found.add(os.readlink(process / "ns/net"))
            except OSError:
                continue
    return found


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--clock", "virtual"], "crossed in wall time"),
        (["--set", "migration.transport=tls"], "'tls' (allowed: unix, tcp"),
        (["--set", "engine.kind=qemu"], "not for engine.kind = 'qemu'"),
    ],
)
def test_what_cannot_be_is_one_line(more: list[str], said: str, tmp_path: Path) -> None:
    done = run(tmp_path, *more)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_without_iproute2_it_is_said_what_to_install(tmp_path: Path) -> None:
    done = run(tmp_path, env={**os.environ, "PATH": str(tmp_path)})
    assert done.returncode == 2
    assert done.stderr == "livemig: --netns: there is no `ip` (install iproute2)\n"


@rooted
def test_who_is_not_root_is_told(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    line = "import os, sys; from livemig.launch.netns import check; from livemig.config.model import Config\n"
    line += "config = Config.model_validate({'run': {'clock': 'wall'}})\nos.setuid(65534)\ntry: check(config)\n"
    line += "except Exception as error: print(error.exit_code, error)"
    done = subprocess.run([sys.executable, "-c", line], capture_output=True, text=True, check=False)
    assert done.stdout == "2 --netns: only root may make network namespaces\n", done.stderr
