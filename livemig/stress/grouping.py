"""Failures that are the same: by what failed first, under which strategy, in which state of the protocol."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from livemig.stress.trial import Signature, Trial


@dataclass(slots=True)
class Group:
    """All failures of one signature. ``smallest``: the one with the fewest settings, the first of those; ``first``: the
    number of the first; ``checks``: how often each check failed among them."""

    signature: Signature
    smallest: Trial
    first: int
    count: int = 0
    checks: Counter[str] = field(default_factory=Counter)

    def add(self, trial: Trial) -> None:
        """One more."""
        self.count += 1
        self.checks.update(trial.failed)
        self.first = min(self.first, trial.number)
        if len(trial.settings) < len(self.smallest.settings):
            self.smallest = trial


def grouped(trials: Iterable[Trial]) -> list[Group]:
    """The failures among ``trials`` by signature, the most frequent first."""
    groups: dict[Signature, Group] = {}
    for trial in trials:
        if (signature := trial.signature) is not None:
            groups.setdefault(signature, Group(signature, trial, trial.number)).add(trial)
    return sorted(groups.values(), key=lambda group: (-group.count, group.signature))
