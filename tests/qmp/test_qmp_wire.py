"""QMP on the wire: where values end, how the splitter recovers, and what QEMU calls a request's faults."""

from __future__ import annotations

import itertools
import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livemig.errors import QmpError
from livemig.qmp.commands import Arguments, keywords
from livemig.qmp.wire import MAX_BYTES, MAX_NESTING, JsonSplitter, event, id_of, request, success

scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text() | st.floats(-1e9, 1e9)
values = st.recursive(
    scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8
)
objects = st.dictionaries(st.text(), values, max_size=4)
qmp_like = st.text(alphabet='{}[]"\\:,\n\r\t \x00abnt019.-é').map(str.encode) | st.binary()


def flat(found: list[Any]) -> list[Any]:
    """Errors compare by what they say."""
    return [f"! {value}" if isinstance(value, QmpError) else value for value in found]


def in_pieces(data: bytes, cuts: list[int], **options: int) -> list[Any]:
    splitter = JsonSplitter(**options)
    bounds = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return flat([v for a, b in itertools.pairwise(bounds) for v in splitter.feed(data[a:b])])


@given(st.lists(st.tuples(objects, st.sampled_from(["", "\n", "\r\n", "  "]), st.booleans())), st.data())
def test_objects_come_out_as_they_went_in_whatever_stands_between_and_wherever_cut(
    sent: list[tuple[dict[str, Any], str, bool]], data: st.DataObject
) -> None:
    stream = "".join(json.dumps(o, ensure_ascii=a, indent=2) + gap for o, gap, a in sent).encode()
    cuts = data.draw(st.lists(st.integers(0, 1 << 16)))
    assert in_pieces(stream, cuts) == [value for value, _, _ in sent]


@given(qmp_like, st.lists(st.integers(0, 1 << 16)), st.integers(1, 20))
def test_cuts_make_no_difference_to_garbage_either(stream: bytes, cuts: list[int], limit: int) -> None:
    assert in_pieces(stream, cuts, limit=limit) == in_pieces(stream, [], limit=limit)


@given(qmp_like, st.integers(8, 20))
def test_0xff_and_a_newline_lead_out_of_any_state(garbage: bytes, limit: int) -> None:
    splitter = JsonSplitter(limit)
    splitter.feed(garbage)
    splitter.feed(b"\xff\n")
    assert splitter.feed(b'{"a": 1}') == [{"a": 1}]


def test_byte_at_a_time() -> None:
    stream = b'{"execute": "a\\"}{\\\\", "id": [{}, "]"]}\r\n{"execute": "b"}'
    found = in_pieces(stream, list(range(len(stream))))
    assert found == [{"execute": 'a"}{\\', "id": [{}, "]"]}, {"execute": "b"}]


GOOD = b'{"execute": "good"}'


@pytest.mark.parametrize(
    ("garbage", "desc"),
    [
        (b'{"execute": bad}', "JSON parse error, invalid keyword 'bad'"),
        (b'{"a bad": 1e5, "b": nul}', "JSON parse error, invalid keyword 'nul'"),
        (b"bad\n", "JSON parse error, invalid keyword 'bad'"),
        (b'{"execute": "stop"\n\xff', "JSON parse error, stray 'ÿ'"),
        (b'{"execute": "sto\n', r"JSON parse error, stray '\n'"),
        (b'{"execute": "sto\n}\n', r"JSON parse error, stray '\n'"),
        (b'{"a": \x01 1, "b": 2}\n', r"JSON parse error, stray '\x01'"),
        (b'{"a": "\xc3("}', "JSON parse error, "),
        (b'{"a" 1}', "JSON parse error, "),
        (b'{"a": 1]', "JSON parse error, "),
        (b"}\n", "JSON parse error, "),
        (b"\xff", "JSON parse error, "),
        (b"[" * (MAX_NESTING + 1) + b"]" * (MAX_NESTING + 1), "JSON nesting depth limit exceeded"),
    ],
)
def test_garbage_is_answered_and_what_follows_is_read(garbage: bytes, desc: str) -> None:
    first, *more = JsonSplitter().feed(garbage + GOOD)
    assert isinstance(first, QmpError)
    assert first.error_class == "GenericError"
    assert first.desc.startswith(desc)
    assert more[-1] == {"execute": "good"}


@pytest.mark.parametrize(
    "garbage", [b'{"a": \x01 1, "b": 2}\n', b'{"a": oops, "b": [bad]}', b"GET / HTTP/1.1\r\n"]
)
def test_one_fault_one_error(garbage: bytes) -> None:
    assert len(JsonSplitter().feed(garbage + GOOD)) == 2


def test_a_line_that_follows_an_unclosed_string_has_an_error_of_its_own() -> None:
    found = flat(JsonSplitter().feed(b'{"execute": "sto\nbad\n'))
    assert found == [r"! JSON parse error, stray '\n'", "! JSON parse error, invalid keyword 'bad'"]


def test_a_valid_keyword_is_not_blamed_for_another_fault() -> None:
    (found,) = flat(JsonSplitter().feed(b'{"a": [true, false, null, 1e5, "bad"],}'))
    assert found.startswith("! JSON parse error, ")
    assert "keyword" not in found


