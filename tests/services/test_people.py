"""Who counts as one person: what is believed, each reason why not, and that no two purposes can be put together."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pworld.civic.transaction import Field, Filing
from p2pworld.crypto.keys import Signer
from p2pworld.errors import LocalError, Refusal, RemoteError
from p2pworld.limits import CLAIM_BYTES_MAX, CLAIM_MINUTES_MAX, WITHDRAWN_KEYS_MAX
from p2pworld.services.declaration import CITY, Person
from p2pworld.services.people import (
    Attested,
    Attestors,
    Shown,
    attested,
    claim_key_seed,
    parse_claim,
    parse_shown,
    parse_withdrawn,
    person_of,
    purpose_of,
    show,
    sign_claim,
    sign_withdrawn,
)
from p2pworld.wire.codec import canonical, unpack_map
from shard_node.services.folder import read

if TYPE_CHECKING:
    from p2pworld.services.declaration import Service

MINUTE = 29_400_000
SERVICES = read().services
PROPOSAL = SERVICES["mayor-proposal"]  # for who is verified
MEDICAL = SERVICES["reserve-medical"]  # for residents of the gu
STREETLIGHT = SERVICES["streetlight-report"]  # for anybody


def key(name: str) -> Signer:
    return Signer.from_seed(hashlib.sha256(name.encode()).digest())


ATTESTOR, DEVICE = key("attestor"), key("device")
BELIEVED = Attestors(frozenset({ATTESTOR.public}))
PERSON = person_of(key("secret").seed, "mayor-proposal", key("subject").seed)


def filing_of(service: Service, stream: str = "jongno", **public: str) -> Filing:
    fields = tuple(Field(name, value) for name, value in public.items())
    return Filing(service.id, stream, key("transaction").public, MINUTE, fields)


def shown(service: Service, filing: Filing, gu: str = "", until: int = MINUTE + 60) -> Shown:
    purpose = purpose_of(service, {field.name: field.value for field in filing.public})
    return show(sign_claim(ATTESTOR, purpose, PERSON, DEVICE.public, gu, until), DEVICE, filing)


def signed_again(given: Shown, filing: Filing, by: Signer = ATTESTOR, **changed: object) -> bytes:
    """What is shown with a claim that says something else, its signatures right."""
    claim = replace(given.claim, **changed)  # type: ignore[arg-type]
    claim = replace(claim, sig=by.sign(claim.statement()))
    return show(claim, DEVICE, filing).to_bytes()


def reason(service: Service, filing: Filing, data: bytes | None, believed: Attestors = BELIEVED) -> str:
    found = attested(service, filing, data, believed, MINUTE)
    assert isinstance(found, Refusal)
    return found.reason


# ---- what is believed


def test_who_shows_a_claim_is_known_by_the_pseudonym_in_it() -> None:
    filing = filing_of(PROPOSAL)
    found = attested(PROPOSAL, filing, shown(PROPOSAL, filing, "mapo").to_bytes(), BELIEVED, MINUTE)
    assert found == Attested(PERSON.hex(), "mapo")


def test_where_anybody_may_file_nothing_needs_to_be_shown_but_what_is_shown_must_hold() -> None:
    filing = filing_of(STREETLIGHT)
    assert attested(STREETLIGHT, filing, None, BELIEVED, MINUTE) is None
    data = shown(STREETLIGHT, filing).to_bytes()
    assert attested(STREETLIGHT, filing, data, BELIEVED, MINUTE) == Attested(PERSON.hex())
    assert reason(STREETLIGHT, filing, data, Attestors()) == "claim-attestor"


def test_a_resident_is_one_of_the_office_s_gu_and_of_the_city_whoever_lives_in_any() -> None:
    assert MEDICAL.eligible.person is Person.RESIDENT
    for stream, gu, taken in (
        ("jongno", "jongno", True),
        ("jongno", "mapo", False),
        ("jongno", "", False),
        (CITY, "mapo", True),
        (CITY, "", False),
    ):
        filing = filing_of(MEDICAL, stream, facility="jongno-clinic", slot="2026-05-02T10:00")
        found = attested(MEDICAL, filing, shown(MEDICAL, filing, gu).to_bytes(), BELIEVED, MINUTE)
        assert isinstance(found, Attested) == taken, (stream, gu)
        assert taken or (isinstance(found, Refusal) and found.reason == "claim-resident")


# ---- each reason why not


def test_nothing_shown_where_something_is_needed() -> None:
    assert reason(PROPOSAL, filing_of(PROPOSAL), None) == "claim-missing"


@pytest.mark.parametrize("data", [b"", b"\x80", b"\xc1", bytes(CLAIM_BYTES_MAX + 1)], ids=len)
def test_what_cannot_be_read(data: bytes) -> None:
    assert reason(PROPOSAL, filing_of(PROPOSAL), data) == "claim-broken"


def test_what_is_written_in_another_way() -> None:
    filing = filing_of(PROPOSAL)
    data = shown(PROPOSAL, filing).to_bytes()
    longer = canonical({**unpack_map(data), "z": 1})
    assert reason(PROPOSAL, filing, longer) == "claim-broken"


def test_a_claim_of_another_version_or_of_a_gu_that_is_none() -> None:
    filing = filing_of(PROPOSAL)
    given = shown(PROPOSAL, filing)
    assert reason(PROPOSAL, filing, signed_again(given, filing, v=2)) == "claim-broken"
    assert reason(PROPOSAL, filing, signed_again(given, filing, gu="busan")) == "claim-broken"


def test_an_attestor_nobody_knows() -> None:
    filing = filing_of(PROPOSAL)
    other = key("another attestor")
    data = signed_again(shown(PROPOSAL, filing), filing, other, attestor=other.public)
    assert reason(PROPOSAL, filing, data) == "claim-attestor"


def test_a_claim_for_another_service() -> None:
    filing = filing_of(PROPOSAL)
    other = filing_of(MEDICAL, facility="jongno-clinic", slot="2026-05-02T10:00")
    assert reason(PROPOSAL, filing, shown(MEDICAL, other).to_bytes()) == "claim-purpose"


def test_a_claim_ends_in_its_minute_and_holds_for_so_long_at_most() -> None:
    filing = filing_of(PROPOSAL)
    for until, found in (
        (MINUTE, "claim-expired"),
        (MINUTE + 1, None),
        (MINUTE + CLAIM_MINUTES_MAX, None),
        (MINUTE + CLAIM_MINUTES_MAX + 1, "claim-long"),
    ):
        data = shown(PROPOSAL, filing, until=until).to_bytes()
        assert (found is None) == isinstance(attested(PROPOSAL, filing, data, BELIEVED, MINUTE), Attested)
        assert found is None or reason(PROPOSAL, filing, data) == found


def test_the_claims_of_a_lost_device() -> None:
    filing = filing_of(PROPOSAL)
    lost = replace(BELIEVED, withdrawn=frozenset({DEVICE.public}))
    assert reason(PROPOSAL, filing, shown(PROPOSAL, filing).to_bytes(), lost) == "claim-withdrawn"


def test_what_the_attestor_did_not_sign() -> None:
    filing = filing_of(PROPOSAL)
    given = shown(PROPOSAL, filing)
    forged = replace(given, claim=replace(given.claim, person=bytes(32)))
    assert reason(PROPOSAL, filing, forged.to_bytes()) == "claim-signature"


def test_a_claim_of_somebody_else_or_shown_for_another_filing() -> None:
    filing = filing_of(PROPOSAL)
    given = shown(PROPOSAL, filing)
    stolen = replace(
        given, proof=show(replace(given.claim, key=key("thief").public), key("thief"), filing).proof
    )
    assert reason(PROPOSAL, filing, stolen.to_bytes()) == "claim-proof"
    assert reason(PROPOSAL, replace(filing, minute=MINUTE + 1), given.to_bytes()) == "claim-proof"
    with pytest.raises(LocalError, match="another key"):
        show(given.claim, key("thief"), filing)


@given(at=st.integers(min_value=0), bit=st.integers(0, 7))
def test_no_bit_of_what_is_shown_can_be_changed(at: int, bit: int) -> None:
    filing = filing_of(PROPOSAL)
    data = bytearray(shown(PROPOSAL, filing, "jongno").to_bytes())
    data[at % len(data)] ^= 1 << bit
    assert isinstance(attested(PROPOSAL, filing, bytes(data), BELIEVED, MINUTE), Refusal)


# ---- purposes and pseudonyms


@pytest.mark.parametrize(
    ("service", "values", "purpose"),
    [
        ("mayor-proposal", {}, "mayor-proposal"),
        ("reserve-sports", {"facility": "seongbuk-futsal", "slot": "2026-05-02T08:00"}, "booking"),
        ("reserve-medical", {"facility": "jongno-clinic", "slot": "2026-05-02T08:00"}, "booking"),
        (
            "reserve-draw",
            {"facility": "mapo-nanjicheon-pitch", "slot": "2026-05-02T08:00"},
            "draw/mapo-nanjicheon-pitch/2026-05-02T08:00",
        ),
    ],
)
def test_places_that_who_comes_first_gets_have_one_purpose_and_each_draw_its_own(
    service: str, values: dict[str, str], purpose: str
) -> None:
    assert purpose_of(SERVICES[service], values) == purpose
    claim = sign_claim(ATTESTOR, purpose, PERSON, DEVICE.public, "", MINUTE)
    assert parse_claim(claim.to_bytes()) == claim


def test_every_service_has_a_purpose_that_can_be_signed() -> None:
    for service in SERVICES.values():
        purpose = purpose_of(service, {"facility": "a" * 40, "slot": "2026-05-02T08:00"})
        claim = sign_claim(ATTESTOR, purpose, PERSON, DEVICE.public, "yeongdeungpo", 2**32 - 1)
        filing = filing_of(service)
        assert len(show(claim, DEVICE, filing).to_bytes()) <= CLAIM_BYTES_MAX


@given(
    st.lists(st.tuples(st.binary(min_size=32, max_size=32), st.sampled_from(sorted(SERVICES))), unique=True)
)
def test_a_subject_has_one_pseudonym_for_each_purpose(asked: list[tuple[bytes, str]]) -> None:
    secret = key("secret").seed
    found = [person_of(secret, purpose, subject) for subject, purpose in asked]
    assert found == [person_of(secret, purpose, subject) for subject, purpose in asked]
    assert len(set(found)) == len(asked)


def test_a_device_has_another_key_for_each_purpose_and_always_the_same() -> None:
    seeds = [claim_key_seed(DEVICE.seed, purpose) for purpose in SERVICES]
    assert len(set(seeds)) == len(SERVICES)
    assert seeds == [claim_key_seed(DEVICE.seed, purpose) for purpose in SERVICES]
    assert DEVICE.seed not in seeds


@pytest.mark.parametrize("purpose", ["", "Booking", "draw/", "draw/x/2026", "a" * 41, "booking\n"])
def test_what_is_no_purpose_is_not_signed(purpose: str) -> None:
    with pytest.raises(LocalError, match="no purpose"):
        sign_claim(ATTESTOR, purpose, PERSON, DEVICE.public, "", MINUTE)


def test_what_is_no_gu_or_no_secret_is_not_signed() -> None:
    with pytest.raises(LocalError, match="no gu"):
        sign_claim(ATTESTOR, "booking", PERSON, DEVICE.public, "busan", MINUTE)
    for secret, subject in ((b"", bytes(32)), (bytes(32), b"")):
        with pytest.raises(LocalError, match="32 bytes"):
            person_of(secret, "booking", subject)
    with pytest.raises(LocalError, match="32 bytes"):
        claim_key_seed(b"short", "booking")


# ---- what is withdrawn


def test_an_attestor_s_list_reads_back_and_nobody_else_can_have_written_it() -> None:
    keys = frozenset(key(f"device {i}").public for i in range(300))
    written = sign_withdrawn(ATTESTOR, MINUTE, keys)
    assert parse_withdrawn(written.to_bytes()).keys == keys
    forged = replace(written, minute=MINUTE + 1)
    with pytest.raises(RemoteError, match="not signed"):
        parse_withdrawn(forged.to_bytes())
    torn = replace(written, joined=written.joined[:-1])
    torn = replace(torn, sig=ATTESTOR.sign(torn.statement()))
    with pytest.raises(RemoteError, match="not signed"):
        parse_withdrawn(torn.to_bytes())


def test_more_than_a_list_holds_is_not_signed() -> None:
    keys = frozenset(i.to_bytes(32, "big") for i in range(WITHDRAWN_KEYS_MAX + 1))
    with pytest.raises(LocalError, match="joined"):
        sign_withdrawn(ATTESTOR, MINUTE, keys)


def test_a_paper_reads_back() -> None:
    given = shown(PROPOSAL, filing_of(PROPOSAL), "jongno")
    assert parse_shown(given.to_bytes()) == given
