"""The event schema: what may stand in ``source.jsonl`` and ``destination.jsonl``, keys in this order.

Times ``*_ns`` are integer nanoseconds of the shared virtual clock, ``t_ns`` 0 being the start of the run;
``tb``, ``decr``, ``value`` are ticks; ``decr`` is signed (as a program that sign-extends would read it).
Every line has ``t_ns``, ``side`` and ``event`` first. A reader must ignore keys it does not know.
"""

from __future__ import annotations

from typing import Final

SCHEMA_VERSION: Final = 1

SOURCE: Final = "source"
DESTINATION: Final = "destination"

EVENTS: Final[dict[str, tuple[str, ...]]] = {
    # A write to a timer. `cause`: "reset" (its start-up value), "guest", "reload" (by itself), "restore" (a snapshot
    # was loaded: the arm that crosses goes on, it is not a new one). `deadline_ns`: when it falls due, null if it is
    # not counting towards an interrupt (QEMU does not start the timer of a level CPU that is written negative).
    "timer_armed": ("cpu", "timer", "value", "tb", "deadline_ns", "cause"),
    # The guest's handler starts. `decr`: as the handler reads it at its first instruction.
    "interrupt": ("cpu", "timer", "vector", "tb", "deadline_ns", "late_ns", "decr"),
    # Raised, but not delivered: `reason` "EE=0". The delivery follows as `interrupt`.
    "interrupt_masked": ("cpu", "timer", "vector", "tb", "deadline_ns", "late_ns", "decr", "reason"),
    # Raised while already raised: one delivery will answer both.
    "interrupt_coalesced": ("cpu", "timer", "vector", "tb", "deadline_ns", "late_ns", "decr", "reason"),
    # What a scripted guest holds true: `what` ("interrupts" since it asked last, or what the timer "reads") is from
    # `low` to `high`, null for without end. `found`: what it is.
    "guest_expected": ("cpu", "timer", "tb", "what", "low", "high", "found"),
    # Lists have one entry a CPU. `state`: QEMU's run state. `tb`: CPU 0's; `cpu_tb`: every CPU's. `pending`: names
    # of the timers raised and not delivered. `ram_digest`: 128-bit XXH3 in hex, null where it was not taken.
    "machine_stopped": ("state", "tb", "cpu_tb", "clock_ns", "decr", "pending", "ram_digest"),
    "machine_resumed": ("state", "tb", "cpu_tb", "clock_ns", "decr", "pending", "ram_digest"),
    # An operator's command that acts on the guest, before what it does: QMP "stop", "cont", "system_reset". The guest
    # stands still because somebody wants it to, not for a migration.
    "operator": ("command",),
    # The guest boots again: `reason` "watchdog" or "command"; `kind` core, chip or system; `cpu`: whose watchdog.
    "machine_reset": ("reason", "kind", "cpu"),
    # QEMU's words: setup active device completed failed cancelled …
    "migration_state": ("status", "reason"),
    # One pass over dirty memory, written when it ends. `rate`: measured bytes a second; `remaining`: bytes dirty now.
    # `downtime_limit_ns`: in force at its end; `expected_downtime_ns`: QEMU's, from the last look at the dirty bitmap;
    # `encoded_pages`: sent in another form (XBZRLE, zstd); `skipped_pages`: dirty, unchanged, not sent.
    "migration_pass": (
        "pass", "dirty_pages", "zero_pages", "bytes", "rate", "remaining", "dirty_rate", "duration_ns",
        "downtime_limit_ns", "expected_downtime_ns", "encoded_pages", "skipped_pages",
    ),
    # The guest is slowed down from now on, or no longer (`cause` "end"): `percentage` of CPU time taken away
    # ("auto-converge"), bytes a second that it can write now.
    "cpu_throttled": ("cause", "percentage", "write_rate", "tb", "cpu_tb"),
    # The message after which the destination owns the guest, as it leaves and as it arrives. `resume_ns`: when the
    # guest is to go on; `sent_ns`: when it left.
    "switchover": ("resume_ns", "sent_ns"),
    # The time state leaves and enters a machine. `saved` is what travels, as it is sent; `host` is all that the
    # strategy saw of the host's clocks: time_of_day_ns, ticks, tick_hz. `lost`: what the machine version has no place
    # for, "timers" and "pending": at the save of what there was to send, at the restore whatever it may have been.
    # `barriers`: when each step was taken, by name.
    "state_saved": ("strategy", "tb", "clock_ns", "decr", "host", "saved", "machine_version", "lost", "barriers"),
    "state_restored": (
        "strategy", "tb_before", "tb_after", "clock_ns", "decr_before", "decr_after", "host", "saved",
        "machine_version", "lost", "barriers",
    ),
    # A fault of the configuration acts for the first time; `on`: the type of the frame, where it acts on one.
    "fault_injected": ("fault", "on"),
    # Logged by the source: what another source, which the fault `duplicate` had connect, was told: the type of the
    # frame that answered its hello, and the reason.
    "second_source": ("answer", "reason"),
    # The host does not run this side's emulator from here on, because of a fault of the configuration; and it does
    # again, after `stood_ns`. What the guest's timers do meanwhile stands behind that.
    "host_stopped": ("fault",),
    "host_continued": ("fault", "stood_ns"),
    # Postcopy, at the destination. A CPU touches a page that is missing and stands from here on; `requested`: whether
    # that page is asked for now (false: it has been already, or the link is down).
    "postcopy_fault": ("cpu", "page", "requested"),
    # It is here, the CPU goes on. `wait_ns`: how long it stood; `late_ns`: by how much the interrupt that has waited
    # longest for it is late because of that.
    "page_arrived": ("cpu", "page", "wait_ns", "late_ns"),
    # All pages are here. `pages`: how many came; `requests`: how many were asked for; `preempted`: how many came by the
    # connection for those; `blocktime_ns`: while all CPUs stood; `vcpu_blocktime_ns`: each CPU; `ram_digest`: of the
    # 64-bit XXH3 of every page as it arrived.
    "postcopy_ended": ("pages", "requests", "preempted", "blocktime_ns", "vcpu_blocktime_ns", "ram_digest"),
    # The last line of a log that was written to its end.
    "run_ended": ("reason",),
}  # fmt: skip
