"""What a citizen keeps on the command line: who they are, this device's key, what they filed, claims.

A wallet is a folder. What is exported of it is what a browser's wallet exports, and each takes the other's: three
lines, of which the first says what it is, the second how the key is made of the passphrase (scrypt, RFC 7914: the power
of two it costs, and a salt), and the third is a JSON text locked with it, in base64. Bytes in that are
`{"hex": "..."}`. It has neither the device's own key nor its claims: whoever takes it is one more device of the same
person.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
import re
import unicodedata
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from p2pworld.civic.transaction import parse_submission
from p2pworld.crypto.keys import Signer
from p2pworld.crypto.seal import lock, unlock
from p2pworld.errors import LocalError, RemoteError
from p2pworld.services.identity import (
    parse_device,
    parse_lost,
    root_of,
    sign_device,
    sign_lost,
)
from p2pworld.services.people import parse_claim
from shard_node.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from p2pworld.civic.transaction import Secrets, Submission
    from p2pworld.services.identity import Device
    from p2pworld.services.people import Claim

__all__ = ["PASSPHRASE_CHARACTERS_MIN", "Wallet", "open_text", "seal_text"]

PASSPHRASE_CHARACTERS_MIN: Final = 10
WALLET_BYTES_MAX: Final = 8 << 20  # a thousand requests, with drafts
_FILE, _CLAIMS = "wallet.json", "claims"
_FIRST_LINE: Final = "p2pworld wallet v1"
_SECOND_LINE: Final = re.compile(r"scrypt ([0-9]{1,2}) ([0-9a-f]{64})")
_COST: Final = 16  # 64 MB
_COST_MAX: Final = 18
_HEX: Final = "hex"


# ---- a text and a passphrase


def seal_text(text: str, passphrase: str, salt: bytes, cost: int = _COST) -> str:
    """The text for whoever knows the passphrase; `salt` are 32 random bytes, fresh each time."""
    locked = lock(_key_of(passphrase, cost, salt), text.encode())
    return f"{_FIRST_LINE}\nscrypt {cost} {salt.hex()}\n{base64.b64encode(locked).decode()}\n"


def open_text(sealed: str, passphrase: str) -> str:
    """What was sealed so.

    Raises:
        LocalError: no such text, one that would take too much memory, or another passphrase.
    """
    first, second, third = [*sealed.strip().splitlines(), "", "", ""][:3]
    found = _SECOND_LINE.fullmatch(second)
    if first != _FIRST_LINE or found is None:
        raise LocalError("this is no exported wallet")
    cost = int(found[1])
    if not 1 <= cost <= _COST_MAX:
        raise LocalError(f"this wallet asks for scrypt of 2^{cost}, and 2^{_COST_MAX} is the most")
    try:
        locked = base64.b64decode(third, validate=True)
        return unlock(_key_of(passphrase, cost, bytes.fromhex(found[2])), locked).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise LocalError("this is no exported wallet") from None
    except RemoteError:
        raise LocalError("this is not its passphrase, or somebody has changed the file") from None


def _key_of(passphrase: str, cost: int, salt: bytes) -> bytes:
    said = unicodedata.normalize("NFC", passphrase).encode()
    memory = 2 * 128 * 8 * 2**cost
    return hashlib.scrypt(said, salt=salt, n=2**cost, r=8, p=1, maxmem=memory, dklen=32)


def _plain(value: Any) -> Any:
    """Bytes as JSON has them."""
    if isinstance(value, bytes):
        return {_HEX: value.hex()}
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    return value


def _read(made: dict[str, Any]) -> Any:
    return bytes.fromhex(made[_HEX]) if isinstance(made.get(_HEX), str) and len(made) == 1 else made


# ---- the wallet


@dataclass(frozen=True, slots=True)
class Wallet:
    """One folder's. `entropy` is the root's, None where this device does not have it; `line` is the root's word for
    this device, empty before there is one. `requests` and `drafts` are as the browser has them."""

    folder: Path
    seed: bytes
    entropy: bytes | None = None
    label: str = ""
    line: str = ""
    devices: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    requests: tuple[dict[str, Any], ...] = ()
    drafts: tuple[Any, ...] = field(default=())

    # ---- its folder

    @classmethod
    def new(cls, folder: Path, entropy: bytes | None, label: str, minute: int) -> Wallet:
        """A device of whoever has this root, or one that waits for the word of a root elsewhere.

        Raises:
            ConfigError: the folder has a wallet, or cannot be written.
        """
        if (folder / _FILE).exists():
            raise ConfigError(f"{folder} has a wallet already: name another folder with --folder.")
        made = cls(folder, os.urandom(32), label=label)
        if entropy is not None:
            made = made.recovered(entropy, label, minute)
        made.save()
        return made

    @classmethod
    def at(cls, folder: Path) -> Wallet:
        """The wallet in a folder.

        Raises:
            ConfigError: there is none.
        """
        path = folder / _FILE
        try:
            with path.open("r", encoding="utf-8") as file:
                kept = json.loads(file.read(WALLET_BYTES_MAX), object_hook=_read)
            return cls(folder, **{name: _tuple(value) for name, value in kept.items()})
        except FileNotFoundError:
            raise ConfigError(f"{folder} has no wallet: `p2pworld people new` makes one.") from None
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise ConfigError(f"{path} cannot be read as a wallet: {error}.") from None

    def save(self) -> None:
        """Writes it, readable by its owner only; whatever ends this, the old one or the new one is there.

        Raises ConfigError.
        """
        kept = {
            name: getattr(self, name)
            for name in ("seed", "entropy", "label", "line", "devices", "lost", "requests", "drafts")
        }
        path = self.folder / _FILE
        part = path.with_suffix(".part")
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with suppress(FileNotFoundError):
                part.unlink()
            with open(
                os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8"
            ) as file:
                json.dump(_plain(kept), file, ensure_ascii=False, indent=1)
                file.flush()
                os.fsync(file.fileno())
            part.rename(path)
        except OSError as error:
            raise ConfigError(f"{path} cannot be written: {error.strerror}.") from None

    # ---- who it is

    @property
    def device(self) -> Signer:
        """This device's key."""
        return Signer.from_seed(self.seed)

    @property
    def root(self) -> bytes | None:
        """The root's public key, as far as it is known."""
        if self.entropy is not None:
            return root_of(self.entropy).public
        return parse_device(self.line).root if self.line else None

    def recovered(self, entropy: bytes, label: str, minute: int) -> Wallet:
        """The same device, as one of whoever has this root."""
        line = sign_device(root_of(entropy), self.device.public, label, minute).to_text()
        same = self.root in (None, root_of(entropy).public)
        return replace(
            self,
            entropy=entropy,
            label=label,
            line=line,
            devices=_merged(self.devices if same else (), (line,)),
            lost=self.lost if same else (),
        )

    def accepted(self, line: str) -> Wallet:
        """With the word of a root elsewhere that this device is one of its.

        Raises:
            ConfigError: it is of another device, or none.
        """
        try:
            said = parse_device(line)
        except RemoteError as error:
            raise ConfigError(f"This cannot be taken: {error}.") from None
        if said.device != self.device.public:
            raise ConfigError("This was said of another device: give the key that `people show` prints here.")
        return replace(
            self, line=said.to_text(), label=said.label, devices=_merged(self.devices, (said.to_text(),))
        )

    def added(self, device: bytes, label: str, minute: int) -> tuple[Wallet, str]:
        """With the root's word for another device, and that.

        Raises:
            ConfigError: the root is not here, or the label is too long.
        """
        try:
            line = sign_device(self._own_root(), device, label, minute).to_text()
        except LocalError as error:
            raise ConfigError(f"This device cannot be added: {error}.") from None
        return replace(self, devices=_merged(self.devices, (line,))), line

    def without(self, device: bytes, minute: int) -> tuple[Wallet, str]:
        """With the root's word that a device is lost, and that. Raises ConfigError: the root is not here."""
        line = sign_lost(self._own_root(), device, minute).to_text()
        return replace(self, lost=_merged(self.lost, (line,))), line

    def _own_root(self) -> Signer:
        if self.entropy is None:
            raise ConfigError(
                "The root is not on this device: `p2pworld people recover` brings it by its words."
            )
        return root_of(self.entropy)

    def known_devices(self) -> list[tuple[Device, bool]]:
        """The devices that the root has spoken of here, and whether each is lost."""
        gone = set()
        for line in self.lost:
            with suppress(RemoteError):
                gone.add(parse_lost(line).device)
        found = []
        for line in self.devices:
            with suppress(RemoteError):
                one = parse_device(line)
                found.append((one, one.device in gone))
        return found

    # ---- what was filed

    def begun(
        self, submission: Submission, secrets: Secrets, service: str, files: Mapping[str, str]
    ) -> Wallet:
        """With a request that is about to be sent; `files` are names by their hashes."""
        filing = submission.filing
        request = {
            "id": filing.key.hex(),
            "stream": filing.stream,
            "entry": None,
            "service": service,
            "about": None,
            "minute": filing.minute,
            "submission": submission.to_bytes(),
            "secrets": {"seed": secrets.seed, "blobKey": secrets.blob_key, "nonce": secrets.nonce},
            "receipt": None,
            "standing": "sending",
            "reason": None,
            "files": [{"hash": digest, "name": name} for digest, name in files.items()],
            "shown": None,
        }
        return replace(self, requests=(*self.requests, request))

    def settled(self, key: bytes, **became: object) -> Wallet:
        """With what became of a request."""
        requests = [each | became if each["id"] == key.hex() else each for each in self.requests]
        return replace(self, requests=tuple(requests))

    # ---- claims

    def keep_claim(self, claim: Claim) -> Path:
        """Writes it into the folder; where. Raises ConfigError."""
        path = self.folder / _CLAIMS / f"{claim.purpose.replace('/', '_').replace(':', '')}.claim"
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            path.write_text(claim.to_bytes().hex() + "\n", encoding="ascii")
        except OSError as error:
            raise ConfigError(f"{path} cannot be written: {error.strerror}.") from None
        return path

    def claims(self) -> list[Claim]:
        """Those in the folder that can be read."""
        found = []
        for path in sorted((self.folder / _CLAIMS).glob("*.claim")):
            with suppress(OSError, ValueError, RemoteError):
                found.append(parse_claim(bytes.fromhex(path.read_text("ascii"))))
        return found

    # ---- from one to another

    def exported(self, passphrase: str, salt: bytes) -> str:
        """All of it but this device's own key and its claims, as a text that only the passphrase opens."""
        all_of_it = {
            "entropy": self.entropy,
            "devices": self.devices,
            "lost": self.lost,
            "requests": self.requests,
            "drafts": self.drafts,
        }
        return seal_text(json.dumps(_plain(all_of_it), ensure_ascii=False), passphrase, salt)

    def took(self, exported: str, passphrase: str, label: str, minute: int) -> tuple[Wallet, int]:
        """With what another wallet has exported, its person too if that has its root; how many requests are new.

        Raises:
            LocalError: another passphrase, or no such text.
        """
        try:
            read = json.loads(open_text(exported, passphrase), object_hook=_read)
            entropy, requests, drafts = read["entropy"], list(read["requests"]), tuple(read["drafts"])
            keys = [parse_submission(each["submission"]).filing.key.hex() for each in requests]
            devices, lost = tuple(map(str, read["devices"])), tuple(map(str, read["lost"]))
        except (ValueError, KeyError, TypeError, RemoteError) as error:
            raise LocalError(f"this exported wallet cannot be read: {error}") from None
        made = self if entropy is None else self.recovered(entropy, label, minute)
        there = {each["id"]: each for each in made.requests}
        added = sum(key not in there for key in keys)
        for key, request in zip(keys, requests, strict=True):
            if key not in there or there[key]["standing"] == "sending":
                there[key] = {**request, "id": key}
        made = replace(
            made,
            devices=_merged(devices, made.devices),
            lost=_merged(lost, made.lost),
            requests=tuple(there.values()),
            drafts=made.drafts or drafts,
        )
        return made, added


def _merged(first: tuple[str, ...], then: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*first, *then)))


def _tuple(value: object) -> Any:
    return tuple(value) if isinstance(value, list) else value