def test_an_object_of_the_limit_passes_and_one_byte_more_is_refused() -> None:
    fits = b'{"a": "%b"}' % (b"x" * (MAX_BYTES - 9))
    assert len(fits) == MAX_BYTES
    assert JsonSplitter().feed(fits) == [json.loads(fits)]
    too_long = fits.replace(b"x", b"xx", 1)
    assert flat(JsonSplitter().feed(too_long + GOOD)) == [
        "! JSON token size limit exceeded",
        {"execute": "good"},
    ]


def test_what_is_refused_is_not_kept_nor_read_as_something_else() -> None:
    splitter = JsonSplitter(1000)
    tracemalloc.start()
    first = splitter.feed(b'{"a": [' + b" " * 1000)
    rest = [value for _ in range(20) for value in splitter.feed(b'{"execute": "quit"},' * 1000)]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert flat(first) == ["! JSON token size limit exceeded"]
    assert rest == []
    assert peak < 100_000  # 400 kB went through
    assert splitter.feed(b"]}" + GOOD) == [{"execute": "good"}]


def test_an_id_as_deep_as_a_request_may_have_it_goes_back() -> None:
    nested = b"[" * (MAX_NESTING - 1) + b"]" * (MAX_NESTING - 1)
    (asked,) = JsonSplitter().feed(b'{"execute": "x", "id": %b}' % nested)
    assert success(None, id_of(asked)) == b'{"return":{},"id":%b}\r\n' % nested


@pytest.mark.parametrize(
    ("value", "desc"),
    [
        ([], "QMP input must be a JSON object"),
        (1, "QMP input must be a JSON object"),
        ({}, "QMP input lacks member 'execute'"),
        ({"arguments": {}}, "QMP input lacks member 'execute'"),
        ({"exec": "stop"}, "QMP input member 'exec' is unexpected"),
        ({"exec-oob": "stop"}, "QMP input member 'exec-oob' is unexpected"),
        ({"execute": 1}, "QMP input member 'execute' must be a string"),
        ({"execute": "stop", "arguments": []}, "QMP input member 'arguments' must be an object"),
    ],
)
def test_malformed_requests_in_qemus_words(value: Any, desc: str) -> None:
    with pytest.raises(QmpError) as caught:
        request(value)
    assert (caught.value.error_class, caught.value.desc) == ("GenericError", desc)


DECLARED: Arguments = {
    "uri": ("string", True),
    "exit-on-error": ("boolean", False),
    "cpu-index": ("integer", False),
    "factor": ("number", False),
    "list": ("array", False),
    "more": ("object", False),
    "state": ("any", False),
}


@pytest.mark.parametrize(
    ("given_arguments", "desc"),
    [
        ({}, "Parameter 'uri' is missing"),
        ({"foo": 1}, "Parameter 'uri' is missing"),
        ({"uri": "x", "foo": 1}, "Parameter 'foo' is unexpected"),
        ({"uri": "x", "exit_on_error": True}, "Parameter 'exit_on_error' is unexpected"),
        ({"uri": 5}, "Invalid parameter type for 'uri', expected: string"),
        ({"uri": None}, "Invalid parameter type for 'uri', expected: string"),
        ({"uri": "x", "exit-on-error": 1}, "Invalid parameter type for 'exit-on-error', expected: boolean"),
        ({"uri": "x", "cpu-index": True}, "Invalid parameter type for 'cpu-index', expected: integer"),
        ({"uri": "x", "cpu-index": 1.0}, "Invalid parameter type for 'cpu-index', expected: integer"),
        ({"uri": "x", "factor": "1"}, "Invalid parameter type for 'factor', expected: number"),
        ({"uri": "x", "list": {}}, "Invalid parameter type for 'list', expected: array"),
        ({"uri": "x", "more": []}, "Invalid parameter type for 'more', expected: object"),
    ],
)
def test_wrong_arguments_in_qemus_words(given_arguments: dict[str, Any], desc: str) -> None:
    with pytest.raises(QmpError) as caught:
        keywords(DECLARED, given_arguments)
    assert (caught.value.error_class, caught.value.desc) == ("GenericError", desc)


def test_right_arguments_arrive_under_python_names() -> None:
    given_arguments = {"uri": "x", "exit-on-error": False, "cpu-index": -1, "factor": 2, "state": None}
    expected = {"uri": "x", "exit_on_error": False, "cpu_index": -1, "factor": 2, "state": None}
    assert keywords(DECLARED, given_arguments) == expected


def test_events_have_data_only_if_there_is_some_and_whole_microseconds() -> None:
    stamp = {"seconds": 1_700_000_000, "microseconds": 7}
    wall_ns = 1_700_000_000_000_007_999
    assert json.loads(event("STOP", None, wall_ns)) == {"event": "STOP", "timestamp": stamp}
    assert json.loads(event("STOP", {}, wall_ns)) == {"event": "STOP", "timestamp": stamp}
    with_data = {"event": "MIGRATION", "data": {"status": "active"}, "timestamp": stamp}
    assert json.loads(event("MIGRATION", {"status": "active"}, wall_ns)) == with_data
    assert event("STOP", None, wall_ns).endswith(b"}\r\n")
