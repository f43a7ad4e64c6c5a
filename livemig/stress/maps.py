"""Where a strategy breaks, as maps: over the axes of a grid, or over the features that were drawn."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from livemig.stress.grid import Axis
from livemig.stress.space import FEATURES
from livemig.stress.trial import Trial

Measure = Callable[[Sequence[Trial]], float]


def _share_failed(trials: Sequence[Trial]) -> float:
    return sum(trial.signature is not None for trial in trials) / len(trials)


def _mean(what: str) -> Measure:
    return lambda trials: sum(getattr(trial, what) for trial in trials) / len(trials)


MEASURES: Final[Mapping[str, Measure]] = {
    "share of runs that failed": _share_failed,
    "share that did not cross": lambda trials: sum(trial.status != "completed" for trial in trials) / len(trials),
    "interrupts lost": _mean("lost"),
    "interrupts late": _mean("late"),
    "worst lateness in ms": lambda trials: max(trial.worst_late_ns for trial in trials) / 1e6,
    "TB error in ticks": lambda trials: max(abs(trial.error_ticks) for trial in trials),
}


@dataclass(frozen=True, slots=True)
class Map:
    """Rows and columns by their labels; ``z``: for every measure a row of numbers each, None where nothing ran."""

    title: str
    x: str
    y: str
    columns: tuple[str, ...]
    rows: tuple[str, ...]
    z: Mapping[str, list[list[float | None]]]

    def as_dict(self) -> dict[str, Any]:
        """For the page."""
        return {
            "title": self.title, "x": self.x, "y": self.y, "columns": list(self.columns), "rows": list(self.rows),
            "z": dict(self.z),
        }  # fmt: skip


def over_grid(trials: Iterable[Trial], axes: Sequence[Axis], strategies: Sequence[str]) -> list[Map]:
    """One axis: strategies by its values. Two or more: a map of the first two for each strategy."""
    cells: dict[tuple[str, str, str], list[Trial]] = defaultdict(list)
    first, second = axes[0], axes[1] if len(axes) > 1 else None
    for trial in trials:
        down = str(trial.settings[second.key]) if second else ""
        cells[trial.strategy, str(trial.settings[first.key]), down].append(trial)
    columns = tuple(map(str, first.values))
    if second is None:
        return [_map("by strategy", first.key, "strategy", columns, tuple(strategies),
                     lambda column, row: cells[row, column, ""])]  # fmt: skip
    rows = tuple(map(str, second.values))

    def of(strategy: str) -> Map:
        return _map(strategy, first.key, second.key, columns, rows, lambda column, row: cells[strategy, column, row])

    return [of(strategy) for strategy in strategies]


def over_features(trials: Iterable[Trial], strategies: Sequence[str]) -> Map:
    """Features by strategy: of the runs that had the feature, how they went."""
    keys = {feature.name: frozenset(_keys(feature.name)) for feature in FEATURES}
    cells: dict[tuple[str, str], list[Trial]] = defaultdict(list)
    for trial in trials:
        for name, sets in keys.items():
            if sets <= trial.settings.keys():
                cells[name, trial.strategy].append(trial)
    rows = tuple(name for name in keys if any((name, strategy) in cells for strategy in strategies))
    return _map("what was drawn", "strategy", "feature", tuple(strategies), rows,
                lambda column, row: cells[row, column])  # fmt: skip


def _keys(name: str) -> Iterable[str]:
    from random import Random

    feature = next(feature for feature in FEATURES if feature.name == name)
    return feature.draw(Random(0)).keys()


def _map(
    title: str, x: str, y: str, columns: tuple[str, ...], rows: tuple[str, ...],
    cell: Callable[[str, str], Sequence[Trial]],
) -> Map:  # fmt: skip
    def value(measure: Measure, column: str, row: str) -> float | None:
        trials = cell(column, row)
        return measure(trials) if trials else None

    z = {
        name: [[value(measure, column, row) for column in columns] for row in rows]
        for name, measure in MEASURES.items()
    }
    return Map(title, x, y, columns, rows, z)
