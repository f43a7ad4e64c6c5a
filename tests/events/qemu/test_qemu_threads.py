"""Logs of a QEMU that writes one file for each thread, and names no thread in a line."""

from __future__ import annotations

import gzip
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from livemig.errors import InputError
from livemig.events.qemu.survey import survey
from livemig.events.qemu.threads import files, numbered
from livemig.events.qemu.trace import TraceLog

CAPTURE = Path(__file__).parents[2] / "fixtures/qemu/q100-pseries-stopcopy/source.log.gz"
LINE = re.compile(r"(\d+)@(\d+)\.(\d{6}):(.*\n)")


def apart(directory: Path, name: str) -> None:
    """The capture's log as a QEMU of a later release would have written it; GLib leaves out a fraction of zero."""
    threads: dict[str, list[str]] = {}
    for text in gzip.decompress(CAPTURE.read_bytes()).decode().splitlines(True):
        match = LINE.fullmatch(text)
        assert match is not None
        at = datetime.fromtimestamp(int(match[2]), UTC) + timedelta(microseconds=int(match[3]))
        fraction = f".{match[3]}" if int(match[3]) else ""
        threads.setdefault(match[1], []).append(f"{at:%Y-%m-%dT%H:%M:%S}{fraction}Z {match[4]}")
    for tid, lines in threads.items():
        text = "".join(lines)
        path = directory / name.replace("%d", tid)
        path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())


@pytest.mark.parametrize("name", ["destination.%d.log", "%d.log.gz"])
def test_told_together_they_are_the_log_of_an_earlier_release(tmp_path: Path, name: str) -> None:
    apart(tmp_path, name)
    together, before = TraceLog(tmp_path / name), TraceLog(CAPTURE)
    expected = [line._replace(number=0) for line in before]
    assert len({line.tid for line in expected}) == 3
    assert sorted(line._replace(number=0) for line in together) == sorted(expected)
    assert (together.lines, together.not_understood) == (before.lines, 0)


def test_a_line_as_qemu_11_1_3_wrote_it() -> None:
    """1795838443 is that time by ``date --date``."""
    text = b"2026-11-28T04:00:43.864852Z ppc_decr_store 64-bit 0x0000000000000000 => 0x00000000ffffffff\n"
    assert numbered(7, text) == (
        b"7@1795838443.864852:ppc_decr_store 64-bit 0x0000000000000000 => 0x00000000ffffffff\n"
    )
    assert numbered(7, b"2026-11-28T04:00:43Z vm_state_notify running 1 reason 9 (running)\n").startswith(
        b"7@1795838443.000000:vm_state"
    )


@pytest.mark.parametrize(
    "text", [b"", b"\n", b"2026-13-28T04:00:43Z x\n", b"1@2.000003:ppc_decr_excp raise\n", b"\xff\n"]
)
def test_what_is_no_such_line_stays_as_it_is(text: bytes) -> None:
    assert numbered(7, text) == text


def test_one_log_that_names_no_thread_says_what_to_do(tmp_path: Path) -> None:
    log = tmp_path / "source.log"
    log.write_text("2026-11-28T04:00:43.864852Z vm_state_notify running 1 reason 9 (running)\n")
    with pytest.raises(InputError, match=r"source.log: no thread is named in 1 of its lines.*-d tid -D NAME.%d.log"):
        survey(TraceLog(log))


def test_other_files_beside_are_none_of_it(tmp_path: Path) -> None:
    for name in ("a.12.log", "a.7.log", "a.x.log", "b.12.log", "a.12.log.gz"):
        (tmp_path / name).touch()
    assert [(tid, path.name) for tid, path in files(tmp_path / "a.%d.log")] == [(7, "a.7.log"), (12, "a.12.log")]
    with pytest.raises(InputError, match="no such files; %d stands for the number of a thread"):
        list(TraceLog(tmp_path / "c.%d.log"))
