"""Readers on inputs that fuzzing found, on right ones, and on what Hypothesis makes of those."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from readers import READERS, seeds

FOUND = Path(__file__).parent / "found"
SEEDS = {name: list(seeds(name)) for name in READERS}


@pytest.mark.parametrize("path", sorted(FOUND.glob("*/*")), ids=lambda path: path.name)
def test_what_was_found_once_is_refused_as_it_should_be(path: Path) -> None:
    READERS[path.parent.name](path.read_bytes())


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
