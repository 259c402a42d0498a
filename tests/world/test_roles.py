"""Roles that clients prove by grants: which chains count, what they open, and that they go along from node to node."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pworld.crypto.keys import PersonKeys, Signer
from p2pworld.errors import Refusal
from p2pworld.geometry import Cell
from p2pworld.grants import Grant, covers, sign_grant
from p2pworld.limits import HELLO_GRANTS_BYTES_MAX
from p2pworld.messages import Act, Done, Go, Instant, Notice, Pose, Profiles, Welcome, Who
from p2pworld.seoul.annex import room_cell
from p2pworld.seoul.landmarks import landmark
from p2pworld.world.places import bell_of
from p2pworld.world.roles import Role, is_open_to, read_role
from tests.world.cores import Cores, Player
from tests.world.test_places import BELL, OFFICE, YARD, table
from tests.world.test_places_nodes import NOON, codes, metres, rings

ROOT, ISSUER, STRANGER = (Signer.from_seed(bytes([n]) * 32) for n in (201, 202, 203))
ROOTS = frozenset({ROOT.public})
NOW_MS = int(NOON.timestamp() - 3_600) * 1000
DAY_MS = 86_400_000
CLOSED = OFFICE.replace("capacity = 2", 'capacity = 2\naccess = ["role:official"]')
STRIKABLE = YARD.replace("points = [[3, 0]]", 'points = [[3, 0]]\naccess = ["role:official"]')
PLACES = table(STRIKABLE, CLOSED, programmes=(BELL,))
DESK = room_cell(5).centre_cm
_FOUND = bell_of(PLACES.by_id["yard"])
assert _FOUND is not None
BELL_AT = _FOUND[1]


def key_of(number: int) -> bytes:
    """The public key of the player of this number."""
    return PersonKeys.from_seed(bytes([100 + number]) * 32).public


def official(
    number: int = 1,
    scope: tuple[str, ...] = ("places:*",),
    role: str = "official",
    until_ms: int = NOW_MS + DAY_MS,
    issuer: Signer = ROOT,
) -> tuple[Grant, ...]:
    return (sign_grant(issuer, key_of(number), role, scope, NOW_MS - DAY_MS, until_ms),)


@pytest.fixture
def city() -> Cores:
    """The first node holds Seoul, the second the rooms, the third 8 m around the yard's bell."""
    rooms = Cell(1).children()[0]
    return Cores([[], [rooms], [Cell.at(*BELL_AT, 13)]], 0, NOW_MS, places=PLACES, roots=ROOTS)


def who(asker: Player, avatar: int) -> str:
    """The role that WHO tells of somebody."""
    asker.say(Who((avatar,)))
    asker.city.tick()
    answer: Profiles = asker.of(Profiles)[-1]
    assert answer.ids == (avatar,)
    return answer.roles[0] if answer.roles else ""


# ---- which chains count


def test_a_root_s_grant_gives_its_role_until_the_first_grant_of_the_chain_ends() -> None:
    above = sign_grant(ROOT, ISSUER.public, "issuer", ("places:*",), 0, NOW_MS + 5)
    chain = (above, *official(issuer=ISSUER))
    assert read_role(chain, ROOTS, key_of(1), NOW_MS) == Role("official", ("places:*",), NOW_MS + 5)


@pytest.mark.parametrize(
    ("why", "chain"),
    [
        ("grant-missing", ()),
        ("grant-expired", official(until_ms=NOW_MS)),
        ("grant-subject", official(number=2)),
        ("grant-root", official(issuer=STRANGER)),
        ("grant-signature", (replace(official()[0], sig=bytes(64)),)),
        ("grant-signature", (replace(official()[0], role="moderator"),)),
        ("grant-long", (replace(official()[0], scope=("places:" + "a" * 80,) * 25),)),
    ],
)
def test_what_gives_no_role_says_why_in_a_sentence(why: str, chain: tuple[Grant, ...]) -> None:
    refusal = read_role(chain, ROOTS, key_of(1), NOW_MS)
    assert isinstance(refusal, Refusal)
    assert refusal.reason == why
    assert refusal.sentence.startswith("Your grant does not count here: ")
    assert refusal.sentence.endswith(".")
    assert len(refusal.sentence) <= 300


