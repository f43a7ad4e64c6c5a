"""What the kernel makes of a link, measured: datagrams from one namespace to the other, one at a time, by one clock.

Where it has no netem, only the bandwidth; ``docs/examples/netem_in_a_vm.sh`` has a kernel that does.
"""

from __future__ import annotations

import os
import shutil
import socket
import statistics
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import orjson
import pytest

from livemig.config.model import Config
from livemig.events.schema import DESTINATION, SOURCE
from livemig.launch.netns import Network, network
from livemig.link.faults.latency import Latency
from livemig.link.faults.passage import Passage, When

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0 or shutil.which("tc") is None, reason="network namespaces need root, ip, tc"),
    pytest.mark.wall,
]

MS = 1_000_000
ADDRESS = {SOURCE: "10.213.0.1", DESTINATION: "10.213.0.2"}
FAST = {"latency": "1us"}


@contextmanager
def laid(needs_netem: bool = True, **tables: Any) -> Iterator[Network]:
    run = {"clock": "wall", **tables.pop("run", {})}
    with network(Config.model_validate({"run": run, **tables})) as (there, lacks):
        if lacks and needs_netem:
            pytest.skip(lacks)
        yield there


def delays_ms(there: Network, sender: str, count: int) -> list[float]:
    """One way, of ``count`` datagrams; each is sent when the one before has come."""
    receiver = DESTINATION if sender == SOURCE else SOURCE
    with ExitStack() as stack:
        with there.within(receiver):
            far = stack.enter_context(socket.socket(type=socket.SOCK_DGRAM))
            far.bind((ADDRESS[receiver], 0))
            far.settimeout(30)
        with there.within(sender):
            near = stack.enter_context(socket.socket(type=socket.SOCK_DGRAM))
            near.connect(far.getsockname())
        found = []
        for _ in range(count):
            began = time.monotonic_ns()
            near.send(b"livemig")
            far.recv(100)
            found.append((time.monotonic_ns() - began) / MS)
    return found


@pytest.mark.slow
def test_each_direction_is_as_late_as_it_is_asked_to_be() -> None:
    with laid(link={"latency": "10ms", "return_latency": "30ms"}) as there:
        for sender, asked in ((SOURCE, 10), (DESTINATION, 30)):
            found = delays_ms(there, sender, 10)
            assert min(found) >= asked
            assert statistics.median(found) < asked + 5  # of a host with other work


@pytest.mark.slow
def test_a_fault_of_one_direction_is_in_that_direction() -> None:
    late = {"enabled": True, "latency": "40ms", "direction": "to-source"}
    with laid(link=FAST, fault={"latency": late}) as there:
        assert statistics.median(delays_ms(there, SOURCE, 9)) < 20
        assert min(delays_ms(there, DESTINATION, 5)) >= 40


@pytest.mark.slow
def test_at_half_the_speed_it_takes_twice_as_long() -> None:
    with laid(run={"rate": 0.5}, link={"latency": "10ms"}) as there:
        assert min(delays_ms(there, SOURCE, 5)) >= 20


@pytest.mark.slow
@pytest.mark.parametrize("distribution", ["uniform", "normal", "pareto", "paretonormal"])
def test_jitter_is_distributed_as_that_of_livemigs_own_layer(distribution: str) -> None:
    """Deciles of 400 draws of each, around 20 ms with 4 ms."""
    late = {"enabled": True, "latency": "20ms", "jitter": "4ms", "distribution": distribution}
    with laid(link=FAST, fault={"latency": late}) as there:
        kernels = statistics.quantiles(delays_ms(there, SOURCE, 400), n=10)
    fault, own = Latency(When(), 20 * MS, 4 * MS, distribution, 0, seed=3), []
    for _ in range(4000):
        fault.apply(frame := Passage("pages", 7, 0, 0, 0))
        own.append(frame.arrives_ns / MS)
    for kernel, expected in zip(kernels, statistics.quantiles(own, n=10), strict=True):
        assert expected - 1.2 < kernel < expected + 2.5  # a draw is late on a host with other work, never early


@pytest.mark.slow
def test_tc_shows_what_was_asked() -> None:
    late = {"enabled": True, "latency": "5ms", "jitter": "1ms", "distribution": "pareto", "direction": "to-destination"}
    slow = {"enabled": True, "rate": "8Mbit/s", "direction": "to-source"}
    with laid(link={"latency": "2ms"}, fault={"latency": late, "bandwidth": slow}) as there:
        shown = [orjson.loads(tc(space)) for space in there.spaces.values()]
    sides = [next(each for each in side if each["kind"] == "netem")["options"] for side in shown]
    rates = [side["rate"]["rate"] for side in sides]  # in bytes
    assert rates == [1_045_580_111 // 8, 8_364_641 // 8]
    assert [side["delay"]["delay"] for side in sides] == pytest.approx([0.007, 0.002], abs=2e-6)
    assert [side["delay"]["jitter"] for side in sides] == pytest.approx([0.001, 0], abs=2e-6)


@pytest.mark.slow
def test_there_is_no_asking_who_has_an_address() -> None:
    """That would take 3.2 s, and is given up after 3."""
    with laid(link={"latency": "1.6s"}) as there:
        (took,) = delays_ms(there, SOURCE, 1)
        assert 1600 <= took < 3000


def test_bandwidth_is_that_of_the_payload() -> None:
    """16 Mbit/s; with headers counted, 66 bytes of 1514, it would be 15.3."""
    with laid(needs_netem=False, link={"bandwidth": "16Mbit/s"}) as there:
        found = []
        while len(found) < 4 and not (found and found[-1] > 15.6):  # a host with other work comes too late to send
            found.append(mbits(there))
    assert 15.6 < found[-1] < 16.4, found


def mbits(there: Network, size: int = 1 << 20, filled: int = 1 << 18) -> float:
    """Payload per second of one TCP connection, once so much has come that it is the link which holds it up."""
    with ExitStack() as stack:
        with there.within(DESTINATION):
            listener = stack.enter_context(socket.create_server((there.host, 0)))
        with there.within(SOURCE):
            near = stack.enter_context(socket.create_connection(listener.getsockname()))
        far, (address, _) = listener.accept()
        stack.enter_context(far)
        assert address == ADDRESS[SOURCE]
        near.setblocking(False)
        far.settimeout(5)
        left, got, arrivals = size, 0, []
        while got < size:
            if left:
                with suppress(BlockingIOError):
                    left -= near.send(bytes(min(left, 1 << 16)))
            got += len(far.recv(1 << 16))
            arrivals.append((time.monotonic_ns(), got))
    (began, first), (ended, last) = next(each for each in arrivals if each[1] >= filled), arrivals[-1]
    return (last - first) * 8000 / (ended - began)


def tc(space: int) -> str:
    command = ["nsenter", f"--net=/proc/self/fd/{space}", "tc", "-j", "qdisc", "show"]
    return subprocess.run(command, pass_fds=(space,), capture_output=True, text=True, check=True).stdout
