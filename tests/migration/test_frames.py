"""A frame's header survives the wire, and nothing but a right one is taken."""

from __future__ import annotations

from typing import Any

import msgpack
import numpy as np
import pytest
import xxhash
from hypothesis import example, given
from hypothesis import strategies as st

from livemig.errors import ProtocolError
from livemig.migration.frames import (
    ALIVE,
    FRAMES,
    MAX_HEADER,
    MAX_REASON,
    PREFIX,
    PROTOCOL_VERSION,
    Frame,
    check_header,
    decode,
    encode,
    header_length,
)

RAM_PAGES = 1000
TIME = st.integers(-(1 << 61), 1 << 61)
COUNT = st.integers(0, (1 << 63) - 1)

HELLO = {
    "version": PROTOCOL_VERSION,
    "machine": {"cpus": 2, "deep": {"x": [1, None]}},
    "strategy": "none",
    "capabilities": ["a"],
}
EXAMPLES: dict[str, dict[str, Any]] = {
    "channel": {"session": "0f", "index": 1, "channels": 17, "preempt": 2},
    "preempted": {"number": 5},
    "sync": {"number": 3},
    "hello": HELLO,
    "welcome": {"version": PROTOCOL_VERSION},
    "refuse": {"reason": "no"},
    "pages": {"runs": [[3, 2], [7, 1]], "zero": [[5, 2]]},
    "encoded": {"encoding": "xbzrle", "runs": [[3, 2]], "zero": [[5, 2]], "sizes": [3, 0]},
    "pass_end": {"pass": 1, "pages": 5},
    "snapshot": {},
    "probe": {},
    "reply": {"received_ns": 5, "replied_ns": 7},
    "loaded": {"ram_digest": "0f"},
    "switchover": {"stopped_ns": -1, "resume_ns": 1, "paused": 0, "due_ns": [-1, 7], "booted_ns": 3},
    "resumed": {},
    "discard": {},
    "page_request": {"number": 1, "page": 999, "around": 8, "until_ns": -5},
    "postcopy_pages": {"runs": [[3, 2], [7, 1]], "zero": [[5, 2]], "answers": 1, "until_ns": 7},
    "received": {"ram_digest": "0f"},
    "promise": {"until_ns": 1 << 61, "answers": 0},
    "recover": {"version": PROTOCOL_VERSION},
    "received_bitmap": {"resumed": 1},
    "resume": {"stopped_ns": -1, "resume_ns": 1, "paused": 1, "due_ns": [], "booted_ns": -1},
    "resume_ack": {},
    "cancel": {"reason": ""},
    "bye": {},
}


def wire_runs(*runs: tuple[int, int]) -> bytes:
    return b"".join(n.to_bytes(4, "big") for run in runs for n in run)


def header(kind: str = "bye", **changes: Any) -> dict[str, Any]:
    """A right header as the format says, without help from the code under test, but for `changes`."""
    fields = dict(EXAMPLES[kind])
    payload = 0
    if kind in ("pages", "postcopy_pages"):
        fields |= {"runs": wire_runs((3, 2), (7, 1)), "zero": wire_runs((5, 2))}
        payload = 3 * 4096
    if kind == "encoded":
        fields |= {"runs": wire_runs((3, 2)), "zero": wire_runs((5, 2)), "sizes": b"\0\3\0\0"}
        payload = 3 + 4096
    right = {"type": kind, "seq": 4, "sent_ns": 10, "arrives_ns": 20, "payload": payload, **fields, **changes}
    return {name: value for name, value in right.items() if value is not ...}


def refused(packed: bytes) -> ProtocolError:
    with pytest.raises(ProtocolError) as caught:
        decode(packed, 4, ram_pages=RAM_PAGES)
    return caught.value


def test_the_table_has_an_example_of_every_type_here() -> None:
    assert set(EXAMPLES) == set(FRAMES)


