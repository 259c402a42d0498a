"""What an attestor decides and remembers: bounds, ends, restarts, damage, and a configuration that is wrong."""

from __future__ import annotations

import hashlib
import sqlite3
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from p2pworld.crypto.keys import Signer
from p2pworld.errors import Refusal
from p2pworld.grants import grant_to_text, sign_grant
from p2pworld.limits import (
    ATTESTED_DEVICES_MAX,
    ATTESTOR_CODE_S,
    ATTESTOR_LOGIN_S,
    ATTESTOR_LOGINS_MAX,
    CIVIC_CLOCK_MINUTES,
    CLAIM_KEYS_MAX,
    CLAIM_WANTS_MAX,
)
from p2pworld.services.attesting import (
    ATTESTOR_REASONS,
    challenge_of,
    claims_statement,
    desk_statement,
    device_statement,
    key_statement,
    lost_statement,
)
from p2pworld.services.people import claim_key_seed
from shard_node.attestor import app, desk, memory
from shard_node.attestor.desk import AttestorDesk, Login, Want
from shard_node.attestor.memory import AttestorMemory, KnownDevice, MemoryFailed
from shard_node.attestor.settings import (
    AttestorConfig,
    DeskConfig,
    OidcConfig,
    load_attestor,
    origin_of,
)
from shard_node.config import Address, LogConfig
from shard_node.errors import ConfigError

if TYPE_CHECKING:
    from p2pworld.services.people import Claim

MINUTE = 29_400_000
OIDC = OidcConfig("https://login.example", "attestor", "", "openid", "sub", "gu")
ROOT, OFFICIAL, ATTESTOR = (Signer.from_seed(bytes([i]) * 32) for i in (1, 2, 3))
VERIFIER = "v" * 43


def device_of(name: str) -> Signer:
    return Signer.from_seed(hashlib.sha256(name.encode()).digest())


def config_of(folder: Path) -> AttestorConfig:
    return AttestorConfig(
        listen=Address("127.0.0.1", 0),
        public_url="https://attestor.example",
        forwarded=False,
        data_dir=folder,
        key_file=folder / "key",
        secret_file=folder / "secret",
        name={"ko": "확인", "en": "People"},
        returns=frozenset({"https://node.example"}),
        claim_minutes=1_440,
        device_minutes=90 * 1_440,
        oidc=OIDC,
        desk=DeskConfig(frozenset({ROOT.public}), False),
        log=LogConfig("info", "text"),
    )


