"""Filed transactions: one way to write them, nothing unsigned, nothing readable but by the office, refusals by name."""

from __future__ import annotations

import pickle
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pworld.civic.transaction import (
    LEAF_VERSION,
    SUGGESTION,
    Field,
    Filing,
    Leaf,
    Paper,
    Secrets,
    Submission,
    TransactionType,
    check_submission,
    file_transaction,
    is_of_now,
    open_sealed,
    parse_leaf,
    parse_submission,
    rewrap,
    verify_filing,
    wraps_hash,
)
from p2pworld.crypto.keys import Signer
from p2pworld.crypto.seal import LOCK_OVERHEAD_BYTES, sealing_public
from p2pworld.errors import LocalError, Refusal, RemoteError
from p2pworld.limits import (
    CIVIC_CLOCK_MINUTES,
    CIVIC_LEAF_BYTES_MAX,
    CIVIC_SEALED_BYTES_MAX,
    CIVIC_SUBMISSION_BYTES_MAX,
)
from p2pworld.wire.codec import canonical
from tests.merkle.signed import flipped

if TYPE_CHECKING:
    from collections.abc import Mapping

STREAM, MINUTE = "jongno", 28_927_620
TYPES = {SUGGESTION.name: SUGGESTION}
OFFICE_SECRET, OTHER_SECRET = bytes([40]) * 32, bytes([41]) * 32
OFFICE, OTHER = sealing_public(OFFICE_SECRET), sealing_public(OTHER_SECRET)
PERSON = Signer.from_seed(bytes([50]) * 32)
SECRETS = Secrets(bytes([51]) * 32, bytes([52]) * 32, bytes([53]) * 32)
PRIVATE = {"name": "홍길동", "text": "광화문 앞에 의자를 더 놓아 주세요."}


def filed(
    private: Mapping[str, str] = PRIVATE, secrets: Secrets = SECRETS, stream: str = STREAM
) -> Submission:
    return file_transaction(
        SUGGESTION, stream, MINUTE, {"topic": "parks"}, private, PERSON, [OFFICE], secrets
    )


FILED = filed()


def check(submission: Submission, stream: str = STREAM) -> str:
    """The reason of the refusal, or an empty string."""
    refusal = check_submission(submission, stream, TYPES)
    return refusal.reason if isinstance(refusal, Refusal) else ""


def signed(filing: Filing) -> Submission:
    """The filing as somebody would sign it who has the transaction's key, with what was sealed before."""
    return Submission(filing, Signer.from_seed(SECRETS.seed).sign(filing.statement()), FILED.sealed)


# ---- bytes


def test_leaf_and_submission_go_both_ways() -> None:
    leaf = FILED.leaf(7)
    assert parse_leaf(leaf.to_bytes()) == leaf
    assert (leaf.v, leaf.epoch, leaf.filing, leaf.sig) == (LEAF_VERSION, 7, FILED.filing, FILED.sig)
    assert parse_submission(FILED.to_bytes()) == FILED
    bare = Submission(FILED.filing, FILED.sig)
    assert parse_submission(bare.to_bytes()) == bare


def test_every_changed_byte_of_a_leaf_is_noticed() -> None:
    leaf = FILED.leaf(7)
    for spoiled in flipped(leaf.to_bytes()):
        try:
            read = parse_leaf(spoiled)
        except RemoteError:
            continue
        # the epoch is the holder's word, and proved by the log alone
        assert replace(read, epoch=7) == leaf or not verify_filing(read.filing, read.sig)


def test_every_changed_byte_of_a_submission_is_noticed() -> None:
    good = FILED.to_bytes()
    for spoiled in flipped(good):
        try:
            read = parse_submission(spoiled)
        except RemoteError:
            continue
        assert check(read) != ""


def unsorted(value: object) -> object:
    """The same maps with their keys the other way round."""
    if isinstance(value, dict):
        return {key: unsorted(item) for key, item in reversed(value.items())}
    return [unsorted(item) for item in value] if isinstance(value, list) else value


def test_there_is_one_way_to_write_a_leaf() -> None:
    entry = FILED.leaf(7).to_bytes()
    plain = msgpack.unpackb(entry)
    assert canonical(plain) == entry
    others = {
        "keys in another order": msgpack.packb(unsorted(plain)),
        "a longer number": entry.replace(b"\xa5epoch\x07", b"\xa5epoch\xcd\x00\x07"),
        "a field at its default": canonical(plain | {"filing": plain["filing"] | {"via": b""}}),
        "a field that nobody knows": canonical(plain | {"zeal": 1}),
        "one within": canonical(plain | {"filing": plain["filing"] | {"zeal": 1}}),
    }
    for what, other in others.items():
        assert other != entry, what
        with pytest.raises(RemoteError) as raised:
            parse_leaf(other)
        assert raised.value.reason == "leaf-canonical", what
    submission = msgpack.packb(unsorted(msgpack.unpackb(FILED.to_bytes())))
    with pytest.raises(RemoteError) as raised:
        parse_submission(submission)
    assert raised.value.reason == "submission-canonical"


