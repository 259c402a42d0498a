"""The three parties of a draw in a town, who do at once what they have to do."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, Final

from p2pworld.crypto.keys import Signer
from p2pworld.services.draw import HOLDERS
from p2pworld.services.draw_log import OPENED, SHARE, SHARED, draw_name, file_draw_leaf
from p2pworld.services.draw_shares import give, party_of, share_of
from p2pworld.services.facility import slot_text
from p2pworld.services.reservations import closing_minute

if TYPE_CHECKING:
    from collections.abc import Mapping

    from p2pworld.civic.transaction import TransactionType
    from p2pworld.services.reservations import Offer
    from tests.services.town import Town

__all__ = ["Drawing"]

OTHERS: Final = [Signer.from_seed(hashlib.sha256(b"party %d" % number).digest()) for number in (1, 2)]


class Drawing:
    """The draw for what is offered, in a stream."""

    def __init__(self, town: Town, stream: str, offer: Offer) -> None:
        self._town, self._stream, self._offer = town, stream, offer
        self._keys = [town.city.signer("draw"), *OTHERS]
        self.name = draw_name(offer.facility.id, slot_text(offer.slot.begin))
        self.closes = closing_minute(offer.rules, offer.slot.begin)

    def open(self) -> None:
        """Opened by the office, and acknowledged by all."""
        parties = [party_of(key) for key in self._keys]
        said = {"places": str(self._offer.facility.seats), "closes": str(self.closes)}
        for number, key in enumerate(self._keys):
            given = give(key, parties, self._stream, self.name)
            said[f"key-{number}"] = key.public.hex()
            for holder, digest in zip(HOLDERS[number], given.hashes, strict=True):
                said[f"share-{number}-{holder}"] = digest
        self._file(OPENED, 0, said)
        for number in range(len(self._keys)):
            self._file(SHARED, number, {})

    def draw(self) -> None:
        """Its minute has come; all reveal, and everybody is told what they got."""
        town = self._town
        before = len(town.leaves(self._stream))
        town.wait_until(max(town.minute, self.closes))
        town.read_until(self._stream, before, "draw-closed")
        for giver in (1, 2):
            for holder in HOLDERS[giver]:
                share = share_of(self._keys[giver].seed, self._stream, self.name, (giver, holder))
                said = {"giver": str(giver), "holder": str(holder), "share": share.hex()}
                self._file(SHARE, giver, said)
        town.read_until(self._stream, before, "draw-done")
        town.read_until(self._stream, before, "slot-event")

    def _file(self, declared: TransactionType, party: int, said: Mapping[str, str]) -> None:
        fields = {"draw": self.name, "party": str(party), **said}
        seed = os.urandom(32)
        leaf = file_draw_leaf(declared, self._stream, self._town.minute, fields, self._keys[party], seed)
        told = self._town.send(leaf)
        assert told.index >= 0, (declared.name, told)
