"""What is asked of the kernel, in ``tc``'s words, by hand; and what is left to livemig's own layer."""

from __future__ import annotations

import pytest

from livemig.config.model import Config
from livemig.emulator.build import answer_ns
from livemig.events.schema import DESTINATION, SOURCE
from livemig.launch.kernel_link import netem, tbf, without_delays

MS = 1_000_000
GBIT = "1045580111bit"
"""1 Gbit/s of payload, 1448 bytes in 1514."""
LATE = {"enabled": True, "latency": "5ms", "jitter": "1ms", "distribution": "pareto"}


def wall(**tables: object) -> Config:
    return Config.model_validate({"run": {"clock": "wall"}, **tables})


def late(**keys: object) -> Config:
    return wall(fault={"latency": {**LATE, **keys}}, link={"latency": "1ms"})


def test_a_link() -> None:
    """10 ms, jitter 4 ms, half of which is delay: (12 + 4·2) ms of 1.0456 Gbit/s are 1742 packets of 1500."""
    config = wall(link={"latency": "10ms", "jitter": "4ms", "return_latency": "30ms"})
    assert netem(config, SOURCE) == ["netem", "limit", "2742", "delay", "12000us", "2000us", "rate", GBIT]
    assert netem(config, DESTINATION)[4] == "32000us"


def test_bandwidth_alone() -> None:
    """80 Mbit/s of payload are 83.646 of frames; the bucket holds 10 ms of them."""
    config = wall(link={"bandwidth": "80Mbit/s"})
    assert tbf(config, SOURCE) == ["tbf", "rate", "83646409bit", "burst", "104558", "latency", "100ms"]


def test_bandwidth_alone_that_a_fault_makes_less() -> None:
    slow = {"enabled": True, "rate": "8Mbit/s", "direction": "to-source"}
    config = wall(link={"bandwidth": "80Mbit/s"}, fault={"bandwidth": slow})
    assert [tbf(config, side)[2] for side in (SOURCE, DESTINATION)] == ["83646409bit", "8364641bit"]


def test_faults_that_are_there_all_the_time_are_the_kernels() -> None:
    config = wall(fault={"latency": LATE, "bandwidth": {"enabled": True, "rate": "20Mbit/s"}}, link={"latency": "1ms"})
    words = ["delay", "6000us", "1000us", "distribution", "pareto", "rate", "20911603bit"]
    assert netem(config, SOURCE)[3:] == words
    assert netem(config, DESTINATION)[3:] == words


@pytest.mark.parametrize(
    "other",
    [{"start": "1ms"}, {"stop": "9ms"}, {"before": "pages"}, {"toxicity": 50}, {"correlation": 25}, {"jitter": "2.2s"}],
)
def test_faults_that_netem_cannot_make_are_not(other: dict[str, object]) -> None:
    config = late(**other)
    assert netem(config, SOURCE)[3:] == ["delay", "1000us", "rate", GBIT]
    assert without_delays(config).fault == config.fault


def test_a_fault_of_one_direction_is_in_that_direction() -> None:
    config = late(direction="to-source")
    assert netem(config, SOURCE)[4] == "1000us"
    assert netem(config, DESTINATION)[4] == "6000us"


def test_there_is_one_jitter_and_it_is_the_faults() -> None:
    config = wall(fault={"latency": LATE}, link={"latency": "1ms", "jitter": "8ms"})
    assert netem(config, SOURCE)[3:7] == ["delay", "6000us", "1000us", "distribution"]
    assert without_delays(config).link.jitter == 8 * MS
    steady = wall(fault={"latency": {**LATE, "jitter": "0ms"}}, link={"latency": "1ms", "jitter": "8ms"})
    assert netem(steady, SOURCE)[3:6] == ["delay", "10000us", "4000us"]
    assert without_delays(steady).link.jitter == 0
    wide = wall(link={"latency": "1ms", "jitter": "5s"})
    assert netem(wide, SOURCE)[3:5] == ["delay", "1000us"]
    assert without_delays(wide).link.jitter == 5000 * MS


def test_at_half_the_speed_all_takes_twice_as_long() -> None:
    link = {"latency": "10ms", "jitter": "4ms"}
    config = Config.model_validate({"run": {"clock": "wall", "rate": 0.5}, "link": link})
    assert netem(config, SOURCE)[4:] == ["24000us", "4000us", "rate", "522790056bit"]


def test_a_latency_that_the_kernel_makes_is_there_and_takes_no_time() -> None:
    """So that the log, and with it the judge, knows of it."""
    left = without_delays(late())
    assert left.fault.latency.enabled
    assert (left.fault.latency.latency, left.fault.latency.jitter) == (0, 0)
    assert (left.link.latency, left.link.return_latency, left.link.jitter) == (1000, 0, 0)
    assert left.link.bandwidth == 1_000_000_000


def test_each_side_waits_for_the_other_as_long_as_it_would_without_the_kernel() -> None:
    """There and back, 30 and 40 ms; a fault of 5 ms whose jitter of 1 ms may come four times: 88 ms more."""
    config = wall(fault={"latency": LATE}, link={"latency": "30ms", "return_latency": "40ms"})
    left = without_delays(config)
    assert answer_ns(config) == 88 * MS
    assert left.migration.peer_timeout + answer_ns(left) == config.migration.peer_timeout + 88 * MS
    assert left.migration.connect_timeout + answer_ns(left) == config.migration.connect_timeout + 88 * MS