@dataclass
class World:
    """A desk over a memory, and clocks that stand until they are moved."""

    folder: Path
    minute: int = MINUTE
    now_s: float = 0.0
    config: AttestorConfig = field(init=False)
    desk: AttestorDesk = field(init=False)
    memory: AttestorMemory = field(init=False)

    def __post_init__(self) -> None:
        AttestorMemory.begin(self.folder)
        self.config = config_of(self.folder)
        self.start()

    def start(self) -> None:
        """Begins anew, as after a restart."""
        self.memory = AttestorMemory(self.folder)
        self.desk = AttestorDesk(
            self.config, ATTESTOR, bytes(32), self.memory, lambda: self.now_s, lambda: self.minute * 60_000
        )

    def login(self, device: Signer) -> Login:
        begun = self.desk.begin(device.public, "https://node.example/", challenge_of(VERIFIER))
        assert isinstance(begun, Login)
        return begun

    def code(self, device: Signer, sub: str = "hong", gu: str = "jongno") -> str:
        code = self.desk.logged_in(self.login(device), {"sub": sub, "gu": gu})
        assert isinstance(code, str)
        return code

    def register(self, device: Signer, code: str, verifier: str = VERIFIER) -> KnownDevice | Refusal:
        sig = device.sign(device_statement(self.desk.key, code, device.public, self.minute))
        return self.desk.register(code, verifier, device.public, None, self.minute, sig)

    def known(self, name: str, sub: str = "hong", gu: str = "jongno") -> Signer:
        device = device_of(name)
        assert isinstance(self.register(device, self.code(device, sub, gu)), KnownDevice)
        return device

    def claims(self, device: Signer, *purposes: str) -> list[Claim] | Refusal:
        keys = [Signer.from_seed(claim_key_seed(device.seed, purpose)) for purpose in purposes]
        wants = [
            Want(purpose, key.public, key.sign(key_statement(self.desk.key, device.public, purpose)))
            for purpose, key in zip(purposes, keys, strict=True)
        ]
        return self.ask(device, wants)

    def ask(self, device: Signer, wants: list[Want]) -> list[Claim] | Refusal:
        pairs = [(want.purpose, want.key) for want in wants]
        sig = device.sign(claims_statement(self.desk.key, device.public, self.minute, pairs))
        return self.desk.claims(device.public, self.minute, wants, sig)

    def seen(self, number: str, gu: str = "jongno") -> str | Refusal:
        now_ms = self.minute * 60_000
        grant = sign_grant(ROOT, OFFICIAL.public, "official", ("streams:*",), now_ms, now_ms + 1_000)
        sig = OFFICIAL.sign(desk_statement(self.desk.key, OFFICIAL.public, number, gu, self.minute))
        return self.desk.seen(OFFICIAL.public, [grant_to_text(grant)], number, gu, self.minute, sig)

    def lose(self, by: Signer, lost: Signer) -> Refusal | None:
        sig = by.sign(lost_statement(self.desk.key, by.public, lost.public, self.minute))
        return self.desk.lose(by.public, lost.public, self.minute, sig)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "data")


def reason(found: object) -> str:
    assert isinstance(found, Refusal), found
    return found.reason


def claim_of(found: list[Claim] | Refusal) -> Claim:
    assert not isinstance(found, Refusal), found
    return found[0]


# ---- codes and devices


def test_logins_and_codes_end(world: World) -> None:
    device = device_of("phone")
    login = world.login(device)
    world.now_s += ATTESTOR_LOGIN_S
    assert world.desk.came_back(login.state) is None
    code = world.code(device)
    world.now_s += ATTESTOR_LOGIN_S
    assert reason(world.register(device, code)) == "attestor-code"
    read_aloud = world.seen("900101-1234567")
    assert isinstance(read_aloud, str)
    world.now_s += ATTESTOR_CODE_S - 1
    world.code(device)  # a later code that ends sooner changes nothing
    assert isinstance(world.register(device, read_aloud, ""), KnownDevice)
    again = world.seen("900101-1234567")
    assert isinstance(again, str)
    world.now_s += ATTESTOR_CODE_S
    assert reason(world.register(device, again, "")) == "attestor-code"


def test_a_login_counts_once(world: World) -> None:
    login = world.login(device_of("phone"))
    assert world.desk.came_back(login.state) == login
    assert world.desk.came_back(login.state) is None


def test_there_are_only_so_many_logins_at_once(world: World) -> None:
    for _ in range(ATTESTOR_LOGINS_MAX):
        world.login(device_of("phone"))
    begun = world.desk.begin(device_of("x").public, "https://node.example/", challenge_of(VERIFIER))
    assert reason(begun) == "attestor-busy"
    world.now_s += ATTESTOR_LOGIN_S
    world.login(device_of("x"))


def test_a_device_is_one_person_s(world: World) -> None:
    device = world.known("phone", "hong")
    assert reason(world.register(device, world.code(device, "kim"))) == "attestor-device"
    assert isinstance(world.register(device, world.code(device, "hong")), KnownDevice)


def test_a_person_has_only_so_many_devices_and_those_that_ended_make_room(world: World) -> None:
    for i in range(ATTESTED_DEVICES_MAX):
        world.known(f"device {i}")
    more = device_of("one more")
    assert reason(world.register(more, world.code(more))) == "attestor-devices"
    world.known("device 3")  # again, for another three months
    assert world.lose(device_of("device 0"), device_of("device 1")) is None
    world.known("one more")
    world.minute += world.config.device_minutes
    assert reason(world.claims(device_of("device 2"), "booking")) == "attestor-device"
    world.known("much later")
    there = world.memory.devices_of(world.memory.device(device_of("much later").public).subject)  # type: ignore[union-attr]
    assert [one.device for one in there] == [device_of("much later").public]


