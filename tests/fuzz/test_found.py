"""Readers on inputs that fuzzing found, on right ones, and on what Hypothesis makes of those."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgpack
import pytest
import readers
from hypothesis import given, settings
from hypothesis import strategies as st
from readers import CONFIGS, READERS, seeds, snapshot_of, snapshots

FOUND = Path(__file__).parent / "found"
SEEDS = {name: list(seeds(name)) for name in READERS}


@pytest.mark.parametrize("path", sorted(FOUND.glob("*/*")), ids=lambda path: path.name)
def test_what_was_found_once_is_refused_as_it_should_be(path: Path) -> None:
    {**READERS, "snapshot": snapshots}[path.parent.name](path.read_bytes())


@pytest.mark.parametrize("name", READERS)
@given(st.data())
@settings(max_examples=300, deadline=None)
def test_a_right_input_with_pieces_replaced_is_taken_or_refused(name: str, data: st.DataObject) -> None:
    mutated = bytearray(data.draw(st.sampled_from(SEEDS[name])))
    for _ in range(data.draw(st.integers(0, 4))):
        at = data.draw(st.integers(0, len(mutated)))
        mutated[at : at + data.draw(st.integers(0, 9))] = data.draw(st.binary(max_size=12))
    READERS[name](bytes(mutated))


@pytest.mark.parametrize("name", READERS)
@given(st.binary(max_size=300))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_taken_or_refused(name: str, data: bytes) -> None:
    READERS[name](data)


EXTREMES = st.sampled_from([sign * (1 << bits) + add for bits in (31, 53, 59, 61, 62, 63) for add in (-1, 0, 1)
                            for sign in (1, -1)]).filter(lambda n: -(1 << 63) <= n < 1 << 64)  # fmt: skip


def numbers(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where in nested maps and lists there are numbers, truth values included."""
    if isinstance(value, dict):
        return [found for key, each in value.items() for found in numbers(each, (*path, key))]
    if isinstance(value, list):
        return [found for key, each in enumerate(value) for found in numbers(each, (*path, key))]
    return [path] if isinstance(value, int) else []


@pytest.mark.parametrize("kind", CONFIGS)
@given(st.data())
@settings(max_examples=400, deadline=None)
def test_no_number_of_a_snapshot_is_taken_with_which_a_guest_cannot_go_on(kind: str, data: st.DataObject) -> None:
    """One or two numbers are replaced by what is just inside or outside of what some integer holds."""
    sent = msgpack.unpackb(snapshot_of(kind))
    for _ in range(data.draw(st.integers(1, 2))):
        *path, last = data.draw(st.sampled_from(numbers(sent)))
        inside = sent
        for key in path:
            inside = inside[key]
        inside[last] = data.draw(EXTREMES | st.integers(-3, 3) | st.none() | st.booleans())
    snapshots(msgpack.packb(sent), kind)


@pytest.mark.parametrize("kind", CONFIGS)
def test_the_right_snapshot_is_taken(kind: str) -> None:
    snapshots(snapshot_of(kind), kind)
    assert kind not in readers._ready  # the destination that waited for it has gone on
