"""Where TB and DECR stand after hop upon hop, against a guest that never crossed: what each hop adds, to the tick.

From the first stop on TB is to go with the guest time that the policy asks for. Its drift is what it is off that, and
what a hop adds is the drift at its resume less that at its stop; what the guest's stay between two hops adds is counted
apart, and is nothing but rounding where the timebase keeps its frequency. Drift is rounded, not what is added, so that
all that is added sums to it. A reading is whole ticks, rounded down: with nothing lost the drift, which is the
difference of two, is within a tick, however many hops there are.

Of DECR it is TB + DECR that must not move: that is a number of whole ticks, so nothing is rounded.
"""

from __future__ import annotations

from dataclasses import dataclass

from livemig.analysis.continuity import TB_BITS, decr_errors, decr_slips, tb_error
from livemig.analysis.crossing import Hop, Moment
from livemig.analysis.manifest import Manifest
from livemig.analysis.ticks import NS_PER_S, signed
from livemig.analysis.verdict import Unknown


@dataclass(frozen=True, slots=True)
class HopError:
    """One hop, in ticks.

    Args:
        stayed: what TB had gained over the guest's time in the stay before the hop. tb: the same over the hop.
        drift: all of it so far. decr: of each CPU, what TB + DECR changed by over the hop, None where that was not
        recorded. tb_error, decr_error: of CPU 0's TB and the worst DECR, by the policy, as the checks judge them.
    """

    number: int
    blackout_ns: int
    stayed: int
    tb: int
    drift: int
    tb_error: int
    decr_error: int | None
    decr: dict[int, int] | None

    def as_dict(self) -> dict[str, object]:
        """With keys that are text."""
        slips = None if self.decr is None else [{"cpu": cpu, "ticks": ticks} for cpu, ticks in self.decr.items()]
        return {
            "hop": self.number,
            "blackout_ns": self.blackout_ns,
            "tb_error_ticks": self.tb_error,
            "decr_error_ticks": self.decr_error,
            "stayed_ticks": self.stayed,
            "hop_ticks": self.tb,
            "drift_ticks": self.drift,
            "decr_slip_ticks": slips,
        }


def hop_errors(manifest: Manifest, hops: list[Hop]) -> list[HopError]:
    """Hop by hop; raises Unknown where TB was not recorded."""
    first, hz, stood = hops[0].stop, manifest.machine.timebase_hz, 0
    found, drift = [], 0
    for hop in hops:
        at_stop = _drift(first, hop.stop, stood, hz)
        stood += hop.blackout_ns - manifest.rule.passes_ns(hop.blackout_ns)
        at_resume = _drift(first, hop.resume, stood, hz)
        error = tb_error(manifest, hop.stop, hop.resume)
        slips, errors = _decr(manifest, hop)
        worst = max(errors.values(), key=abs) if errors else None
        found.append(
            HopError(hop.number, hop.blackout_ns, at_stop - drift, at_resume - at_stop, at_resume, error, worst, slips)
        )
        drift = at_resume
    return found


def _drift(first: Moment, then: Moment, stood_ns: int, hz: int) -> int:
    """What TB is off at ``then``, in ticks, rounded to the nearest."""
    if first.tb is None or then.tb is None:
        raise Unknown("TB was not recorded at every stop and resume")
    moved = signed(then.tb - first.tb, TB_BITS)
    off = moved * NS_PER_S - (then.t_ns - first.t_ns - stood_ns) * hz
    return (2 * off + NS_PER_S) // (2 * NS_PER_S)


def _decr(manifest: Manifest, hop: Hop) -> tuple[dict[int, int] | None, dict[int, int]]:
    try:
        return decr_slips(manifest, hop.stop, hop.resume), decr_errors(manifest, hop.stop, hop.resume)
    except Unknown:
        return None, {}
