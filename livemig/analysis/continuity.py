"""How far TB and DECR at the resume are from where the time policy puts them, in ticks.

With ⟨TB, DECR⟩ at the stop and a blackout of x exact ticks, ``advance`` asks for ⟨TB + x, DECR - x⟩ at the
resume and ``freeze`` for ⟨TB, DECR⟩; ``advance-at-most`` for the former, with an x that is no more than it says.
Whatever the policy, TB + DECR must not change: the interrupt comes at the TB at which the guest asked for it. Errors
are what is read less what is right; they are by CPU, for those CPUs of which it was recorded on both sides.
"""

from __future__ import annotations

from typing import Final

from livemig.analysis.crossing import Moment, PerCpu
from livemig.analysis.manifest import ADVANCE, FREEZE, Manifest
from livemig.analysis.ticks import NS_PER_S, error_ticks, signed
from livemig.analysis.verdict import Unknown

TB_BITS: Final = 64


def _world_ns(manifest: Manifest, stop: Moment, resume: Moment) -> int:
    """How much guest time the policy lets pass over the blackout."""
    return manifest.rule.passes_ns(resume.t_ns - stop.t_ns)


def tolerance_ticks(manifest: Manifest) -> int:
    """One tick of rounding; in wall mode also what the host may add, rounded up."""
    return 1 - (-manifest.rule.timebase_slack_ns * manifest.machine.timebase_hz // NS_PER_S)


def reading_ticks(manifest: Manifest) -> int:
    """By how much a TB in the log may be off what the guest would have read: 0, unless it was not read in place."""
    return (manifest.rule.timebase_tolerance_ns or 0) * manifest.machine.timebase_hz // NS_PER_S


def tb_moved(stop: Moment, resume: Moment) -> int:
    """What CPU 0's TB reads more at the resume than at the stop; raises Unknown where it was not recorded."""
    if stop.tb is None or resume.tb is None:
        raise Unknown("TB was not recorded at the stop and at the resume")
    return signed(resume.tb - stop.tb, TB_BITS)


def tb_errors(stop: Moment, resume: Moment, hz: int) -> dict[str, int]:
    """Of CPU 0's TB, by `advance` and by `freeze`; raises Unknown as `tb_moved` does."""
    moved = tb_moved(stop, resume)
    return {ADVANCE: error_ticks(moved, resume.t_ns - stop.t_ns, hz), FREEZE: error_ticks(moved, 0, hz)}


def tb_error(manifest: Manifest, stop: Moment, resume: Moment) -> int:
    """Of CPU 0's TB, by the policy of ``manifest``; raises Unknown as `tb_moved` does."""
    return error_ticks(tb_moved(stop, resume), _world_ns(manifest, stop, resume), manifest.machine.timebase_hz)


def tb_skew(resume: Moment) -> int:
    """The widest gap between two CPUs' TB; raises Unknown where they were not recorded."""
    recorded = [tb for tb in resume.cpu_tb or () if tb is not None]
    if not recorded or len(recorded) != len(resume.cpu_tb or ()):
        raise Unknown("the TB of each CPU was not recorded at the resume")
    apart = [signed(tb - recorded[0], TB_BITS) for tb in recorded]
    return max(apart) - min(apart)


def decr_errors(manifest: Manifest, stop: Moment, resume: Moment) -> dict[int, int]:
    """Of each CPU's DECR; raises Unknown where none was recorded on both sides."""
    bits, hz = manifest.machine.decrementer_bits, manifest.machine.timebase_hz
    ns = _world_ns(manifest, stop, resume)
    both = _both(stop.decr, resume.decr, "DECR")
    stops = manifest.machine.stops_at_zero
    return {
        cpu: 0 if stops and new == 0 and old * NS_PER_S <= ns * hz else -error_ticks(signed(old - new, bits), ns, hz)
        for cpu, (old, new) in both.items()
    }


def decr_slips(manifest: Manifest, stop: Moment, resume: Moment) -> dict[int, int]:
    """By how much each CPU's TB + DECR changed, modulo DECR's width; raises Unknown as `decr_errors` does."""
    tbs = _both(stop.cpu_tb, resume.cpu_tb, "the TB of each CPU")
    decrs = _both(stop.decr, resume.decr, "DECR")
    bits, both = manifest.machine.decrementer_bits, tbs.keys() & decrs.keys()
    if not both:
        raise Unknown("of no CPU both TB and DECR were recorded")
    slips = {}
    for cpu in sorted(both):
        (tb, tb_now), (decr, decr_now) = tbs[cpu], decrs[cpu]
        ran_out = manifest.machine.stops_at_zero and decr_now == 0 and decr <= signed(tb_now - tb, TB_BITS)
        slips[cpu] = 0 if ran_out else signed(tb_now + decr_now - tb - decr, bits)
    return slips


def _both(before: PerCpu | None, after: PerCpu | None, what: str) -> dict[int, tuple[int, int]]:
    pairs = enumerate(zip(before or (), after or (), strict=False))
    recorded = {cpu: (old, new) for cpu, (old, new) in pairs if old is not None and new is not None}
    if not recorded:
        raise Unknown(f"{what} was not recorded at the stop and at the resume")
    if len(before or ()) != len(after or ()):
        raise Unknown(f"{what}: {len(before or ())} at the stop, {len(after or ())} at the resume")
    return recorded
