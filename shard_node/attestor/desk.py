"""What an attestor decides: who has logged in or was seen, which device is whose, and what is said of whom.

The methods that remember something block, and are called one at a time. Logins that are under way and codes that were
given are kept in memory only: after a restart one begins anew. A code counts once. Whatever is asked for by a device
carries the minute and is good for this attestor alone; to hear it twice does no harm.
"""

from __future__ import annotations

import re
import secrets
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from p2pworld.crypto.keys import Signer, verify
from p2pworld.errors import LocalError, Refusal, RemoteError
from p2pworld.grants import grants_from_text, verify_chain
from p2pworld.limits import (
    ATTESTED_DEVICES_MAX,
    ATTESTOR_CODE_S,
    ATTESTOR_LOGIN_S,
    ATTESTOR_LOGINS_MAX,
    CIVIC_CLOCK_MINUTES,
    CLAIM_KEYS_MAX,
    CLAIM_WANTS_MAX,
    WITHDRAWN_KEYS_MAX,
)
from p2pworld.services.attesting import (
    ATTESTOR_REASONS,
    CODE_LETTERS,
    VERIFIER,
    challenge_of,
    claims_statement,
    desk_statement,
    device_statement,
    devices_statement,
    gu_said,
    key_statement,
    lost_statement,
    neat_code,
    neat_number,
    subject_of,
)
from p2pworld.services.declaration import CITY
from p2pworld.services.facility import GU_SLUGS
from p2pworld.services.identity import parse_device, parse_lost
from p2pworld.services.people import PURPOSE, person_of, sign_claim, sign_withdrawn
from shard_node.attestor.memory import KnownDevice
from shard_node.attestor.oidc import claim_in
from shard_node.attestor.settings import origin_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from p2pworld.services.people import Claim, Withdrawn
    from shard_node.attestor.memory import AttestorMemory
    from shard_node.attestor.settings import AttestorConfig

__all__ = ["AttestorDesk", "Login", "Want", "no"]

CODE_LENGTH: Final = 10
_SUBJECT_MAX: Final = 255  # characters of a `sub` (OpenID Connect Core, 2); a number is shorter
_LOGIN, _DESK = "login", "desk"  # spaces of subjects: who comes by both is two, unless the number is the same
_CHALLENGE: Final = re.compile(r"[A-Za-z0-9_-]{43}")

T = TypeVar("T", "Login", "_Code")


def no(reason: str) -> Refusal:
    """The refusal of this reason."""
    return Refusal(reason, ATTESTOR_REASONS[reason].en)


@dataclass(frozen=True, slots=True)
class Login:
    """One that is under way: for which device, where it comes back to (nowhere: the code is shown, to be typed), and
    what only its page and we know."""

    device: bytes
    back: str
    challenge: str
    state: str
    nonce: str
    verifier: str
    until_s: float


@dataclass(frozen=True, slots=True)
class _Code:
    """What a code is good for; `device` and `challenge` are those of the login it came from."""

    subject: bytes
    gu: str
    until_s: float
    device: bytes = b""
    challenge: str = ""


class Want(NamedTuple):
    """A claim that is asked for: for what, on which key, and that key's signature."""

    purpose: str
    key: bytes
    sig: bytes


