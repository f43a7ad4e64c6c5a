"""The steps in which a guest's time crosses, each at an instant of its own on the host.

On the source: the guest is stopped, TB is read, then each CPU's timers in turn, then all of it is saved. On the
destination: TB is loaded, then each CPU's timers, they are armed, the guest is resumed. QEMU takes them in this order
(``timebase_save`` as the VM stops, ``cpu_synchronize_all_states``, ``vmstate_save``; on the other side the machine
before the CPUs). Where a step takes no host time all of a side's fall on one instant, which is the default.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Steps:
    """``step_ns``: from one to the next. ``cpus``: how many there are."""

    step_ns: int
    cpus: int

    @property
    def total_ns(self) -> int:
        """From the stop to where all is saved, or from the load of TB to the resume."""
        return self.step_ns * (self.cpus + 2)

    @property
    def lags_ns(self) -> tuple[int, ...]:
        """How long after TB each CPU's timers are read or loaded."""
        return tuple(self.step_ns * (1 + cpu) for cpu in range(self.cpus))

    def of_save(self, stop_ns: int) -> dict[str, int]:
        """Instants, by name, of a guest that is stopped at ``stop_ns``."""
        names = ["stop", "tb-read", *(f"decr-read-{cpu}" for cpu in range(self.cpus)), "save"]
        return {name: stop_ns + number * self.step_ns for number, name in enumerate(names)}

    def of_load(self, resume_ns: int) -> dict[str, int]:
        """Instants, by name, of a guest that is resumed at ``resume_ns``."""
        names = ["tb-load", *(f"decr-load-{cpu}" for cpu in range(self.cpus)), "arm", "resume"]
        return {name: resume_ns - self.total_ns + number * self.step_ns for number, name in enumerate(names)}
