"""What a campaign found, as text and as JSON."""

from __future__ import annotations

from typing import Any

from livemig.analysis.units import plural
from livemig.stress.order import Outcome

_SHOWN = 12


def as_dict(outcome: Outcome) -> dict[str, Any]:
    """Keys as docs/output.md has them."""
    cases = {case.signature: case for case in outcome.cases}
    return {
        "runs": outcome.runs,
        "seed": outcome.plan.seed,
        "strategies": list(outcome.plan.strategies),
        "failed": outcome.failed,
        "interrupted": outcome.interrupted,
        "store": str(outcome.store),
        "host_s": round(outcome.host_s, 3),
        "groups": [
            {
                "check": group.signature.check,
                "strategy": group.signature.strategy,
                "status": group.signature.status,
                "count": group.count,
                "first": group.first,
                "checks": dict(group.checks.most_common()),
                "reproduce": _reproduction(outcome, group.signature, cases),
                "config": cases[group.signature].config.read_text() if group.signature in cases else None,
            }
            for group in outcome.groups
        ],
    }


def _reproduction(outcome: Outcome, signature: Any, cases: Any) -> str:
    if signature in cases:
        return str(cases[signature].command)
    number = next(group.smallest.number for group in outcome.groups if group.signature == signature)
    return outcome.plan.scenario(number).command(outcome.plan.file)


def as_text(outcome: Outcome) -> str:
    """How many ran, what failed, and for each distinct failure the smallest reproduction with its story."""
    rate = outcome.runs / outcome.host_s if outcome.host_s else 0
    ended = "interrupted after " if outcome.interrupted else ""
    lines = [
        f"{ended}{plural(outcome.runs, 'run')}, seed {outcome.plan.seed}, {', '.join(outcome.plan.strategies)}: "
        f"{outcome.failed:,} failed, in {plural(len(outcome.groups), 'group')}",
        f"{outcome.host_s:.1f} s, {rate:.0f} runs/s, {outcome.emulated:.0%} of a run is emulation, the rest is judging",
        f"results: {outcome.store}",
    ]
    for group in outcome.groups[:_SHOWN]:
        check, strategy, status = group.signature
        others = ", ".join(f"{name} {count}" for name, count in group.checks.most_common() if name != check)
        count = f"{plural(group.count, 'run')}, the first is no. {group.first}"
        lines += ["", f"{check} under {strategy}, migration {status}: {count}"]
        if others:
            lines.append(f"  with it: {others}")
        for case in outcome.cases:
            if case.signature == group.signature:
                lines.append(f"  $ {case.command}")
                lines += [f"    {line}" for line in case.config.read_text().splitlines()]
                lines += [f"  {line}".rstrip() for line in case.story.splitlines()]
    if len(outcome.groups) > _SHOWN:
        lines.append(f"\n… and {len(outcome.groups) - _SHOWN} groups more; --json has them all")
    return "\n".join(lines)
