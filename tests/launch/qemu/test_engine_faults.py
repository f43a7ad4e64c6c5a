"""The faults of a link on a real QEMU's stream, and those that it is not given."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
from test_engine_real import run

from livemig.config.fault import LinkFault
from livemig.config.load import load
from livemig.errors import ConfigError
from livemig.launch.qemu.binary import Binary
from livemig.launch.qemu.workload import workload
from livemig.launch.qemu_versions import Version

CONFIG = str(Path(__file__).parents[3] / "configs" / "qemu-g3beige.toml")


@pytest.mark.parametrize(
    ("overrides", "key"),
    [
        (["fault.stall.enabled=true", "fault.stall.before=switchover"], "fault.stall.before"),
        (["fault.pause.enabled=true"], "fault.pause.enabled"),
        (["fault.kill.enabled=true"], "fault.kill.enabled"),
        (["fault.dirty_burst.enabled=true"], "fault.dirty_burst.enabled"),
        (["fault.duplicate.enabled=true"], "fault.duplicate.enabled"),
    ],
)
def test_what_a_stream_of_bytes_or_a_real_qemu_cannot_is_refused_by_its_key(overrides: list[str], key: str) -> None:
    with pytest.raises(ConfigError) as refused:
        workload(load(CONFIG, overrides), CONFIG, Binary("qemu", Version(10, 0, 2)))
    assert refused.value.key == key


def test_a_fault_of_the_link_that_waits_for_no_frame_is_not_refused() -> None:
    names = [name for name, fault in load(CONFIG).fault if isinstance(fault, LinkFault)]
    assert len(names) == 9
    for name in names:
        assert workload(load(CONFIG, [f"fault.{name}.enabled=true"]), CONFIG, Binary("qemu", Version(10, 0, 2)))


@pytest.mark.qemu
@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "keys", "status", "owner"),
    [
        ("reset_peer", ["start=0ms", "timeout=0ms"], "failed", "source"),  # as it connects
        ("corrupt", ["start=0ms"], "failed", "source"),
        ("stall", ["start=0ms", "duration=400ms"], "completed", "destination"),
    ],
)
def test_qemus_migration_meets_it(fault: str, keys: list[str], status: str, owner: str, tmp_path: Path) -> None:
    """The stall is over by 0.4 s of the run, which begins at 0.15 s."""
    settings = [f"fault.{fault}.{key}" for key in ("enabled=true", "direction=to-destination", *keys)]
    migration = run(tmp_path, "g3beige", *settings).result.migration
    assert (migration.status, migration.owner) == (status, owner)
    log = (tmp_path / "run" / "source.jsonl").read_bytes().splitlines()
    told = [event for event in map(orjson.loads, log) if event["event"] == "fault_injected"]
    assert [event["fault"] for event in told] == [fault]
