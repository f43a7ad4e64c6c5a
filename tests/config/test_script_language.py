"""The language of guest.script: what each line means, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livemig.config.load import validated
from livemig.config.script import LONGEST, Line, Verb, parse
from livemig.errors import ConfigError


def config(lines: str, **machine: object) -> None:
    validated({"machine": machine, "guest": {"kind": "script", "script": {"lines": lines}}}, "a.toml")


def test_every_kind_of_line() -> None:
    program = parse(
        """
        decr = 0x8000_0000 # MSB
        hdecr=-1; tcr = 12
        ee off
        ce  on
        wait 1_000
        wait 1.5ms
        expect decr 2
        expect hdecr reads -0x10..5
        expect pit reads ..-1
        expect decr reads 0..
        on decr
        ee off
        decr = 7
        on fit
        """
    )
    assert program.main == (
        Line(Verb.WRITE, "decr", 0x8000_0000),
        Line(Verb.WRITE, "hdecr", -1),
        Line(Verb.WRITE, "tcr", 12),
        Line(Verb.MASK, "ee", 0),
        Line(Verb.MASK, "ce", 1),
        Line(Verb.WAIT_TICKS, value=1000),
        Line(Verb.WAIT_NS, value=1_500_000),
        Line(Verb.COUNT, "decr", low=2, high=2),
        Line(Verb.READS, "hdecr", low=-16, high=5),
        Line(Verb.READS, "pit", low=None, high=-1),
        Line(Verb.READS, "decr", low=0, high=None),
    )
    assert program.handlers == {"decr": (Line(Verb.MASK, "ee", 0), Line(Verb.WRITE, "decr", 7)), "fit": ()}
    assert program.expectations == 4
    assert program.names() == {"decr", "hdecr", "tcr", "pit", "fit"}


@pytest.mark.parametrize(
    ("lines", "what"),
    [
        ("wait 1\nmigrate", "line 2: 'migrate' is not an act"),
        ("decr = x", "line 1: 'decr = x' is not an act"),
        ("decr == 1", "is not an act"),
        ("decr = 0x_", "is not an act"),
        ("msr = 1", "is not an act"),
        ("ee maybe", "is not an act"),
        ("wait -1", "has no unit of time"),
        ("wait 1.5ns", "not a whole number of ns"),
        ("expect decr", "is not an act"),
        ("expect decr -1", "is not an act"),
        ("expect fit reads 0..1", "is not an act"),
        ("wait 1\non decr\nwait 2", "line 3: 'wait 2' in a handler"),
        ("on decr\nexpect decr 1", "line 2: 'expect decr 1' in a handler"),
        ("on nmi", "is not an act"),
        (f"decr = {1 << 63}", "does not fit into 64 bits"),
        ("decr = " + "9" * 5000, "does not fit into 64 bits"),
        ("\n" * LONGEST, "10001 lines"),
    ],
)
def test_what_is_no_script_is_one_line_that_names_the_key(lines: str, what: str) -> None:
    with pytest.raises(ConfigError, match=r"a\.toml: guest\.script\.lines: ") as caught:
        config(lines)
    assert what in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("model", "lines", "what"),
    [
        ("g3beige", "", "nothing to do"),
        ("g3beige", "on decr", "nothing to do"),
        ("g3beige", "hdecr = 1", "a g3beige has no hdecr"),
        ("pseries", "wait 1\non watchdog", "a pseries has no watchdog"),
        ("ppc405", "decr = 1", "a ppc405 has no decr"),
        ("e500", "expect pit 0", "a e500 has no pit"),
    ],
)
def test_it_speaks_of_the_models_timers_only(model: str, lines: str, what: str) -> None:
    with pytest.raises(ConfigError, match=what):
        config(lines, model=model)


@pytest.mark.parametrize(
    ("model", "lines"),
    [("powernv", "hdecr = 1; nap = 1"), ("ppc405", "tcr = 1; pit = 2"), ("e500", "decar = 1; on fit; tsr = 1")],
)
def test_which_are_these(model: str, lines: str) -> None:
    config(f"wait 1; {lines}", model=model)


WORDS = st.sampled_from(
    (
        "decr", "hdecr", "=", "0x", "_", "1", "-", "wait", "ms", "ee", "on", "off", "expect", "reads", "..", "#", ";",
        "\n", " ", "9" * 30,
    )
)  # fmt: skip


@given(st.text() | st.lists(WORDS, max_size=12).map("".join))
def test_any_text_is_a_program_or_says_why_it_is_none(text: str) -> None:
    said = ""
    try:
        program = parse(text)
    except ValueError as error:
        said = str(error)
    else:
        assert program.expectations <= len(program.main) <= LONGEST
    assert "\n" not in said
