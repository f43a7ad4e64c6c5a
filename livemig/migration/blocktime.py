"""How long CPUs stood for pages, as QEMU counts it (``postcopy-blocktime``)."""

from __future__ import annotations

_NS_PER_MS = 1_000_000


class Blocktime:
    """``each_ns``: of each CPU; ``all_ns``: while all of them stood at once."""

    def __init__(self, cpus: int) -> None:
        self.each_ns = [0] * cpus
        self.all_ns = 0
        self._since: dict[int, int] = {}

    def stands(self, now: int, cpu: int) -> None:
        """From now on."""
        self._since[cpu] = now

    def goes_on(self, now: int, cpu: int) -> None:
        """Until now."""
        if len(self._since) == len(self.each_ns):
            self.all_ns += now - max(self._since.values())
        self.each_ns[cpu] += now - self._since.pop(cpu)

    def figures(self) -> dict[str, object]:
        """As ``query-migrate`` has them, in ms."""
        return {
            "postcopy-blocktime": self.all_ns // _NS_PER_MS,
            "postcopy-vcpu-blocktime": [ns // _NS_PER_MS for ns in self.each_ns],
        }
