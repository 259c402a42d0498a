"""Writes the vectors: messages as JSON beside their bytes in hex, for whoever writes a client in another language.

    python -m tests.vectors.generate

Each file is a list of cases with a `name`, the values that went in (bytes as hex), and the bytes that must come out.
All keys come from seeds that are in the vectors too.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from client.table import CLIENT
from p2pworld.civic.erasure import Erasure, asked_of, file_erasure
from p2pworld.civic.transaction import SUGGESTION, Secrets, file_transaction
from p2pworld.crypto.keys import (
    NodeKeys,
    PersonKeys,
    Signer,
    birth_of,
    sign_challenge,
    sign_hello,
    sign_say,
)
from p2pworld.crypto.seal import sealing_public, unlock
from p2pworld.grants import grant_to_text, sign_grant
from p2pworld.ids import Login, avatar_id
from p2pworld.merkle.checkpoint import Checkpoint
from p2pworld.merkle.note import COSIGNATURE, Note, NoteSigner
from p2pworld.merkle.proof import inclusion_spans, prove
from p2pworld.merkle.receipt import Receipt
from p2pworld.merkle.tree import leaf_hash, leaf_hashes, perfect_root, root_of
from p2pworld.messages import (
    Act,
    ActDone,
    ActFor,
    Batch,
    Beat,
    Block,
    Border,
    Bye,
    Came,
    Challenge,
    CivicFile,
    CivicFiled,
    Commit,
    CommitAck,
    Correct,
    DirectoryPut,
    Done,
    File,
    Filed,
    Found,
    Friend,
    Go,
    Group,
    Moved,
    Objects,
    PlayMessage,
    Pose,
    Prepare,
    Profile,
    Said,
    SeatReady,
    Seek,
    SignedHello,
    Told,
    Welcome,
    Who,
    WorldObject,
)
from p2pworld.wire.codec import (
    canonical,
    encode_batch,
    encode_play,
    hello_digest_input,
    hello_map,
    say_digest_input,
)
from p2pworld.wire.frames import BORDER_DTYPE, encode_density, encode_pose, encode_poses, encode_rows
from p2pworld.world.walls import Walls
from tests.vectors.attesting import attesting
from tests.vectors.cases import acts, support
from tests.vectors.draws import draws
from tests.vectors.files import files
from tests.vectors.forms import forms, points
from tests.vectors.identity import identity
from tests.vectors.people import people
from tests.vectors.receipts import receipts
from tests.vectors.wallet import wallet

HERE = Path(__file__).parent
NODE_SEED, PERSON_SEED = bytes(range(32)), bytes(range(32, 64))
NONCE, TICKET = bytes(range(64, 96)), bytes(range(96, 112))
URL = "wss://node.example/play"


def plain(value: Any) -> Any:
    """A message or part of one as JSON: bytes as hex, tuples as lists."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def poses() -> list[dict[str, Any]]:
    one = {
        "seq": 65_535,
        "east_cm": 3_379_021,
        "north_cm": 3_230_755,
        "up": -3,
        "yaw": 64,
        "state": 1,
        "ack": 200,
    }
    cases: list[dict[str, Any]] = [{"name": "a client's POSE", "pose": one, "hex": encode_pose(**one).hex()}]
    near: dict[str, Any] = {
        "tier": 0,
        "t_ms": 4_294_967_295,
        "ids": [1, 9_007_199_254_740_991],
        "east_cm": [3_379_021, 3_379_622],
        "north_cm": [3_230_755, 3_230_754],
        "up": [0, -32_768],
        "yaw": [0, 255],
        "state": [0, 7],
    }
    far = near | {"tier": 2, "east_cm": [3_300_000, 3_400_001], "north_cm": [3_200_000, 3_200_001]}
    empty = near | {key: [] for key in ("ids", "east_cm", "north_cm", "up", "yaw", "state")}
    for name, frame in (("near: steps of 1 cm", near), ("far: steps of 2 cm", far), ("a heartbeat", empty)):
        cases.append({"name": f"POSES, {name}", "poses": frame, "hex": encode_poses(**frame).hex()})
    return cases


def density() -> list[dict[str, Any]]:
    frame: dict[str, Any] = {"level": 11, "t_ms": 7, "morton": [0, 5, 4_194_303], "avatars": [1, 300, 70_000]}
    return [
        {"name": "DENSITY, saturating and padded", "density": frame, "hex": encode_density(**frame).hex()}
    ]


