"""From a run directory to a result: record first, judge later."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from io import BytesIO
from pathlib import Path
from typing import TypeVar

from livemig.analysis.account import Account
from livemig.analysis.attribution import Attribution
from livemig.analysis.case import Case
from livemig.analysis.checks import examine
from livemig.analysis.continuity import decr_errors, tb_error, tb_skew
from livemig.analysis.crossing import Crossing, Hop
from livemig.analysis.drift import hop_errors
from livemig.analysis.faults import Faults
from livemig.analysis.impact import impacts
from livemig.analysis.inference import Inference, infer
from livemig.analysis.log import Log
from livemig.analysis.manifest import Manifest
from livemig.analysis.policy import TimePolicy
from livemig.analysis.precopy import Precopy
from livemig.analysis.result import Attributed, DecrementerAcross, Migration, Operator, Policy, Result, TimebaseAcross
from livemig.analysis.tally import Tally
from livemig.analysis.throttled import Throttled
from livemig.analysis.ticks import to_ns
from livemig.analysis.timebase import Timebase
from livemig.analysis.transfer import Transfer
from livemig.analysis.twin import Twin
from livemig.analysis.unserved import Unserved
from livemig.analysis.verdict import overall
from livemig.errors import InputError
from livemig.events.entries import Entries
from livemig.events.schema import DESTINATION, SOURCE

_T = TypeVar("_T")
_FINAL = ("completed", "failed", "cancelled")


def judge(run_dir: str | Path, time_policy: str | None = None, advance_at_most_ns: int | None = None) -> Result:
    """Judge a finished run, in one pass over its logs and in memory that does not grow with them.

    Args:
        run_dir: holds ``run.json`` and ``source.jsonl``; ``destination.jsonl`` if the migration got there,
            ``twin.jsonl`` if a twin ran.
        time_policy: to judge by, and what ``advance-at-most`` says; None: what the run asked for.

    Raises:
        InputError: a file is missing, half-written or malformed.
    """
    directory = Path(run_dir)
    manifest = Manifest.read(directory / "run.json")
    if time_policy is not None:
        manifest = manifest.under(time_policy, advance_at_most_ns)
    with ExitStack() as files:

        def log(name: str, side: str | None) -> Log:
            path = directory / name
            try:
                return Log(str(path), side, files.enter_context(path.open("rb")))
            except OSError as error:
                raise InputError(str(path), str(error.strerror)) from None

        destination = Log("destination.jsonl", DESTINATION, ())
        if (directory / "destination.jsonl").exists():
            destination = log("destination.jsonl", DESTINATION)
        twin = log("twin.jsonl", None) if (directory / "twin.jsonl").exists() else None
        case = Case(manifest, log("source.jsonl", SOURCE), destination, twin, str(directory))
    return result_of(case, str(run_dir))


def judge_logs(manifest: Manifest, source: bytes | Entries, destination: bytes | Entries) -> Result:
    """Judge a run whose logs are in memory, as :func:`judge` would judge its directory.

    Raises:
        InputError: a log is malformed.
    """
    ours, theirs = (
        Log(f"{side}.jsonl", side, BytesIO(log) if isinstance(log, bytes) else log)
        for side, log in ((SOURCE, source), (DESTINATION, destination))
    )
    return result_of(Case(manifest, ours, theirs))


def result_of(case: Case, run_dir: str = "") -> Result:
    """The checks' verdicts and the figures of a case."""
    checks = examine(case)
    cpus = _if_known(lambda: case[Account].per_cpu()) or []
    behind_ns = _if_known(lambda: case[Timebase].behind_ns())
    missing = None
    if Twin in case:
        missing = _if_known(
            lambda: [case[Twin].missing(cpu, tally.delivered) for cpu, tally in enumerate(cpus)]
        )
    return Result(
        run_dir=run_dir,
        manifest=case.manifest,
        verdict=overall(checks.values()),
        checks=checks,
        migration=_migration(case),
        interrupts=_if_known(lambda: case[Account].total()) or Tally(),
        cpus=cpus,
        missing=missing,
        timebase=_timebase(case),
        decrementer=_if_known(lambda: _decrementer(case)) or [],
        guest_behind_ns=behind_ns,
        operator=_operator(case[Crossing], case.end_ns),
        time_policy=Policy(case[TimePolicy].asked, case[TimePolicy].found),
        infers=_inferring(case),
        attributed=_if_known(lambda: _attributed(case[Attribution])) or Attributed(),
        precopy=_if_known(lambda: case[Precopy].as_dict(case[Throttled].total_ns)),
        postcopy=_if_known(lambda: case[Faults].as_dict(case.manifest.machine.cpus)),
        hops=_if_known(lambda: hop_errors(case.manifest, case[Crossing].hops())) or [],
        impact=impacts(_if_known(lambda: _unserved_ns(case)), behind_ns),
    )


