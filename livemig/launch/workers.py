"""Processes of this machine that are given work: forked from one that has imported what they need; never orphans."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from threading import Thread


@contextmanager
def workers(jobs: int, imports: Sequence[str]) -> Iterator[ProcessPoolExecutor]:
    """``jobs`` of them. When this is left, what runs has been finished, what waits has not, and all have ended.

    Args:
        imports: modules that are imported once for all of them.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*imports])
    executor = ProcessPoolExecutor(jobs, mp_context=context, initializer=_begin)
    try:
        yield executor
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


def _begin() -> None:
    Thread(target=_end_with_parent, daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for who waits for the results
    gc.freeze()  # what was imported stays, and need not be looked through again and again


def _end_with_parent() -> None:
    """A worker waits for work on a pipe that it holds open itself: that its parent was killed it would never notice."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
