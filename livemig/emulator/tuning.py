"""What QMP has changed of ``[migration]``: capabilities and parameters, on top of the scenario's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from livemig.config.load import validated
from livemig.config.model import Config
from livemig.emulator import parameters
from livemig.errors import ConfigError, QmpError
from livemig.migration import zstd

_KEYS: Final = {
    "xbzrle": "xbzrle",
    "auto-converge": "auto_converge",
    "postcopy-ram": "postcopy_ram",
    "pause-before-switchover": "pause_before_switchover",
    "postcopy-preempt": "postcopy_preempt",
    "dirty-limit": "dirty_limit",
}
_RETURN_PATH: Final = "return-path"
_DEFAULT_CHANNELS: Final = 2
_WHEN_TOLD: Final = 1000
"""Passes of precopy before a postcopy that was switched on by QMP: it begins when it is told to, as in QEMU."""
CAPABILITIES: Final = (*_KEYS, "multifd", "events", "postcopy-blocktime", _RETURN_PATH)


class Tuning:
    """Of one side. ``config``: the scenario as it is now."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.events = self.blocktime = False
        self._channels = config.migration.multifd_channels or _DEFAULT_CHANNELS

    def capabilities(self) -> list[dict[str, Any]]:
        """``query-migrate-capabilities``."""
        return [{"capability": name, "state": state} for name, state in self._states().items()]

    def parameters(self) -> dict[str, Any]:
        """``query-migrate-parameters``."""
        return parameters.in_force(self.config.migration, self._channels)

    def set_capabilities(self, asked: Sequence[Any]) -> None:
        """``migrate-set-capabilities``: all of them, or none.

        Raises:
            QmpError: one is malformed, not known here, or does not go with another.
        """
        wanted = self._states() | dict(_capability(index, each) for index, each in enumerate(asked))
        if not wanted[_RETURN_PATH]:
            raise QmpError("GenericError", "Capability 'return-path' is always on: a destination answers its source")
        if wanted["postcopy-preempt"] and not wanted["postcopy-ram"]:
            raise QmpError("GenericError", "Postcopy preempt requires postcopy-ram")
        changed: dict[str, Any] = {key: wanted[name] for name, key in _KEYS.items()}
        changed["multifd_channels"] = self._channels if wanted["multifd"] else 0
        if wanted["postcopy-ram"] and not self.config.migration.postcopy_ram:
            changed["postcopy_start"] = _WHEN_TOLD
        self.config = self._with(changed)
        self.events, self.blocktime = wanted["events"], wanted["postcopy-blocktime"]

    def set_parameters(self, given: Mapping[str, Any]) -> None:
        """``migrate-set-parameters``: all of them, or none.

        Raises:
            QmpError: a value is not what it may be.
        """
        changed = parameters.changes(given, self.config.migration)
        if changed.get("compression") == "zstd" and not zstd.installed():
            raise QmpError("GenericError", f"zstd {zstd.MISSING}")
        channels = changed.get("multifd_channels", self._channels)
        if not self.config.migration.multifd_channels:
            changed.pop("multifd_channels", None)
        self.config = self._with(changed)
        self._channels = channels

    def _states(self) -> dict[str, bool]:
        migration = self.config.migration
        states: dict[str, bool] = {name: getattr(migration, key) for name, key in _KEYS.items()}
        states["multifd"] = migration.multifd_channels > 0
        return states | {"events": self.events, "postcopy-blocktime": self.blocktime, _RETURN_PATH: True}

    def _with(self, changed: Mapping[str, Any]) -> Config:
        values = self.config.as_toml_values()
        values["migration"] |= changed
        try:
            return validated(values, "QMP")
        except ConfigError as error:
            allowed = f" (allowed: {error.allowed})" if error.allowed else ""
            raise QmpError("GenericError", f"{error.key}: {error.problem}{allowed}") from None


def _capability(index: int, given: Any) -> tuple[str, bool]:
    """One of ``capabilities``, in QEMU's order of looking at it."""
    at = f"capabilities[{index}]"
    if not isinstance(given, dict):
        raise QmpError("GenericError", f"Invalid parameter type for '{at}', expected: object")
    for name, kind, expected in (("capability", str, "string"), ("state", bool, "boolean")):
        if name not in given:
            raise QmpError("GenericError", f"Parameter '{at}.{name}' is missing")
        if not isinstance(given[name], kind):
            raise QmpError("GenericError", f"Invalid parameter type for '{at}.{name}', expected: {expected}")
        if name == "capability" and given[name] not in CAPABILITIES:
            raise QmpError("GenericError", f"Parameter 'capability' does not accept value '{given[name]}'")
    for name in given:
        if name not in ("capability", "state"):
            raise QmpError("GenericError", f"Parameter '{at}.{name}' is unexpected")
    return given["capability"], given["state"]