@given(st.binary(max_size=200))
def test_whatever_comes_is_refused_by_name(junk: bytes) -> None:
    for parse in (parse_leaf, parse_submission):
        with pytest.raises(RemoteError):
            parse(junk)


def test_sizes_and_versions() -> None:
    plain = msgpack.unpackb(FILED.leaf(7).to_bytes())
    for data, reason in (
        (canonical(plain | {"v": 2}), "leaf-version"),
        (canonical(plain | {"v": True}), "field-type:v"),
        (bytes(CIVIC_LEAF_BYTES_MAX + 1), "leaf-size"),
    ):
        with pytest.raises(RemoteError) as raised:
            parse_leaf(data)
        assert raised.value.reason == reason
    with pytest.raises(RemoteError) as raised:
        parse_submission(bytes(CIVIC_SUBMISSION_BYTES_MAX + 1))
    assert raised.value.reason == "submission-size"
    room = CIVIC_LEAF_BYTES_MAX - len(FILED.leaf(7).to_bytes())
    for more, fits in ((0, True), (1, False)):
        # the lengths of a text of 256 characters and more are written in two bytes more
        public = (Field("topic", "x" * (room + len("parks") - 2 + more)),)
        leaf = Leaf(LEAF_VERSION, 7, replace(FILED.filing, public=public), FILED.sig)
        if fits:
            assert parse_leaf(leaf.to_bytes()) == leaf
            assert len(leaf.to_bytes()) == CIVIC_LEAF_BYTES_MAX
        else:
            with pytest.raises(LocalError):
                leaf.to_bytes()
    for wrong in (
        replace(FILED.filing, public=(Field("topic", "x" * 20_001),)),
        replace(FILED.filing, public=(Field("topic", "x"),) * 33),
        replace(FILED.filing, stream="x" * 81),
    ):
        with pytest.raises(LocalError):
            wrong.statement()
    assert FILED.sealed is not None
    for wraps in ((), FILED.sealed.wraps * 9):
        with pytest.raises(LocalError):
            replace(FILED, sealed=replace(FILED.sealed, wraps=wraps)).to_bytes()


def test_the_largest_of_everything_fits_into_a_submission() -> None:
    room = CIVIC_SEALED_BYTES_MAX - LOCK_OVERHEAD_BYTES - 300
    private = {f"text{n}": "x" * min(20_000, room - n * 20_000) for n in range(4)}
    submission = file_transaction(
        SUGGESTION, STREAM, MINUTE, {"topic": "x" * 40}, private, PERSON, [OFFICE] * 8, SECRETS
    )
    assert parse_submission(submission.to_bytes()) == submission
    assert check(submission) == ""
    with pytest.raises(LocalError):
        filed(private | {"more": "x" * 400})


# ---- refusals


def test_what_is_taken() -> None:
    assert check(FILED) == ""
    for minutes in (-CIVIC_CLOCK_MINUTES, CIVIC_CLOCK_MINUTES):
        assert is_of_now(FILED.filing, MINUTE + minutes)


def test_what_is_refused_and_why() -> None:
    filing = FILED.filing
    assert check(FILED, stream="mapo") == "civic-stream"
    assert check(signed(replace(filing, type="complaint"))) == "civic-type"
    for minutes in (-10, 10):
        assert not is_of_now(FILED.filing, MINUTE + minutes)
    topic = filing.public[0]
    for public in (
        (),
        (topic, topic),
        (Field("topics", "parks"),),
        (Field("topic", ""),),
        (Field("topic", "Parks"),),
        (Field("topic", "parks\n"),),
        (Field("topic", "x" * 41),),
        (topic, Field("more", "x")),
    ):
        assert check(signed(replace(filing, public=public))) == "civic-field"
    for via in (b"x", bytes(32)):  # anybody could say so: nothing in a leaf is signed by a gateway
        assert check(signed(replace(filing, via=via))) == "civic-field"
    assert FILED.sealed is not None
    (wrap,) = FILED.sealed.wraps
    spoiled = (replace(wrap, key=bytes(len(wrap.key))),)
    for sealed in (
        None,
        replace(FILED.sealed, nonce=bytes(32)),
        replace(FILED.sealed, blob=FILED.sealed.blob + b"x"),
        replace(FILED.sealed, wraps=spoiled),
        replace(FILED.sealed, wraps=spoiled, filed=wraps_hash(spoiled)),
        replace(FILED.sealed, wraps=(wrap, wrap)),
        replace(FILED.sealed, filed=bytes(32)),
    ):
        assert check(replace(FILED, sealed=sealed)) == "civic-sealed"
    assert check(signed(replace(filing, sealed=b""))) == "civic-sealed"
    assert check(replace(signed(replace(filing, sealed=b"")), sealed=None)) == "civic-sealed"
    other = filed(secrets=replace(SECRETS, seed=bytes(32)))
    for sig in (bytes(64), other.sig):
        assert check(replace(FILED, sig=sig)) == "civic-signature"
    assert check(replace(FILED, filing=replace(filing, key=other.filing.key))) == "civic-signature"


