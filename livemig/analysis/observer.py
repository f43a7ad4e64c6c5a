"""One pass over the history: every observer sees the events it asks for; if one crashes, others go on.

Nothing an observer knows of another changes within a stretch: so each may see the whole of it before the next one does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import methodcaller
from pathlib import PurePath

from livemig.analysis.layout import ARMED, INTERRUPT
from livemig.analysis.log import Event, Place, malformed
from livemig.analysis.stretch import Item, Stretch
from livemig.errors import InputError

Handler = Callable[[Event, Place], None]


class Observer:
    """Accumulates something over the history, in memory bounded by the number of CPUs."""

    def handlers(self) -> Mapping[str, Handler]:
        """Event name → what to call with the event and its place."""
        raise NotImplementedError

    def stretch(self, stretch: Stretch) -> None:
        """Many events at once. What overrides this must come to what taking each of them in turn comes to."""
        handlers = self.handlers()
        if not handlers.keys().isdisjoint((ARMED, INTERRUPT)):
            for event, place in stretch:
                if handler := handlers.get(event["event"]):
                    handler(event, place)

    def close(self, end_ns: int) -> None:
        """The history is over; ``end_ns``: until when the guest ran, or could have."""


def observe(
    history: Iterable[Item], observers: Sequence[Observer], directory: str = ""
) -> dict[Observer, Exception]:
    """Show ``history`` to ``observers``, in this order at every event.

    Returns:
        The observers that crashed, with what they raised; they saw nothing after that.

    Raises:
        InputError: an event lacks what the schema promises. ``directory`` is where its file lies.
    """
    crashed: dict[Observer, Exception] = {}
    table = _table(observers, crashed)
    nobody: tuple[tuple[Observer, Handler], ...] = ()
    for item in history:
        if isinstance(item, Stretch):
            if failed := _tell(observers, crashed, methodcaller("stretch", item)):
                crashed |= failed
                table = _table(observers, crashed)
            continue
        event, place = item
        for observer, handler in table.get(event["event"], nobody):
            try:
                handler(event, place)
            except InputError:
                raise
            except Exception as error:
                if problem := malformed(event):
                    raise InputError(str(PurePath(directory, place[0])), problem, place[1]) from error
                crashed[observer] = error
                table = _table(observers, crashed)
    return crashed


def close(
    observers: Iterable[Observer], end_ns: int, crashed: Mapping[Observer, Exception]
) -> dict[Observer, Exception]:
    """Tell those that did not crash that it is over; returns and raises as `observe` does."""
    return _tell(observers, crashed, methodcaller("close", end_ns))


def _tell(
    observers: Iterable[Observer], crashed: Mapping[Observer, Exception], what: Callable[[Observer], None]
) -> dict[Observer, Exception]:
    failed: dict[Observer, Exception] = {}
    for observer in observers:
        if observer not in crashed:
            try:
                what(observer)
            except InputError:
                raise
            except Exception as error:
                failed[observer] = error
    return failed


def _table(
    observers: Sequence[Observer], crashed: Mapping[Observer, Exception]
) -> dict[str, tuple[tuple[Observer, Handler], ...]]:
    table: dict[str, tuple[tuple[Observer, Handler], ...]] = {}
    for observer in observers:
        if observer not in crashed:
            for name, handler in observer.handlers().items():
                table[name] = (*table.get(name, ()), (observer, handler))
    return table