@pytest.mark.parametrize("kind", sorted(EXAMPLES))
def test_every_type_is_encoded_as_the_format_says(kind: str) -> None:
    payload = {"snapshot": b"xyz", "encoded": bytes(3 + 4096)}.get(kind, b"")
    sent = encode(Frame(kind, 10, 20, EXAMPLES[kind], payload), 4, ram_pages=RAM_PAGES)
    assert int.from_bytes(sent[:4], "big") == len(sent) - 12
    assert sent[4:12] == xxhash.xxh3_64_digest(sent[:4] + sent[12:])
    expected = header(kind, payload=3) if kind == "snapshot" else header(kind)
    assert msgpack.unpackb(sent[PREFIX:]) == expected


@pytest.mark.parametrize("kind", sorted(EXAMPLES))
def test_every_type_is_decoded_from_the_format(kind: str) -> None:
    frame, length = decode(msgpack.packb(header(kind)), 4, ram_pages=RAM_PAGES)
    assert (frame.type, frame.sent_ns, frame.arrives_ns, frame.payload) == (kind, 10, 20, b"")
    assert length == {"pages": 12288, "postcopy_pages": 12288, "encoded": 4099}.get(kind, 0)
    got = {n: value.tolist() if isinstance(value, np.ndarray) else value for n, value in frame.fields.items()}
    assert got == EXAMPLES[kind]


@given(TIME, TIME, COUNT, TIME, TIME)
def test_times_and_sequence_numbers_survive(one: int, two: int, seq: int, a: int, b: int) -> None:
    crossing = {"stopped_ns": a, "resume_ns": b, "paused": 0, "due_ns": [], "booted_ns": 0}
    frame = Frame("switchover", min(one, two), max(one, two), crossing)
    assert decode(encode(frame, seq)[PREFIX:], seq) == (frame, 0)


@given(st.text(max_size=MAX_REASON))
def test_any_reason_of_allowed_length_survives(reason: str) -> None:
    frame = Frame("refuse", 0, 0, {"reason": reason})
    assert decode(encode(frame, 0)[PREFIX:], 0)[0] == frame


WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("bye", {"type": "hullo"}, "type"),
    ("bye", {"type": ["bye"]}, "type"),
    ("bye", {"type": ...}, "type"),
    ("bye", {"seq": 3}, "seq"),
    ("bye", {"seq": 5}, "seq"),
    ("bye", {"seq": -1}, "seq"),
    ("bye", {"seq": True}, "seq"),
    ("bye", {"seq": ...}, "seq"),
    ("bye", {"sent_ns": 10.0}, "sent_ns"),
    ("bye", {"sent_ns": (1 << 61) + 1, "arrives_ns": (1 << 61) + 1}, "sent_ns"),
    ("bye", {"sent_ns": -(1 << 61) - 1}, "sent_ns"),
    ("bye", {"arrives_ns": 9}, "arrives_ns"),
    ("bye", {"payload": 1}, "payload"),
    ("bye", {"payload": -1}, "payload"),
    ("bye", {"payload": ...}, "payload"),
    ("bye", {"extra": 0}, "'extra'"),
    ("snapshot", {"payload": (16 << 20) + 1}, "payload"),
    ("channel", {"session": "x" * 65}, "session"),
    ("channel", {"index": 18}, "index"),
    ("channel", {"preempt": 3}, "preempt"),
    ("channel", {"index": -1}, "index"),
    ("channel", {"channels": 18}, "channels"),
    ("channel", {"channels": "1"}, "channels"),
    ("sync", {"number": -1}, "number"),
    ("refuse", {"reason": "x" * (MAX_REASON + 1)}, "reason"),
    ("refuse", {"reason": b"x"}, "reason"),
    ("refuse", {"reason": ...}, "reason"),
    ("pass_end", {"pass": -1}, "pass"),
    ("pass_end", {"pages": None}, "pages"),
    ("loaded", {"ram_digest": 7}, "ram_digest"),
    ("switchover", {"resume_ns": 1 << 63}, "resume_ns"),
    ("switchover", {"paused": 2}, "paused"),
    ("switchover", {"due_ns": [-2]}, "due_ns"),
    ("switchover", {"due_ns": [1 << 62]}, "due_ns"),
    ("switchover", {"due_ns": ["1"]}, "due_ns"),
    ("switchover", {"due_ns": 1}, "due_ns"),
    ("switchover", {"booted_ns": -2}, "booted_ns"),
    ("hello", {"machine": []}, "machine"),
    ("hello", {"machine": {"a": {"b": {"c": {"d": {"e": {"f": {"g": {"h": 1}}}}}}}}}, "machine"),
    ("hello", {"machine": {"a": msgpack.ExtType(5, b"x")}}, "machine"),
    ("hello", {"machine": {"a": msgpack.Timestamp(1, 0)}}, "machine"),
    ("hello", {"machine": {"a": b"x"}}, "machine"),
    ("hello", {"capabilities": "a"}, "capabilities"),
    ("hello", {"capabilities": [1]}, "capabilities"),
    ("hello", {"capabilities": ["a"] * 101}, "capabilities"),
    ("hello", {"strategy": "x" * 101}, "strategy"),
    ("hello", {"extra": 1}, "'extra'"),
    ("hello", {"version": ...}, "version"),
    ("hello", {"version": "1"}, "version"),
    ("hello", {"version": True}, "version"),
    ("pages", {"runs": [[3, 2], [7, 1]]}, "runs"),
    ("pages", {"runs": wire_runs((3, 2)) + b"\0\0\0\0"}, "runs"),
    ("pages", {"runs": wire_runs((3, 0), (4, 3))}, "runs"),
    ("pages", {"runs": wire_runs((7, 1), (3, 2))}, "runs"),
    ("pages", {"runs": wire_runs((3, 2), (4, 1))}, "runs"),
    ("pages", {"runs": wire_runs((998, 3))}, "runs"),
    ("pages", {"runs": wire_runs((2**32 - 1, 2**32 - 1))}, "runs"),
    ("pages", {"zero": wire_runs((999, 2))}, "zero"),
    ("pages", {"zero": wire_runs((6, 2))}, "zero"),
    ("pages", {"zero": wire_runs((0, 4))}, "zero"),
    ("pages", {"zero": wire_runs(*((n, 1) for n in range(8, 2057)))}, "zero"),
    ("pages", {"payload": 2 * 4096}, "payload"),
    ("pages", {"payload": 3 * 4096 + 1}, "payload"),
    ("pages", {"runs": wire_runs((7, 1025)), "payload": 1025 * 4096}, "payload"),
    ("encoded", {"encoding": "lzma"}, "encoding"),
    ("encoded", {"encoding": 1}, "encoding"),
    ("encoded", {"sizes": b"\0\3"}, "sizes"),
    ("encoded", {"sizes": b"\0\3\0"}, "sizes"),
    ("encoded", {"sizes": b"\x10\1\0\0"}, "sizes"),
    ("encoded", {"sizes": [3, 0]}, "sizes"),
    ("encoded", {"sizes": bytes(2 * 257), "runs": wire_runs((3, 257)), "zero": b""}, "sizes"),
    ("encoded", {"payload": 4100}, "payload"),
    ("encoded", {"payload": 256 * 4096 + 1}, "payload"),
    ("encoded", {"zero": wire_runs((4, 1))}, "zero"),
    ("encoded", {"runs": wire_runs((999, 2))}, "runs"),
]


@pytest.mark.parametrize(("kind", "changes", "field"), WRONG)
def test_a_wrong_field_is_refused_by_name(kind: str, changes: dict[str, Any], field: str) -> None:
    error = refused(msgpack.packb(header(kind, **changes)))
    assert error.field == field
    assert "\n" not in str(error)


def test_two_thousand_runs_are_taken() -> None:
    zero = wire_runs(*((n, 1) for n in range(8, 2056)))
    packed = msgpack.packb(header("pages", zero=zero))
    assert len(decode(packed, 4, ram_pages=3000)[0].fields["zero"]) == 2048