digits = st.text("0123", min_size=1, max_size=16)


@given(digits, st.integers(0, 6_553_599), st.integers(0, 6_553_599))
def test_a_scope_of_ground_reaches_what_stands_on_it(quadkey: str, east_cm: int, north_cm: int) -> None:
    role = Role("official", (f"cells:{quadkey}",), 1)
    assert role.reaches("yard", (east_cm, north_cm)) == Cell.from_quadkey(quadkey).contains_point(
        east_cm, north_cm
    )


@given(
    st.sampled_from((("public",), ("role:official",), ("role:civic", f"key:{'01' * 32}"))),
    st.none()
    | st.builds(Role, st.sampled_from(("official", "civic")), st.just(("places:yard",)), st.just(9)),
    st.sampled_from((bytes([1]) * 32, bytes(32))),
    st.sampled_from(("yard", "office")),
    st.integers(0, 12),
)
def test_access_is_one_of_the_rights_asked_for(
    access: tuple[str, ...], role: Role | None, key: bytes, place: str, now_ms: int
) -> None:
    held = {"public", f"key:{key.hex()}"}
    if role is not None and now_ms < 9 and covers(role.scope[0], f"places:{place}"):
        held.add(f"role:{role.name}")
    assert is_open_to(access, place, (0, 0), key, role, now_ms) == bool(held & set(access))


# ---- what they open, in whole nodes


def test_a_room_for_officials_is_open_to_them_and_to_nobody_else(city: Cores) -> None:
    kim, lee = city.player(1, metres(0, 0), grants=official()), city.player(2, metres(1, 0))
    for one in (kim, lee):
        one.say(Go("office"))
        city.tick(20)
    assert [city.owners(one) for one in (kim, lee)] == [[1], [0]]
    assert (kim.pose.east_cm, kim.pose.north_cm) == DESK
    assert (codes(kim), codes(lee)) == ([], ["place-closed"])


def test_a_login_of_an_official_may_begin_in_the_room(city: Cores) -> None:
    kim = city.player(1, Pose(*DESK), house=1, grants=official())
    lee = city.player(2, Pose(*DESK), house=1)
    heart = landmark("Gwanghwamun Square").position_cm
    assert [(w.pose.east_cm, w.pose.north_cm) for one in (kim, lee) for w in one.of(Welcome)[:1]] == [
        DESK,
        heart,
    ]


@pytest.mark.parametrize(
    ("code", "grants"),
    [
        ("grant-expired", official(until_ms=NOW_MS - 1)),
        ("grant-root", official(issuer=STRANGER)),
        ("grant-subject", official(number=2)),
    ],
)
def test_a_grant_that_does_not_count_is_told_and_its_holder_is_in_the_city_without_a_role(
    city: Cores, code: str, grants: tuple[Grant, ...]
) -> None:
    kim = city.player(1, metres(0, 0), grants=grants)
    assert [type(m).__name__ for m in kim.heard if isinstance(m, Welcome | Notice)] == ["Welcome", "Notice"]
    assert codes(kim) == [code]
    kim.say(Go("office"))
    assert codes(kim)[1:] == ["place-closed"]
    assert who(kim, kim.avatar) == ""
    assert city.houses[0].node.all_counters()[code] == 1


def test_a_grant_for_another_place_opens_nothing(city: Cores) -> None:
    kim = city.player(1, metres(0, 0), grants=official(scope=("places:deoksugung",)))
    kim.say(Go("office"))
    assert codes(kim) == ["place-closed"]
    assert who(kim, kim.avatar) == "official"


def test_a_role_ends_with_its_grant_though_its_holder_stays(city: Cores) -> None:
    kim = city.player(1, metres(0, 0), grants=official(until_ms=NOW_MS + 10_000))
    assert who(kim, kim.avatar) == "official"
    city.now = Instant(city.now.boot_s, NOW_MS + 10_000)
    assert who(kim, kim.avatar) == ""
    kim.say(Go("office"))
    assert codes(kim) == ["place-closed"]


