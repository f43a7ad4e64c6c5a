"""Heavy libraries that only some commands need come as extras of the package."""

from __future__ import annotations

from importlib.util import find_spec


def need(extra: str, *packages: str) -> None:
    """Make sure that ``packages``, which the command ``extra`` works with, are installed.

    Raises:
        UsageError: one is not; says what to install.
    """
    from livemig.errors import UsageError

    for package in packages:
        if find_spec(package) is None:
            raise UsageError(f"{extra} needs {package}: pip install 'livemig[{extra}]'")
