"""A scenario on a real QEMU, from its configuration to its verdict."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import orjson

from livemig.config.migration import TIME_POLICY
from livemig.config.model import Config
from livemig.errors import LivemigError
from livemig.events.qemu import threads
from livemig.events.qemu.importing import LATE_TOLERANCE_NS, Wanted, import_qemu
from livemig.events.schema import DESTINATION, SOURCE
from livemig.launch import run_directory
from livemig.launch.qemu.binary import Binary, binary_of
from livemig.launch.qemu.facts import facts, write_facts
from livemig.launch.qemu.guest import Record
from livemig.launch.qemu.pair import Crossing, Plan, Progress, run_pair
from livemig.launch.qemu.workload import workload

if TYPE_CHECKING:
    from livemig.analysis.result import Result

LOGS: Final = "qemu"
"""The directory, in a run directory, of what QEMU itself and its guest wrote."""


@dataclass(frozen=True, slots=True)
class QemuRun:
    """One run, judged."""

    result: Result
    crossing: Crossing
    source: Binary
    destination: Binary
    timebase_hz: int
    """Of the source."""


def run_qemu(
    config: Config, config_file: str, out: Path | None, progress: Progress = lambda side, event: None
) -> QemuRun:
    """Run a pair of QEMUs in a new run directory (``out``, if given) and judge it.

    Raises:
        ConfigError: QEMU cannot do what ``config`` asks for.
        UsageError: there is no QEMU.
        LivemigError: it could not be run.
    """
    source, destination = (binary_of(config.engine, side, config.machine.model) for side in (SOURCE, DESTINATION))
    load = workload(config, config_file, source)
    directory = run_directory.create(out, f"{Path(config_file).stem}-qemu-{source.release}")
    with tempfile.TemporaryDirectory(prefix="livemig-") as made:
        private = Path(made)
        logs = private / LOGS
        logs.mkdir()
        plan = Plan(config, load, source, destination, logs, private)
        crossing = run_pair(plan, progress)
        for side in (SOURCE, DESTINATION):
            _in_one(plan.log(side), logs / f"{side}.log")
        hz = _frequency(plan, crossing)
        write_facts(logs / "run.toml", facts(plan, crossing, hz))
        if load.orders is not None:
            _write_records(logs / "guest_records.tsv", crossing.records)
        policy = config.migration.time_policy
        at_most_ns = TIME_POLICY.at_most_ns(policy)
        given = config.checks.late_tolerance
        tolerance = None if given == LATE_TOLERANCE_NS else given
        wanted = Wanted(hz, logs / "run.toml", tolerance, policy, at_most_ns)
        manifest = import_qemu(logs / "source.log", logs / "destination.log", directory, wanted)
        kept = directory / LOGS
        kept.mkdir()
        for path in logs.iterdir():
            (kept / path.name).write_bytes(path.read_bytes())
    if crossing.status == "failed":
        _say_failed(directory / "source.jsonl", crossing.reason)
    _say_faults(directory / "source.jsonl", crossing, manifest["import"]["origin_us"])
    _complete(manifest, config, config_file, crossing)
    run_directory.write(directory, manifest)
    from livemig.analysis.judge import judge

    result = judge(directory)
    manifest["result"] = result.as_dict()
    run_directory.write(directory, manifest)
    return QemuRun(result, crossing, source, destination, hz)


def _in_one(written: Path, log: Path) -> None:
    """The logs of all threads as one, where QEMU wrote them apart."""
    if written == log:
        return
    apart = threads.files(written)
    with ExitStack() as stack, log.open("wb") as file:
        file.writelines(threads.together((tid, stack.enter_context(path.open("rb"))) for tid, path in apart))
    for _, path in apart:
        path.unlink()


def _frequency(plan: Plan, crossing: Crossing) -> int:
    """The source's, as its release has it, if the clock bears that out."""
    known, measured = plan.load.timebase_hz, crossing.timebase_hz
    off = measured and not known <= 2 * measured <= 4 * known  # mac99's two are a factor of four apart
    if off and plan.load.orders is not None:
        raise LivemigError(
            f"the timebase of QEMU {plan.source.release}'s {plan.load.machine} ran at {measured:,} Hz, not at "
            f"{known:,}: too busy a host, or a release that livemig does not know"
        )
    return known


def _say_failed(log: Path, reason: str) -> None:
    """A source may call a migration completed whose guest could not be loaded; the launcher knows better."""
    *lines, last = log.read_bytes().splitlines(keepends=True)
    failed = {"side": SOURCE, "event": "migration_state", "status": "failed", "reason": reason}
    event = {"t_ns": orjson.loads(last)["t_ns"], **failed}
    log.write_bytes(b"".join([*lines, orjson.dumps(event) + b"\n", last]))


def _say_faults(log: Path, crossing: Crossing, origin_us: int) -> None:
    """The faults that the proxy let act, where they belong by the host's clock, which is QEMU's as well."""
    lines = log.read_bytes().splitlines(keepends=True)
    last_ns = orjson.loads(lines[-1])["t_ns"]
    for at_ns, name in sorted(crossing.faults):
        t_ns = min(max(at_ns - 1000 * origin_us, 0), last_ns)
        event = {"t_ns": t_ns, "side": SOURCE, "event": "fault_injected", "fault": name, "on": "stream"}
        place = next((i for i, line in enumerate(lines) if orjson.loads(line)["t_ns"] > t_ns), len(lines) - 1)
        lines.insert(place, orjson.dumps(event) + b"\n")
    if crossing.faults:
        log.write_bytes(b"".join(lines))


def _complete(manifest: dict[str, Any], config: Config, config_file: str, crossing: Crossing) -> None:
    """What the importer cannot know."""
    manifest["config_file"] = config_file
    manifest["config"] = config.as_toml_values()
    manifest["seed"] = config.run.seed
    manifest["judge"]["lost_after_ns"] = config.checks.lost_after
    manifest["judge"]["downtime_ns"] = config.migration.downtime or None
    manifest["judge"]["downtime_limit_ns"] = config.migration.downtime_limit
    manifest["migration"] = {
        "status": crossing.status, "owner": crossing.owner, "reason": crossing.reason, "torn": []
    }  # fmt: skip


def _write_records(path: Path, records: list[Record]) -> None:
    lines = ["\t".join(Record._fields), *("\t".join(map(str, record)) for record in records)]
    path.write_text("\n".join(lines) + "\n")
