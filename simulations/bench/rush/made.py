"""What a rush is about, made before it begins: places that nobody has yet, and a submission for each who wants one.

The places are those of a declaration like any other, in a folder of its own. Every citizen is somebody else to the
attestor, has a claim, and wants one slot, for which as many others are there.
"""

from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from datetime import timedelta
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Final

from p2pworld.civic.transaction import Paper, Secrets, file_transaction
from p2pworld.crypto.keys import Signer
from p2pworld.services.people import BOOKING, show, sign_claim
from p2pworld.services.working_time import day_of
from shard_node.services.folder import ServiceFolder

if TYPE_CHECKING:
    from p2pworld.services.declaration import Service

__all__ = ["SERVICE", "STREAM", "Ground", "Officials", "make_ground", "make_submissions"]

STREAM: Final = "jongno"
SERVICE: Final = "rush-place"
A_DAY: Final = 10  # slots of a facility in a day
PIECE: Final = 500  # submissions of one task
CLAIM_MINUTES: Final = 24 * 60

_SERVICE: Final = """
id = "rush-place"
sector = "administration"
kind = "reservation"
title = { ko = "선착순 예약", en = "First come, first served" }
about = { ko = "먼저 신청한 사람이 이용해요.", en = "Whoever comes first has it." }
public = ["facility", "slot", "people"]
fee = { ko = "무료", en = "free of charge" }

[office]
of = "facility"
unit = { ko = "시설 관리 부서", en = "Facility office" }

[eligible]
person = "verified"
text = { ko = "본인 확인을 한 사람", en = "Who has been verified." }

[workflow]
use = "booking"
steps = ["applied", "confirmed", "used"]
sides = ["cancelled", "no-show"]

[deadline]
count = "days"
amount = 1

[places]
allocation = "first-come"
kinds = ["rush"]
opens_days = 30
closes_minutes = 0
per_month = 10
waiting = 0

[privacy]
why = { ko = "예약을 확인하려고 받아요.", en = "To confirm your booking." }
keep_days = 365

[form]
required = ["facility", "slot", "people", "name", "phone"]

[form.properties.facility]
"$ref" = "common#facility"

[form.properties.slot]
"$ref" = "common#slot"

[form.properties.people]
"$ref" = "common#people"

[form.properties.name]
"$ref" = "common#name"

[form.properties.phone]
"$ref" = "common#phone"
"""
_FACILITY: Final = """
[[facilities]]
id = "rush-{number}"
name = {{ ko = "코트 {number}", en = "Court {number}" }}
gu = "jongno"
kind = "rush"
slot_minutes = 60
open = "Mo-Su 09:00-{closes}:00"
capacity = 4
seats = {seats}
allocation = "first-come"
fee_krw = 0
"""


@dataclass(frozen=True, slots=True)
class Ground:
    """The folder of the declarations, and the slots there are as (facility, slot)."""

    folder: Path
    slots: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Officials:
    """The office that reads what is sealed (its sealing key), and the attestor (its seed)."""

    office: bytes
    attestor: bytes


def make_ground(folder: Path, places: int, seats: int, minute: int) -> Ground:
    """Declarations of so many places tomorrow, `seats` in each slot, in `folder`.

    Raises:
        ValueError: they are no whole number of slots.
    """
    if places % seats:
        raise ValueError(f"{places} places are no slots of {seats}")
    count = places // seats
    folder.mkdir(parents=True)
    (folder / "rush.toml").write_text(_SERVICE, encoding="utf-8")
    day = day_of(minute) + timedelta(days=1)
    slots, tables = [], []
    for number in range(-(-count // A_DAY)):
        hours = min(A_DAY, count - number * A_DAY)
        tables.append(_FACILITY.format(number=number + 1, seats=seats, closes=9 + hours))
        slots += [(f"rush-{number + 1}", f"{day}T{9 + hour:02}:00") for hour in range(hours)]
    (folder / "places.toml").write_text("".join(tables), encoding="utf-8")
    return Ground(folder, tuple(slots))


def make_submissions(ground: Ground, count: int, minute: int, who: Officials) -> list[bytes]:
    """So many submissions, the n-th for the n-th slot, again and again; made by all cores."""
    pieces = [(begin, min(begin + PIECE, count)) for begin in range(0, count, PIECE)]
    if len(pieces) == 1:
        return _made(ground, *pieces[0], minute, who)
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        tasks = [pool.submit(_made, ground, begin, end, minute, who) for begin, end in pieces]
        return [one for task in tasks for one in task.result()]


def _made(ground: Ground, begin: int, end: int, minute: int, who: Officials) -> list[bytes]:
    folder = ServiceFolder(ground.folder)
    folder.look()
    assert not folder.catalogue.faults, folder.catalogue.faults
    service = folder.catalogue.services[SERVICE]
    attestor = Signer.from_seed(who.attestor)
    return [
        _submission(service, ground.slots[n % len(ground.slots)], n, attestor, minute, who.office)
        for n in range(begin, end)
    ]


def _submission(
    service: Service, slot: tuple[str, str], n: int, attestor: Signer, minute: int, office: bytes
) -> bytes:
    public = {"facility": slot[0], "slot": slot[1], "people": "2"}
    private = {"name": f"홍길동 {n}", "phone": "010-1234-5678"}
    secrets = Secrets(os.urandom(32), os.urandom(32), os.urandom(32))
    person = Signer.from_seed(os.urandom(32))
    submission = file_transaction(
        service.transaction_type, STREAM, minute, public, private, person, [office], secrets
    )
    holder = Signer.from_seed(os.urandom(32))
    claim = sign_claim(attestor, BOOKING, os.urandom(32), holder.public, "", minute + CLAIM_MINUTES)
    shown = show(claim, holder, submission.filing)
    return replace(submission, papers=(Paper("claim", shown.to_bytes()),)).to_bytes()
