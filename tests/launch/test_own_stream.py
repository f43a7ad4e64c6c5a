"""A saved stream of livemig's own: what is in it, wherever it is cut, and whatever is changed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livemig.cli.main import main
from livemig.launch.own_stream import read_own_stream

CONFIG = """
[run]
duration = "200ms"
[machine]
cpus = 2
ram = "1MiB"
[migration]
start = "50ms"
"""


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A source's stream, as ``livemig source --connect file:`` writes it."""
    place = tmp_path_factory.mktemp("own")
    (place / "own.toml").write_text(CONFIG)
    stream = place / "stream"
    arguments = ["source", str(place / "own.toml"), "--connect", f"file:{stream}", "--out", str(place / "run")]
    assert main(arguments) == 0
    return stream


def test_frames_machine_and_sections_are_shown(saved: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(saved), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["problem"], found["strategy"], found["size"]) == ("", "tb-offset", saved.stat().st_size)
    assert (found["machine"]["cpus"], found["machine"]["ram_bytes"]) == (2, 1 << 20)
    assert {"hello", "pages", "snapshot", "switchover"} <= set(found["frames"])
    assert found["frames"]["switchover"]["count"] == 1
    names = [name for name, _ in found["sections"]]
    assert (names[0], names.count("cpu"), names[-1]) == ("timebase", 2, "memory")
    assert "tb_value" in found["saved"]
    assert main(["inspect", str(saved)]) == 0
    assert capsys.readouterr().out.startswith("livemig, strategy tb-offset, ")


def test_wherever_it_is_cut_it_says_so(saved: Path) -> None:
    data = saved.read_bytes()
    for length in [*range(12, 400), *range(400, len(data), 4999), len(data) - 1]:
        assert read_own_stream(memoryview(data)[:length]).problem, length
    assert read_own_stream(memoryview(data)).problem == ""


def test_a_changed_byte_is_seen(saved: Path) -> None:
    """Every header and every payload has a checksum."""
    data = bytearray(saved.read_bytes())
    for at in range(8, len(data), 9973):
        data[at] ^= 0x40
        assert read_own_stream(memoryview(bytes(data))).problem, at
        data[at] ^= 0x40


@settings(max_examples=100)
@given(st.binary(max_size=300))
def test_no_file_makes_the_reader_fail(rest: bytes) -> None:
    assert read_own_stream(memoryview(b"livemig\n\0\0\0\1" + rest)).problem


def test_a_cut_file_ends_with_exit_code_2(saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "cut").write_bytes(saved.read_bytes()[:-5])
    assert main(["inspect", str(tmp_path / "cut")]) == 2
    said = capsys.readouterr()
    assert "hello" in said.out
    assert said.err.count("\n") == 1
    assert "bytes too soon" in said.err
