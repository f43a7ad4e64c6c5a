"""How long a downtime precopy may aim at, pass after pass: the rules of QEMU alone, of Nova, and of KubeVirt."""

from __future__ import annotations

from abc import ABC, abstractmethod

from livemig.migration import settings

_GIB = 1 << 30


class Policy(ABC):
    """One rule, for one migration."""

    began_ns = 0
    """When the first pass began."""

    @abstractmethod
    def limit_ns(self, now: int) -> int:
        """The downtime limit at ``now``."""

    def passed(self, now: int, number: int, remaining: int) -> bool:
        """The ``number``-th pass has ended and left ``remaining`` bytes dirty.

        Returns:
            The guest is to be stopped now, although they do not fit into the limit.
        """
        return False


class Static(Policy):
    """The same limit from beginning to end: QEMU, where nobody changes its ``downtime-limit``."""

    def __init__(self, limit_ns: int) -> None:
        self._limit = limit_ns

    def limit_ns(self, now: int) -> int:
        return self._limit


class Stepped(Policy):
    """Nova (``nova.virt.libvirt.migration.downtime_steps``): ``maximum_ns / steps`` at first, and linearly up to
    ``maximum_ns`` in ``steps`` steps, ``delay_ns`` apart."""

    def __init__(self, maximum_ns: int, steps: int, delay_ns: int) -> None:
        self._maximum, self._steps, self._delay = maximum_ns, steps, delay_ns

    def limit_ns(self, now: int) -> int:
        taken = min(max(now - self.began_ns - 1, 0) // self._delay, self._steps)
        return self._maximum * (self._steps + (self._steps - 1) * taken) // self._steps**2


class Ramp(Policy):
    """KubeVirt (VEP 291, VEP 248): low for the first passes, then rising at intervals; and where passes stopped to
    leave less, the stop at the next one that at least leaves no more than the one before it."""

    def __init__(self, given: settings.Convergence) -> None:
        self._given = given
        self._rises: int | None = None
        self._least: int | None = None
        self._before: int | None = None
        self._stalled = 0

    def limit_ns(self, now: int) -> int:
        given = self._given
        if self._rises is None:
            return given.ramp_start_ns
        rises = (now - self._rises) // given.ramp_cooldown_ns
        return min(given.ramp_start_ns + rises * given.ramp_step_ns, given.ramp_limit_ns)

    def passed(self, now: int, number: int, remaining: int) -> bool:
        if number >= self._given.ramp_after and self._rises is None:
            self._rises = now
        before, self._before = self._before, remaining
        if self._least is None or remaining < self._least:
            self._least, self._stalled = remaining, 0
            return False
        self._stalled += 1
        enough = self._given.stall_passes
        return bool(enough) and self._stalled > enough and before is not None and remaining <= before


def policy_of(given: settings.Convergence, ram_bytes: int) -> Policy:
    """The rule that ``given`` names, for a guest with so much RAM."""
    if given.policy == "stepped":
        return Stepped(given.limit_ns, given.steps, max(given.delay_ns * ram_bytes // _GIB, 1))
    return Ramp(given) if given.policy == "ramp" else Static(given.limit_ns)
