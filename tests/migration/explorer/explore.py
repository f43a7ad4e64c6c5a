"""Every state that can be reached, what leads to it, and what is wrong with it."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from explorer import kept, rules, state, steps, world
from explorer.rules import Wrong, phase
from explorer.steps import Step
from explorer.world import D, S
from livemig.migration.source import Source


class Game(NamedTuple):
    """How it begins, what can happen, what it then is, and what must hold. `good`: steps that happen by themselves."""

    begin: Callable[[Any], Any]
    steps: Callable[[Any], list[Step]]
    take: Callable[[Any, Step], tuple[str, str] | None]
    good: frozenset[str]
    state: Callable[[Any], Any]
    broken_rule: Callable[[Any], str]
    ending: Callable[[Any], tuple[str, str, str]]


TWO_SIDES: Final = Game(
    world.begin, steps.steps, steps.take, steps.GOOD, state.state, rules.broken_rule, rules.ending
)
A_FILE: Final = Game(kept.begin, kept.steps, kept.take, kept.GOOD, kept.state, kept.broken_rule, kept.ending)


@dataclass
class Explored:
    """Attributes:
    states, transitions: how many. told: (side, phase before, as what) to the outcomes: (says, phase after, owner).
    endings: where nothing more happens by itself: the sides' phases, and what has become of the guest.
    """

    states: int = 0
    transitions: int = 0
    told: dict[tuple[str, str, str], set[tuple[str, str, str]]] = field(default_factory=dict)
    endings: set[tuple[str, str, str]] = field(default_factory=set)
    unharmed: set[tuple[str, str, str]] = field(default_factory=set)


class Explorer:
    """Depth first, from a guest that nobody has asked to move."""

    def __init__(self, scenario: Any) -> None:
        self._scenario = scenario
        self._game = A_FILE if isinstance(scenario, kept.KeptScenario) else TWO_SIDES
        self._numbers: dict[Any, int] = {}
        self._came: list[tuple[int, Step]] = []
        self._good: list[list[int]] = []
        self.explored = Explored()
        self._kept = _Kept(self._game.begin(scenario).shared())

    def run(self) -> Explored:
        """Raises Wrong: a rule is broken in some state; says which, and how one comes there."""
        first = self._game.begin(self._scenario)
        self._number(first, -1, ())
        left = [(0, self._kept.keep(first))]
        while left:
            number, kept = left.pop()
            for step in self._game.steps(self._kept.world(kept)):
                world = self._kept.world(kept)
                reached, new = self._follow(world, number, step)
                if step[0] in self._game.good:
                    self._good[number].append(reached)
                if new:
                    left.append((reached, self._kept.keep(world)))
            if not self._good[number]:
                self._end(number, self._kept.world(kept))
        self.explored.states = len(self._numbers)
        self._must_end()
        return self.explored

    def _follow(self, world: Any, number: int, step: Step) -> tuple[int, bool]:
        self.explored.transitions += 1
        side = world.sides.get(step[1])
        before, heard = phase(side), {name: it.owner for name, it in world.sides.items() if it is not None}
        world.said.clear()
        try:
            told = self._game.take(world, step)
        except (AssertionError, ValueError) as error:
            raise Wrong(f"{error}\n{self._story(number, step)}") from error
        if told is not None:
            name, kind = told
            role = S if isinstance(side, Source) else D
            owner = "" if side.owner == heard[name] else side.owner
            outcome = " ".join(dict.fromkeys(world.said)), phase(side), owner
            self.explored.told.setdefault((role, before, kind), set()).add(outcome)
        wrong = self._game.broken_rule(world)
        if wrong:
            raise Wrong(f"{wrong}\n{self._story(number, step)}")
        return self._number(world, number, step)

    def _number(self, world: Any, came: int, step: Step) -> tuple[int, bool]:
        key = self._game.state(world)
        known = self._numbers.get(key)
        if known is not None:
            return known, False
        number = self._numbers[key] = len(self._numbers)
        self._came.append((came, step))
        self._good.append([])
        return number, True

    def _end(self, number: int, world: Any) -> None:
        reached = self._game.ending(world)
        self.explored.endings.add(reached)
        if world.unharmed():
            self.explored.unharmed.add(reached)
        if reached[2].startswith("?"):
            raise Wrong(f"it ends with {reached}\n{self._story(number, ())}")

    def _must_end(self) -> None:
        """By good steps alone one never comes back to where one was: so one comes to an end, whatever the order."""
        done: set[int] = set()
        on_way: set[int] = set()
        for start in range(len(self._good)):
            way = [(start, iter(self._good[start]))] if start not in done else []
            on_way.update({start} if way else ())
            while way:
                number, ahead = way[-1]
                following = next((each for each in ahead if each not in done), None)
                if following is None:
                    done.add(number)
                    on_way.discard(number)
                    way.pop()
                elif following in on_way:
                    raise Wrong(f"it may go on for ever\n{self._story(following, ())}")
                else:
                    on_way.add(following)
                    way.append((following, iter(self._good[following])))

    def _story(self, number: int, last: Step) -> str:
        story = [last] if last else []
        while number > 0:
            number, step = self._came[number]
            story.append(step)
        return " → ".join(" ".join(map(str, step)) for step in reversed(story))


class _Kept:
    """Worlds as bytes; what is the same in all worlds of a scenario is not in them."""

    def __init__(self, shared: list[Any]) -> None:
        self._shared: dict[int, Any] = dict(enumerate(shared))
        self._table: dict[type, Callable[[Any], Any]] = {}
        for number, value in self._shared.items():
            self._table[type(value)] = _Reducer(number)
        _SHARED.clear()
        _SHARED.update(self._shared)

    def keep(self, world: Any) -> bytes:
        buffer = io.BytesIO()
        pickler = pickle.Pickler(buffer, protocol=5)
        pickler.dispatch_table = self._table
        pickler.dump(world)
        return buffer.getvalue()

    def world(self, kept: bytes) -> Any:
        return pickle.loads(kept)


_SHARED: dict[int, Any] = {}


class _Reducer:
    def __init__(self, number: int) -> None:
        self._number = number

    def __call__(self, value: Any) -> tuple[Callable[[int], Any], tuple[int]]:
        return _shared, (self._number,)


def _shared(number: int) -> Any:
    return _SHARED[number]
