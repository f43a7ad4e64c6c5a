"""What a person sees."""

from __future__ import annotations

import re
from typing import Any

import pytest

from livemig.analysis.text import compare_table, headline, verdict_text

from .histories import arm, ended, irq, judged, passed, resume, state, stop
from .test_judge import GOOD

D = "destination"
MS = 1_000_000
HZ = 16_600_000

LOST = [
    state(0, "active"),
    passed(100 * MS, 3 << 20),
    arm(900 * MS, 3_320_000, due=1100 * MS, tb=14_940_000),
    arm(900 * MS, 3_320_000, cpu=1, due=1100 * MS, tb=14_940_000),
    stop(1000 * MS, tb=16_600_000, cpu_tb=[16_600_000] * 2, decr=[1_660_000] * 2, pending=[[], []]),
    resume(1500 * MS, tb=24_900_000, cpu_tb=[24_900_000] * 2, decr=[8, -6_640_000], pending=[[], []]),
    irq(1500 * MS, cpu=1, side=D, tb=24_900_000),
    state(1500 * MS, "completed"),
    ended(1500 * MS),
    ended(4000 * MS, D),
]


def lost() -> Any:
    return judged(*LOST, cpus=2, timebase_hz=HZ, downtime_ns=500 * MS, strategy="none")


def test_a_guest_that_hangs_at_one_glance() -> None:
    assert verdict_text(lost()) == (
        "INVALID  1 interrupt lost (cpu 0); cpu 0 hangs after the migration\n"
        "\n"
        "  migration  completed · the destination owns the guest · blackout 500 ms · 1 pass, 3 MiB\n"
        "  resume     TB exact · DECR 6,640,008 ticks (400 ms) too high on cpu 0 · policy advance\n"
        "  strategy   none that is known; nearest: tb-offset (or snapshot-tuple, channel-clock, clamped, "
        "per-cpu-timebase), 6,640,008 ticks (400 ms) off; none was asked for\n"
        "  end        guest time is the world's\n"
        "  latest     cpu 1 decrementer: 6,640,000 ticks = downtime 6,640,000\n"
        "\n"
        "  cpu  delivered  on time  late  lost  early  doubled  worst late       ticks\n"
        "    0          0        0     0     1      0        0      >2.9 s  48,140,000\n"
        "    1          1        0     1     0      0        0      400 ms   6,640,000\n"
        "  all          1        0     1     1      0        0      >2.9 s  48,140,000\n"
        "\n"
        "  ✗  no_interrupt_lost  1 interrupt lost; first: cpu 0 decrementer, due at 1.1 s, 2.9 s overdue"
        "  → source.jsonl:3\n"
        "  ✗  decr_matches_tb    DECR is off its TB by 6,640,008 ticks (400 ms) on cpu 0; "
        "1 of 2 CPUs affected  → source.jsonl:5\n"
        "  ✓  10 checks held\n"
        "  ·  not exercised: pending_preserved\n"
    )


def test_a_guest_that_crossed_well() -> None:
    text = verdict_text(judged(*GOOD))
    assert text.startswith("VALID  the guest crossed in 100 ns and every interrupt came when it was due\n")
    assert "✗" not in text


@pytest.mark.parametrize(
    ("history", "manifest", "said"),
    [
        (
            [arm(0, 100), stop(50), resume(150), irq(150, side=D), ended(300, D)],
            {},
            "the guest crossed in 100 ns and lost nothing; 1 interrupt late, by the blackout alone",
        ),
        (
            [arm(0, 10), state(5, "failed", "peer lost"), irq(10), ended(99)],
            {"owner": "source"},
            "the migration did not complete (peer lost); the source owns the guest",
        ),
        (
            [arm(0, 10), state(5, "failed"), ended(99)],
            {},
            "1 interrupt lost (cpu 0); the guest hangs; the migration did not complete; the source owns the guest",
        ),
        (
            [arm(0, 10), irq(10), stop(50), resume(150, tb=50, decr=[-150]), ended(300, D)],
            {},
            "TB resumes 100 ticks (100 ns) behind; 1 more check failed",
        ),
        (
            [arm(0, 10), irq(10), stop(50), resume(150, cpu_tb=None), ended(300, D)],
            {},
            "tb_synchronised cannot be told: the TB of each CPU was not recorded at the resume",
        ),
    ],
)
def test_headlines(history: list[Any], manifest: dict[str, Any], said: str) -> None:
    assert headline(judged(*history, **manifest)) == said


def test_of_many_cpus_only_those_in_trouble_are_shown() -> None:
    history = [event for cpu in range(20) for event in (arm(0, 10, cpu=cpu), irq(10, cpu=cpu))]
    history = sorted(history, key=lambda event: event["t_ns"])
    text = verdict_text(judged(*history, irq(11, cpu=13), cpus=20))
    assert re.findall(r"^ +(\d+|all) +\d", text, re.M) == ["13", "all"]
    assert "… and 19 CPUs more" in text


def test_who_would_have_complained_is_one_line() -> None:
    """Half a second and a tick behind, and no interrupt for 21.5 s of its own time."""
    tb = 21_500 * MS
    history = [stop(50, decr=[0]), resume(500 * MS + 51, tb=50), irq(22_000 * MS + 1, side=D, tb=tb)]
    lines = verdict_text(judged(*history, time_policy="freeze")).splitlines()
    assert [line for line in lines if line.startswith("  trips")] == [
        "  trips      NTP step, CockroachDB, YugabyteDB (500 ms offset) · "
        "Linux soft lockup, Linux RCU stall (21.499 s unserved)"
    ]


def test_a_strategy_that_shows_is_not_said_to_be_off() -> None:
    text = verdict_text(judged(*GOOD))
    assert "  strategy   tb-offset (or snapshot-tuple, channel-clock, clamped), by TB and DECR\n" in text


def test_colour_is_asked_for_and_changes_nothing_else() -> None:
    plain, painted = verdict_text(lost()), verdict_text(lost(), colour=True)
    assert "\x1b" not in plain
    assert "\x1b[1;31mINVALID\x1b[0m" in painted
    assert re.sub(r"\x1b\[[\d;]*m", "", painted) == plain


def test_strategies_side_by_side() -> None:
    table = compare_table({"none": lost(), "tb-offset": judged(*GOOD)})
    assert table == (
        "strategy   lost  late  worst late       ticks  guest behind  ticks  skew ticks  verdict\n"
        "none          1     1      >2.9 s  48,140,000             0      0           0  invalid"
        "  no_interrupt_lost, decr_matches_tb\n"
        "tb-offset     0     0           0           0             0      0           0  valid\n"
    )


def test_the_twins_column_is_there_where_a_twin_is() -> None:
    twin = [arm(0, 40), irq(40), arm(42, 200), irq(242), irq(250)]
    table = compare_table({"with": judged(*GOOD, twin=twin), "without": judged(*GOOD)})
    head, first, second = table.splitlines()
    end = head.index("missing") + len("missing")
    assert (first[:end].split()[-1], second[:end].split()[-1]) == ("1", "–")


def test_a_strategy_that_did_not_cross_says_so() -> None:
    table = compare_table({"x": judged(arm(0, 10), irq(10), state(11, "failed"), ended(20))})
    assert table.splitlines()[1].endswith("unknown  did not cross: failed")
