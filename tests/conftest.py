"""Shared by all tests: helpers in ``tests/`` itself can be imported, Hypothesis has one profile, and what needs a real
QEMU is skipped where there is none."""

import shutil
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

sys.path.insert(0, str(Path(__file__).parent))

settings.register_profile("livemig", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("livemig")

TOGETHER = ("analysis", "config", "events", "guests", "machine", "migration", "strategies", "timers")
"""Areas whose tests depend on no clock of the host and on nothing else that runs there: `alone` marks all others."""


@pytest.hookimpl(tryfirst=True)  # before the selection by marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        area = item.path.relative_to(Path(__file__).parent).parts
        marked = any(item.get_closest_marker(name) for name in ("wall", "qemu"))
        if area[0] not in TOGETHER or "report" in area or marked:
            item.add_marker("alone")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--whole-matrix", action="store_true", help="every cell of the failure matrix over unix and tls too, not some"
    )


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("qemu") is not None and shutil.which("qemu-system-ppc") is None:
        pytest.skip("needs qemu-system-ppc, of Debian's package of that name")