@pytest.mark.parametrize("forgetful", ["nobody", "the node it comes from", "the client"])
def test_a_role_goes_along_to_the_next_node(city: Cores, forgetful: str) -> None:
    """Either PREPARE or the client's own HELLO with the ticket is enough: one may be of an older release."""
    kim, lee = city.player(1, metres(0, 0), grants=official()), city.player(2, metres(1, 0))
    if forgetful == "the node it comes from":
        city.houses[0].node.parts.people.papers._grants.clear()
    elif forgetful == "the client":
        kim.grants = ()
    kim.say(Go("office"))
    city.tick(20)
    assert city.owners(kim) == [1]
    role = city.houses[1].node.parts.people.papers.role(kim.avatar)
    assert role == Role("official", ("places:*",), NOW_MS + DAY_MS)
    kim.say(Go("yard"))
    city.tick(20)
    assert 1 not in city.owners(kim)
    kim.say(Go("office"))
    city.tick(20)
    assert city.owners(kim) == [1]
    assert lee.of(Notice) == []


def test_a_peer_cannot_give_a_role_by_what_it_passes_on(city: Cores) -> None:
    kim = city.player(1, metres(0, 0))
    papers = city.houses[0].node.parts.people.papers
    papers._grants[kim.avatar] = official(issuer=STRANGER)
    papers._roles[kim.avatar] = Role("official", ("places:*",), NOW_MS + DAY_MS)
    kim.say(Go("office"))  # the first node was made to believe it
    city.tick(20)
    assert city.owners(kim) == [1]
    assert city.houses[1].node.parts.people.papers.role(kim.avatar) is None


def test_who_tells_the_role_also_of_a_neighbour_s_people(city: Cores) -> None:
    near_bell = Pose(*Cell.at(*BELL_AT, 13).centre_cm)
    kim = city.player(1, near_bell, house=2, grants=official())
    lee = city.player(2, replace(near_bell, east_cm=near_bell.east_cm - 800))
    city.tick(5)
    assert (city.owners(kim), city.owners(lee)) == ([2], [0])
    assert who(lee, kim.avatar) == "official"
    assert who(kim, lee.avatar) == ""


def test_a_role_is_gone_with_a_login_that_shows_no_grant(city: Cores) -> None:
    kim = city.player(1, metres(0, 0), grants=official())
    kim.lose()
    kim.grants = ()
    city.tick()
    kim.come(city.houses[0])
    assert who(kim, kim.avatar) == ""


# ---- the bell


def done(player: Player) -> Done:
    last: Done = player.of(Done)[-1]
    return last


@pytest.mark.parametrize("grants", [official(), (), official(scope=("places:deoksugung",))])
def test_those_granted_strike_the_bell_at_any_time_also_on_another_node_s_ground(
    city: Cores, grants: tuple[Grant, ...]
) -> None:
    may = grants == official()
    kim = city.player(1, metres(-10, -12), grants=grants)
    lee = city.player(2, Pose(*Cell.at(*BELL_AT, 13).centre_cm), house=2)
    assert city.owners(kim) == [0]
    kim.say(Act(1, "ring"))
    city.tick(3)
    assert (bool(done(kim).durable), done(kim).reason) == ((True, "") if may else (False, "not_now"))
    assert rings(lee) == (1 if may else 0)
    assert city.houses[2].node.all_counters()["acts-for-others"] == 1


def test_a_long_chain_of_good_grants_fits_a_login() -> None:
    keys = [Signer.from_seed(bytes([n]) * 32) for n in (210, 211, 212)]
    chain, issuer = [], ROOT
    for one in (*(key.public for key in keys), key_of(1)):
        delegate = one != key_of(1)
        chain.append(sign_grant(issuer, one, "official", ("places:*",), 0, NOW_MS * 2, may_delegate=delegate))
        issuer = next((key for key in keys if key.public == one), issuer)
    role = read_role(tuple(chain), ROOTS, key_of(1), NOW_MS)
    assert role == Role("official", ("places:*",), NOW_MS * 2)
    assert HELLO_GRANTS_BYTES_MAX < 4_096
