"""Frames of encoded pages: what they hold, what is refused, and that what arrives is what was sent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from judged_pair import events, run_judged
from pure_pair import run_pure

from livemig.config.load import validated
from livemig.config.model import Config
from livemig.errors import ProtocolError, UsageError
from livemig.link.inbound import Inbound
from livemig.link.outbound import Outbound
from livemig.machine.ram import PAGE, Ram
from livemig.migration import frames, zstd
from livemig.migration.encoding import XBZRLE, ZSTD, CacheFigures, Encoder
from livemig.migration.frames import Frame
from livemig.migration.passes import page_runs
from livemig.migration.settings import Encodings

PAGES = 64


def config(**migration: Any) -> Config:
    return validated(
        {
            "run": {"duration": "3s"},
            "machine": {"ram": "8MiB"},
            "guest": {"kind": "periodic", "memory": {"dirty_rate": "40MiB/s", "filled_percent": 80}},
            "migration": {"start": "100ms", "downtime_limit": "1ms", "max_passes": 8, **migration},
            "link": {"bandwidth": "400Mbit/s", "latency": "10us"},
        },
        "test",
    )


def received(frames: list[Frame], sender: Ram, receiver: Ram) -> Inbound:
    """Every byte of ``frames`` through both halves of a connection."""
    outbound, inbound = Outbound(sender.memory), Inbound(receiver.memory)
    data = b"".join(
        bytes(outbound.header(frame)) + b"".join(map(b"".join, outbound.payload(frame))) for frame in frames
    )
    while data:
        assert inbound.next_frame() is None
        (want, *_) = inbound.wants
        want[:] = data[: len(want)]
        inbound.received(len(want))
        data = data[len(want) :]
    assert inbound.next_frame() is None
    return inbound


@given(st.data(), st.booleans(), st.integers(0, 6))
def test_whatever_is_written_between_passes_arrives(data: st.DataObject, also_zstd: bool, cache: int) -> None:
    """Random writes, some undone, some of zeros, through a cache of 1 to 64 pages."""
    ours, theirs = Ram(PAGES * PAGE), Ram(PAGES * PAGE)
    encoder = Encoder(Encodings(xbzrle=True, cache_size=PAGE << cache, zstd=also_zstd), ours)
    random = np.random.default_rng(data.draw(st.integers(0, 99)))
    for number in range(2, 6):
        pages = np.unique(random.integers(0, PAGES, 20))
        for page in pages.tolist():
            kind = data.draw(st.sampled_from(["word", "all", "zero", "nothing"]))
            if kind == "word":
                ours.words[page, random.integers(0, 512)] = random.integers(0, 3)
            elif kind == "all":
                ours.words[page] = random.integers(0, 1 << 60, 512)
            elif kind == "zero":
                ours.words[page] = 0
        zero = ours.zero(pages)
        encoded = encoder.encode(XBZRLE, pages[~zero], pages[zero], age=number, last=number == 5)
        assert encoded.normal + encoded.coded + encoded.skipped == np.count_nonzero(~zero)
        frame = Frame("encoded", 0, 0, {**encoded.fields, "zero": page_runs(pages[zero])}, encoded.payload)
        tally = received([frame], ours, theirs).tally
        assert (tally.pages, tally.zero_pages) == (encoded.normal + encoded.coded, np.count_nonzero(zero))
        assert np.array_equal(ours.words[pages], theirs.words[pages])


def frame_of(encoding: str, sizes: list[int], payload: bytes, pages: int = 1) -> Frame:
    return Frame("encoded", 0, 0, {"encoding": encoding, "runs": [[0, pages]], "zero": [], "sizes": sizes}, payload)


def page_of_zstd(content: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(content)


@pytest.mark.parametrize(
    ("encoding", "form", "problem"),
    [
        (XBZRLE, b"\x00\x00a", "a run of no length"),
        (XBZRLE, b"\xff\x1f\x02ab", "a run up to byte 4097"),
        (ZSTD, b"not zstd", "."),
        (ZSTD, page_of_zstd(bytes(PAGE + 1)), "is said to hold 4097 bytes"),
        (ZSTD, page_of_zstd(bytes(PAGE - 1)), "is said to hold 4095 bytes"),
        (ZSTD, page_of_zstd(bytes(1 << 22)), "is said to hold 4194304 bytes"),
        (ZSTD, page_of_zstd(bytes(PAGE))[:-1], "."),
        (ZSTD, page_of_zstd(bytes(PAGE)) + b"x", "."),
    ],
)
def test_a_form_that_is_none_is_refused_before_the_page_is_touched(encoding: str, form: bytes, problem: str) -> None:
    """The first page of the frame is right, the second is not: neither gets into RAM."""
    first = b"\x00\x01!" if encoding == XBZRLE else page_of_zstd(b"!" * PAGE)
    ours, theirs = Ram(PAGES * PAGE), Ram(PAGES * PAGE)
    with pytest.raises(ProtocolError, match=rf"'encoded', payload: the 2\. page: .*{problem}"):
        received([frame_of(encoding, [len(first), len(form)], first + form, 2)], ours, theirs)
    assert bytes(theirs.memory) == bytes(PAGES * PAGE)


def there_and_back(frame: Frame) -> None:
    header = frames.encode(frame, 0, ram_pages=1024)
    frames.decode(header[frames.PREFIX :], 0, ram_pages=1024)


def test_a_frame_whose_parts_do_not_fit_together_is_refused_by_its_header() -> None:
    for frame, problem in (
        (frame_of(XBZRLE, [3, 3], b"\x00\x01a"), "sizes: 2 of them for 1 pages"),
        (frame_of(XBZRLE, [4], b"\x00\x01a"), "payload: 3 bytes is not what sizes make it"),
        (frame_of(XBZRLE, [0], b"a"), "payload: 1 bytes is not what sizes make it"),
        (frame_of("lzma", [1], b"a"), "encoding: 'lzma' is not known here"),
        (frame_of(XBZRLE, [PAGE + 1], b"a" * (PAGE + 1)), "sizes: a size is not in 0..4096"),
        (frame_of(XBZRLE, [1] * 257, b"a" * 257, 257), "sizes: has 257 sizes, at most 256 are allowed"),
    ):
        with pytest.raises(ProtocolError, match=problem):
            there_and_back(frame)


def test_xbzrle_sends_less_from_the_second_pass_on_and_the_same_guest_arrives(tmp_path: Path) -> None:
    plain = run_judged(config(), tmp_path / "plain")
    delta = run_judged(config(xbzrle=True), tmp_path / "delta")
    assert plain.verdict == delta.verdict == "valid"
    assert delta.checks["ram_identical"].word == "valid"
    first, *later = events(tmp_path / "delta", "migration_pass")
    assert first["encoded_pages"] == 0
    assert first["bytes"] == events(tmp_path / "plain", "migration_pass")[0]["bytes"]
    assert any(each["encoded_pages"] for each in later)
    assert delta.migration.bytes < plain.migration.bytes


def test_the_figures_of_the_cache_count_every_page_of_the_later_passes(tmp_path: Path) -> None:
    """Every page that is not zero in a pass after the first was found in the cache, or was not."""
    for size, all_fit in (("64MiB", True), ("64KiB", False)):
        directory = tmp_path / size
        directory.mkdir()
        source, _ = run_pure(config(xbzrle=True, xbzrle_cache_size=size), directory)
        said = source.figures(source.ended_ns)["xbzrle-cache"]
        first, *later = events(directory, "migration_pass")
        assert said["cache-miss"] == source.precopy.normal - first["bytes"] // PAGE
        assert said["cache-size"] == (64 << 20 if all_fit else 64 << 10)
        assert said["overflow"] == 0
        encoded = sum(each["encoded_pages"] for each in later)
        skipped = sum(each["skipped_pages"] for each in later)
        assert said["pages"] == encoded + skipped
        if not all_fit:
            assert said["cache-miss"] > said["pages"]


def test_rates_are_those_of_the_last_period() -> None:
    figures = CacheFigures(bytes=100, pages=10, cache_miss=30)
    figures.period(sent_pages=60)
    assert (figures.cache_miss_rate, figures.encoding_rate) == (0.5, 10 * PAGE / 100)
    figures.bytes, figures.pages, figures.cache_miss = 100 + 2 * PAGE, 12, 33
    figures.period(sent_pages=10)
    assert (figures.cache_miss_rate, figures.encoding_rate) == (0.3, 1.0)


@pytest.mark.parametrize("xbzrle", [False, True])
def test_zstd_sends_less_in_the_first_pass_and_gives_way_to_xbzrle(tmp_path: Path, xbzrle: bool) -> None:
    result = run_judged(config(compression="zstd", xbzrle=xbzrle), tmp_path)
    assert result.verdict == "valid"
    first, second, *_ = events(tmp_path, "migration_pass")
    assert first["encoded_pages"] == first["dirty_pages"] - first["zero_pages"]
    assert first["bytes"] < first["encoded_pages"] * PAGE // 10
    everything = second["dirty_pages"] - second["zero_pages"]
    assert (second["encoded_pages"] == everything) is not xbzrle  # the cache is empty yet


def test_a_page_that_does_not_get_smaller_goes_as_it_is() -> None:
    noise = np.random.default_rng(1).integers(0, 256, PAGE, np.uint8).tobytes()
    assert zstd.Compressor(1).page(noise) is None
    packed = zstd.Compressor(1).page(bytes(PAGE))
    assert packed is not None
    assert zstd.Decompressor().page(memoryview(packed)) == bytes(PAGE)


def test_without_the_library_it_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zstd, "installed", lambda: False)
    with pytest.raises(UsageError, match=r"migration.compression = \"zstd\" needs zstandard: pip install"):
        Encoder(Encodings(zstd=True), Ram(PAGE))
    with pytest.raises(ValueError, match="needs zstandard"):
        zstd.Decompressor()
