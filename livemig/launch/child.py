"""A side as a forked process.

Forked, not started anew: what takes long in a Python process is its imports, and the launcher has them. It must fork
before it runs trio, and has no other threads then.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
from collections.abc import Callable

import trio

from livemig.emulator.process import Control, Outcome
from livemig.errors import LivemigError


class Child:
    """A side's process. ``qmp``: where its QMP server listens. It ends when its lifeline is let go."""

    def __init__(self, side: str, qmp: socket.socket, run: Callable[[Control], Outcome], epoch_ns: int) -> None:
        self.side = side
        self.exit_code: int | None = None
        ours, theirs = socket.socketpair()
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if self.pid == 0:
            ours.close()
            _become(side, lambda: run(Control(qmp=qmp, lifeline=theirs, epoch_ns=epoch_ns)))
        theirs.close()
        qmp.close()
        self._lifeline = ours
        self._pidfd = os.pidfd_open(self.pid)

    async def ended(self) -> int:
        """Wait for the process to end; gives its exit code, negative for a signal."""
        while self.exit_code is None:
            await trio.lowlevel.wait_readable(self._pidfd)
            self._reap()
        return self.exit_code

    def wait(self, seconds: float) -> bool:
        """Wait so long for the process to end, without trio; whether it has."""
        if self.exit_code is None:
            select.select([self._pidfd], [], [], seconds)
            self._reap()
        return self.exit_code is not None

    def go(self) -> None:
        """What waits for its :func:`turn` need not any more."""
        self._lifeline.send(b"\1")

    def let_go(self) -> None:
        """Tell it, by the end of its lifeline, that it is not needed any more."""
        self._lifeline.close()

    def kill(self) -> None:
        """End it at once, if it lives."""
        if self.exit_code is None:
            os.kill(self.pid, signal.SIGKILL)
            self._reap(0)

    def close(self) -> None:
        """After it has ended."""
        self._lifeline.close()
        os.close(self._pidfd)

    def _reap(self, flags: int = os.WNOHANG) -> None:
        pid, status = os.waitpid(self.pid, flags)
        if pid:
            self.exit_code = os.waitstatus_to_exitcode(status)


def turn(control: Control) -> bool:
    """In the child: wait until it is told to :meth:`Child.go`; False: it never will be."""
    assert control.lifeline is not None
    return bool(control.lifeline.recv(1))


def _become(side: str, run: Callable[[], Outcome]) -> None:
    """In the child: never returns. Ctrl-C is the launcher's affair: it lets go."""
    code = 1
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        with open(os.devnull, "r+b") as null:
            os.dup2(null.fileno(), 0)
            os.dup2(null.fileno(), 1)
        code = run().exit_code
    except LivemigError as error:
        print(f"livemig {side}: {error}", file=sys.stderr)
        code = error.exit_code
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stderr.flush()
        os._exit(code)
