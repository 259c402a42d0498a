"""The tables of how requests move: every state and action, the law's rules for time, and random walks through all."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date
from itertools import pairwise, product
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2pworld import services
from p2pworld.civic.reasons import REASONS
from p2pworld.errors import LocalError, Refusal
from p2pworld.limits import CASE_ACTS_MAX
from p2pworld.services.deadlines import NEVER, Clock, statutory_days
from p2pworld.services.reasons import SERVICE_REASONS
from p2pworld.services.words import ACTION_WORDS, DONE_WORDS, STATE_WORDS
from p2pworld.services.workflow import (
    Act,
    Action,
    Case,
    Effect,
    Family,
    State,
    Who,
    Workflow,
    WorkflowLimits,
    begin,
    step,
)
from p2pworld.services.workflows import FAMILIES
from p2pworld.services.working_time import OfficeCalendar, minute_at
from tests.services.document import PATH, document

PACKAGE = Path(services.__file__).parent
CALENDAR = OfficeCalendar()
START = minute_at(date(2025, 9, 1), 10 * 60)
DAY = 24 * 60
ALL = WorkflowLimits(extensions=2, inquiry_days=14, reopen_days=90)


def whole(family: Family) -> Workflow:
    return family.workflow(family.chain, family.sides, ALL)


COMPLAINT = whole(FAMILIES["complaint"])


def run(workflow: Workflow, *acts: tuple[Action, Who, int] | tuple[Action, Who, int, int]) -> Case:
    """The case after these acts, at minutes after its filing; each must be taken."""
    case = begin(workflow, START, statutory_days(7))
    for i, (action, who, minute, *amount) in enumerate(acts):
        after = step(workflow, case, Act(f"k{i}", i, action, who, START + minute, *amount), CALENDAR)
        assert isinstance(after, Case), (action, after)
        case = after
    return case


def refused(workflow: Workflow, case: Case, action: Action, who: Who, minute: int, amount: int = 0) -> str:
    """The reason why this is not done."""
    answer = step(workflow, case, Act("new", len(case.acts), action, who, START + minute, amount), CALENDAR)
    assert isinstance(answer, Refusal), answer.state
    return answer.reason


# ---- the tables themselves


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_every_state_is_reached_and_has_a_way_to_an_end(family: Family) -> None:
    onward = {(at, rule.to) for (at, _), rule in family.table().items() if rule.to is not None}
    reached = {family.chain[0]}
    ending = set(family.ends)
    for _ in family.states:
        reached |= {to for at, to in onward if at in reached}
        ending |= {at for at, to in onward if to in ending}
    assert reached == family.states
    assert ending == family.states


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_from_an_end_only_reopening_leads_on_and_every_way_there_stops_the_clock(family: Family) -> None:
    for (at, action), rule in family.table().items():
        if at in family.ends:
            assert rule.to is None or action is Action.REOPEN
        if rule.to in family.ends:
            assert rule.effect is Effect.STOP, (at, action)
        assert (rule.effect is Effect.PAUSE) == (rule.to is State.SUPPLEMENT_REQUESTED), (at, action)
        if at is State.SUPPLEMENT_REQUESTED and rule.to is not None:
            assert rule.effect in (Effect.RESUME, Effect.STOP), (at, action)


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_each_main_state_is_left_by_one_action_for_the_next(family: Family) -> None:
    table = family.table()
    for at, to in pairwise(family.chain):
        between = [s for s in family.sides if any(r.to is to and s is a for (a, _), r in table.items())]
        direct = [action for (a, action), rule in table.items() if a is at and rule.to is to]
        assert direct or between, (at, to)


def test_everything_has_its_words_in_korean_and_english() -> None:
    assert set(STATE_WORDS) == set(State)
    assert set(ACTION_WORDS) == set(DONE_WORDS) == set(Action)
    for action, done in DONE_WORDS.items():  # what has happened is no button
        assert done["ko"].endswith("요"), action
        assert not done["ko"].endswith("하기"), action
        assert done["en"] != ACTION_WORDS[action]["en"], action
    assert {tuple(words) for words in STATE_WORDS.values()} == {("ko", "en", "ja", "zh")}
    for english, korean, again in SERVICE_REASONS.values():
        assert not again
        assert english.endswith(".")
        assert korean.endswith(("요.", "다."))
        assert any("가" <= letter <= "힣" for letter in korean)


def test_each_reason_in_the_sources_has_its_sentences_and_each_sentence_its_use() -> None:
    sources = "\n".join(path.read_text(encoding="utf-8") for path in PACKAGE.glob("*.py"))
    used = set(re.findall(r'refusal\(\s*"([a-z-]+)"', sources))
    either = {
        code
        for pair in re.findall(r'refusal\(\s*"([a-z-]+)" if .* else "([a-z-]+)"', sources)
        for code in pair
    }
    assert used | either == set(SERVICE_REASONS)
    assert not set(SERVICE_REASONS) & set(REASONS), "one code, one meaning"


def test_the_page_is_what_the_tables_say() -> None:
    assert PATH.read_text(encoding="utf-8") == document(), "python -m tests.services.document writes it anew"


# ---- each state with each action


def _at(state: State) -> Case:
    """A case in this state in which everything that a rule may need is so."""
    clock = Clock(START, statutory_days(7))
    ended = state in (State.COMPLETED, State.RETURNED)
    if state is State.SUPPLEMENT_REQUESTED:
        return Case(state, (clock.pause(START + 5),), asked=1, asked_until=START + DAY)
    return Case(state, (clock.stop(START + 5) if ended else clock,))


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_what_is_in_no_table_is_refused_with_a_reason_and_what_is_there_is_done(family: Family) -> None:
    workflow, table = whole(family), family.table()
    for state, action, who in product(family.states, Action, Who):
        case = _at(state)
        late = action in (Action.ASK_AGAIN, Action.RETURN)
        if action is Action.RETURN:
            case = replace(case, asked=2)
        if action is Action.CONSENT:
            case = replace(case, clocks=(case.clock.extend(7),))
        if action is Action.INQUIRED and state is State.IN_PROGRESS:
            case = replace(case, clocks=(case.clock.pause(START + 6),), inquiring=True)
        act = Act("k", 0, action, who, START + 10 + (2 * DAY if late else 0), amount=3)
        answer = step(workflow, case, act, CALENDAR)
        rule = table.get((state, action))
        if rule is None:
            assert isinstance(answer, Refusal)
            assert answer.reason == ("already-closed" if state in family.ends else "state-conflict")
        elif who not in rule.who:
            assert isinstance(answer, Refusal)
            assert answer.reason == "forbidden"
        else:
            assert isinstance(answer, Case), (state, action, answer)
            assert answer.state is (rule.to or state)
            assert answer.acts == (act,)


# ---- the law's rules for a complaint

ASSIGN = (Action.ASSIGN, Who.OFFICIAL, 10)
VISIT = (Action.VISIT, Who.OFFICIAL, 15)
BEGIN = (Action.BEGIN, Who.OFFICIAL, 20)


def test_a_complaint_from_filing_to_its_rating() -> None:
    case = run(
        COMPLAINT,
        ASSIGN,
        VISIT,
        BEGIN,
        (Action.ASK, Who.OFFICIAL, DAY, 10),
        (Action.SUPPLEMENT, Who.CITIZEN, 3 * DAY),
        (Action.COMPLETE, Who.DECIDER, 4 * DAY),
        (Action.RATE, Who.CITIZEN, 5 * DAY, 4),
    )
    assert (case.state, case.rating) == (State.COMPLETED, 4)
    assert case.clock.stopped == START + 4 * DAY
    # Mon 1 Sep, asked on the 2nd, answered on the 4th: 1 / 5 / 8 9 10 11 12
    assert case.clock.due(CALENDAR) == minute_at(date(2025, 9, 13))
    assert refused(COMPLAINT, case, Action.RATE, Who.CITIZEN, 6 * DAY, 5) == "rated-already"


def test_a_transfer_takes_no_time_and_there_are_so_many() -> None:
    transfer = (Action.TRANSFER, Who.OFFICIAL, DAY)
    case = run(COMPLAINT, transfer, transfer, ASSIGN, transfer)
    assert case.clock == Clock(START, statutory_days(7))
    assert refused(COMPLAINT, case, Action.TRANSFER, Who.OFFICIAL, DAY) == "transfers-used"


def test_the_office_extends_once_and_again_only_with_consent() -> None:
    extend = (Action.EXTEND, Who.OFFICIAL, DAY, 7)
    case = run(COMPLAINT, ASSIGN)
    assert refused(COMPLAINT, case, Action.EXTEND, Who.OFFICIAL, DAY, 8) == "extension-too-long"
    assert refused(COMPLAINT, case, Action.EXTEND, Who.OFFICIAL, DAY, 0) == "extension-too-long"
    assert refused(COMPLAINT, case, Action.CONSENT, Who.CITIZEN, DAY) == "state-conflict"
    case = run(COMPLAINT, ASSIGN, extend)
    assert case.clock.due(CALENDAR) == minute_at(date(2025, 9, 19))  # 1-5, 8-12, 15-18
    assert refused(COMPLAINT, case, Action.EXTEND, Who.OFFICIAL, DAY, 7) == "consent-needed"
    assert refused(COMPLAINT, case, Action.CONSENT, Who.OFFICIAL, DAY) == "forbidden"
    case = run(COMPLAINT, ASSIGN, extend, (Action.CONSENT, Who.CITIZEN, DAY), extend)
    assert case.clock.due(CALENDAR) == minute_at(date(2025, 9, 30))  # 19, 22-26, 29
    assert refused(COMPLAINT, case, Action.EXTEND, Who.OFFICIAL, DAY, 7) == "extension-used"


def test_papers_are_returned_only_after_two_requests_in_vain() -> None:
    ask = (Action.ASK, Who.OFFICIAL, DAY, 3)  # Tue 2 Sep; three days are the 5th, whose end is 4.6 days after
    case = run(COMPLAINT, ASSIGN, ask)
    assert case.asked_until == minute_at(date(2025, 9, 6))
    assert refused(COMPLAINT, case, Action.RETURN, Who.DECIDER, 6 * DAY) == "asked-once"
    assert refused(COMPLAINT, case, Action.ASK_AGAIN, Who.OFFICIAL, 2 * DAY, 3) == "supplement-awaited"
    again = (Action.ASK_AGAIN, Who.OFFICIAL, 7 * DAY, 3)  # Mon 8 Sep, until the 11th
    case = run(COMPLAINT, ASSIGN, ask, again)
    assert refused(COMPLAINT, case, Action.ASK_AGAIN, Who.OFFICIAL, 12 * DAY, 3) == "asked-twice"
    assert refused(COMPLAINT, case, Action.RETURN, Who.DECIDER, 8 * DAY) == "supplement-awaited"
    case = run(COMPLAINT, ASSIGN, ask, again, (Action.RETURN, Who.DECIDER, 12 * DAY))
    assert case.state is State.RETURNED


def test_a_citizen_may_ask_twice_for_more_time_and_not_when_it_is_over() -> None:
    ask, more = (Action.ASK, Who.OFFICIAL, DAY, 3), (Action.PROLONG, Who.CITIZEN, 2 * DAY, 10)
    case = run(COMPLAINT, ASSIGN, ask, more, more)
    assert case.asked_until == minute_at(
        date(2025, 9, 16)
    )  # ten days from the 3rd are Saturday: Monday's end
    assert refused(COMPLAINT, case, Action.PROLONG, Who.CITIZEN, 3 * DAY, 10) == "prolong-used"
    case = run(COMPLAINT, ASSIGN, ask)
    assert refused(COMPLAINT, case, Action.PROLONG, Who.CITIZEN, 6 * DAY, 10) == "supplement-late"
    assert refused(COMPLAINT, case, Action.PROLONG, Who.CITIZEN, 2 * DAY, 31) == "supplement-days"
    # what comes late is still taken, as long as the papers have not been returned
    assert run(COMPLAINT, ASSIGN, ask, (Action.SUPPLEMENT, Who.CITIZEN, 9 * DAY)).state is State.IN_PROGRESS


def test_an_inquiry_on_site_is_free_for_14_days_and_once_more_for_7() -> None:
    working = (ASSIGN, VISIT, BEGIN)
    inquire = (Action.INQUIRE, Who.OFFICIAL, DAY, 14)
    case = run(COMPLAINT, *working)
    assert refused(COMPLAINT, case, Action.INQUIRE, Who.OFFICIAL, DAY, 15) == "inquiry-too-long"
    case = run(COMPLAINT, *working, inquire)
    # 2 to 15 Sep are free: 1 / 16 17 18 19 / 22 23
    assert case.clock.due(CALENDAR) == minute_at(date(2025, 9, 24))
    assert refused(COMPLAINT, case, Action.INQUIRE, Who.OFFICIAL, 2 * DAY, 7) == "inquiry-used"
    done = (Action.INQUIRED, Who.OFFICIAL, 15 * DAY)
    case = run(COMPLAINT, *working, inquire, done)
    assert refused(COMPLAINT, case, Action.INQUIRE, Who.OFFICIAL, 15 * DAY, 8) == "inquiry-too-long"
    case = run(COMPLAINT, *working, inquire, done, (Action.INQUIRE, Who.OFFICIAL, 15 * DAY, 7))
    # 16 to 22 Sep too: 1 / 23 24 25 26 / 29 30
    assert case.clock.due(CALENDAR) == minute_at(date(2025, 10, 1))


def test_what_was_answered_is_reopened_for_a_while_with_a_new_term() -> None:
    answered = (ASSIGN, VISIT, BEGIN, (Action.COMPLETE, Who.DECIDER, DAY))
    case = run(COMPLAINT, *answered)
    assert refused(COMPLAINT, case, Action.REOPEN, Who.CITIZEN, 92 * DAY) == "reopen-late"
    assert refused(COMPLAINT, case, Action.WITHDRAW, Who.CITIZEN, 2 * DAY) == "already-closed"
    case = run(COMPLAINT, *answered, (Action.REOPEN, Who.CITIZEN, 91 * DAY))
    assert case.state is State.REOPENED
    assert case.clocks[0].stopped == START + DAY
    assert case.clock == Clock(START + 91 * DAY, statutory_days(7))


def test_a_supplement_is_in_time_to_the_minute() -> None:
    case = run(COMPLAINT, ASSIGN, (Action.ASK, Who.OFFICIAL, DAY, 3))
    assert case.asked_until is not None
    last = case.asked_until - 1 - START
    assert refused(COMPLAINT, case, Action.ASK_AGAIN, Who.OFFICIAL, last, 3) == "supplement-awaited"
    assert refused(COMPLAINT, case, Action.PROLONG, Who.CITIZEN, last + 1, 3) == "supplement-late"
    run(COMPLAINT, ASSIGN, (Action.ASK, Who.OFFICIAL, DAY, 3), (Action.PROLONG, Who.CITIZEN, last, 3))
    run(COMPLAINT, ASSIGN, (Action.ASK, Who.OFFICIAL, DAY, 3), (Action.ASK_AGAIN, Who.OFFICIAL, last + 1, 3))
    answered = run(
        COMPLAINT, ASSIGN, (Action.ASK, Who.OFFICIAL, DAY, 3), (Action.SUPPLEMENT, Who.CITIZEN, DAY + 5)
    )
    assert (answered.asked, answered.asked_until, answered.prolonged) == (0, None, 0)


def test_who_asks_in_the_middle_of_an_inquiry_ends_it() -> None:
    working = (ASSIGN, VISIT, BEGIN, (Action.INQUIRE, Who.OFFICIAL, DAY, 14))
    case = run(COMPLAINT, *working, (Action.ASK, Who.OFFICIAL, 2 * DAY, 3))
    assert not case.inquiring
    assert [pause.end for pause in case.clock.pauses] == [START + 2 * DAY, None]


def test_a_reopened_case_begins_without_the_old_consent() -> None:
    extended = (Action.EXTEND, Who.OFFICIAL, DAY, 7)
    case = run(
        COMPLAINT, ASSIGN, VISIT, BEGIN, extended, (Action.CONSENT, Who.CITIZEN, DAY),
        (Action.COMPLETE, Who.DECIDER, DAY), (Action.REOPEN, Who.CITIZEN, DAY), ASSIGN, extended,
    )  # fmt: skip
    assert refused(COMPLAINT, case, Action.EXTEND, Who.OFFICIAL, DAY, 7) == "consent-needed"


def test_an_act_is_never_earlier_than_the_one_before_it() -> None:
    """Devices' clocks differ by minutes; the order of the log is the order of what happened."""
    case = run(COMPLAINT, ASSIGN, (Action.VISIT, Who.OFFICIAL, 5))
    assert [act.minute for act in case.acts] == [START + 10, START + 10]
    case = run(COMPLAINT, (Action.ASSIGN, Who.OFFICIAL, -5))
    assert case.acts[0].minute == START
    again = Act("k0", 0, Action.ASSIGN, Who.OFFICIAL, START - 5)
    assert step(COMPLAINT, case, again, CALENDAR) is case


