"""Valid, invalid or unknown, and the lines of the log that show it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

Word = Literal["valid", "invalid", "unknown"]

EVIDENCE_LIMIT: Final = 10
"""Events kept for each kind of finding: enough to look at, and memory stays bounded."""


class Unknown(Exception):
    """Raised by a check that the history gives nothing to judge by; ``str()`` is the reason."""


class Evidence(NamedTuple):
    """One line of a log."""

    file: str
    line: int
    t_ns: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check says.

    ``exercised`` is False where the scenario never came to the situation that the check is about: such an
    unknown does not spoil the verdict on the run.
    """

    word: Word
    reason: str
    evidence: tuple[Evidence, ...] = ()
    exercised: bool = True

    def as_dict(self) -> dict[str, Any]:
        return {
            "verdict": self.word,
            "reason": self.reason,
            "evidence": [seen._asdict() for seen in self.evidence],
        }


def valid(reason: str, *evidence: Evidence) -> Verdict:
    return Verdict("valid", reason, evidence)


def invalid(reason: str, *evidence: Evidence) -> Verdict:
    return Verdict("invalid", reason, evidence)


def unknown(reason: str, *evidence: Evidence) -> Verdict:
    return Verdict("unknown", reason, evidence)


def not_exercised(reason: str) -> Verdict:
    return Verdict("unknown", f"not exercised: {reason}", exercised=False)


def overall(verdicts: Iterable[Verdict]) -> Word:
    """Invalid if any is; else unknown if any is that was exercised; else valid."""
    spoken = list(verdicts)
    if any(verdict.word == "invalid" for verdict in spoken):
        return "invalid"
    if any(verdict.word == "unknown" and verdict.exercised for verdict in spoken):
        return "unknown"
    return "valid"
