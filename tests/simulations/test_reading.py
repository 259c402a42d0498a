"""What is read a second time is equal to what was read, and each reader's own."""

from __future__ import annotations

import pytest

from p2pworld.crdt import ObjectCell, Stamp
from p2pworld.errors import RemoteError
from p2pworld.ids import Incarnation
from simulations.reading import read_once

REPLICA = Incarnation(b"a" * 32, 1)
LANTERN = bytes(16)


def test_each_reader_has_a_state_of_its_own() -> None:
    written = ObjectCell()
    written.put(REPLICA, LANTERN, {"text": "a wish"}, Stamp(1, 0, REPLICA))
    packed = written.to_bytes()
    with read_once():
        first = ObjectCell.from_bytes(packed)
        first.remove(LANTERN)
        second = ObjectCell.from_bytes(bytes(bytearray(packed)))
        assert second == written
        assert second.object_digest(LANTERN) == written.object_digest(LANTERN)
        second.put(REPLICA, LANTERN, {"text": "another"}, Stamp(2, 0, REPLICA))
        assert ObjectCell.from_bytes(packed) == written != second
        with pytest.raises(RemoteError):
            ObjectCell.from_bytes(packed[:-1])
    assert ObjectCell.from_bytes(packed) == written