# ---- retries, races, bounds


def test_the_same_act_again_changes_nothing_and_another_under_its_key_is_refused() -> None:
    case = run(COMPLAINT, ASSIGN, VISIT)
    again = Act("k0", 0, Action.ASSIGN, Who.OFFICIAL, START + 10)
    assert step(COMPLAINT, case, again, CALENDAR) is case
    other = step(COMPLAINT, case, replace(again, action=Action.CLOSE), CALENDAR)
    assert isinstance(other, Refusal)
    assert other.reason == "key-reused"


def test_who_acts_on_an_older_state_is_told() -> None:
    case = run(COMPLAINT, ASSIGN)
    answer = step(COMPLAINT, case, Act("k9", 0, Action.WITHDRAW, Who.CITIZEN, START + 20), CALENDAR)
    assert isinstance(answer, Refusal)
    assert answer.reason == "case-moved-on"


def test_a_case_has_a_bound() -> None:
    note = (Action.NOTE, Who.OFFICIAL, 10)
    case = run(COMPLAINT, *[note] * CASE_ACTS_MAX)
    assert refused(COMPLAINT, case, Action.WITHDRAW, Who.CITIZEN, 20) == "case-full"


# ---- services that have a part of a table


def test_a_state_that_is_left_out_is_one_with_the_state_before_it() -> None:
    steps = (State.RECEIVED, State.ASSIGNED, State.IN_PROGRESS, State.COMPLETED)
    workflow = FAMILIES["complaint"].workflow(steps, {State.WITHDRAWN}, WorkflowLimits())
    assert workflow.table[State.ASSIGNED, Action.BEGIN].to is State.IN_PROGRESS
    assert (State.ASSIGNED, Action.VISIT) not in workflow.table
    assert not any(
        action in (Action.ASK, Action.EXTEND, Action.REOPEN, Action.INQUIRE) for _, action in workflow.table
    )
    short = FAMILIES["booking"].workflow(
        (State.APPLIED, State.CONFIRMED, State.FINISHED_COURSE), {State.CANCELLED}, WorkflowLimits()
    )
    assert short.table[State.APPLIED, Action.CONFIRM].to is State.CONFIRMED
    assert short.table[State.CONFIRMED, Action.USE].to is State.FINISHED_COURSE
    assert (State.APPLIED, Action.ASSIGN) not in short.table, "it led to a state that is left out"
    assert short.ends == {State.FINISHED_COURSE, State.CANCELLED}
    assert short.actions(State.CONFIRMED, Who.OFFICIAL) == (Action.NOTE, Action.CANCEL, Action.USE)


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_whatever_states_are_left_out_no_two_rules_are_for_one_state_and_action(family: Family) -> None:
    for left_out in range(2 ** (len(family.chain) - 2)):
        inner = [state for i, state in enumerate(family.chain[1:-1]) if not left_out >> i & 1]
        workflow = family.workflow([family.chain[0], *inner, family.chain[-1]], family.sides, ALL)
        assert set(workflow.steps) <= {at for at, _ in workflow.table}


