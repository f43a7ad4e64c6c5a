"""What became of every arm, one by one, as the account decides it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Literal, NamedTuple

from livemig.analysis.account import Account
from livemig.analysis.arm import Arm, Cell, Key
from livemig.analysis.log import Event, Place
from livemig.analysis.observer import Handler, Observer

Outcome = Literal["on_time", "late", "early", "doubled", "lost", "superseded", "pending"]

OUTCOMES: Final[tuple[Outcome, ...]] = ("on_time", "late", "early", "doubled", "lost", "superseded", "pending")
DELIVERED: Final = frozenset({"on_time", "late", "early", "doubled"})
TROUBLE: Final = frozenset({"late", "early", "doubled", "lost"})
_DECIDED: Final[tuple[Outcome, ...]] = ("lost", "superseded", "on_time", "late", "early")


class Arc(NamedTuple):
    """One arm and its end. Times in ns of the world.

    ``armed_ns``, ``value`` (ticks) and ``armed_at`` are None for an interrupt that no arm asked for; ``due_ns`` where
    the timer does not count. ``end_ns``: the delivery, or when the arm was given up: superseded, found lost, or the
    end of the log. ``ended_at`` is None in that last case.
    """

    cpu: int
    timer: str
    outcome: Outcome
    armed_ns: int | None
    due_ns: int | None
    end_ns: int
    value: int | None
    armed_at: Place | None
    ended_at: Place | None


class Story(Observer):
    """Drives an account through the history and tells of each arm that ended between two of its steps.

    The account decides; this only looks at which arms were open before an event and are not after it. So the
    picture cannot say other than the verdict.
    """

    def __init__(self, account: Account, tell: Callable[[Arc], None]) -> None:
        self._account, self._tell = account, tell

    def handlers(self) -> Mapping[str, Handler]:
        return {
            name: self._following_all(handler) if name == "machine_resumed" else self._following(handler)
            for name, handler in self._account.handlers().items()
        }

    def _following(self, handler: Handler) -> Handler:
        """A step that concerns one timer of one CPU."""
        cells = self._account.cells

        def follow(event: Event, place: Place) -> None:
            key = event["cpu"], event["timer"]
            before = _state(cells.get(key))
            handler(event, place)
            after = _state(cells[key]) if key in cells else before
            if after.counts != before.counts:
                self._compare(key, before, after, event["t_ns"], place)

        return follow

    def _following_all(self, handler: Handler) -> Handler:
        """A step that may concern them all."""
        cells = self._account.cells

        def follow(event: Event, place: Place) -> None:
            before = {key: _state(cell) for key, cell in cells.items()}
            handler(event, place)
            for key, state in before.items():
                self._compare(key, state, _state(cells[key]), event["t_ns"], place)

        return follow

    def _compare(self, key: Key, before: _State, after: _State, now: int, place: Place) -> None:
        rose = {name: after.counts[index] - before.counts[index] for index, name in enumerate(_COUNTED)}
        ended = [arm for arm in before.arms if arm is not None and arm not in after.arms]
        for arm in ended:  # The one that counts goes first: of two, it is the one that can be lost.
            outcome = next((name for name in _DECIDED if rose[name]), None)
            if outcome is not None:
                rose[outcome] -= 1
                self._end(key, arm, outcome, now, place)
        if rose["doubled"]:
            self._tell(Arc(*key, "doubled", None, None, now, None, None, place))

    def _end(self, key: Key, arm: Arm, outcome: Outcome, now: int, place: Place | None) -> None:
        self._tell(Arc(*key, outcome, arm.t_ns, arm.deadline_ns, now, arm.value, arm.place, place))

    def close(self, end_ns: int) -> None:
        """Close the account, and tell of what is still open."""
        hung = {key: cell.tally.hung for key, cell in self._account.cells.items()}
        self._account.close(end_ns)
        for key, cell in sorted(self._account.cells.items()):
            if cell.waiting is not None:
                self._end(key, cell.waiting, "pending", end_ns, None)
            if cell.counting is not None:
                self._end(key, cell.counting, "lost" if cell.tally.hung > hung[key] else "pending", end_ns, None)


_COUNTED: Final[tuple[Outcome, ...]] = ("on_time", "late", "early", "doubled", "lost", "superseded")


class _State(NamedTuple):
    """A cell at one instant: the arms that are open, and the counts of those that ended."""

    arms: tuple[Arm | None, Arm | None]
    counts: tuple[int, ...]


_NOTHING: Final = _State((None, None), (0,) * len(_COUNTED))


def _state(cell: Cell | None) -> _State:
    if cell is None:
        return _NOTHING
    tally = cell.tally
    counts = tally.on_time, tally.late, tally.early, tally.doubled, tally.lost, tally.superseded
    return _State((cell.counting, cell.waiting), counts)