def test_where_somebody_lives_is_what_was_said_last(world: World) -> None:
    first, second = world.known("first", gu="jongno"), world.known("second", gu="마포구")
    assert {claim_of(world.claims(device, "booking")).gu for device in (first, second)} == {"mapo"}
    world.known("third", gu="nowhere")
    assert claim_of(world.claims(first, "booking")).gu == "mapo"


def test_the_number_at_the_desk_can_be_what_logins_have(world: World) -> None:
    other = replace(world.config, desk=DeskConfig(frozenset({ROOT.public}), True))
    for config, same in ((world.config, False), (other, True)):
        world.config = config
        world.start()
        at_desk, by_login = device_of(f"desk {same}"), world.known(f"login {same}", "900101-1234567")
        code = world.seen("9001011234567")
        assert isinstance(code, str)
        world.register(at_desk, code, "")
        one, two = (claim_of(world.claims(device, "booking")) for device in (at_desk, by_login))
        assert (one.person == two.person) == same


# ---- claims


def test_pseudonyms_and_devices_outlive_a_restart(world: World) -> None:
    device, lost = world.known("phone"), world.known("lost")
    before = claim_of(world.claims(device, "booking"))
    taken_back = claim_of(world.claims(lost, "booking"))
    world.lose(device, lost)
    world.memory.close()
    world.start()
    assert claim_of(world.claims(device, "booking")) == before
    assert world.desk.withdrawn().keys == {taken_back.key}
    assert reason(world.claims(lost, "booking")) == "attestor-lost"


def test_what_is_withdrawn_is_listed_until_it_ends(world: World) -> None:
    device, lost = world.known("phone"), world.known("lost")
    world.claims(lost, "booking")
    world.lose(device, lost)
    world.minute += world.config.claim_minutes - 1
    assert len(world.desk.withdrawn().keys) == 1
    world.minute += 1
    assert world.desk.withdrawn().keys == frozenset()


def test_a_device_has_only_so_many_claims_at_once(world: World) -> None:
    device = world.known("phone")
    purposes = [f"service-{i}" for i in range(CLAIM_KEYS_MAX)]
    for at in range(0, CLAIM_KEYS_MAX, CLAIM_WANTS_MAX):
        assert len(world.claims(device, *purposes[at : at + CLAIM_WANTS_MAX])) == CLAIM_WANTS_MAX  # type: ignore[arg-type]
    assert reason(world.claims(device, "one-more")) == "attestor-claims"
    world.minute += world.config.claim_minutes
    assert claim_of(world.claims(device, "one-more")).purpose == "one-more"


def test_nobody_gets_a_claim_on_another_s_key(world: World) -> None:
    mine, yours = world.known("mine"), world.known("yours")
    given = claim_of(world.claims(mine, "booking"))
    key = Signer.from_seed(claim_key_seed(mine.seed, "booking"))
    for signed_for in (mine, yours):
        sig = key.sign(key_statement(world.desk.key, signed_for.public, "booking"))
        assert reason(world.ask(yours, [Want("booking", given.key, sig)])) == "attestor-signature"


def test_what_is_no_purpose_or_twice_the_same_key_is_not_attested(world: World) -> None:
    device = world.known("phone")
    assert reason(world.claims(device, "Not A Purpose")) == "attestor-malformed"
    assert reason(world.claims(device, "booking", "booking")) == "attestor-malformed"
    assert reason(world.claims(device)) == "attestor-malformed"
    assert (
        reason(world.claims(device, *(f"a{i}" for i in range(CLAIM_WANTS_MAX + 1)))) == "attestor-malformed"
    )