@pytest.mark.parametrize(
    ("steps", "sides"),
    [
        ([State.RECEIVED], []),
        ([State.RECEIVED, State.IN_PROGRESS, State.ASSIGNED, State.COMPLETED], []),
        ([State.HELD, State.COMPLETED], []),
        ([State.RECEIVED, State.CONFIRMED], []),
        ([State.RECEIVED, State.DRAWN, State.COMPLETED], []),
        ([State.RECEIVED, State.COMPLETED], [State.WAITING]),
    ],
)
def test_what_no_table_has_cannot_be_asked_of_it(steps: list[State], sides: list[State]) -> None:
    with pytest.raises(LocalError):
        FAMILIES["complaint"].workflow(steps, sides)


# ---- random walks


WHOLE = [whole(family) for family in FAMILIES.values()]
POSSIBLE = {
    (workflow.family, state): [(action, who) for who in Who for action in workflow.actions(state, who)]
    for workflow in WHOLE
    for state in workflow.states
}


@st.composite
def walks(draw: st.DrawFn) -> tuple[Workflow, list[Case]]:
    """A workflow and the cases of a random walk through it, one after each act."""
    workflow = draw(st.sampled_from(WHOLE))
    cases = [begin(workflow, START, statutory_days(draw(st.sampled_from([1, 7]))))]
    minute = START
    for i in range(draw(st.integers(1, 12))):
        minute += draw(st.integers(0, 5 * DAY))
        possible = POSSIBLE[workflow.family, cases[-1].state]
        if not possible:
            break
        action, who = draw(st.sampled_from(possible))
        act = Act(f"k{i}", len(cases[-1].acts), action, who, minute, draw(st.integers(1, 7)))
        after = step(workflow, cases[-1], act, CALENDAR)
        if isinstance(after, Case):
            cases.append(after)
        else:
            assert after.reason in SERVICE_REASONS
    return workflow, cases


