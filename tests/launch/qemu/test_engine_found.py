"""What was found on real QEMUs, each by the one command that docs/qemu.md gives.

It is run with the installed one, or with the one unpacked in ``LIVEMIG_QEMU_ROOT``; what is about another release is
skipped.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from livemig.config.load import load
from livemig.errors import UsageError
from livemig.launch.qemu.scenario import run_qemu

pytestmark = [pytest.mark.qemu, pytest.mark.slow]

CONFIGS = Path(__file__).parents[3] / "configs"


def judged(tmp_path: Path, name: str, *overrides: str) -> dict[str, Any]:
    path = str(CONFIGS / f"qemu-{name}.toml")
    if root := os.environ.get("LIVEMIG_QEMU_ROOT"):
        overrides = (*overrides, f"engine.qemu_root='{os.path.abspath(root)}'")
    try:
        return run_qemu(load(path, overrides), path, tmp_path / "run").result.as_dict()
    except UsageError as error:
        pytest.skip(str(error))


def wrong(result: dict[str, Any]) -> set[str]:
    return {name for name, check in result["checks"].items() if check["verdict"] == "invalid"}


def test_7_2_loses_the_decrementer_of_a_pseries_for_good(tmp_path: Path) -> None:
    """The scenario that ships watches it past 2^32 ticks, 8.4 s; here it is shorter."""
    result = judged(tmp_path, "7.2-pseries-never", "run.duration=2500ms")
    assert {"no_interrupt_lost", "decr_matches_tb"} <= wrong(result)
    assert result["interrupts"]["lost"] == 1
    assert result["inference"]["strategy"] == "none"


def test_10_0_freezes_the_guest_s_time(tmp_path: Path) -> None:
    result = judged(tmp_path, "10.0-freezes-time")
    assert "tb_continuous" in wrong(result)
    assert result["interrupts"]["lost"] == 0


def test_10_0_loses_an_interrupt_that_is_masked_at_the_stop(tmp_path: Path) -> None:
    assert {"no_interrupt_lost", "pending_preserved"} <= wrong(judged(tmp_path, "10.0-masked-interrupt-lost"))


def test_a_timebase_that_the_guest_set_is_lost(tmp_path: Path) -> None:
    result = judged(tmp_path, "timebase-set-by-guest")
    assert {"tb_monotonic", "tb_continuous"} <= wrong(result)
