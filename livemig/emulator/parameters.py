"""QEMU's migration parameters that livemig has, each beside the key of ``[migration]`` that it is.

Names, types, units and the words of refusals are QEMU's (``migrate_params_check``). A parameter of QEMU's that is not
here has nothing to act on in livemig, and is refused as QEMU refuses one that it does not know.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from livemig.config.migration import MAX_CHANNELS, Migration
from livemig.errors import QmpError

_RATE: Final = 128 << 30
_PAGE: Final = 4096


@dataclass(frozen=True, slots=True)
class Parameter:
    """One of them.

    Args:
        key: of ``[migration]``. unit: what follows the value in ``info migrate_parameters``. expects: what QEMU says of
            a value that is out of range. lowest, highest: in QEMU's unit. scale: the key's base unit in QEMU's.
        suffix: of the key's base unit in a configuration; empty: the key is a plain number.
    """

    name: str
    key: str
    unit: str
    expects: str
    lowest: int
    highest: int
    scale: int = 1
    suffix: str = ""

    def shown(self, migration: Migration) -> int:
        """The value in force."""
        value: int = getattr(migration, self.key)
        return value // self.scale

    def checked(self, value: Any) -> int | str:
        """``value`` as a configuration has it.

        Raises:
            QmpError: it is no whole number, or out of range.
        """
        if type(value) is not int:
            raise _error(f"Parameter '{self.name}' expects uint64")
        if not self.lowest <= value <= self.highest:
            raise self.out_of_range()
        return f"{value * self.scale}{self.suffix}" if self.suffix else value * self.scale

    def out_of_range(self) -> QmpError:
        """What QEMU says then; it writes names with underscores there."""
        return _error(f"Parameter '{self.name.replace('-', '_')}' {self.expects}")


def _percent(name: str, lowest: int, highest: int, low: str = "") -> Parameter:
    expects = f"expects an integer in the range of {low or lowest} to {highest}"
    return Parameter(name, name.replace("-", "_"), "", expects, lowest, highest)


def _rate(name: str, unit: str = " bytes/second") -> Parameter:
    expects = f"expects an integer in the range of 0 to {_RATE} bytes/second"
    return Parameter(name, name.replace("-", "_"), unit, expects, 0, _RATE, suffix="B/s")


NUMBERS: Final = (
    _percent("throttle-trigger-threshold", 1, 100),
    _percent("cpu-throttle-initial", 1, 99),
    _percent("cpu-throttle-increment", 1, 99),
    _percent("max-cpu-throttle", 1, 99, "cpu_throttle_initial"),
    _rate("max-bandwidth"),
    _rate("avail-switchover-bandwidth"),
    Parameter(
        "downtime-limit", "downtime_limit", " ms", "expects an integer in the range of 0 to (2000 * 1000) ms",
        0, 2_000_000, 1_000_000, "ns",
    ),
    Parameter(
        "multifd-channels", "multifd_channels", "", f"expects a value between 1 and {MAX_CHANNELS}", 1, MAX_CHANNELS
    ),
    Parameter("multifd-zstd-level", "zstd_level", "", "expects a value between 1 and 20", 1, 20),
    Parameter(
        "xbzrle-cache-size", "xbzrle_cache_size", " bytes",
        "expects a power of two no less than the target page size", _PAGE, 64 << 30, suffix="B",
    ),
    _rate("max-postcopy-bandwidth", ""),
    Parameter(
        "vcpu-dirty-limit", "vcpu_dirty_limit", " MB/s", "must be greater than 1 MB/s", 1, 64 << 10, 1 << 20, "B/s"
    ),
)  # fmt: skip
TAILSLOW: Final = "cpu-throttle-tailslow"
COMPRESSION: Final = "multifd-compression"
_FORMS: Final = ("none", "zstd")

NAMES: Final = (*(number.name for number in NUMBERS), TAILSLOW, COMPRESSION)
_BY_NAME: Final = {number.name: number for number in NUMBERS}


def in_force(migration: Migration, channels: int) -> dict[str, Any]:
    """``query-migrate-parameters``. ``channels``: how many there would be with multifd."""
    said: dict[str, Any] = {number.name: number.shown(migration) for number in NUMBERS}
    said["multifd-channels"] = channels
    said[TAILSLOW] = migration.cpu_throttle_tailslow
    said[COMPRESSION] = migration.compression
    return said


def changes(given: Mapping[str, Any], migration: Migration) -> dict[str, Any]:
    """The keys of ``[migration]`` that ``migrate-set-parameters`` with ``given`` changes, as a configuration has them.

    Raises:
        QmpError: a value is not what it may be; then none is to be changed.
    """
    changed: dict[str, Any] = {}
    for name, value in given.items():
        if name in _BY_NAME:
            changed[_BY_NAME[name].key] = _BY_NAME[name].checked(value)
        elif name == TAILSLOW:
            if not isinstance(value, bool):
                raise _error(f"Invalid parameter type for '{name}', expected: boolean")
            changed["cpu_throttle_tailslow"] = value
        else:
            changed["compression"] = _form(value)
    _together(given, migration)
    if "downtime-limit" in given:
        changed["convergence"] = "static"  # whoever sets it step by step has a policy of their own
    return changed


def _form(value: Any) -> str:
    if not isinstance(value, str):
        raise _error(f"Invalid parameter type for '{COMPRESSION}', expected: string")
    if value not in _FORMS:
        raise _error(f"Parameter '{COMPRESSION}' does not accept value '{value}'")
    return value


def _together(given: Mapping[str, Any], migration: Migration) -> None:
    size = given.get("xbzrle-cache-size", _PAGE)
    if size & (size - 1):
        raise _BY_NAME["xbzrle-cache-size"].out_of_range()
    initial = given.get("cpu-throttle-initial", migration.cpu_throttle_initial)
    if given.get("max-cpu-throttle", migration.max_cpu_throttle) < initial:
        raise _BY_NAME["max-cpu-throttle"].out_of_range()


def _error(desc: str) -> QmpError:
    return QmpError("GenericError", desc)
