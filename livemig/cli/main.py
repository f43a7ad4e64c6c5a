"""``livemig COMMAND …``: find the command, and turn errors into one line and an exit code."""

from __future__ import annotations

import argparse
import gc
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn

# numpy's linear algebra is not used here; its threads would only cost start-up time, and a fork must have none
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# nor is any plugin of pydantic's, for which it would look through every package that is installed
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")

_SELDOM = 200_000
"""Objects made between two collections; Python's own default is 700."""

COMMANDS = {
    "run": "a pair of processes: a guest is migrated between them, and the run is judged",
    "compare": "the same scenario under every strategy, in one table",
    "crosscheck": "the same scenario on livemig's emulator and on a real QEMU: where they differ, in ticks",
    "museum": "every known bug of timer migration: the smallest scenario that shows it, what catches it, and its fix",
    "boundaries": "a deadline on every step of the crossing, a tick before and a tick after it, under every strategy",
    "inspect": "a migration stream, QEMU's or ours, saved to a file: its sections, and the time in it",
    "stress": "thousands of scenarios and faults, drawn from a seed; every failure made small",
    "import": "the trace logs of a real QEMU pair, turned into a run directory that can be judged",
    "predict": "a capture of a real QEMU pair against what the model says of it",
    "query": "SQL over the events of stored runs",
    "trace": "export a run for Perfetto's timeline",
    "analyze": "judge stored runs again",
    "report": "one run as a self-contained HTML page: verdict, timeline, evidence",
    "source": "one side: run the guest, and migrate it away",
    "destination": "the other side: wait for a guest, and run it",
    "monitor": "running sides, livemig's or a QEMU's, as their QMP shows them: passes, rates, deadlines, timebases",
    "tls-init": "make certificates for tls: an authority, a destination, a source",
}


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (try {self.prog} --help)\n")


def entry() -> int:
    """The console script: :func:`main` in a process of its own, where it is worth saving a fifth of the start-up time.

    Imports make much that stays and no rubbish, so the collector looks more seldom; and at the end nothing need be
    looked through once more.
    """
    gc.set_threshold(_SELDOM)
    code = main()
    gc.freeze()
    return code


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command that ``argv`` (``sys.argv[1:]``) asks for; gives the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    parser = _Parser(
        prog="livemig", description="A laboratory for timekeeping in live migration.", allow_abbrev=False
    )
    parser.add_argument("--version", action="store_true", help="print livemig's version")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for name, text in COMMANDS.items():
        command = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".", allow_abbrev=False)
        if name in arguments[:2]:
            import_module(_module(name)).add_arguments(command)
    args = parser.parse_args(arguments)
    if args.version:
        from livemig import __version__

        print(f"livemig {__version__}")
        return 0
    if args.command is None:
        parser.print_usage(sys.stderr)
        print(f"livemig: say what to do: {', '.join(COMMANDS)}", file=sys.stderr)
        return 2
    return _run(args)


def _run(args: argparse.Namespace) -> int:
    from livemig.errors import LivemigError

    try:
        code: int = import_module(_module(args.command)).run(args)
        sys.stdout.flush()
    except LivemigError as error:
        print(f"livemig: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("livemig: interrupted; both sides were told to end", file=sys.stderr)
        return 130
    except BrokenPipeError:
        _give_up_stdout()  # whoever read it has gone
        return 1
    except OSError as error:
        print(f"livemig: {error.filename or 'standard output'}: {error.strerror}", file=sys.stderr)
        _give_up_stdout()
        return 2
    return code


def _module(command: str) -> str:
    return f"livemig.cli.{command.replace('-', '_')}"


def _give_up_stdout() -> None:
    """Python would complain once more when it flushes it at the end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
