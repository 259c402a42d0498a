"""A citizen who reports a hole in a road of Jongno, and acts on that report, for tests of the desk."""

from __future__ import annotations

import hashlib
import json
import os
import time
import urllib.request
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from p2pworld.civic.attached import ATTACHMENT_HEADER
from p2pworld.civic.transaction import Secrets, Submission, file_transaction
from p2pworld.crypto.keys import Signer
from p2pworld.crypto.seal import sealing_public
from p2pworld.merkle.receipt import parse_receipt
from p2pworld.services.letters import Intent, file_act, file_letter, reply_secret
from p2pworld.services.sealed_files import paper_of_files, sealed_file
from p2pworld.services.working_time import day_of
from shard_node.services.folder import read
from tests.patience import PATIENCE_S
from tests.shard_node.test_city_of_processes import wait_until

if TYPE_CHECKING:
    from p2pworld.services.workflow import Action
    from simulations.processes import NodeProcess

__all__ = ["AT_MOST_S", "PICTURE", "PLACE", "Report", "minute"]

AT_MOST_S: Final = PATIENCE_S
# one grey point
PICTURE: Final = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010800000000"
    "3a7e9b550000000a49444154789c636800000082008177cd72b60000000049454e44ae426082"
)
PLACE: Final = "37.5735,126.9788"
_SERVICE = read().services["road-damage-report"]


def minute() -> int:
    return time.time_ns() // 60_000_000_000


class Report:
    """One report at a node: its secrets, its entry; `office` is the sealing key of Jongno's office; with these files
    as its photos, whatever they are."""

    def __init__(self, node: NodeProcess, office: bytes, *photos: bytes) -> None:
        self.node, self._office = node, office
        self.secrets = Secrets(os.urandom(32), os.urandom(32), os.urandom(32))
        self.digests = [hashlib.sha256(photo).digest() for photo in photos]
        said: dict[str, object] = {"kind": "pothole", "place": PLACE, "danger": "high"}
        if photos:
            said["photos"] = [digest.hex() for digest in self.digests]
        values, faults = _SERVICE.check(said, day_of(minute()), {})
        assert not faults, faults
        public, private = _SERVICE.split(values)
        private |= {"reply-key": sealing_public(reply_secret(self.secrets.seed)).hex()}
        person = Signer.from_seed(os.urandom(32))
        self.submission = file_transaction(
            *(_SERVICE.transaction_type, "jongno", minute()), public, private, person, [office], self.secrets
        )
        if photos:
            self.submission = self._with(self.submission, self.secrets, photos)
        self.entry = self.file(self.submission)

    def _with(self, filed: Submission, secrets: Secrets, photos: tuple[bytes, ...]) -> Submission:
        """Brings these files for what is filed with these secrets; the filing that names them."""
        for photo in photos:
            name, sig, locked = sealed_file("jongno", secrets.blob_key, photo)
            url = f"{self.node.web_url}/civic/attachment/jongno/{name.hex()}"
            put = urllib.request.Request(url, locked, {ATTACHMENT_HEADER: sig.hex()}, method="PUT")
            with urllib.request.urlopen(put, timeout=PATIENCE_S):
                pass
        digests = [hashlib.sha256(photo).digest() for photo in photos]
        return replace(filed, papers=(paper_of_files(secrets.blob_key, digests, filed.filing.key),))

    @property
    def number(self) -> tuple[str, int]:
        """Stream and entry."""
        return "jongno", self.entry

    def file(self, submission: Submission) -> int:
        """Has it filed; the entry."""
        url = f"{self.node.web_url}/civic/file"
        with urllib.request.urlopen(url, submission.to_bytes(), timeout=PATIENCE_S) as answer:
            return parse_receipt(answer.read()).index

    @property
    def case(self) -> dict[str, Any]:
        """What everybody sees of it now."""
        url = f"{self.node.web_url}/api/v1/cases/jongno/{self.entry}"
        with urllib.request.urlopen(url, timeout=PATIENCE_S) as answer:
            found: dict[str, Any] = json.load(answer)
            return found

    def until(self, state: str) -> dict[str, Any]:
        """The same, once it stands in this state."""
        path, node = f"/api/v1/cases/jongno/{self.entry}", self.node
        wait_until(lambda: (node.ask_json(path) or {}).get("state") == state, AT_MOST_S, node.log_tail)
        return self.case

    def act(self, action: Action, amount: int = 0, text: str = "", photos: tuple[bytes, ...] = ()) -> int:
        """What the citizen does, with these files beside the letter; the entry."""
        intent = Intent("jongno", self.entry, self.case["seen"], action, amount)
        signer = Signer.from_seed(self.secrets.seed)
        if not text:
            return self.file(file_act(intent, minute(), signer, os.urandom(32)))
        secrets = Secrets(os.urandom(32), os.urandom(32), os.urandom(32))
        said = {"text": text, "language": "ko"}
        if photos:
            said["files"] = json.dumps([hashlib.sha256(photo).hexdigest() for photo in photos])
        letter = file_letter(intent, minute(), signer, signer, said, [self._office], secrets)
        if photos:
            letter = self._with(letter, secrets, photos)
        return self.file(letter)
