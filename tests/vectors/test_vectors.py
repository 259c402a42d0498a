"""The vectors are what the code produces today, and what they say is what it reads."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from typing import Any

import pytest

from p2pworld.civic.erasure import Asked, asked_of, check_erasure
from p2pworld.civic.transaction import (
    Sealed,
    Wrap,
    open_sealed,
    parse_leaf,
    parse_submission,
    verify_filing,
    wraps_hash,
)
from p2pworld.crypto.keys import verify, verify_challenge, verify_hello
from p2pworld.grants import grants_from_text
from p2pworld.merkle.note import VerifierKey
from p2pworld.merkle.receipt import parse_receipt, verify_receipt
from p2pworld.messages import Border, Challenge, Hello, SignedHello
from p2pworld.services.case_log import CaseAct, case_act_of
from p2pworld.wire.codec import decode_batch, decode_play
from p2pworld.wire.frames import BORDER_DTYPE, decode_density, decode_pose, decode_poses, decode_rows
from p2pworld.world.roles import Role, read_role
from tests.vectors.generate import FILES, HERE, plain, text


def cases(family: str) -> list[dict[str, Any]]:
    loaded: list[dict[str, Any]] = json.loads((HERE / f"{family}.json").read_text(encoding="utf-8"))
    return loaded


@pytest.mark.parametrize("family", FILES)
def test_the_file_is_what_the_code_produces_now(family: str) -> None:
    # changed on purpose? that is a new version of the protocol, or `python -m tests.vectors.generate`
    assert (HERE / f"{family}.json").read_text(encoding="utf-8") == text(family)


def test_no_file_is_without_its_generator() -> None:
    assert {path.stem for path in HERE.glob("*.json")} == set(FILES)


def test_poses_read_back() -> None:
    for case in cases("poses"):
        data = bytes.fromhex(case["hex"])
        if "pose" in case:
            row = decode_pose(data)[0]
            assert {name: int(row[name]) for name in case["pose"]} == case["pose"]
        else:
            frame, want = decode_poses(data), case["poses"]
            assert (frame.tier, frame.t_ms) == (want["tier"], want["t_ms"])
            for name in ("ids", "up", "yaw", "state"):
                assert getattr(frame, name).tolist() == want[name]
            for name in ("east_cm", "north_cm"):
                assert all(
                    abs(got - sent) <= frame.step_cm // 2
                    for got, sent in zip(getattr(frame, name).tolist(), want[name], strict=True)
                )


def test_density_reads_back() -> None:
    for case in cases("density"):
        frame, want = decode_density(bytes.fromhex(case["hex"])), case["density"]
        assert (frame.level, frame.t_ms, frame.morton.tolist()) == (
            want["level"],
            want["t_ms"],
            want["morton"],
        )
        assert frame.avatars.tolist() == [min(count, 65_535) for count in want["avatars"]]


def test_handshakes_read_back_and_verify() -> None:
    keys, challenge, *hellos = cases("handshake")
    message = decode_play(bytes.fromhex(challenge["hex"]))
    assert isinstance(message, Challenge)
    assert plain(asdict(message)) == challenge["message"]
    assert verify_challenge(message.node, message.nonce, message.url, message.sig)
    assert verify(message.node, bytes.fromhex(challenge["signed"]), message.sig)
    assert message.node.hex() == keys["node"]
    for case in hellos:
        hello = decode_play(bytes.fromhex(case["hex"]))
        assert isinstance(hello, Hello)
        assert plain(asdict(hello)) == case["message"]
        assert verify_hello(SignedHello(message.node, message.nonce, hello))
        assert verify(bytes.fromhex(keys["key"]), bytes.fromhex(case["signed"]), hello.sig)
        assert case["signed"].endswith(hashlib.sha256(bytes.fromhex(case["canonical"])).hexdigest())


def test_grants_read_back_and_give_their_role() -> None:
    keys, challenge, *_ = cases("handshake")
    for case in cases("grants"):
        hello = decode_play(bytes.fromhex(case["hex"]))
        assert isinstance(hello, Hello)
        assert plain(asdict(hello)) == case["message"]
        assert hello.grants == grants_from_text("\n".join(case["file"]))
        node, nonce = bytes.fromhex(keys["node"]), bytes.fromhex(challenge["message"]["nonce"])
        assert verify_hello(SignedHello(node, nonce, hello))
        assert verify(hello.key, bytes.fromhex(case["signed"]), hello.sig)
        role = read_role(hello.grants, frozenset({bytes.fromhex(case["root"])}), hello.key, hello.login_ms)
        assert role == Role("official", ("places:meeting-room",), 1_800_000_000_000)


def test_play_messages_read_back() -> None:
    for case in cases("play"):
        message = decode_play(bytes.fromhex(case["hex"]))
        assert (message.KIND, plain(asdict(message))) == (case["kind"], case["message"])


def test_batches_read_back() -> None:
    border, *others = cases("link")
    (message,) = decode_batch(bytes.fromhex(border["hex"])).messages
    assert isinstance(message, Border)
    rows = [
        dict(zip(BORDER_DTYPE.names or (), row, strict=True)) for row in decode_rows(message.rows).tolist()
    ]
    assert rows == border["border"]["rows"]
    for case in others:
        batch = decode_batch(bytes.fromhex(case["hex"]))
        assert batch.map_version == case["map_version"]
        assert [{"kind": m.KIND, "fields": plain(asdict(m))} for m in batch.messages] == case["messages"]


def test_filed_transactions_read_back_and_are_proved() -> None:
    for case in cases("civic"):
        entry = bytes.fromhex(case["hex"])
        leaf = parse_leaf(entry)
        assert plain(asdict(leaf)) == case["leaf"]
        assert verify(leaf.filing.key, bytes.fromhex(case["statement"]), leaf.sig)
        assert hashlib.sha256(b"\0" + entry).hexdigest() == case["hash"]
        log_key, witness_key = VerifierKey.parse(case["log_key"]), VerifierKey.parse(case["witness_key"])
        receipt = parse_receipt(case["receipt"].encode())
        verify_receipt(receipt, bytes.fromhex(case["hash"]), log_key.name, [log_key], [witness_key], 1)
        if "sealed" in case:
            held = {name: value for name, value in case["sealed"].items() if name != "private"}
            parts = {name: bytes.fromhex(value) for name, value in held.items()}
            wraps = (Wrap(parts["office"], parts["wrapped_key"]),)
            assert parts["filed"] == wraps_hash(wraps)
            sealed = Sealed(parts["nonce"], parts["blob"], wraps, parts["filed"])
            read = open_sealed(leaf.filing, sealed, parts["office_secret"])
            assert {field.name: field.value for field in read.fields} == case["sealed"]["private"]
        if "erasure" in case:
            by, statement, asked = (bytes.fromhex(value) for value in case["erasure"].values())
            assert verify(by, statement, asked)
            assert asked_of(leaf.filing) == Asked(0, by, asked)
            assert check_erasure(leaf.filing) is None


def test_acts_and_letters_read_back_and_their_readers_open_them() -> None:
    key, *acts = cases("case")
    for case in acts:
        submission = parse_submission(bytes.fromhex(case["submission"]))
        act = case_act_of(submission.filing)
        assert isinstance(act, CaseAct)
        assert {name: getattr(act, name) for name in case["act"]} == case["act"]
        assert act.statement().hex() == case["statement"]
        assert verify_filing(submission.filing, submission.sig)
        if submission.sealed is None:
            assert "private" not in case
            continue
        reply = [key["reply_secret"]] if key["reply"] in case["readers"] else []
        for secret in [case["office_secret"], *reply]:
            read = open_sealed(submission.filing, submission.sealed, bytes.fromhex(secret))
            assert {field.name: field.value for field in read.fields} == case["private"]
