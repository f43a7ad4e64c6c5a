"""Which rule a log shows: what each known strategy makes of the TB and DECR at the stop, beside what was read.

Only values tell. Strategies that differ in something else (whose clock measured the blackout, what else is sent)
make the same of them and come out as a tie: those at the same place in `RULES`, and more where the run does not
bring out the difference: a guest that never set its TB, a blackout below a clamp. What hangs on a host's own clock
or uptime, or on chance, has no prediction here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from livemig.analysis.continuity import TB_BITS
from livemig.analysis.crossing import Moment, PerCpu
from livemig.analysis.ticks import NS_PER_S, error_ticks, signed

_CLAMP_NS: Final = NS_PER_S
_TBU40: Final = 1 << 24
_RATIOS: Final = tuple((p, q) for p in range(1, 5) for q in range(1, 5) if p != q and (p, q) not in ((2, 4), (4, 2)))


@dataclass(frozen=True, slots=True)
class Stopped:
    """What there is to restore from. TB and DECR by CPU.

    ``bare``: TB as it would be, had the guest never set it: the ticks of the virtual clock, which starts at 0 and
    stands still over the blackout. Where the log does not say it: a TB that falls is taken to have fallen to it.
    """

    tb: tuple[int, ...]
    decr: PerCpu
    bare: int
    blackout_ns: int
    hz: int


class Restored(NamedTuple):
    """A prediction: TB, gone on for ``tb_ns``, and DECR, come down for ``decr_ns``."""

    tb: tuple[int, ...]
    tb_ns: int
    decr: PerCpu
    decr_ns: int


Rule = Callable[[Stopped], list[Restored]]
"""Of several predictions the nearest counts; none where it comes to the same as a rule before it."""


def _frozen(was: Stopped) -> list[Restored]:
    """Both go on as they were saved."""
    return [Restored(was.tb, 0, was.decr, 0)]


def _advanced(was: Stopped) -> list[Restored]:
    """Both as if the guest had run on."""
    return [Restored(was.tb, was.blackout_ns, was.decr, was.blackout_ns)]


def _absolute(was: Stopped) -> list[Restored]:
    """TB as if the guest had run on, DECR as it was saved."""
    return [Restored(was.tb, was.blackout_ns, was.decr, 0)]


def _none(was: Stopped) -> list[Restored]:
    """DECR is a point on the virtual clock, 0xffffffff at 0; TB stands still, a TB that the guest set is lost."""
    return [Restored(tb, 0, tuple(-value - 1 for value in tb), 0) for tb in (was.tb, (was.bare,) * len(was.tb))]


def _clamped(was: Stopped) -> list[Restored]:
    """Both go on, by a second at most."""
    ns = min(was.blackout_ns, _CLAMP_NS)
    return [Restored(was.tb, ns, was.decr, ns)]


def _tbu40(was: Stopped) -> list[Restored]:
    """TB goes on; its offset to the virtual clock is rounded up to 2^24 ticks, and DECR keeps to TB."""
    offset = was.tb[0] + was.blackout_ns * was.hz // NS_PER_S - was.bare
    rise = was.bare - -offset // _TBU40 * _TBU40 - was.tb[0]
    tb = tuple(value + rise for value in was.tb)
    return [Restored(tb, 0, tuple(None if decr is None else decr - rise for decr in was.decr), 0)]


def _write_dropped(was: Stopped) -> list[Restored]:
    """A TB that the guest set falls back to the bare clock; DECR as it was saved."""
    return [Restored((was.bare,) * len(was.tb), 0, was.decr, 0)]


def _other_frequency(was: Stopped) -> list[Restored]:
    """The same virtual clock counted at another frequency: TB is scaled by a ratio of small numbers."""
    return [Restored(tuple(tb * p // q for tb in was.tb), 0, was.decr, 0) for p, q in _RATIOS]


def _before_tb(was: Stopped) -> list[Restored]:
    """DECR is set to keep to a TB that is the bare clock yet; told from `absolute` where the guest set its TB."""
    ahead = was.tb[0] - was.bare
    decr = tuple(None if value is None else value + ahead for value in was.decr)
    return [Restored(was.tb, was.blackout_ns, decr, 0)] if ahead else []


def _before_clock(was: Stopped) -> list[Restored]:
    """DECR is set to keep to the TB of a machine that has just started."""
    pairs = zip(was.tb, was.decr, strict=True)
    decr = tuple(None if value is None else tb + value for tb, value in pairs)
    return [Restored(was.tb, was.blackout_ns, decr, 0)]


def _double_read(was: Stopped) -> list[Restored]:
    """DECR has come down for a microsecond more than TB has gone on."""
    return [Restored(was.tb, was.blackout_ns, was.decr, was.blackout_ns + 1000)]


def _per_cpu(was: Stopped) -> list[Restored]:
    """Each CPU is 20 us behind the one before it, TB and DECR together."""
    behind = [cpu * 20_000 * was.hz // NS_PER_S for cpu in range(len(was.tb))]
    tb = tuple(value - less for value, less in zip(was.tb, behind, strict=True))
    pairs = zip(was.decr, behind, strict=True)
    decr = tuple(None if value is None else value + less for value, less in pairs)
    return [Restored(tb, was.blackout_ns, decr, was.blackout_ns)] if len(tb) > 1 else []


RULES: Final[Mapping[str, Rule]] = {
    "none": _none,
    "absolute": _absolute,
    "absolute-frozen-tb": _frozen,
    "qemu-dead-clamp": _frozen,
    "tb-offset": _advanced,
    "snapshot-tuple": _advanced,
    "channel-clock": _advanced,
    "clamped": _clamped,
    "kvm-tbu40": _tbu40,
    "tb-write-dropped": _write_dropped,
    "frequency-change": _other_frequency,
    "cpu-before-machine": _before_tb,
    "deadline-before-clock": _before_clock,
    "double-read": _double_read,
    "per-cpu-timebase": _per_cpu,
}
"""By preference: of strategies that fit equally well the first is named."""


@dataclass(frozen=True, slots=True)
class Inference:
    """The strategy that fits best, and by how many ticks the worst of the TBs and DECRs is off it.

    ``ties``: those that fit as well, within a tick; ``others``: the rest, with their residuals. ``strategy`` is None
    where the guest did not cross or the log does not tell TB.
    """

    strategy: str | None = None
    residual_ticks: int | None = None
    ties: tuple[str, ...] = ()
    others: Mapping[str, int] | None = None

    def as_dict(self) -> dict[str, Any]:
        return {
            "strategy": self.strategy,
            "residual_ticks": self.residual_ticks,
            "ties": list(self.ties),
            "others": dict(self.others or {}),
        }


def infer(stop: Moment, resume: Moment, hz: int, decrementer_bits: int, stops_at_zero: bool = False) -> Inference:
    """Name the strategy by the state at the ``stop`` and the ``resume`` of a crossing. Of DECR, CPUs that were not
    recorded on both sides say nothing, and nor do those where it reads 0, if it ``stops_at_zero``."""
    before, after = _tbs(stop), _tbs(resume)
    if before is None or after is None or len(before) != len(after):
        return Inference()
    unknown: PerCpu = (None,) * len(before)
    was = Stopped(before, stop.decr or unknown, _bare(stop, before, after, hz), resume.t_ns - stop.t_ns, hz)
    read = resume.decr or unknown
    now = after, tuple(None if stops_at_zero and decr == 0 else decr for decr in read)
    residuals = {
        name: min(_residual(restored, *now, hz, decrementer_bits) for restored in rule(was))
        for name, rule in RULES.items()
        if rule(was)
    }
    best = min(residuals, key=residuals.__getitem__)
    ties = tuple(name for name, ticks in residuals.items() if name != best and ticks <= residuals[best] + 1)
    others = {name: ticks for name, ticks in residuals.items() if name != best and name not in ties}
    return Inference(best, residuals[best], ties, others)


def _tbs(moment: Moment) -> tuple[int, ...] | None:
    """TB by CPU: the machine's, where that of each was not recorded."""
    each = [moment.tb if tb is None else tb for tb in moment.cpu_tb or (None,) * len(moment.decr or (None,))]
    recorded = tuple(tb for tb in each if tb is not None)
    return recorded if len(recorded) == len(each) else None


def _bare(stop: Moment, before: tuple[int, ...], after: tuple[int, ...], hz: int) -> int:
    if stop.clock_ns is not None:
        return stop.clock_ns * hz // NS_PER_S
    return after[0] if signed(after[0] - before[0], TB_BITS) < 0 else before[0]


def _residual(restored: Restored, tb: tuple[int, ...], decr: PerCpu, hz: int, bits: int) -> int:
    """How far the reading that is worst explained is from ``restored``, in ticks."""
    errors = [
        error_ticks(signed(read - base, TB_BITS), restored.tb_ns, hz)
        for read, base in zip(tb, restored.tb, strict=True)
    ]
    errors += [
        error_ticks(signed(base - read, bits), restored.decr_ns, hz)
        for read, base in zip(decr, restored.decr, strict=False)
        if read is not None and base is not None
    ]
    return max(map(abs, errors))
