"""The museum: every exhibit is run as it is and mended, and judged both times."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from livemig.config.load import load
from livemig.config.write import scalar
from livemig.errors import OutputError, UsageError
from livemig.launch import run_directory
from livemig.launch.exhibits import EXHIBITS, Exhibit, Keys, Value, toml
from livemig.launch.scenario import run_here

if TYPE_CHECKING:
    from livemig.analysis.result import Result


@dataclass(frozen=True, slots=True)
class Shown:
    """An exhibit, and what the judge says of it with the bug and with the fix."""

    name: str
    exhibit: Exhibit
    bug: Result
    fix: Result

    @property
    def caught_by(self) -> list[str]:
        """The checks that catch the bug."""
        return [*self.bug.failed]

    @property
    def blamed(self) -> list[str]:
        """What is said against the fix: checks that fail, and those that cannot tell although they should."""
        unsure = [name for name, check in self.fix.checks.items() if check.word == "unknown" and check.exercised]
        return [*self.fix.failed, *unsure]

    @property
    def holds(self) -> bool:
        """The bug is caught, and the fix is not blamed."""
        return bool(self.caught_by) and not self.blamed

    def as_dict(self) -> dict[str, Any]:
        return {
            "bug": self.exhibit.bug,
            "scenario": dict(self.exhibit.shown),
            "caught_by": self.caught_by,
            "fix": dict(self.exhibit.fix),
            "blamed": self.blamed,
            "holds": self.holds,
            "verdicts": {"bug": self.bug.verdict, "fix": self.fix.verdict},
            "run_dirs": {"bug": self.bug.run_dir, "fix": self.fix.run_dir},
        }


def show(
    names: Sequence[str] = (), out: Path | None = None, announce: Callable[[str], None] = lambda name: None
) -> list[Shown]:
    """Run the exhibits of these names, or all.

    Args:
        out: where the configurations and the run directories go, which are thrown away where there is none.
        announce: told of each exhibit before it is run.

    Raises:
        UsageError: there is no exhibit of that name. OutputError: ``out`` cannot be written.
    """
    for name in names:
        if name not in EXHIBITS:
            raise UsageError(f"museum: no exhibit {name!r} (there are: {', '.join(EXHIBITS)})")
    with ExitStack() as stack:
        if out is None:
            room = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="livemig-museum-")))
        else:
            room = run_directory.create(out, "museum")
        shown = []
        for name in names or EXHIBITS:
            announce(name)
            exhibit = EXHIBITS[name]
            results = (
                _run(f"{name}-{what}", keys, room)
                for what, keys in (("bug", exhibit.shown), ("fix", exhibit.mended))
            )
            shown.append(Shown(name, exhibit, *results))
        return shown


def _run(name: str, keys: Keys, room: Path) -> Result:
    file, directory = room / f"{name}.toml", room / name
    try:
        file.write_text(toml(keys))
        directory.mkdir()
    except OSError as error:
        raise OutputError(str(file), error.strerror or str(error)) from error
    return run_here(load(file), file.name, directory)


def museum_text(shown: Sequence[Shown], colour: bool = False) -> str:
    """One line an exhibit: what it is, what caught it, what mends it, what is said of that."""
    from livemig.analysis.table import GREEN, RED, paint, table

    rows = [("exhibit", "the bug", "caught by", "the fix", "under the fix")]
    for each in shown:
        fix = ", ".join(_named(key, value) for key, value in each.exhibit.fix.items())
        said = ", ".join(each.blamed) or f"{_held(each.fix)} checks hold"
        rows.append((each.name, each.exhibit.bug, ", ".join(each.caught_by) or "nothing", fix, said))
    lines = table(rows, left=range(5), indent=0)
    marks = ["", *(paint("✓", GREEN, colour) if each.holds else paint("✗", RED, colour) for each in shown)]
    return "\n".join(f"{mark or ' '} {line}" for mark, line in zip(marks, lines, strict=True))


def _named(key: str, value: Value) -> str:
    """A strategy by its name, any other key with it."""
    return str(value) if key == "migration.strategy" else f"{key.rpartition('.')[2]} = {scalar(value)}"


def _held(result: Result) -> int:
    return sum(check.word == "valid" for check in result.checks.values())