@pytest.mark.parametrize(
    "packed",
    [
        b"",
        b"\xc1",
        msgpack.packb([1]),
        msgpack.packb(header()) + b"\0",
        msgpack.packb(header())[:-1],
        msgpack.packb({1: 2}),
        b"\x82\xa4type\xa3bye\xa4type\xa3bye",
        b"\x81\xa4type\xa3b\xffe",
        b"\x81\x90\x90",
        b"\xdd\xff\xff\xff\xff",
    ],
)
def test_what_is_not_one_msgpack_map_of_distinct_strings_is_refused(packed: bytes) -> None:
    refused(packed)


def test_a_list_too_long_to_be_meant_is_refused_before_it_is_built() -> None:
    decode(msgpack.packb(header("hello", machine={"a": [0] * 1000})), 4)
    assert refused(msgpack.packb(header("hello", machine={"a": [0] * 1001}))).field == "header"


@pytest.mark.parametrize(("prefix", "length"), [(b"\0\0\0\1", 1), (b"\0\1\0\0", MAX_HEADER)])
def test_a_header_has_up_to_64_kib(prefix: bytes, length: int) -> None:
    assert header_length(prefix) == length


@pytest.mark.parametrize("prefix", [b"\0\0\0\0", b"\0\1\0\1", b"GET "])
def test_no_other_length_is_believed(prefix: bytes) -> None:
    with pytest.raises(ProtocolError):
        header_length(prefix + bytes(8))


def test_a_sign_of_life_is_a_length_of_nought_and_its_checksum() -> None:
    assert bytes(4) + xxhash.xxh3_64_digest(bytes(4)) == ALIVE
    assert header_length(ALIVE) == 0


@given(st.sampled_from(sorted(EXAMPLES)), st.data())
def test_a_header_with_any_byte_changed_on_the_way_is_refused(kind: str, data: st.DataObject) -> None:
    sent = bytearray(encode(Frame(kind, 10, 20, EXAMPLES[kind]), 4, ram_pages=RAM_PAGES))
    check_header(bytes(sent[:PREFIX]), bytes(sent[PREFIX:]))
    sent[data.draw(st.integers(0, len(sent) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(ProtocolError, match="checksum"):
        check_header(bytes(sent[:PREFIX]), bytes(sent[PREFIX:]))


@pytest.mark.parametrize("extra", [{}, {"flavour": [{"x": 1}]}])
def test_a_hello_of_another_version_is_understood_so_far_as_to_be_refused(extra: dict[str, Any]) -> None:
    for name in ("machine", "strategy", "capabilities"):
        frame, _ = decode(msgpack.packb(header("hello", version=PROTOCOL_VERSION + 1, **{name: ...}, **extra)), 4)
        assert frame.fields["version"] == PROTOCOL_VERSION + 1
    again = encode(Frame("hello", 0, 0, {"version": PROTOCOL_VERSION + 1, **extra}), 0)
    assert decode(again[PREFIX:], 0)[0].fields == {"version": PROTOCOL_VERSION + 1, **extra}


UNSENDABLE = [
    Frame("hullo", 0, 0),
    Frame("bye", 1, 0),
    Frame("bye", 0, 1 << 63),
    Frame("bye", 0, 0, {}, b"x"),
    Frame("refuse", 0, 0, {"reason": "x" * 1001}),
    Frame("refuse", 0, 0, {"reason": "\udc80"}),
    Frame("hello", 0, 0, {**HELLO, "machine": {"a": "x" * MAX_HEADER}}),
    Frame("hello", 0, 0, {**HELLO, "machine": {"a": 1 << 64}}),
    Frame("hello", 0, 0, {**HELLO, "machine": {"a": np.int64(1)}}),
    Frame("pages", 0, 0, {"runs": [[RAM_PAGES, 1]], "zero": []}),
    Frame("pages", 0, 0, {"runs": [[-1, 1]], "zero": []}),
    Frame("pages", 0, 0, {"runs": [[0, 1], [2]], "zero": []}),
    Frame("pages", 0, 0, {"runs": [[0.0, 1.0]], "zero": []}),
    Frame("pages", 0, 0, {"runs": [0, 1], "zero": []}),
    Frame("pages", 0, 0, {"runs": [["0", "1"]], "zero": []}),
    Frame("pages", 0, 0, {"runs": [[0, 1 << 70]], "zero": []}),
    Frame("pages", 0, 0, {"runs": [[0, 1]], "zero": [[0, 1]]}),
]


@pytest.mark.parametrize("frame", UNSENDABLE)
def test_what_no_peer_would_take_is_not_encoded(frame: Frame) -> None:
    with pytest.raises(ProtocolError):
        encode(frame, 0, ram_pages=RAM_PAGES)


def test_a_frame_has_1024_pages_at_most() -> None:
    encode(Frame("pages", 0, 0, {"runs": [[0, 1024]], "zero": []}), 0, ram_pages=2000)
    with pytest.raises(ProtocolError, match="payload"):
        encode(Frame("pages", 0, 0, {"runs": [[0, 1025]], "zero": []}), 0, ram_pages=2000)


def test_runs_may_be_an_array() -> None:
    as_lists = Frame("pages", 0, 0, {"runs": [[1, 2], [5, 1]], "zero": []})
    as_array = Frame("pages", 0, 0, {"runs": np.array([[1, 2], [5, 1]]), "zero": np.zeros((0, 2), np.int64)})
    assert encode(as_array, 0, ram_pages=9) == encode(as_lists, 0, ram_pages=9)


small_runs = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 4)), max_size=4)


