"""A request of any declared service, made from what is said on a command line: its form checked, its files locked.

Nothing here sends anything. Values are checked as a node would, and all that is wrong is told at once; files are told
by their content, locked under the request's own secrets, and named beside it. A claim of the wallet is shown where
there is one for what is filed.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from client.wallet import Wallet
from p2pworld.civic.transaction import Paper, Secrets, Submission, file_transaction
from p2pworld.crypto.keys import Signer
from p2pworld.crypto.seal import sealing_public
from p2pworld.errors import LocalError, RemoteError
from p2pworld.services.attachments import check_attachments
from p2pworld.services.catalogue import Catalogue
from p2pworld.services.clerk import CLAIM
from p2pworld.services.declaration import Person, Service
from p2pworld.services.identity import DEVICE_PROOF
from p2pworld.services.letters import REPLY_KEY, reply_secret
from p2pworld.services.people import claim_key_seed, parse_claim, purpose_of, show
from p2pworld.services.sealed_files import SealedFile, paper_of_files, sealed_file
from p2pworld.services.working_time import day_of
from shard_node.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from p2pworld.services.form import FormField
    from p2pworld.services.people import Claim

__all__ = ["Made", "Writer", "Wrong"]

_FILE_MARK: Final = "@"
_YES, _NO = ("true", "yes", "1", "예"), ("false", "no", "0", "아니요")


class Wrong(Exception):
    """What is wrong with the form, a sentence for each field."""

    def __init__(self, sentences: Sequence[str]) -> None:
        super().__init__("\n".join(sentences))
        self.sentences = tuple(sentences)


@dataclass(frozen=True, slots=True)
class Made:
    """What is to be filed; `locked` are attachments, to be put first, `files` file names by hashes."""

    service: Service
    submission: Submission
    secrets: Secrets
    locked: tuple[SealedFile, ...]
    files: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Writer:
    """Who files, in which language they are told what is wrong, and which sealing keys the offices have."""

    catalogue: Catalogue
    identity: Signer
    wallet: Wallet | None
    offices: Callable[[str], tuple[bytes, ...]]
    language: str

    def write(self, service_id: str, said: Sequence[str], claim_path: Path | None, minute: int) -> Made:
        """The request of this service with these `field=value`.

        Raises:
            Wrong: the form is not filled in as it has to be.
            ConfigError: there is no such service, office, file or claim.
        """
        service = self.catalogue.services.get(service_id)
        if service is None:
            raise ConfigError(f"There is no service {service_id!r}: `p2pworld services list` has them all.")
        contents: dict[str, tuple[str, bytes]] = {}
        values, facilities = self._values(service, said, contents), self.catalogue.facilities
        kept, faults = service.check(values, day_of(minute), facilities)
        sentences = [fault.sentence(self.language) for fault in faults]
        sentences += self._file_faults(service, kept, contents)
        if sentences:
            raise Wrong(sentences)
        stream = service.stream(kept, self.catalogue.facilities)
        if stream is None:
            raise ConfigError("There is no such facility: `p2pworld services list` has them all.")
        secrets = Secrets(os.urandom(32), os.urandom(32), os.urandom(32))
        public, private = service.split(kept)
        private |= {REPLY_KEY: sealing_public(reply_secret(secrets.seed)).hex()}
        if self.wallet is not None and self.wallet.line:
            private |= {DEVICE_PROOF: self.wallet.line}
        declared, offices = service.transaction_type, self.offices(stream)
        try:
            made = file_transaction(
                declared, stream, minute, public, private, self.identity, offices, secrets
            )
        except LocalError as error:
            raise ConfigError(f"It cannot be filed so: {error}.") from None
        papers = []
        claim = self._claim(service, purpose_of(service, public), claim_path, minute)
        if claim is not None and self.wallet is not None:
            holder = Signer.from_seed(claim_key_seed(self.wallet.seed, claim.purpose))
            papers.append(Paper(CLAIM, show(claim, holder, made.filing).to_bytes()))
        locked = tuple(sealed_file(stream, secrets.blob_key, data) for _, data in contents.values())
        if locked:
            digests = map(bytes.fromhex, contents)
            papers.append(paper_of_files(secrets.blob_key, digests, made.filing.key))
        files = {digest: name for digest, (name, _) in contents.items()}
        return Made(service, replace(made, papers=tuple(papers) or None), secrets, locked, files)

    # ---- pieces

    def _values(
        self, service: Service, said: Sequence[str], contents: dict[str, tuple[str, bytes]]
    ) -> dict[str, object]:
        """Each field as the form has it; what a file holds is added to `contents`, by its hash."""
        values: dict[str, object] = {}
        for one in said:
            name, equals, text = one.partition("=")
            if not equals:
                raise ConfigError(f"--set {one!r}: write field=value.")
            field = service.form.field(name)
            value = _value(field, text, contents)
            several = field is not None and field.schema["type"] == "array"
            there = values.get(name)
            if several:
                values[name] = [*(there if isinstance(there, list) else []), value]
            elif there is not None:
                raise ConfigError(f"--set {name} is given twice, and that field takes one value.")
            else:
                values[name] = value
        return values

    def _file_faults(
        self, service: Service, kept: Mapping[str, object], contents: Mapping[str, tuple[str, bytes]]
    ) -> list[str]:
        found = []
        for field in service.form.fields:
            if field.format == "file" and service.attachments is not None:
                named = kept.get(field.name, [])
                hashes = map(str, named if isinstance(named, list) else [named])
                files = [contents[digest][1] for digest in hashes if digest in contents]
                fault = check_attachments(field, service.attachments, files)
                found += [fault.sentence(self.language)] if fault is not None else []
        return found

    def _claim(self, service: Service, purpose: str, path: Path | None, minute: int) -> Claim | None:
        """The claim to be shown: of the file, or whichever of the wallet's is for this."""
        if path is not None:
            try:
                return parse_claim(bytes.fromhex(path.read_text("ascii")))
            except (OSError, ValueError, RemoteError) as error:
                raise ConfigError(f"{path} is no claim: {error}.") from None
        claims = self.wallet.claims() if self.wallet is not None else []
        fitting = [claim for claim in claims if claim.purpose == purpose and minute < claim.until]
        if not fitting and service.eligible.person is not Person.ANYBODY:
            raise ConfigError(
                f"An attestor has to say first that you are one person: p2pworld people claim get {purpose}"
            )
        return fitting[-1] if fitting else None


def _value(field: FormField | None, text: str, contents: dict[str, tuple[str, bytes]]) -> object:
    """One value as the field's type has it; what does not fit is left to the form to refuse."""
    if field is None:
        return text
    if field.format == "file" and text.startswith(_FILE_MARK):
        path = Path(text.removeprefix(_FILE_MARK))
        try:
            data = path.read_bytes()
        except OSError as error:
            raise ConfigError(f"{path} cannot be read: {error.strerror}.") from None
        digest = hashlib.sha256(data).hexdigest()
        contents[digest] = path.name, data
        return digest
    match field.schema["type"]:
        case "integer":
            return int(text) if text.removeprefix("-").isdecimal() else text
        case "boolean":
            return True if text.lower() in _YES else False if text.lower() in _NO else text
        case _:
            return text
