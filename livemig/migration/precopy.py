"""Precopy: passes over dirty memory while the guest runs, and the last one, while it stands.

QEMU's rule (``migration_iteration_run``): when what is left fits into the downtime limit at the measured bandwidth,
look again at the dirty bitmap, and if it still does, it is time to stop the guest. ``max_passes`` ends what would not
converge, and so may the convergence policy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from livemig.machine.machine import Machine
from livemig.machine.ram import PAGE, Pages
from livemig.migration.bandwidth import Bandwidth
from livemig.migration.convergence import policy_of
from livemig.migration.encoding import Encoder
from livemig.migration.fields import MAX_SIZES
from livemig.migration.passes import Pass, page_runs
from livemig.migration.settings import Settings
from livemig.migration.throttle import Throttle
from livemig.timers.ticks import NS_PER_S

_PERIOD_NS = 1_000_000_000
"""Dirty rates are taken over more than this, from a look at the bitmap to a later one."""
_THROTTLED_SYNC_NS = 5_000_000_000
"""The longest pass while the guest is throttled (``CPU_THROTTLE_DIRTY_SYNC_TIMESLICE_MS``): so that it does not go on
for long at a rate that does not help."""


class Precopy:
    """Passes, as a state machine: :meth:`begin`, :meth:`step` until it is time to stop the guest, :meth:`stopped`,
    :meth:`last_step` until all is sent.

    Args:
        emit: where events go.
        send: puts a frame on the wire: kind, fields, payload, bytes of payload that go from RAM; gives the instant at
            which the line is free again.

    Attributes:
        passes: how often the dirty bitmap was looked at.
    """

    def __init__(
        self, machine: Machine, settings: Settings, emit: Callable[..., None], send: Callable[..., int]
    ) -> None:
        self.passes = 0
        self.normal = self.zero_pages = 0
        self.precopy_bytes = self.downtime_bytes = 0
        self.dirty_pages_rate = 0
        self.bandwidth = Bandwidth(settings.max_bandwidth, settings.avail_switchover_bandwidth)
        self.throttle = Throttle(settings.throttling)
        self.encoder = Encoder(settings.encodings, machine.ram)
        self.expected_downtime_ns = settings.convergence.highest_ns
        self._machine, self._settings, self._emit, self._send = machine, settings, emit, send
        self._policy = policy_of(settings.convergence, machine.ram.size)
        self._pass = Pass(0, 0, 0)
        self._left: Pages = np.zeros(0, np.int64)
        self._at_sync = 0
        self._synced_ns = self._period_ns = 0
        self._period_dirtied = 0
        self._period_bytes = self._period_pages = 0
        self._standing = False

    def adjust(self, settings: Settings) -> None:
        """From now on other values hold: of bandwidth, downtime limit, throttling and the XBZRLE cache."""
        if settings.convergence != self._settings.convergence:
            began_ns, self._policy = self._policy.began_ns, policy_of(settings.convergence, self._machine.ram.size)
            self._policy.began_ns = began_ns
        self._settings = settings
        self.bandwidth.adjust(settings.max_bandwidth, settings.avail_switchover_bandwidth)
        self.throttle.adjust(settings.throttling)
        self.encoder.resize(settings.encodings.cache_size)

    # -- the passes -------------------------------------------------------------------------------------------------

    def begin(self, now: int) -> None:
        """All of memory is to be sent; the first pass begins."""
        self._machine.ram.mark_all()
        self.bandwidth.begin(now)
        self._policy.began_ns = now
        self.expected_downtime_ns = self._policy.limit_ns(now)
        self._period_ns = now
        self._left = self._machine.ram.take_dirty()
        self._synced(now, 0)
        self._begin_pass(now)

    def step(self, now: int) -> int | None:
        """Send what may be sent now; gives the instant at which to go on. None: time to stop the guest."""
        if self.bandwidth.look(now, pass_over=not len(self._left)):
            self._expect()
        overdue = self.throttle.percentage > 0 and now - self._synced_ns >= _THROTTLED_SYNC_NS
        if overdue or self.fits(now):
            remaining = self._end_pass(now)
            enough = self._policy.passed(now, self.passes, remaining)
            self._sync(now)
            self._begin_pass(now)
            if enough or self.fits(now) or self.passes > self._settings.max_passes:
                return None
        allowance = self.bandwidth.allowance(now)
        if allowance == 0:
            return self.bandwidth.next_window
        return self._send_chunk(now, self._settings.chunk_pages if allowance is None else -(-allowance // PAGE))

    def stopped(self, now: int) -> None:
        """The guest stands still: nothing is written any more, and nothing is to be throttled."""
        self._sync(now)
        self._standing = True
        self.release(now)

    def cut_short(self, now: int) -> None:
        """The pass ends here, whatever is left of it; the next one begins."""
        if self._pass.bytes or self._pass.zero_pages:
            self._end_pass(now)
            self._begin_pass(now)

    def hand_over(self, now: int) -> tuple[Pass, Pages]:
        """The guest stands still, and what is left goes after it: the pass that that is, and its pages."""
        pages, self._left = self._left, np.zeros(0, np.int64)
        return Pass(self.passes, now, len(pages)), pages

    def handed_over(self, now: int, done: Pass) -> None:
        """That pass is over."""
        self._pass = done
        self._log_pass(now, 0)

    def last_step(self, now: int) -> int | None:
        """Send more of the last pass, as fast as the link goes; gives the instant at which to go on. None: all sent."""
        if len(self._left):
            return self._send_chunk(now, self._settings.chunk_pages)
        self._end_pass(now)
        return None

    def release(self, now: int) -> None:
        """However it ends: the guest is throttled no longer."""
        if self._machine.pace != 1:
            self.throttle.percentage, self.throttle.limited = 0, False
            self._set_pace(now, "end")

    def fits(self, now: int) -> bool:
        """What is left fits into the downtime limit at the bandwidth that the last pass is taken to have."""
        return len(self._left) * PAGE <= self.bandwidth.expected * self._policy.limit_ns(now) // NS_PER_S

    @property
    def bytes(self) -> int:
        """Of payload sent."""
        return self.precopy_bytes + self.downtime_bytes

    @property
    def remaining(self) -> int:
        """Bytes of pages that are dirty and not sent."""
        return (len(self._left) + self._machine.ram.dirty_count) * PAGE

    # -- the dirty bitmap -------------------------------------------------------------------------------------------

    def _sync(self, now: int) -> None:
        """Look at the dirty bitmap: what was written since goes out too."""
        ram, waiting = self._machine.ram, len(self._left)
        ram.mark(self._left)
        self._left = ram.take_dirty()
        self._synced(now, len(self._left) - waiting)

    def _synced(self, now: int, dirtied: int) -> None:
        self._synced_ns, self._at_sync = now, len(self._left) * PAGE
        self._period_dirtied += dirtied
        length = now - self._period_ns
        if length <= _PERIOD_NS or self._standing:
            return
        self.dirty_pages_rate = self._period_dirtied * NS_PER_S // length
        if self.throttle.period(self._period_dirtied * PAGE, self.bytes - self._period_bytes):
            self._set_pace(now, "dirty-limit" if self.throttle.limited else "auto-converge")
        self.encoder.figures.period(self._period_pages)
        self._period_ns, self._period_dirtied, self._period_bytes, self._period_pages = now, 0, self.bytes, 0

    def _set_pace(self, now: int, cause: str) -> None:
        machine = self._machine
        pace = self.throttle.pace(machine.workload.rate, machine.spec.cpus)
        machine.throttle(now, pace)
        rate = machine.workload.rate * pace.numerator // pace.denominator
        time = machine.time_state(now)
        self._emit(
            now, "cpu_throttled", cause=cause, percentage=self.throttle.percentage, write_rate=rate,
            tb=time.tb(), cpu_tb=[time.tb(i) for i in time.cpus],
        )  # fmt: skip

    def _expect(self) -> None:
        """QEMU's expected downtime: what was dirty at the last look, at the bandwidth there is."""
        if self.dirty_pages_rate and self.bandwidth.expected:
            self.expected_downtime_ns = self._at_sync * NS_PER_S // self.bandwidth.expected

    # -- one pass ---------------------------------------------------------------------------------------------------

    def _begin_pass(self, now: int) -> None:
        self.passes += 1
        self._pass = Pass(self.passes, now, len(self._left))

    def _end_pass(self, now: int) -> int:
        remaining = self.remaining
        self._log_pass(now, remaining)
        self._send(now, "pass_end", {"pass": self._pass.number, "pages": self._pass.pages})
        return remaining

    def _log_pass(self, now: int, remaining: int) -> None:
        done = self._pass
        dirtied = self._machine.ram.dirty_count * PAGE
        duration = now - done.began_ns

        def rate(size: int) -> int:
            """0 where it went between two looks at the clock: of that nothing is known."""
            return size * NS_PER_S // duration if duration else 0

        self._emit(
            now, "migration_pass", **{"pass": done.number}, dirty_pages=done.pages, zero_pages=done.zero_pages,
            bytes=done.bytes, rate=rate(done.bytes), remaining=remaining,
            dirty_rate=rate(dirtied), duration_ns=duration,
            downtime_limit_ns=self._policy.limit_ns(now), expected_downtime_ns=self.expected_downtime_ns,
            encoded_pages=done.encoded_pages, skipped_pages=done.skipped_pages,
        )  # fmt: skip

    def _send_chunk(self, now: int, limit: int) -> int:
        count = min(limit, self._settings.chunk_pages)
        coding = self.encoder.coding(self.passes)
        if coding is not None:
            count = min(count, MAX_SIZES)
        pages, self._left = self._left[:count], self._left[count:]
        zero = self._machine.ram.zero(pages)
        if coding is not None:
            return self._send_encoded(now, coding, pages[~zero], pages[zero])
        content = int(np.count_nonzero(~zero)) * PAGE
        fields: dict[str, Any] = {"runs": page_runs(pages[~zero]), "zero": page_runs(pages[zero])}
        self._count(content, content // PAGE, int(np.count_nonzero(zero)))
        return self._send(now, "pages", fields, size=content)

    def _send_encoded(self, now: int, coding: str, pages: Pages, zero: Pages) -> int:
        encoded = self.encoder.encode(coding, pages, zero, self.passes, self._standing)
        self._count(len(encoded.payload), encoded.normal, len(zero), encoded.coded, encoded.skipped)
        return self._send(now, "encoded", {**encoded.fields, "zero": page_runs(zero)}, encoded.payload)

    def _count(self, size: int, normal: int, zeros: int, coded: int = 0, skipped: int = 0) -> None:
        self._pass = self._pass.sent(size, zeros, coded, skipped)
        self.bandwidth.sent(size, normal + zeros + coded)
        self._period_pages += normal + zeros + coded
        self.normal += normal
        self.zero_pages += zeros
        if self._standing:
            self.downtime_bytes += size
        else:
            self.precopy_bytes += size