def test_what_was_signed_long_ago_or_by_another_is_not_taken(world: World) -> None:
    device = world.known("phone")
    sig = device.sign(claims_statement(world.desk.key, device.public, MINUTE, [("booking", bytes(32))]))
    want = Want("booking", bytes(32), bytes(64))
    world.minute += CIVIC_CLOCK_MINUTES + 1
    assert reason(world.desk.claims(device.public, MINUTE, [want], sig)) == "attestor-clock"
    assert reason(world.desk.claims(device.public, world.minute, [want], sig)) == "attestor-signature"
    stranger = device_of("stranger")
    assert reason(world.claims(stranger, "booking")) == "attestor-device"


def test_an_official_s_grant_and_clock_count(world: World) -> None:
    assert isinstance(world.seen("900101-1234567"), str)
    for grants, found in (([], "attestor-official"), (["x"], "attestor-malformed")):
        sig = OFFICIAL.sign(desk_statement(world.desk.key, OFFICIAL.public, "12345", "jongno", MINUTE))
        assert reason(world.desk.seen(OFFICIAL.public, grants, "12345", "jongno", MINUTE, sig)) == found
    assert reason(world.seen("12")) == "attestor-number"
    assert reason(world.seen("123456", "busan")) == "attestor-gu"
    world.config = replace(world.config, desk=None)
    world.start()
    assert reason(world.seen("123456")) == "attestor-way"


def test_without_a_provider_nobody_logs_in(world: World) -> None:
    world.config = replace(world.config, oidc=None)
    world.start()
    begun = world.desk.begin(bytes(32), "https://node.example/", challenge_of(VERIFIER))
    assert reason(begun) == "attestor-way"


@pytest.mark.parametrize("sub", [None, "", 5, "x" * 256])
def test_who_has_no_name_at_the_provider_gets_no_code(world: World, sub: object) -> None:
    found = world.desk.logged_in(world.login(device_of("phone")), {"sub": sub})
    assert reason(found) == "attestor-token"


# ---- what it remembers


def test_nothing_in_the_memory_tells_who_somebody_is(world: World) -> None:
    device = world.known("phone", "hong.gildong@example.kr")
    code = world.seen("900101-1234567")
    assert isinstance(code, str)
    world.register(device_of("desk"), code, "")
    world.claims(device, "mayor-proposal")
    world.memory.close()
    kept = b"".join(path.read_bytes() for path in world.folder.iterdir())
    for said in (b"hong", b"900101", b"1234567", b"mayor", b"example.kr"):
        assert said not in kept


def test_a_row_that_was_changed_is_not_believed(world: World) -> None:
    device = world.known("phone")
    world.memory.close()
    with sqlite3.connect(world.folder / "attestor.sqlite") as db:
        db.execute("UPDATE device SET lost = 1")
    world.start()
    with pytest.raises(MemoryFailed, match="damaged"):
        world.claims(device, "booking")


def test_a_memory_that_is_none_or_newer_is_not_touched(world: World, tmp_path: Path) -> None:
    path = world.folder / "attestor.sqlite"
    world.memory.close()
    with pytest.raises(MemoryFailed, match="already"):
        AttestorMemory.begin(world.folder)
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 2")
    with pytest.raises(MemoryFailed, match="format 2"):
        AttestorMemory(world.folder)
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA application_id = 7")
    with pytest.raises(MemoryFailed, match="no memory"):
        AttestorMemory(world.folder)
    path.write_bytes(b"garbage" * 1_000)
    with pytest.raises(MemoryFailed):
        AttestorMemory(world.folder)
    with pytest.raises(MemoryFailed, match="not there"):
        AttestorMemory(tmp_path / "elsewhere")


def test_each_reason_has_its_sentences_and_its_use() -> None:
    sources = "".join(Path(module.__file__ or "").read_text("utf-8") for module in (desk, app, memory))
    for code, (english, korean, again) in ATTESTOR_REASONS.items():
        assert f'"{code}"' in sources, code
        assert english.endswith(".")
        assert korean.endswith("요.")
        assert again == ("again" in english and "try" in english)


