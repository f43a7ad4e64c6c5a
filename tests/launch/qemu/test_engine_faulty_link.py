"""More faults of the link, slow ones and those that end it, on a real QEMU's stream: how the migration ends.

The verdict itself hangs on the release; what must be alike is the migration's end, and that the guest lives on at its
owner. 20 % of 64 MiB are sent, 12.8 MiB at least, and QEMU has 1.2 s for it.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from livemig.config.load import load
from livemig.launch.qemu.scenario import run_qemu

pytestmark = [pytest.mark.qemu, pytest.mark.slow]

CONFIG = str(Path(__file__).parents[3] / "configs/qemu-g3beige.toml")
SHORT = [
    "run.duration=1500ms", "migration.start=200ms", "migration.downtime=0ms", "guest.memory.dirty_rate=0B/s",
    "guest.memory.filled_percent=20", "fault.latency.latency=5ms",
    "fault.bandwidth.rate=20Mbit/s", "fault.limit_data.bytes=500KiB", "fault.slicer.average_size=256KiB",
]  # fmt: skip
ENDS = {
    "latency": {"completed"},
    "slicer": {"completed"},
    "bandwidth": {"cancelled"},  # 1.3 s take 3.3 MB
    "timeout": {"cancelled"},  # a black hole
    "limit_data": {"failed"},
}


@pytest.mark.parametrize("fault", ENDS)
def test_a_fault_of_the_link_ends_the_migration_as_it_must_and_the_guest_lives_on(fault: str, tmp_path: Path) -> None:
    overrides = [*SHORT, f"fault.{fault}.enabled=true"]
    if root := os.environ.get("LIVEMIG_QEMU_ROOT"):
        overrides.append(f"engine.qemu_root='{os.path.abspath(root)}'")
    if "completed" in ENDS[fault]:
        overrides.append("run.duration=4s")  # for a busy host: this one needs the time, not the clock
    run = run_qemu(load(CONFIG, overrides), CONFIG, tmp_path / "run")
    status = run.crossing.status
    assert status in ENDS[fault]
    assert run.crossing.owner == ("destination" if status == "completed" else "source")
    events = [json.loads(line) for line in (tmp_path / "run/source.jsonl").read_text().splitlines()]
    assert [event["fault"] for event in events if event["event"] == "fault_injected"] == [fault]
    if status != "completed":
        assert run.crossing.reason
        result = run.result.as_dict()
        assert (result["interrupts"]["lost"], result["migration"]["owner"]) == (0, "source")
        at_ns = next(event["t_ns"] for event in events if event["event"] == "fault_injected")
        assert any(event["event"] == "interrupt" and event["t_ns"] > at_ns for event in events)
