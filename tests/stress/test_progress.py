"""The bar of a campaign: on a terminal and nowhere else, with rate, failures so far and time left, as they are."""

from __future__ import annotations

import io
import re
from functools import partialmethod
from pathlib import Path
from typing import NamedTuple

import pytest
from tqdm import tqdm

from livemig.stress.campaign import CHUNK
from livemig.stress.order import Order, Outcome, carry_out

RUNS = 4 * CHUNK
SMALL = """
run.duration = "300ms"
machine.ram = "1MiB"
guest.kind = "periodic"
migration.start = "50ms"
migration.downtime = "20ms"
"""
SHOWN = re.compile(r"(\d+)/(\d+) \[(\d\d:\d\d)<(\d\d:\d\d|\?), +([\d.?]+)(run/s|s/run)(?:, failed=(\d+))?\]")


class Screen(io.StringIO):
    """A terminal, or a file. Every bar is drawn: the host's speed decides nothing."""

    def __init__(self, terminal: bool) -> None:
        super().__init__()
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


class Shown(NamedTuple):
    done: int
    of: int
    left: str
    rate: str
    failed: int | None


def carried_out(directory: Path, screen: Screen, **more: object) -> Outcome:
    file = directory / "small.toml"
    file.write_text(SMALL)
    order = Order(str(file), strategies=["none", "tb-offset"], faults=["cpus", "machine"], jobs=1, shrink=0,
                  out=directory / "out.duckdb", wants_trials=True, **more)  # type: ignore[arg-type]  # fmt: skip
    return carry_out(order, screen)


def bars(screen: Screen) -> list[Shown]:
    found = SHOWN.findall(screen.getvalue())
    return [
        Shown(int(done), int(of), left, rate, int(failed) if failed else None)
        for done, of, _, left, rate, _, failed in found
    ]


@pytest.fixture(autouse=True)
def _drawn_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tqdm, "__init__", partialmethod(tqdm.__init__, mininterval=0))


def test_a_bar_says_how_many_are_done_how_fast_how_many_failed_and_how_long_it_takes_yet(tmp_path: Path) -> None:
    screen = Screen(terminal=True)
    outcome = carried_out(tmp_path, screen, runs=RUNS)
    shown = bars(screen)
    assert [bar.done for bar in shown if bar.failed is not None] == [CHUNK, 2 * CHUNK, 3 * CHUNK, RUNS]
    assert {bar.of for bar in shown} == {RUNS}
    fails = [trial.signature is not None for trial in outcome.trials]
    assert 0 < sum(fails) < RUNS
    for bar in shown:
        if bar.failed is not None:
            assert bar.failed == sum(fails[: bar.done])
            assert float(bar.rate) > 0
            assert bar.left != "?"
    assert shown[-1].left == "00:00"
    assert not screen.getvalue().rsplit("\r", 1)[-1].strip()  # nothing of it stays


def test_a_campaign_that_goes_on_begins_where_it_was(tmp_path: Path) -> None:
    carried_out(tmp_path, Screen(terminal=True), runs=CHUNK)
    screen = Screen(terminal=True)
    outcome = carried_out(tmp_path, screen, runs=RUNS, resume=True)
    fails = [trial.signature is not None for trial in outcome.trials]
    told = [(bar.done, bar.failed) for bar in bars(screen) if bar.failed is not None]
    assert told == [(done, sum(fails[:done])) for done in (2 * CHUNK, 3 * CHUNK, RUNS)]
    assert any(fails[:CHUNK])
    assert bars(screen)[0].done == CHUNK


def test_a_campaign_for_a_time_has_no_end_to_tell(tmp_path: Path) -> None:
    screen = Screen(terminal=True)
    carried_out(tmp_path, screen, seconds=1)
    assert re.search(r"\d+run \[\d\d:\d\d, +[\d.]+(run/s|s/run), failed=\d+\]", screen.getvalue())


def test_where_nobody_looks_there_is_none(tmp_path: Path) -> None:
    screen = Screen(terminal=False)
    carried_out(tmp_path, screen, runs=CHUNK)
    assert screen.getvalue() == ""
