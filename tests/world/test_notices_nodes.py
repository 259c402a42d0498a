"""What was taken back, in whole nodes: roles end, later orders are refused, restarts forget nothing."""

from __future__ import annotations

import pytest

from p2pworld.crypto.keys import PersonKeys, Signer
from p2pworld.crypto.link import LINK_CAPS
from p2pworld.errors import Refusal
from p2pworld.geometry import Cell
from p2pworld.grants import Grant, sign_grant
from p2pworld.messages import PULSE, Go, Instant, LinkUp, Notice, Profiles, SaveRecord, Who
from p2pworld.revocation import pack_notice, sign_revocation
from p2pworld.world.moderation import Sanction, pack_sanction, sign_sanction
from p2pworld.world.ownership import EndLease
from tests.world.cores import Cores, House
from tests.world.test_places_nodes import codes, metres
from tests.world.test_roles import DAY_MS, NOW_MS, PLACES, ROOT, ROOTS, key_of, official

HOUR_MS = 3_600_000


@pytest.fixture
def city() -> Cores:
    """The first node holds Seoul, the second the rooms."""
    return Cores([[], [Cell(1).children()[0]]], 0, NOW_MS, places=PLACES, roots=ROOTS)


def revoked(subject: bytes, now_ms: int = NOW_MS) -> bytes:
    return pack_notice(sign_revocation(ROOT, subject, now_ms, now_ms + DAY_MS, "no longer employed"))


def role_told(asker_heard: list[Profiles]) -> str:
    return asker_heard[-1].roles[0] if asker_heard[-1].roles else ""


def test_an_official_loses_the_role_at_once_and_is_told(city: Cores) -> None:
    kim = city.player(1, metres(0, 0), grants=official())
    lee = city.player(2, metres(1, 0))
    lee.say(Who((kim.avatar,)))
    assert role_told(lee.of(Profiles)) == "official"
    # it comes in at the other node, and reaches this one by the link
    taken = city.houses[1].node.take_back(revoked(key_of(1)), city.now)
    assert not isinstance(taken, Refusal)
    city.settle()
    assert codes(kim) == ["grant-revoked"]
    assert "no longer employed" in kim.of(Notice)[-1].sentence
    lee.say(Who((kim.avatar,)))
    assert role_told(lee.of(Profiles)) == ""
    kim.say(Go("office"))
    assert codes(kim)[1:] == ["place-closed"]
    assert city.houses[0].node.all_counters()["roles-lost"] == 1
    # a new login shows the same grants in vain
    kim.lose()
    kim.come(city.houses[0])
    assert codes(kim)[2:] == ["grant-revoked"]


def test_a_ghosts_role_is_no_longer_told_by_its_neighbour(city: Cores) -> None:
    kim = city.player(1, metres(0, 0), grants=official())
    papers = city.houses[1].node.parts.people.papers
    papers.learn(kim.avatar, city.houses[0].node.parts.people.proof(kim.avatar).profile, "official")
    city.houses[0].node.take_back(revoked(key_of(1)), city.now)
    city.settle()
    assert papers.shown(kim.avatar, False, city.now.wall_ms) == (
        city.houses[0].node.parts.people.proof(kim.avatar).profile,
        "",
    )


def test_a_moderators_orders_are_refused_from_then_on_and_those_before_still_hold(city: Cores) -> None:
    moderator, node = PersonKeys.from_seed(bytes([101]) * 32), city.houses[0].node
    chain = official(role="moderator", scope=("cells:*",))

    def order(subject: bytes, at_ms: int) -> bytes:
        ends_ms = at_ms + HOUR_MS
        return pack_sanction(
            sign_sanction(moderator, chain, "mute", subject, "city", at_ms, ends_ms, "rules")
        )

    before = node.order(order(key_of(3), NOW_MS - HOUR_MS // 60), city.now)
    assert isinstance(before, Sanction)
    node.take_back(revoked(moderator.public, city.now.wall_ms), city.now)
    city.settle()
    refused = node.order(order(key_of(4), city.now.wall_ms), city.now)
    assert isinstance(refused, Refusal)
    assert refused.reason == "grant-revoked"
    # one that the moderator dates back is no order just given, and is refused for that
    backdated = node.order(order(key_of(4), NOW_MS - HOUR_MS), city.now)
    assert isinstance(backdated, Refusal)
    muted = city.houses[1].node.parts.moderation.muted(key_of(3), None, city.now.wall_ms)
    assert muted is not None


def test_a_restarted_node_knows_from_its_disk(city: Cores) -> None:
    house = city.houses[0]
    house.node.take_back(revoked(key_of(1)), city.now)
    city.settle()
    records = tuple(write for write in house.disk if isinstance(write, SaveRecord))
    again = House(0, city.now, places=PLACES, roots=ROOTS)
    again.start(city.now, records=records)
    fault = again.node.voids(official(), city.now.wall_ms)
    assert fault is not None
    assert fault.reason == "grant-revoked"


def test_a_node_of_an_older_release_is_told_nothing_it_cannot_read(city: Cores) -> None:
    first, second = city.houses
    first.node.step(LinkUp(second.who, (PULSE,)), city.now)  # linked anew, to an older one
    first.node.parts.notices.link_down(second.who)
    first.node.step(LinkUp(second.who, (PULSE,)), city.now)
    first.node.take_back(revoked(key_of(1)), city.now)
    city.settle()
    assert second.node.voids(official(), city.now.wall_ms) is None
    first.node.step(LinkUp(second.who, LINK_CAPS), city.now)
    city.settle()
    assert second.node.voids(official(), city.now.wall_ms) is not None


def test_a_node_knows_when_it_is_itself_the_one_and_others_end_its_lease(city: Cores) -> None:
    first, second = city.houses
    own: tuple[Grant, ...] = (
        sign_grant(ROOT, first.keys.public, "shard", ("cells:*",), NOW_MS - DAY_MS, NOW_MS + DAY_MS),
    )
    house = House(0, city.now, places=PLACES, roots=ROOTS, grants=own)
    assert house.node.own_fault(city.now) is None
    house.node.take_back(revoked(first.keys.public), city.now)
    fault = house.node.own_fault(city.now)
    assert fault is not None
    assert "no longer employed" in fault.sentence

    second.node.take_back(revoked(first.keys.public), city.now)
    asked: list[object] = []
    for _ in range(12):
        city.now = Instant(city.now.boot_s + 0.1, city.now.wall_ms + 100)
        second.node.tick(city.now)
        while (ready := second.node.ready()) is not None:
            asked += ready.requests
    assert EndLease(first.who) in asked


def test_a_stranger_revokes_nobody(city: Cores) -> None:
    stranger = Signer.from_seed(bytes([9]) * 32)
    data = pack_notice(sign_revocation(stranger, key_of(1), NOW_MS, NOW_MS + DAY_MS))
    refused = city.houses[0].node.take_back(data, city.now)
    assert isinstance(refused, Refusal)
    assert refused.reason == "grant-missing"
    assert city.houses[0].node.all_counters()["notice-refused-grant-missing"] == 1