def handshake() -> list[dict[str, Any]]:
    node, person = NodeKeys.from_seed(NODE_SEED), PersonKeys.from_seed(PERSON_SEED)
    profile = Profile("김서울", kind="program")
    fresh = sign_hello(
        person, node.public, NONCE, 1_700_000_000_123, URL, profile, want=Pose(3_379_021, 3_230_755)
    )
    again = sign_hello(
        person, node.public, NONCE, 1_700_000_050_000, URL, profile, after=Login(1_700_000_000_123, bytes(16))
    )
    carried = sign_hello(
        person,
        node.public,
        NONCE,
        1_700_000_000_123,
        URL,
        profile,
        birth=birth_of(node.public, NONCE),
        ticket=TICKET,
    )
    challenge = Challenge(1, node.public, NONCE, URL, sign_challenge(node, NONCE, URL))
    cases: list[dict[str, Any]] = [
        {
            "name": "keys",
            "node_seed": NODE_SEED.hex(),
            "node": node.public.hex(),
            "person_seed": PERSON_SEED.hex(),
            "key": person.public.hex(),
            "avatar": avatar_id(person.public),
            "birth": birth_of(node.public, NONCE).hex(),
        },
        {
            "name": "CHALLENGE",
            "message": plain(asdict(challenge)),
            "signed": (b"p2pworld challenge v1\n" + NONCE + URL.encode()).hex(),
            "hex": encode_play(challenge).hex(),
        },
    ]
    for name, hello in (("a fresh login", fresh), ("after a loss", again), ("with a ticket", carried)):
        canon = canonical(hello_map(hello))
        cases.append(
            {
                "name": f"HELLO, {name}",
                "message": plain(asdict(hello)),
                "canonical": canon.hex(),
                "sha256": hashlib.sha256(canon).hexdigest(),
                "signed": hello_digest_input(node.public, NONCE, hello).hex(),
                "hex": encode_play(hello).hex(),
            }
        )
    return cases


def grants() -> list[dict[str, Any]]:
    """A chain from a root key to the person, as a file has it and as it travels in a HELLO, beside what is signed."""
    node, person = NodeKeys.from_seed(NODE_SEED), PersonKeys.from_seed(PERSON_SEED)
    root, office = (PersonKeys.from_seed(bytes([n]) * 32) for n in (1, 2))
    span = 1_700_000_000_000, 1_800_000_000_000
    chain = (
        sign_grant(root, office.public, "issuer", ("cells:*", "places:*"), *span),
        sign_grant(office, person.public, "official", ("places:meeting-room",), *span),
    )
    hello = sign_hello(person, node.public, NONCE, 1_700_000_000_123, URL, Profile("김서울"), grants=chain)
    return [
        {
            "name": "an official of one room",
            "root": root.public.hex(),
            "file": [grant_to_text(grant) for grant in chain],
            "message": plain(asdict(hello)),
            "signed": hello_digest_input(node.public, NONCE, hello).hex(),
            "hex": encode_play(hello).hex(),
        }
    ]


def speech() -> list[dict[str, Any]]:
    person = PersonKeys.from_seed(PERSON_SEED)
    near = sign_say(person, 1, "near", "안녕하세요", 1_700_000_000_500)
    group = sign_say(person, 2, "group", "모여요", 1_700_000_000_600, to=TICKET)
    direct = sign_say(person, 3, "direct", "나만 봐요", 1_700_000_000_700, avatar=77)
    return [
        {
            "name": f"SAY, {say.channel}",
            "person_seed": PERSON_SEED.hex(),
            "message": plain(asdict(say)),
            "signed": say_digest_input(say).hex(),
            "hex": encode_play(say).hex(),
        }
        for say in (near, group, direct)
    ]


def play() -> list[dict[str, Any]]:
    lantern = WorldObject(
        bytes(range(16)), "lantern", 3_379_021, 3_230_755, "새해 복", 77, 0, 1_700_000_000_000
    )
    messages: tuple[PlayMessage, ...] = (
        Welcome(7, 1_700_000_000_123, TICKET, Pose(1, 2, 3, 4, 5), 9, 100, 123, 1_700_000_000_000, 5, (URL,)),
        Moved(bytes(range(32)), URL, TICKET),
        Act(3, "hang", "새해 복", name=TICKET, east_cm=3_379_021, north_cm=3_230_755),
        Objects(5, (lantern,), (bytes(16),), whole=True),
        Who((7, 9_007_199_254_740_991)),
        Correct(65_536, Pose(1, 2), "reach"),
        Said(
            7,
            bytes(range(32)),
            "김서울",
            "near",
            "안녕하세요",
            1_700_000_000_500,
            bytes(64),
            3_379_021,
            3_230_755,
        ),
        Beat(1_700_000_000_650, 2, 7, 3_379_021, 3_230_755),
        Block(77, on=False),
        Friend(77),
        Go("friend", 77),
        Group(TICKET),
        File(3, bytes(range(48))),  # any bytes: civic.json has those of a submission
        Filed(3, b"c2sp.org/tlog-proof@v1\n", more=True),
        Filed(4, reason="civic-moved", sentence="another node holds this log now"),
        Bye("elsewhere", "You are logged in on a newer device.", 1_700_000_000_123, TICKET),
    )
    return [
        {
            "name": type(m).__name__.upper(),
            "kind": m.KIND,
            "message": plain(asdict(m)),
            "hex": encode_play(m).hex(),
        }
        for m in messages
    ]


