"""The rates of a pass, and how a person reads them."""

from __future__ import annotations

from typing import Any

import pytest

from livemig.cli.progress import print_progress
from livemig.config.load import validated
from livemig.emulator import build
from livemig.events.schema import SOURCE
from livemig.machine.ram import PAGE
from livemig.migration.precopy import Precopy

PAGES = 256


def one_pass(took_ns: int) -> dict[str, Any]:
    """What is logged of a pass over all of RAM, every page non-zero, of which each chunk goes out at once."""
    config = validated({"machine": {"ram": f"{PAGES * 4}KiB"}, "link": {"bandwidth": "1Tbit/s"}}, "test")
    machine, logged = build.machine(config, SOURCE), []
    machine.ram.words[:] = 1

    def emit(t_ns: int, event: str, **fields: Any) -> None:
        logged.append({"t_ns": t_ns, **fields})

    precopy = Precopy(machine, build.settings(config), emit, lambda now, *args, **fields: now)
    precopy.begin(0)
    while not logged:
        precopy.step(0 if precopy.remaining else took_ns)
    return logged[0]


def test_the_rate_of_a_pass_is_its_bytes_by_its_time() -> None:
    """1 MiB in 4 ms are 262,144,000 bytes a second."""
    told = one_pass(took_ns=4_000_000)
    assert (told["bytes"], told["duration_ns"], told["rate"]) == (PAGES * PAGE, 4_000_000, 262_144_000)


@pytest.mark.parametrize(("took_ns", "seen"), [(4_000_000, "link  250.0 MiB/s"), (0, "link          ?/s")])
def test_a_pass_between_two_looks_at_the_clock_has_no_rate(
    took_ns: int, seen: str, capsys: pytest.CaptureFixture[str]
) -> None:
    told = one_pass(took_ns)
    assert (told["rate"] == 0) == (took_ns == 0)
    print_progress(SOURCE, {"event": "X_LIVEMIG_PASS", "data": told})
    assert seen in capsys.readouterr().err
