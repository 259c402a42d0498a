"""The simulated store put back to an older copy: what it had given since is never given again."""

from __future__ import annotations

import random

from p2pworld.errors import Refusal
from p2pworld.ids import Incarnation
from p2pworld.world.asking import Propose, Proposed, Register, Registered, Renew, Renewed
from p2pworld.world.citymap import Member, genesis, new_generation
from simulations.events import Agenda, Trace
from simulations.store import Store, StoreAnswer, StoreOptions, StoreRequest

NODE = bytes(32)
REGISTER = Register("tls://a.seoul:7000", "wss://a.seoul/play", "https://a.seoul", 2.0, 0)


def ask(store: Store, agenda: Agenda, request: StoreRequest) -> StoreAnswer:
    answers: list[StoreAnswer] = []
    store.ask(0, NODE, request, answers.append)
    agenda.run(agenda.now_s + 10.0, lambda: bool(answers))
    return answers[0]


def test_a_copy_begins_a_new_generation_and_gives_no_number_twice() -> None:
    agenda = Agenda()
    store = Store(StoreOptions(), agenda, random.Random(1), Trace())
    assert ask(store, agenda, REGISTER) == Registered(1)
    city = genesis({Member(NODE, 1, *(REGISTER.link_url, REGISTER.play_url, REGISTER.web_url)): ()})
    assert not isinstance(city, Refusal)
    assert ask(store, agenda, Propose(city, 0, None)) == Proposed(True, city.version)
    copy = store.copy()
    assert ask(store, agenda, REGISTER) == Registered(2)

    older = new_generation(copy.map, store.map.generation)
    assert not isinstance(older, Refusal)
    store.restore(copy, older)
    again = ask(store, agenda, REGISTER)
    assert isinstance(again, Registered)
    assert again.number > 2
    assert store.map.generation == city.generation + 1
    assert store.map.stamp > city.stamp
    assert not store.map.members


def test_an_answer_is_lost_after_the_deed_and_a_lease_that_is_given_back_is_over() -> None:
    agenda = Agenda()
    store = Store(StoreOptions(), agenda, random.Random(1), Trace())
    store.answers_to_lose = 1
    assert not isinstance(ask(store, agenda, REGISTER), Registered)
    assert ask(store, agenda, REGISTER) == Registered(2)
    who = Incarnation(NODE, 2)
    assert ask(store, agenda, Renew(who, 1)) == Renewed(1, True)
    store.end(0, who)
    assert ask(store, agenda, Renew(who, 2)) == Renewed(2, False)
