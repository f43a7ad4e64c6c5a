"""Lateness, excerpts and markup."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from livemig.analysis.report.excerpt import AROUND, WIDEST, excerpts
from livemig.analysis.report.lateness import EDGES, Lateness
from livemig.analysis.report.markup import Markup, script_data, tag, together
from livemig.analysis.report.story import Arc
from livemig.analysis.report.summary import typeset
from livemig.analysis.verdict import Evidence


@pytest.mark.parametrize(
    ("late", "low", "high"), [(1, 1, 2), (4, 2, 5), (5, 5, 10), (499_702_771, 2 * 10**8, 5 * 10**8)]
)
def test_lateness_is_counted_between_the_edges_that_hold_it(late: int, low: int, high: int) -> None:
    counted = Lateness()
    counted.tell(Arc(0, "decr", "late", 0, 100, 100 + late, 100, None, None))
    [(bin, outcome)] = counted.counts
    assert (EDGES[bin - 1], EDGES[bin], outcome) == (low, high, "late")


def test_what_comes_at_the_very_nanosecond_has_its_own_bin_and_what_never_came_none() -> None:
    counted = Lateness()
    for outcome in ("on_time", "lost", "superseded"):
        counted.tell(Arc(0, "decr", outcome, 0, 100, 100, 100, None, None))  # type: ignore[arg-type]
    assert counted.counts == {(0, "on_time"): 1}


def test_an_excerpt_has_the_line_and_its_neighbours_as_they_stand_in_the_file(tmp_path: Path) -> None:
    (tmp_path / "source.jsonl").write_text("".join(f"line {n}\n" for n in range(1, 101)))
    first, middle, gone = (Evidence("source.jsonl", line, 7) for line in (1, 50, 500))
    elsewhere = Evidence("twin.jsonl", 1, 7)
    found = excerpts(tmp_path, [middle, first, middle, gone, elsewhere])
    assert found[middle].lines == tuple((n, f"line {n}") for n in range(50 - AROUND, 51 + AROUND))
    assert found[first].lines[0] == (1, "line 1")
    assert found[gone].lines == found[elsewhere].lines == ()


def test_an_excerpt_survives_what_is_not_text_and_cuts_what_is_too_long(tmp_path: Path) -> None:
    (tmp_path / "source.jsonl").write_bytes(b"\xff\n" + b"x" * 10_000)
    seen = Evidence("source.jsonl", 1, 0)
    (_, broken), (_, long) = excerpts(tmp_path, [seen])[seen].lines
    assert broken == "\ufffd"
    assert len(long) <= WIDEST + 2


@given(st.text())
def test_no_text_becomes_markup(text: str) -> None:
    element = tag("p", text, title=text)
    assert element.count("<") == 2
    assert element.count('"') == 2


def test_markup_stays_and_attributes_are_named_as_in_html() -> None:
    assert tag("b", Markup("<i>"), "<i>", class_="a", data_x="1", open=True, hidden=False) == (
        '<b class="a" data-x="1" open><i>&lt;i&gt;</b>'
    )
    assert together("a<", Markup("<br>")) == "a&lt;<br>"


@given(
    st.recursive(
        st.text() | st.integers(-(1 << 53), 1 << 53), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_data_reads_back_and_cannot_leave_its_element(value: object) -> None:
    text = script_data(value)
    assert orjson.loads(text) == value
    assert not set("<>&\u2028\u2029") & set(text)


def test_typesetting_leaves_names_and_figures_alone() -> None:
    assert typeset("off by -18,772 ticks (5 us) in tb-offset-2, 2026-11-22") == (
        "off by \u221218,772 ticks (5 µs) in tb-offset-2, 2026-11-22"
    )