def _operator(crossing: Crossing, end_ns: int) -> Operator:
    since = crossing.held_since
    stood_ns = crossing.held_ns + (0 if since is None else end_ns - since)
    return Operator(len(crossing.held) + (since is not None), stood_ns, crossing.reset_by_hand)


def _if_known(read: Callable[[], _T]) -> _T | None:
    """A figure, or None: why there is none, the checks that need it say."""
    try:
        return read()
    except Exception:
        return None


def _migration(case: Case) -> Migration:
    crossing, transfer, claim = case[Crossing], case[Transfer], case.manifest.claim
    status, reason = transfer.status, transfer.reason
    if claim.status is not None and status not in _FINAL:
        status, reason = claim.status, claim.reason  # The source's log breaks off: the launcher saw more.
    owner = crossing.running or (crossing.owner if crossing.crossed else claim.owner)
    if claim.owner == "none":  # a process that dies with the guest does not log that it did
        owner, reason = claim.owner, claim.reason
    return Migration(
        status=status or "none",
        owner=owner or "none",
        reason=reason,
        blackout_ns=_if_known(crossing.blackout_ns),
        passes=transfer.passes,
        bytes=transfer.octets,
        total_ns=transfer.total_ns,
        machine_version=transfer.machine_version,
        lost=transfer.lost,
        hops=len(crossing.crossings),
    )


def _timebase(case: Case) -> TimebaseAcross:
    hz = case.manifest.machine.timebase_hz
    if not case[Crossing].crossed:
        return TimebaseAcross(hz)
    _, stop, resume, _ = _worst(case)
    error = _if_known(lambda: tb_error(case.manifest, stop, resume))
    return TimebaseAcross(hz, stop.tb, resume.tb, error, _if_known(lambda: tb_skew(resume)))


def _worst(case: Case) -> Hop:
    """The hop with the largest error of TB, or of a DECR; the first of equals."""
    hops = case[Crossing].hops()

    def error(hop: Hop) -> int:
        of_tb = _if_known(lambda: tb_error(case.manifest, hop.stop, hop.resume)) or 0
        of_decr = _if_known(lambda: decr_errors(case.manifest, hop.stop, hop.resume)) or {0: 0}
        return max(abs(of_tb), *map(abs, of_decr.values()))

    return max(hops, key=error)


def _decrementer(case: Case) -> list[DecrementerAcross]:
    _, stop, resume, _ = _worst(case)
    before, after = stop.decr or (), resume.decr or ()
    return [
        DecrementerAcross(cpu, old, new, error)
        for cpu, error in decr_errors(case.manifest, stop, resume).items()
        if (old := before[cpu]) is not None and (new := after[cpu]) is not None
    ]


def _inferring(case: Case) -> Callable[[], Inference]:
    """What :class:`Result` infers by."""
    machine, hop = case.manifest.machine, _if_known(lambda: _worst(case))
    if hop is None:
        return Inference
    bits, stops = machine.decrementer_bits, machine.stops_at_zero
    return lambda: _if_known(lambda: infer(hop.stop, hop.resume, machine.timebase_hz, bits, stops)) or Inference()


def _attributed(attribution: Attribution) -> Attributed:
    return Attributed(tuple(attribution.worst), attribution.count, attribution.total)


def _unserved_ns(case: Case) -> int | None:
    ticks = case[Unserved].ticks
    return None if ticks is None else to_ns(ticks, case.manifest.machine.timebase_hz)