# ---- what it is told


GOOD = """
[attestor]
listen = "127.0.0.1:0"
public_url = "https://attestor.example"
data_dir = "data"
key_file = "key"
secret_file = "secret"
name = { ko = "확인", en = "People" }
returns = ["https://node.example", "http://127.0.0.1:7800"]
[oidc]
issuer = "https://login.example"
client_id = "attestor"
[desk]
roots = ["ROOT"]
""".replace("ROOT", "ab" * 32)


def test_a_configuration_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(GOOD)
    config = load_attestor(tmp_path / "a.toml")
    assert (config.claim_minutes, config.device_minutes) == (1_440, 90 * 1_440)
    assert config.returns == {"https://node.example", "http://127.0.0.1:7800"}
    assert config.oidc is not None
    assert (config.oidc.subject_claim, config.oidc.gu_claim, config.oidc.client_secret) == ("sub", "", "")


@pytest.mark.parametrize(
    ("right", "wrong", "sentence"),
    [
        ('"https://attestor.example"', '"https://attestor.example/x"', "attestor.public_url"),
        ('"https://attestor.example"', '"http://attestor.example"', "attestor.public_url"),
        ('"https://node.example"', '"https://node.example/page"', "attestor.returns"),
        ('"https://node.example"', '"ftp://node.example"', "attestor.returns"),
        ("name = {", "nom = {", "attestor.name"),
        ('en = "People"', 'fr = "Gens"', "attestor.name.en"),
        ("[oidc]", "claim_days = 32\n[oidc]", "attestor.claim_days"),
        ('issuer = "https://login.example"', 'issuer = "http://login.example"', "oidc.issuer"),
        ("client_id", "client", "oidc.client_id"),
        ("[desk]", 'scope = "profile"\n[desk]', "oidc.scope"),
        ("[desk]", 'gu_claim = "a b"\n[desk]', "oidc.gu_claim"),
        ("[desk]", 'client_secret_file = "none"\n[desk]', "oidc.client_secret_file"),
        ("ab" * 32, "ab", "desk.roots"),
        ("[desk]", "[door]", r"\[door\]"),
        ("[attestor]", "[attestor]\nx = 1", "attestor.x"),
        ("[attestor]", "[attestor", "TOML"),
    ],
)
def test_what_is_wrong_with_a_configuration_is_said(
    tmp_path: Path, right: str, wrong: str, sentence: str
) -> None:
    assert right in GOOD
    (tmp_path / "a.toml").write_text(GOOD.replace(right, wrong, 1))
    with pytest.raises(ConfigError, match=sentence):
        load_attestor(tmp_path / "a.toml")


def test_an_attestor_can_do_something(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(GOOD.partition("[oidc]")[0])
    with pytest.raises(ConfigError, match="neither"):
        load_attestor(tmp_path / "a.toml")


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://a.example/b?c#d", "https://a.example"),
        ("https://a.example:443/", "https://a.example"),
        ("http://[::1]:80/", "http://[::1]"),
        ("http://a.example:81", "http://a.example:81"),
        ("https://user@a.example/", None),
        ("javascript:alert(1)", None),
        ("//a.example", None),
        ("https://a.example:x/", None),
        ("", None),
    ],
)
def test_an_origin_is_what_a_browser_takes_for_one(url: str, origin: str | None) -> None:
    assert origin_of(url) == origin


def test_one_address_asks_only_so_often(monkeypatch: pytest.MonkeyPatch) -> None:
    pace: Any = app._Pace(1.0, 3)
    assert [pace.may("a", 0.0) for _ in range(4)] == [True, True, True, False]
    assert pace.may("b", 0.0)
    assert pace.may("a", 1.0)
    assert not pace.may("a", 1.0)
    assert all(pace.may(None, 0.0) for _ in range(100))  # this machine
    monkeypatch.setattr(app, "DOOR_ADDRESSES_MAX", 2)
    pace.may("c", 1.0)
    assert len(pace._buckets) == 2
