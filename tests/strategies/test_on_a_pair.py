"""Every strategy crosses on machines with several CPUs and several timers each."""

from __future__ import annotations

from pathlib import Path

import pytest
from pure_pair import run_pure

from livemig.config.load import validated
from livemig.migration.status import Status
from livemig.strategies.table import STRATEGIES

MACHINES = {"powernv": "hypervisor", "e500": "embedded", "ppc405": "embedded"}


@pytest.mark.parametrize("model", MACHINES)
@pytest.mark.parametrize("name", STRATEGIES)
def test_it_crosses(name: str, model: str, tmp_path: Path) -> None:
    config = validated(
        {
            "run": {"duration": "120ms"},
            "machine": {"model": model, "cpus": 2, "ram": "1MiB"},
            "guest": {"kind": MACHINES[model], "memory": {"dirty_rate": "0B/s"}},
            "migration": {"start": "40ms", "downtime": "20ms", "strategy": name},
        },
        "test",
    )
    source, destination = run_pure(config, tmp_path)
    assert (source.status, destination.resumed_ns is not None) == (Status.COMPLETED, True)
