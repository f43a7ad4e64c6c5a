"""One side alone: what ``livemig source`` and ``livemig destination`` do, in two terminals or on two hosts.

Both may be given the same run directory: each writes its own log, and whoever has the guest at the end completes the
manifest. Sides in different directories are judged together once the other log has been copied in.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final

from livemig.config.model import Config
from livemig.emulator.destination import Incoming
from livemig.emulator.process import Control, Outcome, run_destination, run_source
from livemig.errors import OutputError, UsageError
from livemig.events.schema import DESTINATION, SOURCE
from livemig.launch import run_directory
from livemig.link.stream_file import Stored, check_head
from livemig.link.uri import close, file_path, is_secure, listen

if TYPE_CHECKING:
    import ssl


DEFER = "defer"
"""In place of where to listen: QMP ``migrate-incoming`` will say."""


_AS_ALWAYS: Final = ("clock_step", "clock_drift", "dirty_burst")
"""Faults that are no matter between the sides."""


def run_side(
    side: str,
    config: Config,
    config_file: str,
    out: Path | None,
    uri: str | None,
    qmp: str | None,
    insecure: bool,
    control: Control,
    announce: Callable[[str], None],
    restore: str | None = None,
) -> tuple[Outcome, Path]:
    """Run ``side`` to its end; gives how it ended, and its run directory.

    Args:
        uri: where to migrate to, or to listen (or :data:`DEFER`).
        qmp: ``unix:PATH`` to serve QMP on, ``,server`` may follow.
        insecure: plain TCP may leave the machine. announce: told where it listens. restore: ``file:PATH`` of a guest
            that the source goes on with.

    Raises:
        LivemigError: it could not start, or not write.
    """
    _refuse(config, side, uri, qmp)
    stored = _stored(restore)
    with ExitStack() as stack:
        listener, credentials, incoming = None, None, Incoming(deferred=uri == DEFER, insecure=insecure)
        if side == DESTINATION and uri != DEFER:
            assert uri is not None
            listener, credentials, bound = _incoming(config, uri, insecure, announce, stack)
            incoming = Incoming(bound)
        if qmp is not None:
            control = Control(_qmp_listener(qmp, stack), control.lifeline, control.notice, control.epoch_ns)
        directory = _directory(out, side, config_file)
        log = directory / f"{side}.jsonl"
        manifest = run_directory.manifest(config, config_file)
        if not (directory / run_directory.MANIFEST).exists():
            run_directory.write(directory, manifest)
        if side == DESTINATION:
            outcome = run_destination(config, log, listener, control, credentials, incoming)
        else:
            outcome = run_source(config, log, uri, control, stored)
    if outcome.owner == side and not outcome.interrupted:
        manifest["migration"] = {"status": outcome.status, "owner": outcome.owner, "reason": outcome.reason}
        manifest["complete"] = True
        run_directory.write(directory, manifest)
    return outcome, directory


def _refuse(config: Config, side: str, uri: str | None, qmp: str | None) -> None:
    """What one side cannot do alone: be told to go on, where nobody can, and faults in virtual time, for which both
    must be in one loop."""
    if side == SOURCE and qmp is None and config.migration.pause_before_switchover:
        raise UsageError(f"{side}: migration.pause_before_switchover needs --qmp, to be told `migrate-continue`")
    if side == DESTINATION and qmp is None and uri == DEFER:
        raise UsageError(f"{side}: --listen {DEFER} needs --qmp, to be told `migrate-incoming`")
    for name, fault in config.fault:
        if fault.enabled and config.run.clock == "virtual" and name not in _AS_ALWAYS:
            raise UsageError(f"{side}: fault.{name} in virtual time needs both sides: `livemig run`, or --clock wall")


def _incoming(
    config: Config, uri: str, insecure: bool, announce: Callable[[str], None], stack: ExitStack
) -> tuple[socket.socket | Stored, ssl.SSLContext | None, str]:
    """Where the guest comes from, what to prove oneself with there, and where it really is, if it is a socket."""
    if (path := file_path(uri)) is not None:
        check_head(path)
        announce(f"restoring from {path}")
        return Stored(path), None, ""
    credentials = None
    if is_secure(uri):
        from livemig.link.credentials import SERVER, context

        credentials = context(config.migration.tls_dir, SERVER)
    listener, bound = listen(uri, insecure=insecure)
    stack.callback(close, listener, bound)
    announce(f"listening on {bound}")
    return listener, credentials, bound


def _stored(uri: str | None) -> Stored | None:
    if uri is None:
        return None
    if (path := file_path(uri)) is None:
        raise UsageError(f"--from {uri}: must be file:PATH")
    check_head(path)
    return Stored(path)


def _directory(out: Path | None, side: str, config_file: str) -> Path:
    if out is None:
        return run_directory.create(None, f"{Path(config_file).stem}-{side}")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(str(out), error.strerror or str(error)) from error
    if (out / f"{side}.jsonl").exists():
        raise OutputError(str(out / f"{side}.jsonl"), "exists; a run needs a directory of its own")
    return out


def _qmp_listener(where: str, stack: ExitStack) -> socket.socket:
    address, *options = where.split(",")
    if not address.startswith("unix:") or options not in ([], ["server"], ["server=on"], ["server", "wait=off"]):
        raise UsageError(f"--qmp {where}: must be unix:PATH, or unix:PATH,server")
    listener, bound = listen(address)
    stack.callback(close, listener, bound)
    return listener