def allowed(runs: list[tuple[int, int]], zero: list[tuple[int, int]]) -> bool:
    """Page by page: ascending within each list, no page twice in both, none empty, all inside 10 pages."""
    pages = [[first + i for first, count in each for i in range(count)] for each in (runs, zero)]
    both = pages[0] + pages[1]
    return (
        all(count > 0 for _, count in runs + zero)
        and all(each == sorted(each) for each in pages)
        and len(set(both)) == len(both)
        and all(page < 10 for page in both)
    )


@given(small_runs, small_runs)
@example([(0, 10)], [])
@example([(9, 2)], [])
@example([(0, 1), (1, 1)], [(2, 8)])
def test_runs_are_taken_exactly_if_they_are_right_page_by_page(
    runs: list[tuple[int, int]], zero: list[tuple[int, int]]
) -> None:
    content = 4096 * sum(count for _, count in runs)
    packed = msgpack.packb(header("pages", runs=wire_runs(*runs), zero=wire_runs(*zero), payload=content))
    if allowed(runs, zero):
        frame, length = decode(packed, 4, ram_pages=10)
        assert frame.fields["runs"].tolist() == [list(run) for run in runs]
        assert length == content
    else:
        with pytest.raises(ProtocolError):
            decode(packed, 4, ram_pages=10)


anything = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 64) - 1) | st.floats() | st.binary() | st.text(),
    lambda children: st.lists(children) | st.dictionaries(st.text() | st.binary(), children),
    max_leaves=20,
)


@given(st.binary() | anything.map(msgpack.packb))
def test_garbage_raises_nothing_but_protocol_errors(packed: bytes) -> None:
    refused(packed)


@given(st.sampled_from(sorted(EXAMPLES)), st.data())
def test_one_field_replaced_by_anything_is_taken_or_refused_as_a_protocol_error(kind: str, data: st.DataObject) -> None:
    right = header(kind)
    name = data.draw(st.sampled_from(sorted(right)))
    packed = msgpack.packb({**right, name: data.draw(anything)})
    try:
        frame, length = decode(packed, 4, ram_pages=RAM_PAGES)
    except ProtocolError:
        return
    assert 0 <= length <= 16 << 20
    assert frame.sent_ns <= frame.arrives_ns


def test_nesting_as_deep_as_a_header_has_room_for_is_refused() -> None:
    refused(b"\x81\xa7machine" + b"\x91" * 60000 + b"\xc0")
    refused(msgpack.packb(header("hello"))[:-1] + b"\x91" * 900 + b"\xc0")