@pytest.mark.parametrize("name", [field.name for field in fields(Filing)])
def test_the_signature_covers_every_field(name: str) -> None:
    other = filed(secrets=Secrets(bytes(32), bytes(32), bytes(32)), stream="mapo").filing
    changed: dict[str, Any] = {
        "type": "x",
        "stream": "mapo",
        "key": other.key,
        "minute": 1,
        "public": (),
        "sealed": b"",
        "via": b"x",
    }
    assert not verify_filing(replace(FILED.filing, **{name: changed[name]}), FILED.sig)


def test_a_changed_copy_states_what_it_is() -> None:
    """Whatever a filing remembers of its bytes does not pass to another one."""
    before = FILED.filing.statement()
    copy = replace(FILED.filing, minute=FILED.filing.minute + 1)
    assert copy.statement() != before
    assert replace(copy, minute=FILED.filing.minute).statement() == before
    assert parse_submission(FILED.to_bytes()).filing.statement() == before
    assert pickle.loads(pickle.dumps(FILED.filing)) == FILED.filing


def test_a_retry_is_known_and_other_content_too() -> None:
    again, other = parse_submission(FILED.to_bytes()), filed({"text": "other"})
    assert again.fingerprint == FILED.fingerprint
    assert other.filing.key == FILED.filing.key
    assert other.fingerprint != FILED.fingerprint
    assert FILED.sealed is not None
    assert replace(FILED, sealed=rewrap(FILED.sealed, OFFICE_SECRET, OTHER)).fingerprint == FILED.fingerprint


def test_signed_texts_have_names_that_no_other_begins_with() -> None:
    assert FILED.filing.statement().startswith(b"p2pworld civic filing v1\n")
    identity_signed = Signer.from_seed(SECRETS.seed).sign(
        FILED.filing.statement().replace(b"filing v1", b"identity v1")
    )
    assert check(replace(FILED, sig=identity_signed)) == "civic-signature"


def test_the_same_secrets_file_the_same_bytes() -> None:
    """A device that has forgotten what it sent, but not its secrets, asks again and is told the same."""
    assert filed().to_bytes() == FILED.to_bytes()
    both = file_transaction(
        SUGGESTION, STREAM, MINUTE, {"topic": "parks"}, PRIVATE, PERSON, [OFFICE, OTHER], SECRETS
    )
    assert both.sealed is not None
    first, second = (wrap.key for wrap in both.sealed.wraps)
    assert first[:32] != second[:32]  # no office can make the ephemeral key of another
    for secret in (OFFICE_SECRET, OTHER_SECRET):
        assert open_sealed(both.filing, both.sealed, secret).identity == PERSON.public


def test_secrets_are_kept_as_text() -> None:
    assert Secrets.from_text(SECRETS.to_text()) == SECRETS
    for none in ("", SECRETS.to_text()[:-3], SECRETS.to_text() + "seed 00", SECRETS.seed.hex()):
        with pytest.raises(LocalError):
            Secrets.from_text(none)


# ---- what is sealed


def test_the_office_reads_who_and_what() -> None:
    assert FILED.sealed is not None
    private = open_sealed(FILED.filing, FILED.sealed, OFFICE_SECRET)
    assert private.identity == PERSON.public
    assert {field.name: field.value for field in private.fields} == PRIVATE


def test_nobody_else_reads_anything() -> None:
    sent = FILED.to_bytes()
    planted = [*PRIVATE.values(), "홍길", "의자"]
    for encoding in ("utf-8", "utf-16-le", "euc-kr"):
        assert not any(word.encode(encoding) in sent for word in planted)
    assert PERSON.public not in sent
    assert FILED.sealed is not None
    with pytest.raises(RemoteError) as raised:
        open_sealed(FILED.filing, FILED.sealed, OTHER_SECRET)
    assert raised.value.reason == "seal"
    forged = replace(FILED.sealed.wraps[0], office=OTHER)
    with pytest.raises(RemoteError) as raised:
        open_sealed(FILED.filing, replace(FILED.sealed, wraps=(forged,)), OTHER_SECRET)
    assert raised.value.reason == "seal"


