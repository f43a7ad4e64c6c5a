"""Where the runs of a campaign are run: here, in processes of this machine, or on a Dask cluster."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from importlib.util import find_spec

from livemig.errors import LinkError, UsageError
from livemig.launch.workers import workers
from livemig.stress.campaign import InThisProcess

_ADDRESS = r"(?:\w+://)?[\w.\-\[\]:%]+:\d{1,5}"


@contextmanager
def local(jobs: int) -> Iterator[tuple[Executor, int]]:
    """``jobs`` processes; with one, none but this."""
    if jobs == 1:
        yield InThisProcess(), 1
        return
    with workers(jobs, ["livemig.stress.plan"]) as executor:
        yield executor, jobs


@contextmanager
def dask(address: str) -> Iterator[tuple[Executor, int]]:
    """The workers of the cluster whose scheduler is at ``address``; they need livemig installed.

    Raises:
        UsageError: Dask is not installed here. LinkError: there is no scheduler.
    """
    if find_spec("distributed") is None:
        raise UsageError("--dask needs distributed: pip install 'livemig[dask]'")
    if re.fullmatch(_ADDRESS, address) is None:
        raise UsageError(f"--dask: {address!r} is no address (allowed: HOST:PORT, or tcp://HOST:PORT)")
    from distributed import Client

    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # it prints tracebacks of what is said here in a line
    try:
        client = Client(address, timeout="5s", set_as_default=False)
    except (OSError, ValueError) as error:
        raise LinkError(f"--dask {address}: no scheduler ({error or type(error).__name__})") from None
    try:
        cores = sum(client.nthreads().values())
        if not cores:
            raise LinkError(f"--dask {address}: the cluster has no workers")
        with client.get_executor(pure=False) as executor:
            yield executor, cores
    finally:
        client.close()


def cores() -> int:
    """CPUs that this process may use."""
    return len(os.sched_getaffinity(0))
