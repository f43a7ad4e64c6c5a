"""What campaigns found in livemig itself, made small, does not come back."""

from __future__ import annotations

from pathlib import Path

import pytest

from livemig.config.load import read_tables
from livemig.stress.scenario import Scenario
from livemig.stress.trial import Trial, attempt

FOUND = sorted((Path(__file__).parent / "regressions").glob("*.toml"))


def again(path: Path) -> Trial:
    return attempt(Scenario(read_tables(path)[0]), str(path))


@pytest.mark.parametrize("path", FOUND, ids=lambda path: path.stem)
def test_what_a_campaign_found_stays_mended(path: Path) -> None:
    trial = again(path)
    assert not trial.failed, trial.reason


def test_the_blackout_that_was_blamed_is_still_longer_than_its_limit() -> None:
    trial = again(next(path for path in FOUND if path.stem == "blackout-and-the-trips-of-the-link"))
    assert 300_000_000 < trial.blackout_ns < 300_000_000 + 3 * 30_000_000