def link() -> list[dict[str, Any]]:
    node, person = NodeKeys.from_seed(NODE_SEED), PersonKeys.from_seed(PERSON_SEED)
    avatar = avatar_id(person.public)
    hello = sign_hello(person, node.public, NONCE, 1_700_000_000_123, URL, Profile("김서울"))
    proof = SignedHello(node.public, NONCE, hello)
    birth = birth_of(node.public, NONCE)
    rows = np.zeros(2, BORDER_DTYPE)
    rows[0] = (
        avatar,
        1_700_000_000_123,
        *np.frombuffer(birth, ">u8").tolist(),
        1,
        65_537,
        3_379_021,
        3_230_755,
        -3,
        64,
        1,
    )
    rows[1] = (7, 5, 0, 1, 0, 0, 6_553_599, 0, 0, 255, 0)
    border = Border(4_294_967_296, encode_rows(rows), encode_density(11, 0, [5], [300]))
    pose = Pose(3_379_021, 3_230_755, -3, 64, 1)
    attempt = Batch(
        12,
        (
            Prepare(avatar, 1, proof, 0, 65_537, pose, 1 << 22 | 5),
            SeatReady(avatar, 1, TICKET),
            Commit(avatar, 1, TICKET, 3, 1_700_000_000_123, birth, 1, 65_540, pose, told=(TICKET,)),
            CommitAck(avatar, 1, TICKET),
            DirectoryPut(avatar, proof),
        ),
    )
    ring = Act(3, "ring", name=TICKET, east_cm=pose.east_cm, north_cm=pose.north_cm)
    passed_on = Batch(
        12,
        (
            ActFor(avatar, 1_700_000_000_123, birth, ring, pose, granted=True),
            Told(TICKET, "bosingak", "programme", "새해 · New Year"),
            ActDone(avatar, 1_700_000_000_123, 3, Done(3, "standby", bytes(range(16))), TICKET),
        ),
    )
    meeting = Batch(
        12,
        (
            Seek(77, avatar, TICKET, node.public, 3, passed=True),
            Found(avatar, TICKET, pose),
            Found(avatar, TICKET),
            Came(77, avatar, "김서울"),
        ),
    )
    filing = Batch(
        12,
        (
            CivicFile(5, bytes(range(48))),
            CivicFiled(5, b"c2sp.org/tlog-proof@v1\n", more=True),
            CivicFiled(6, reason="civic-moved", sentence="another node holds this log now"),
        ),
    )
    return [
        {
            "name": "a border batch",
            "map_version": 12,
            "border": {
                "t_ms": border.t_ms,
                "rows": [dict(zip(BORDER_DTYPE.names or (), row, strict=True)) for row in rows.tolist()],
                "density": border.density.hex(),
            },
            "hex": encode_batch(Batch(12, (border,))).hex(),
        },
        {
            "name": "a handoff, all its messages in one batch",
            "map_version": 12,
            "messages": [{"kind": m.KIND, "fields": plain(asdict(m))} for m in attempt.messages],
            "hex": encode_batch(attempt).hex(),
        },
        {
            "name": "an act passed on, its answer, and what people in a place are told",
            "map_version": 12,
            "messages": [{"kind": m.KIND, "fields": plain(asdict(m))} for m in passed_on.messages],
            "hex": encode_batch(passed_on).hex(),
        },
        {
            "name": "a friend sought, found and met",
            "map_version": 12,
            "messages": [{"kind": m.KIND, "fields": plain(asdict(m))} for m in meeting.messages],
            "hex": encode_batch(meeting).hex(),
        },
        {
            "name": "a submission passed on, and what became of it",
            "map_version": 12,
            "messages": [{"kind": m.KIND, "fields": plain(asdict(m))} for m in filing.messages],
            "hex": encode_batch(filing).hex(),
        },
        {"name": "nothing to say", "map_version": 0, "messages": [], "hex": encode_batch(Batch(0, ())).hex()},
    ]


def client() -> list[dict[str, Any]]:
    return [
        {"name": f"{at.name} on {on.name}", "at": at.name, "on": on.name, "to": rule.to.name}
        | {"acts": [act.name for act in rule.acts]}
        for (at, on), rule in CLIENT.items()
    ]


