"""A campaign: a plan, carried out by an executor, in order, until it is done, interrupted or out of time.

The executor is any :class:`concurrent.futures.Executor`: processes of this machine, a Dask cluster, or none. Results
come in the order of their numbers, whoever ran them, so that a campaign with the same plan ends the same.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Executor, Future
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from livemig.stress.plan import Plan
from livemig.stress.trial import Trial

T = TypeVar("T")

CHUNK = 16
"""Runs that go to a worker at once: few enough to be shared out evenly, enough not to be about sending them."""

_AHEAD = 4
"""Chunks in flight for each worker."""


def trials(
    plan: Plan,
    numbers: Iterable[int],
    executor: Executor,
    workers: int,
    until: float | None = None,
    chunk: int = CHUNK,
    keep: Path | None = None,
) -> Generator[list[Trial]]:
    """The trials of ``numbers``, in that order, by the chunk.

    Args:
        until: ``time.monotonic()`` after which nothing new is begun. workers: how many run at once.
        keep: where the logs of every run go, or None to keep none.
    """
    waiting: deque[Future[list[Trial]]] = deque()
    pending = iter(numbers)

    def submit() -> None:
        while len(waiting) < workers * _AHEAD and (until is None or time.monotonic() < until):
            if not (taken := list(islice(pending, chunk))):
                return
            waiting.append(executor.submit(plan.attempt, taken, keep))

    try:
        submit()
        while waiting:
            yield waiting.popleft().result()
            submit()
    finally:
        for future in waiting:
            future.cancel()


class InThisProcess(Executor):
    """Runs what it is given at once, here: for one worker, and for whoever debugs."""

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        future: Future[T] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future
