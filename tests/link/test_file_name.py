"""A stream has its name, or whoever wrote it still has the guest: never both."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest
from ends import on_trio

from livemig.errors import StreamFileError
from livemig.link.stream_file import FileWriter
from livemig.migration.frames import Frame

SWITCHOVER = Frame("switchover", 0, 0, {"stopped_ns": 0, "resume_ns": 0, "paused": 0, "due_ns": [-1], "booted_ns": 0})


@pytest.mark.parametrize("of", ["file", "directory"])
@on_trio
async def test_a_disk_that_fails_before_all_is_on_it_leaves_no_file(
    of: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The content, or the directory in which the file already has its name."""
    right = os.fsync

    def fsync(number: int) -> None:
        if stat.S_ISDIR(os.fstat(number).st_mode) == (of == "directory"):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        right(number)

    monkeypatch.setattr(os, "fsync", fsync)
    writer = FileWriter(f"{tmp_path}/guest", None)
    writer.post(SWITCHOVER)
    with pytest.raises(StreamFileError, match="guest: Input/output error"):
        await writer.receive()
    await writer.aclose()
    assert list(tmp_path.iterdir()) == []


@on_trio
async def test_a_file_that_is_on_the_disk_keeps_its_name(tmp_path: Path) -> None:
    writer = FileWriter(f"{tmp_path}/guest", None)
    assert list(tmp_path.iterdir()) != [tmp_path / "guest"]
    writer.post(SWITCHOVER)
    assert (await writer.receive()).type == "bye"
    await writer.aclose()
    assert list(tmp_path.iterdir()) == [tmp_path / "guest"]
