from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from fauxvider.engine.agenda import Agenda

FIXED = settings(derandomize=True, deadline=None, max_examples=200)


def test_an_empty_one_has_nothing() -> None:
    agenda: Agenda[str] = Agenda()
    assert len(agenda) == 0
    assert agenda.next_due() is None
    assert agenda.take(10**15) is None


def test_an_entry_is_due_at_its_moment_and_not_before() -> None:
    agenda: Agenda[str] = Agenda()
    agenda.enter(100, "it")
    assert agenda.take(99) is None
    assert len(agenda) == 1
    assert agenda.take(100) == (100, "it")
    assert len(agenda) == 0


def test_what_is_due_at_once_comes_as_it_was_entered() -> None:
    agenda: Agenda[object] = Agenda()
    things: list[object] = [object(), {}, "a", None, 3]  # nothing that could be compared
    for thing in things:
        agenda.enter(5, thing)
    found = [agenda.take(5) for _ in things]
    assert [item for taken in found if taken for item in [taken[1]]] == things


@FIXED
@given(st.lists(st.integers(0, 50)), st.integers(0, 60))
def test_everything_due_comes_in_order_and_nothing_else(moments: list[int], until: int) -> None:
    agenda: Agenda[int] = Agenda()
    for number, moment in enumerate(moments):
        agenda.enter(moment, number)
    taken = []
    while (one := agenda.take(until)) is not None:
        taken.append(one)
    due = [(moment, number) for number, moment in enumerate(moments) if moment <= until]
    assert taken == sorted(due)
    assert len(agenda) == len(moments) - len(due)
    assert agenda.next_due() == min((moment for moment in moments if moment > until), default=None)


class AgendaMachine(RuleBasedStateMachine):
    """Against a list that is sorted each time."""

    def __init__(self) -> None:
        super().__init__()
        self.agenda: Agenda[int] = Agenda()
        self.naive: list[tuple[int, int]] = []
        self.number = 0

    @rule(moment=st.integers(0, 20))
    def enter(self, moment: int) -> None:
        self.number += 1
        self.agenda.enter(moment, self.number)
        self.naive.append((moment, self.number))

    @rule(until=st.integers(0, 20))
    def take(self, until: int) -> None:
        first = min(self.naive, default=None)
        wanted = first if first is not None and first[0] <= until else None
        if wanted is not None:
            self.naive.remove(wanted)
        assert self.agenda.take(until) == wanted

    @invariant()
    def they_agree(self) -> None:
        assert len(self.agenda) == len(self.naive)
        assert self.agenda.next_due() == (min(self.naive)[0] if self.naive else None)


TestAgenda = AgendaMachine.TestCase
TestAgenda.settings = settings(derandomize=True, deadline=None, max_examples=40, stateful_step_count=30)