def walls() -> list[dict[str, Any]]:
    """Steps on a grid of 10 cm among a wall and a house, so that many touch ends and lie along lines."""
    whole = [(3_379_000, 3_230_000, 3_379_050, 3_230_000), (3_379_050, 3_230_000, 3_379_050, 3_230_040)]
    house = [(10, -60), (40, -60), (40, -30), (10, -30)]
    corners = [(3_379_000 + east, 3_230_000 + north) for east, north in house]
    solid = [(*a, *b) for a, b in zip(corners, corners[1:] + corners[:1], strict=True)]
    spots = np.stack(np.meshgrid(np.arange(-1, 7), np.arange(-7, 6)), -1).reshape(-1, 2) * 10
    pairs = np.random.Generator(np.random.PCG64(7)).choice(len(spots), (400, 2))
    steps = np.concatenate([spots[pairs[:, 0]], spots[pairs[:, 1]]], 1) + [3_379_000, 3_230_000] * 2
    blocked = Walls(whole, solid).blocked(*steps.T.astype(np.int32))
    return [
        {
            "name": "a wall and a house",
            "whole": [list(segment) for segment in whole],
            "solid": [list(segment) for segment in solid],
            "free": steps[~blocked].tolist(),
            "blocked": steps[blocked].tolist(),
        }
    ]


SECRETS = Secrets(bytes(range(112, 144)), bytes(range(144, 176)), bytes(range(176, 208)))
OFFICE_SECRET = bytes(range(208, 240))
STREAM, MINUTE, EPOCH = "jongno", 28_927_620, 3


def civic() -> list[dict[str, Any]]:
    """A filed suggestion, an erasure, and the receipts of both from a log of the two."""
    person, office = PersonKeys.from_seed(PERSON_SEED), sealing_public(OFFICE_SECRET)
    private = {"name": "홍길동", "text": "광화문 앞에 의자를 더 놓아 주세요."}
    filed = file_transaction(
        SUGGESTION, STREAM, MINUTE, {"topic": "parks"}, private, person, [office], SECRETS
    )
    assert filed.sealed is not None
    erasure = file_erasure(STREAM, 0, MINUTE + 1, Signer.from_seed(SECRETS.seed), bytes(range(5, 37)))
    submissions = [filed, erasure]
    leaves = [submission.leaf(EPOCH) for submission in submissions]
    log = NoteSigner("seoul.example/jongno", Signer.from_seed(bytes(range(6, 38))))
    witness = NoteSigner("witness.example", Signer.from_seed(bytes(range(7, 39))), COSIGNATURE)
    hashes = leaf_hashes(leaf.to_bytes() for leaf in leaves)
    text = Checkpoint(log.key.name, len(leaves), root_of(hashes)).text
    note = Note(text, (log.sign(text), witness.sign(text, MINUTE * 60)))
    found: list[dict[str, Any]] = []
    for index, (submission, leaf) in enumerate(zip(submissions, leaves, strict=True)):
        proof = prove(inclusion_spans(index, len(leaves)), lambda tree: perfect_root([hashes[tree.number]]))
        found.append(
            {
                "name": f"a {leaf.filing.type} is filed",
                "leaf": plain(asdict(leaf)),
                "statement": leaf.filing.statement().hex(),
                "submission": submission.to_bytes().hex(),
                "hex": leaf.to_bytes().hex(),
                "hash": leaf_hash(leaf.to_bytes()).hex(),
                "log_key": log.key.text,
                "witness_key": witness.key.text,
                "receipt": Receipt(index, proof, note).to_bytes().decode(),
            }
        )
    found[0]["sealed"] = {
        "private": private,
        "identity_seed": PERSON_SEED.hex(),
        "seed": SECRETS.seed.hex(),
        "blob_key": SECRETS.blob_key.hex(),
        "nonce": SECRETS.nonce.hex(),
        "plain": unlock(SECRETS.blob_key, filed.sealed.blob).hex(),
        "blob": filed.sealed.blob.hex(),
        "office_secret": OFFICE_SECRET.hex(),
        "office": office.hex(),
        "wrapped_key": filed.sealed.wraps[0].key.hex(),
        "filed": filed.sealed.filed.hex(),
    }
    asked = asked_of(erasure.filing)
    assert asked is not None
    statement = Erasure(STREAM, asked.index, erasure.filing.key).statement()
    found[1]["erasure"] = {"by": asked.by.hex(), "statement": statement.hex(), "asked": asked.sig.hex()}
    return found


FILES = {
    "civic": civic,
    "poses": poses,
    "density": density,
    "handshake": handshake,
    "grants": grants,
    "speech": speech,
    "play": play,
    "link": link,
    "client": client,
    "walls": walls,
    "draw": draws,
    "case": acts,
    "receipt": receipts,
    "file": files,
    "form": forms,
    "gu": points,
    "people": people,
    "attesting": attesting,
    "identity": identity,
    "wallet": wallet,
    "support": support,
}


def text(name: str) -> str:
    """The whole file of one family."""
    return json.dumps(FILES[name](), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    for family in FILES:
        (HERE / f"{family}.json").write_text(text(family), encoding="utf-8")