@settings(max_examples=80, deadline=None)
@given(walks())
def test_no_way_loses_time(walk: tuple[Workflow, list[Case]]) -> None:
    """The clock stands exactly while something is awaited or looked into; only reopening begins a new one."""
    workflow, cases = walk
    awaited: list[list[int | None]] = []
    ended: int | None = None
    for before, case in pairwise(cases):
        minute = case.acts[-1].minute
        if case.acts[-1].action is Action.REOPEN:
            assert case.clock == Clock(minute, before.clock.term)
            awaited, ended = [], None
        waits = case.state is State.SUPPLEMENT_REQUESTED or case.inquiring
        waited = before.state is State.SUPPLEMENT_REQUESTED or before.inquiring
        moved = case.state is not before.state and case.state is State.SUPPLEMENT_REQUESTED
        if waited and (not waits or moved):
            awaited[-1][1] = minute
        if waits and (not waited or moved):
            awaited.append([minute, None])
        rule = workflow.table[before.state, case.acts[-1].action]
        if rule.effect is Effect.STOP and ended is None:
            ended = minute
        assert [[pause.begin, pause.end] for pause in case.clock.pauses] == awaited
        assert case.clock.stopped == ended
        assert case.clock.arrived in {
            START,
            *(act.minute for act in case.acts if act.action is Action.REOPEN),
        }
        assert (case.state in workflow.ends) <= (case.clock.stopped is not None)
        if case.state is State.SUPPLEMENT_REQUESTED:
            assert case.clock.due(CALENDAR) == NEVER
        elif not waits:
            assert case.clock.due(CALENDAR) < NEVER


@settings(max_examples=40, deadline=None)
@given(walks(), st.data())
def test_the_same_acts_give_the_same_case_and_a_retry_at_any_time_changes_nothing(
    walk: tuple[Workflow, list[Case]], data: st.DataObject
) -> None:
    workflow, cases = walk
    again = cases[0]
    for act in cases[-1].acts:
        after = step(workflow, again, act, CALENDAR)
        assert isinstance(after, Case)
        again = after
    assert again == cases[-1]
    if again.acts:
        old = data.draw(st.sampled_from(again.acts))
        assert step(workflow, again, old, CALENDAR) is again


def test_a_question_is_answered_by_officials_alone() -> None:
    """A program answers by a grant to its key, as an official; nothing waits for what no one ever does."""
    begin, complete = (Action.BEGIN, Who.OFFICIAL, 0), (Action.COMPLETE, Who.OFFICIAL, 9)
    inquiry = whole(FAMILIES["inquiry"])
    assert run(inquiry, begin, complete).state is State.COMPLETED
    handed = run(inquiry, begin, (Action.HAND_OVER, Who.OFFICIAL, 5), complete)
    assert handed.state is State.COMPLETED
    assert not any(Who.SYSTEM in rule.who for rule in FAMILIES["inquiry"].rules)
