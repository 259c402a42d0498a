"""Makes receipt.json: receipts that hold, and receipts that are wrong in one way each, with the reason given."""

from __future__ import annotations

import base64
import random
from typing import Any, Final

from p2pworld.civic.receipts import check_filed, noted
from p2pworld.civic.transaction import Field, Filing, Submission
from p2pworld.crypto.keys import Signer
from p2pworld.errors import RemoteError
from p2pworld.merkle.checkpoint import Checkpoint
from p2pworld.merkle.note import COSIGNATURE, Note, NoteSigner
from p2pworld.merkle.proof import inclusion_spans, prove
from p2pworld.merkle.receipt import Receipt
from p2pworld.merkle.tree import leaf_hash, perfect_root, root_of

__all__ = ["receipts"]

ORIGIN: Final = "seoul.example/jongno"
EPOCH: Final = 3
SIZE: Final = 7
INDEX: Final = 4
TIME_S: Final = 1_764_000_000
LOG: Final = NoteSigner(ORIGIN, Signer.from_seed(bytes([1]) * 32))
OTHER: Final = NoteSigner("other.example/log", Signer.from_seed(bytes([2]) * 32))
WITNESS: Final = NoteSigner("witness.example", Signer.from_seed(bytes([3]) * 32), COSIGNATURE)
CHANGES: Final[tuple[tuple[str, str], ...]] = (
    *(
        ("tlog-proof@v1", "tlog-proof@v2"),
        ("index 4", "index 04"),
        ("index 4", "index 3"),
        ("index 4", "index 9"),
    ),
    *(
        ("index 4", "index 9007199254740992"),
        ("index 4", "at 4"),
        ("index 4\n", ""),
        ("index 4\n", "index 4\nAAAA\n"),
    ),
    *(("\n\n", "\n"), ("extra ", "extra x"), ("extra ZXBvY2ggMw==", "extra "), ("extra ZXBvY2ggMw==\n", "")),
    *(("ZXBvY2ggMw==", "ZXBvY2ggNA=="), ("ZXBvY2ggMw==", "ZXBvY2ggMDM="), ("ZXBvY2ggMw==", "ZXBvY2ggMw")),
    *(
        (f"{ORIGIN}\n7\n", f"{ORIGIN}\n8\n"),
        (f"{ORIGIN}\n7\n", f"{ORIGIN}\n07\n"),
        (f"{ORIGIN}\n7\n", "seoul\n7\n"),
    ),
    *((f"{ORIGIN}\n7\n", f"{ORIGIN}\n"), (f"{ORIGIN}\n7\n", f"{ORIGIN}\n\n7\n"), ("\n7\n", "\n7\nmore\n")),
    *(("— seoul", "- seoul"), ("— seoul", "—  seoul"), ("— seoul", "— sejong"), ("— witness", "— nobody")),
    *(("— witness", "— wit\u3000ness"), ("— witness", "— wit+ness"), ("— witness", "— \ufeffwitness")),
    *(
        ("— witness", "— \x7fwitness"),
        ("— witness", "— wit\u0085ness"),
        ("— witness.example ", "— witness.example"),
    ),
    *(
        ("\n\u2014 witness", "\n\n— witness"),
        ("— witness", "\t— witness"),
        ("7\n", "7\r\n"),
        ("7\n", "\ufeff7\n"),
    ),
    *(("c2sp.org", "\ufeffc2sp.org"), ("ZXBvY2ggMw==", "77u/ZXBvY2ggMw==")),
)


def receipts() -> list[dict[str, Any]]:
    """The keys and the submission; then receipts, each with its reason, or with how many witnesses signed."""
    key = Signer.from_seed(bytes([9]) * 32)
    filing = Filing("suggestion", "jongno", key.public, TIME_S // 60, (Field("topic", "parks"),))
    submission = Submission(filing, key.sign(filing.statement()))
    entries = [f"entry {i}".encode() for i in range(SIZE)]
    entries[INDEX] = submission.leaf(EPOCH).to_bytes()
    hashes = [leaf_hash(entry) for entry in entries]
    root = root_of(hashes)
    text = Checkpoint(ORIGIN, SIZE, root).text
    proof = prove(
        inclusion_spans(INDEX, SIZE),
        lambda tree: perfect_root(hashes[tree.number << tree.level : tree.number + 1 << tree.level]),
    )
    signed = [LOG.sign(text), WITNESS.sign(text, TIME_S)]
    good = noted(Receipt(INDEX, proof, Note(text, tuple(signed))), EPOCH).to_bytes().decode()
    lone = noted(Receipt(INDEX, proof, Note(text, (signed[0], OTHER.sign(text)))), EPOCH).to_bytes().decode()
    alone = noted(Receipt(INDEX, proof, Note(text, (signed[1],))), EPOCH).to_bytes().decode()
    twice = good + signed[1].line
    crowd = good + "".join(f"— w{i} {base64.b64encode(bytes(8)).decode()}\n" for i in range(31))
    texts = [good, lone, alone, twice, crowd, good.rstrip("\n"), "", "\n\n", *_changed(good)]
    told = {
        "name": "the keys",
        "submission": submission.to_bytes().hex(),
        "log_key": LOG.key.text,
        "witness_key": WITNESS.key.text,
    }
    return [told, *(_case(text, submission) for text in texts)]


def _changed(good: str) -> list[str]:
    found = [good.replace(old, new, 1) for old, new in CHANGES]
    assert good not in found
    chance = random.Random(5)
    for _ in range(60):  # one letter becomes another
        at = chance.randrange(len(good))
        found.append(good[:at] + chr(33 + (ord(good[at]) + 7) % 90) + good[at + 1 :])
    return found


def _case(text: str, submission: Submission) -> dict[str, Any]:
    try:
        receipt = check_filed(text.encode(), submission, ORIGIN, [LOG.key], [WITNESS.key])
    except RemoteError as error:
        return {"receipt": text, "reason": error.reason}
    cosigned = any(
        one.name == WITNESS.key.name and one.key_id == WITNESS.key.key_id
        for one in receipt.checkpoint.signatures
    )
    return {"receipt": text, "reason": None, "witnesses": int(cosigned)}