def test_an_office_changes_its_key() -> None:
    assert FILED.sealed is not None
    moved = rewrap(FILED.sealed, OFFICE_SECRET, OTHER)
    assert open_sealed(FILED.filing, moved, OTHER_SECRET).identity == PERSON.public
    with pytest.raises(RemoteError):
        open_sealed(FILED.filing, moved, OFFICE_SECRET)
    with pytest.raises(RemoteError):
        rewrap(moved, OFFICE_SECRET, OTHER)
    assert len(moved.to_bytes()) == len(FILED.sealed.to_bytes())
    assert (
        check(replace(FILED, sealed=moved)) == "civic-sealed"
    )  # no citizen files it so, but some relay might


def test_a_blob_belongs_to_its_transaction() -> None:
    other = filed(secrets=Secrets(bytes([61]) * 32, bytes([62]) * 32, bytes([63]) * 32))
    assert FILED.sealed is not None
    with pytest.raises(RemoteError) as raised:
        open_sealed(other.filing, FILED.sealed, OFFICE_SECRET)
    assert raised.value.reason == "civic-sealed"
    # somebody who has read it files the same blob as his own: the person in it did not sign that
    stolen = replace(other.filing, sealed=FILED.sealed.commitment)
    with pytest.raises(RemoteError) as raised:
        open_sealed(stolen, FILED.sealed, OFFICE_SECRET)
    assert raised.value.reason == "civic-identity"


def test_what_the_type_does_not_have_is_not_filed() -> None:
    for public in ({}, {"topic": "Parks"}, {"topic": "parks", "more": "x"}, {"more": "x"}):
        with pytest.raises(LocalError):
            file_transaction(SUGGESTION, STREAM, MINUTE, public, PRIVATE, PERSON, [OFFICE], SECRETS)
    open_type = replace(SUGGESTION, sealed=False)
    with pytest.raises(LocalError):
        file_transaction(open_type, STREAM, MINUTE, {"topic": "parks"}, {}, PERSON, [OFFICE], SECRETS)
    assert repr(SECRETS) == "Secrets()"


# ---- papers, and gateways

GATEWAY = Signer.from_seed(bytes([60]) * 32)
BY_GATEWAY = replace(SUGGESTION, gateway=True)


def by_gateway(gateway: Signer | None = GATEWAY) -> Submission:
    public, office = {"topic": "parks"}, [OFFICE]
    return file_transaction(BY_GATEWAY, STREAM, MINUTE, public, PRIVATE, PERSON, office, SECRETS, gateway)


def test_papers_travel_beside_a_filing_and_change_neither_its_leaf_nor_what_it_is() -> None:
    papers = (Paper("claim", b"one"), Paper("files", bytes(64)))
    shown = replace(FILED, papers=papers)
    assert parse_submission(shown.to_bytes()) == shown
    assert b"papers" not in FILED.to_bytes()
    assert (shown.fingerprint, shown.leaf(3)) == (FILED.fingerprint, FILED.leaf(3))
    assert not check(shown)
    assert (shown.paper("files"), shown.paper("grants")) == (bytes(64), None)
    for bad in ((), papers * 3, (Paper("claim", b""),), (Paper("claim", bytes(5_000)),)):
        with pytest.raises(LocalError):
            replace(FILED, papers=bad).to_bytes()


def test_a_gateway_signs_last_over_all_that_is_filed() -> None:
    submission, types = by_gateway(), {BY_GATEWAY.name: BY_GATEWAY}
    filing, known = submission.filing, {GATEWAY.public}
    assert (filing.via, filing.public[-1].name) == (GATEWAY.public, "gateway")
    assert check_submission(submission, STREAM, types, known) is None
    assert parse_submission(submission.to_bytes()) == submission
    assert submission.sealed is not None
    assert open_sealed(filing, submission.sealed, OFFICE_SECRET).fields[0].value == "홍길동"
    assert by_gateway(None) == FILED

    def reason(filing: Filing, types: Mapping[str, TransactionType] = types) -> str:
        refused = check_submission(replace(signed(filing), sealed=submission.sealed), STREAM, types, known)
        return refused.reason if refused else ""

    assert reason(filing) == ""
    assert reason(filing, {SUGGESTION.name: SUGGESTION}) == "civic-field"  # a type that none may file
    assert reason(replace(filing, via=PERSON.public)) == "civic-field"
    for changed in (
        replace(filing, minute=MINUTE + 1),
        replace(filing, sealed=b""),
        replace(filing, public=(Field("topic", "roads"), filing.public[-1])),
        *(
            replace(filing, public=(filing.public[0], Field("gateway", text)))
            for text in ("", "0" * 128, "ß" * 128)
        ),
        replace(filing, public=(filing.public[0], Field("signed", filing.public[-1].value))),
    ):
        assert reason(changed) == "civic-signature"
    assert reason(replace(filing, via=b"")) == "civic-field"  # then it is a field that nobody knows
