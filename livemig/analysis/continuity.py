"""How far TB and DECR at the resume are from where the time policy puts them, in ticks.

With ⟨TB, DECR⟩ at the stop and a blackout of x exact ticks, ``advance`` asks for ⟨TB + x, DECR - x⟩ at the
resume and ``freeze`` for ⟨TB, DECR⟩. Whatever the policy, TB + DECR must not change: the interrupt comes at
the TB at which the guest asked for it. Errors are what is read less what is right.
"""

from __future__ import annotations

from livemig.analysis.crossing import Moment
from livemig.analysis.manifest import Manifest
from livemig.analysis.ticks import NS_PER_S, error_ticks, signed
from livemig.analysis.verdict import Unknown

TB_BITS = 64


def _world_ns(manifest: Manifest, stop: Moment, resume: Moment) -> int:
    """How much guest time the policy lets pass over the blackout."""
    return 0 if manifest.rule.freezes else resume.t_ns - stop.t_ns


def tolerance_ticks(manifest: Manifest) -> int:
    """One tick of rounding; in wall mode also what the host may add, rounded up."""
    return 1 - (-manifest.rule.slack_ns * manifest.machine.timebase_hz // NS_PER_S)


def tb_error(manifest: Manifest, stop: Moment, resume: Moment) -> int:
    """Of CPU 0's TB."""
    moved = signed(resume.tb - stop.tb, TB_BITS)
    return error_ticks(moved, _world_ns(manifest, stop, resume), manifest.machine.timebase_hz)


def tb_skew(resume: Moment) -> int:
    """The widest gap between two CPUs' TB; raises Unknown where they were not recorded."""
    if not resume.cpu_tb:
        raise Unknown("the TB of each CPU was not recorded at the resume")
    apart = [signed(tb - resume.cpu_tb[0], TB_BITS) for tb in resume.cpu_tb]
    return max(apart) - min(apart)


def decr_errors(manifest: Manifest, stop: Moment, resume: Moment) -> list[int]:
    """Of every CPU's DECR; raises Unknown where one side did not record them."""
    before, after = _both(stop.decr, resume.decr, "DECR")
    bits, hz, ns = (
        manifest.machine.decrementer_bits,
        manifest.machine.timebase_hz,
        _world_ns(manifest, stop, resume),
    )
    return [-error_ticks(signed(old - new, bits), ns, hz) for old, new in zip(before, after, strict=True)]


def decr_slips(manifest: Manifest, stop: Moment, resume: Moment) -> list[int]:
    """By how much each CPU's TB + DECR changed, modulo DECR's width; raises Unknown as `decr_errors` does."""
    tb_before, tb_after = _both(stop.cpu_tb, resume.cpu_tb, "the TB of each CPU")
    before, after = _both(stop.decr, resume.decr, "DECR")
    bits = manifest.machine.decrementer_bits
    was = [tb + decr for tb, decr in zip(tb_before, before, strict=True)]
    now = [tb + decr for tb, decr in zip(tb_after, after, strict=True)]
    return [signed(new - old, bits) for old, new in zip(was, now, strict=True)]


def _both(
    before: tuple[int, ...] | None, after: tuple[int, ...] | None, what: str
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    if not before or not after:
        raise Unknown(f"{what} was not recorded at the stop and at the resume")
    if len(before) != len(after):
        raise Unknown(f"{what}: {len(before)} at the stop, {len(after)} at the resume")
    return before, after
