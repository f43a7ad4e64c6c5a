"""Every interleaving of messages, losses, timeouts and crashes of both sides, of the real state machines, with a guest
of two or three pages, over a link, several hops, or by way of a file: never two owners, never none that cannot have it,
no page lost, and always an end.

What the rules are is in `explorer/rules.py`; that they are looked at, the mutants show. docs/switchover.md says which
transitions and which ends there are: no more and no fewer than are seen here.
"""

from __future__ import annotations

import pytest
from explorer.document import endings, explored, read_transitions, transitions
from explorer.explore import Explorer
from explorer.mutants import MUTANTS
from explorer.rules import Wrong
from explorer.scenarios import FILES, SCENARIOS
from switchover_document import endings as endings_told

LEAST = {
    "precopy": 5000, "precopy, three pages": 1000, "pause before switchover": 1700, "deltas": 2900,
    "two channels": 3300, "postcopy": 3700, "postcopy, written to": 4100, "postcopy, cut twice": 4900,
    "postcopy, three pages": 3300, "postcopy, both crash": 700, "postcopy after a pass": 5100,
    "postcopy when asked": 5100, "postcopy, two CPUs": 3800, "postcopy, preempt": 4800, "postcopy, prepaging": 150,
    "two hops": 4400, "three hops": 1700, "a file": 200, "a file, restored": 1000, "a file, restored twice": 1400,
    "a file, kept again": 1000, "a file, kept again and restored": 2700,
}  # fmt: skip
"""States: that the explorer has not become blind. Both it and the protocol may grow more."""
QUICK = ("precopy, three pages", "postcopy, both crash", "postcopy, prepaging")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in SCENARIOS]
)
def test_no_order_of_what_can_happen_breaks_a_rule(name: str) -> None:
    found = explored(name)
    print(f"{name}: {found.states} states, {found.transitions} transitions, {len(found.endings)} ends")
    assert found.states >= LEAST[name]
    assert found.unharmed == {("completed", "completed", "runs at the destination")}


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_whatever_goes_wrong_with_a_file_the_guest_is_there_or_where_it_was(name: str) -> None:
    found = explored(name)
    assert found.states >= LEAST[name]
    assert found.unharmed == {("completed", "there", "is in the file, and wherever that was restored")}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_broken_rule_of_the_protocol_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    mutant = MUTANTS[name]
    monkeypatch.setattr(mutant.where, mutant.method, mutant.make(getattr(mutant.where, mutant.method)))
    with pytest.raises(Wrong) as found:
        Explorer((SCENARIOS | FILES)[mutant.scenario]).run()
    assert str(found.value).startswith(mutant.said)


@pytest.mark.slow
@pytest.mark.parametrize("side", ["source", "destination"])
def test_the_document_has_the_transitions_that_there_are(side: str) -> None:
    seen, told = transitions(side, map(explored, SCENARIOS)), read_transitions(f"The {side}")
    assert seen - told == set()
    assert told - seen == set()


@pytest.mark.slow
def test_the_document_has_the_ends_that_there_are() -> None:
    assert endings(map(explored, SCENARIOS)) == endings_told()
    assert endings(map(explored, FILES)) == endings_told("A file")