class AttestorDesk:
    """Decides; `now_s` is any clock for what is under way, `now_ms` Unix time."""

    def __init__(
        self,
        config: AttestorConfig,
        signer: Signer,
        secret: bytes,
        memory: AttestorMemory,
        now_s: Callable[[], float],
        now_ms: Callable[[], int],
    ) -> None:
        self._config, self._signer, self._secret, self._memory = config, signer, secret, memory
        self._now_s, self._now_ms = now_s, now_ms
        self._logins: dict[str, Login] = {}
        self._codes: dict[str, _Code] = {}
        self.counters: Counter[str] = Counter()

    @property
    def key(self) -> bytes:
        """Under which it is believed."""
        return self._signer.public

    # ---- who somebody is

    def begin(self, device: bytes, back: str, challenge: str) -> Login | Refusal:
        """A login for this device, to be sent to the provider."""
        if self._config.oidc is None:
            return no("attestor-way")
        if back and (origin_of(back) not in self._config.returns or "#" in back):
            return no("attestor-return")
        if not _CHALLENGE.fullmatch(challenge) or len(device) != 32:
            return no("attestor-malformed")
        self._forget_old()
        if len(self._logins) >= ATTESTOR_LOGINS_MAX:
            return no("attestor-busy")
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        login = Login(device, back, challenge, state, nonce, verifier, self._now_s() + ATTESTOR_LOGIN_S)
        self._logins[state] = login
        return login

    def came_back(self, state: str) -> Login | None:
        """The login of this state, which then is over; None if there is none."""
        self._forget_old()
        return self._logins.pop(state, None)

    def logged_in(self, login: Login, said: Mapping[str, object]) -> str | Refusal:
        """A code for whoever logged in, by what the provider said of them."""
        oidc = self._config.oidc
        assert oidc is not None, "who logged in has begun"
        value = claim_in(said, oidc.subject_claim)
        if not isinstance(value, str) or not 0 < len(value) <= _SUBJECT_MAX:
            return no("attestor-token")
        if self._config.desk and self._config.desk.same_as_login:
            value = neat_number(value)
        gu = gu_said(claim_in(said, oidc.gu_claim)) if oidc.gu_claim else ""
        subject = subject_of(self._secret, f"{_LOGIN} {oidc.issuer}", value)
        code = _Code(subject, gu, self._now_s() + ATTESTOR_LOGIN_S, login.device, login.challenge)
        return self._given(secrets.token_urlsafe(32), code)

    def seen(
        self, official: bytes, grants: Sequence[str], number: str, gu: str, minute: int, sig: bytes
    ) -> str | Refusal:
        """A code for whoever an official has seen, to be read aloud."""
        desk = self._config.desk
        if desk is None:
            return no("attestor-way")
        value = neat_number(number)
        if not 4 <= len(value) <= _SUBJECT_MAX:
            return no("attestor-number")
        if gu and gu not in GU_SLUGS:
            return no("attestor-gu")
        if abs(self._now_minute() - minute) > CIVIC_CLOCK_MINUTES:
            return no("attestor-clock")
        try:
            chain = grants_from_text("\n".join(grants))
        except LocalError:
            return no("attestor-malformed")
        scope = f"streams:{gu or CITY}"
        if verify_chain(chain, desk.roots, official, "official", self._now_ms(), scope) is not None:
            return no("attestor-official")
        if not verify(official, desk_statement(self.key, official, number, gu, minute), sig):
            return no("attestor-signature")
        space = _DESK
        if desk.same_as_login and self._config.oidc is not None:
            space = f"{_LOGIN} {self._config.oidc.issuer}"
        code = _Code(subject_of(self._secret, space, value), gu, self._now_s() + ATTESTOR_CODE_S)
        return self._given("".join(secrets.choice(CODE_LETTERS) for _ in range(CODE_LENGTH)), code)

    def _given(self, text: str, code: _Code) -> str | Refusal:
        self._forget_old()
        if len(self._codes) >= ATTESTOR_LOGINS_MAX:
            return no("attestor-busy")
        self._codes[text] = code
        return text

    def _forget_old(self) -> None:
        now_s = self._now_s()
        self._logins = _not_over(self._logins, now_s)
        self._codes = _not_over(self._codes, now_s)

    # ---- devices

    def register(
        self, text: str, verifier: str, device: bytes, certificate: str | None, minute: int, sig: bytes
    ) -> KnownDevice | Refusal:
        """Remembers a device of whoever this code was given for."""
        fault = self._device_fault(device, minute, device_statement(self.key, text, device, minute), sig)
        if fault is not None:
            return fault
        root = b""
        if certificate is not None:
            try:
                signed = parse_device(certificate)
            except RemoteError:
                return no("attestor-malformed")
            if signed.device != device:
                return no("attestor-malformed")
            root = signed.root
        self._forget_old()
        code = self._codes.get(neat_code(text))
        if code is None or (code.device and code.device != device):
            return no("attestor-code")
        if code.challenge and not (VERIFIER.fullmatch(verifier) and challenge_of(verifier) == code.challenge):
            return no("attestor-code")
        now = self._now_minute()
        known = self._memory.device(device)
        if known is not None and known.lost:
            return no("attestor-lost")
        if known is not None and known.subject != code.subject:
            return no("attestor-device")  # a device is one person's; another person makes another key
        there = self._memory.devices_of(code.subject)
        gone = [one.device for one in there if one.until <= now and not self._memory.issued(one.device, now)]
        others = [
            one for one in there if one.device not in (device, *gone) and not one.lost and now < one.until
        ]
        if len(others) >= ATTESTED_DEVICES_MAX:
            return no("attestor-devices")
        since = known.since if known else now
        made = KnownDevice(device, code.subject, root, since, now + self._config.device_minutes)
        self._memory.register(made, code.gu, [one for one in gone if one != device])
        del self._codes[neat_code(text)]
        return made

    def gu_of(self, known: KnownDevice) -> str:
        """Where the owner of a device lives, as far as it is known."""
        return self._memory.gu(known.subject, self._now_minute())

    def devices(self, device: bytes, minute: int, sig: bytes) -> list[KnownDevice] | Refusal:
        """The devices of whoever has this one."""
        known = self._known(device, minute, devices_statement(self.key, device, minute), sig)
        return known if isinstance(known, Refusal) else self._memory.devices_of(known.subject)

    def lose(self, device: bytes, lost: bytes, minute: int, sig: bytes) -> Refusal | None:
        """Another device of whoever has this one is lost, or this one itself."""
        known = self._known(device, minute, lost_statement(self.key, device, lost, minute), sig)
        if isinstance(known, Refusal):
            return known
        other = self._memory.device(lost)
        if other is None or other.subject != known.subject:
            return no("attestor-not-yours")
        self._memory.lose(other)
        return None

    def lose_by_root(self, statement: str) -> Refusal | None:
        """The root that signed a device says that it is lost."""
        try:
            lost = parse_lost(statement)
        except RemoteError:
            return no("attestor-malformed")
        known = self._memory.device(lost.device)
        if known is None or known.root != lost.root:
            return no("attestor-not-yours")
        self._memory.lose(known)
        return None

    # ---- claims

    def claims(self, device: bytes, minute: int, wants: Sequence[Want], sig: bytes) -> list[Claim] | Refusal:
        """What is said of whoever has this device, on each of these keys."""
        if not 0 < len(wants) <= CLAIM_WANTS_MAX or len({want.key for want in wants}) != len(wants):
            return no("attestor-malformed")
        pairs = [(want.purpose, want.key) for want in wants]
        known = self._known(device, minute, claims_statement(self.key, device, minute, pairs), sig)
        if isinstance(known, Refusal):
            return known
        for want in wants:
            if not PURPOSE.fullmatch(want.purpose):
                return no("attestor-malformed")
            if not verify(want.key, key_statement(self.key, device, want.purpose), want.sig):
                return no("attestor-signature")
            if self._memory.owner_of(want.key) not in (None, device):
                return no("attestor-signature")  # a key that is two devices' would be withdrawn with either
        now = self._now_minute()
        if self._memory.issued(device, now) + len(wants) > CLAIM_KEYS_MAX:
            return no("attestor-claims")
        gu, until = self._memory.gu(known.subject, now), now + self._config.claim_minutes
        made = [
            sign_claim(
                self._signer,
                want.purpose,
                person_of(self._secret, want.purpose, known.subject),
                want.key,
                gu,
                until,
            )
            for want in wants
        ]
        self._memory.issue(device, [want.key for want in wants], now, until)
        return made

    def withdrawn(self) -> Withdrawn:
        """All keys whose claims are not to be believed any more, signed."""
        now = self._now_minute()
        return sign_withdrawn(self._signer, now, frozenset(self._memory.withdrawn(now, WITHDRAWN_KEYS_MAX)))

    # ---- pieces

    def _now_minute(self) -> int:
        return self._now_ms() // 60_000

    def _device_fault(self, device: bytes, minute: int, statement: bytes, sig: bytes) -> Refusal | None:
        if abs(self._now_minute() - minute) > CIVIC_CLOCK_MINUTES:
            return no("attestor-clock")
        return None if verify(device, statement, sig) else no("attestor-signature")

    def _known(self, device: bytes, minute: int, statement: bytes, sig: bytes) -> KnownDevice | Refusal:
        """The device that signed this, if it is known and still counts."""
        fault = self._device_fault(device, minute, statement, sig)
        if fault is not None:
            return fault
        known = self._memory.device(device)
        if known is None or known.until <= self._now_minute():
            return no("attestor-device")
        return no("attestor-lost") if known.lost else known


def _not_over(table: dict[str, T], now_s: float) -> dict[str, T]:
    return {name: one for name, one in table.items() if one.until_s > now_s}
