"""Rows as text."""

from __future__ import annotations

import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livemig.analysis.rows import as_csv, as_json, as_table
from livemig.errors import UsageError


def test_a_table_aligns_numbers_right_and_text_left_and_says_how_many_rows() -> None:
    assert list(as_table(["n", "name"], [(1, "a"), (1000, None)], most=5)) == [
        "   n  name",
        "   1  a",
        "1000",
        "(2 rows)",
    ]
    assert list(as_table(["n"], [(7,)], most=5))[-1] == "(1 row)"


def test_a_long_table_is_cut_and_says_so() -> None:
    assert list(as_table(["n"], ((n,) for n in range(1234)), most=2)) == [
        "n",
        "0",
        "1",
        "(1,234 rows, the first 2 shown)",
    ]


def test_a_table_without_rows_has_its_head() -> None:
    assert list(as_table(["a", "b"], [], most=5)) == ["a  b", "(0 rows)"]


@given(st.lists(st.tuples(st.text(st.characters(exclude_characters="\0")), st.integers()), max_size=5))
def test_csv_reads_back(rows: list[tuple[str, int]]) -> None:
    text = "".join(f"{line}\n" for line in as_csv(["text", "n"], rows))
    assert list(csv.reader(io.StringIO(text, newline=""))) == [["text", "n"], *([text, str(n)] for text, n in rows)]


def test_csv_has_lists_as_json_and_null_as_nothing() -> None:
    assert list(as_csv(["l", "n"], [([1, None], None)])) == ["l,n", '"[1, null]",']


@given(st.lists(st.tuples(st.integers(-(1 << 127), 1 << 127), st.text(), st.lists(st.integers())), max_size=5))
def test_json_reads_back_exactly_integers_of_any_size(rows: list[tuple[int, str, list[int]]]) -> None:
    assert [tuple(json.loads(line).values()) for line in as_json(["a", "b", "c"], rows)] == rows


def test_json_has_no_nan() -> None:
    assert list(as_json(["a", "b"], [(float("nan"), float("-inf"))])) == ['{"a": null, "b": null}']


def test_json_refuses_to_drop_a_column() -> None:
    with pytest.raises(UsageError, match=r"two columns have one name \(a, a\)"):
        list(as_json(["a", "a"], [(1, 2)]))
