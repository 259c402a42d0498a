"""What the switch does with packets; what real ones do is seen in `tests/real`."""

from __future__ import annotations

from simulations.fabric.switch import Cable, Cables

A, B = b"\x0a\x4d\x00\x01", b"\x0a\x4d\x00\x02"


def packet(source: bytes, destination: bytes, number: int = 0) -> bytes:
    """The head of an IPv4 packet, and a number."""
    return b"\x45" + bytes(11) + source + destination + bytes([number])


def test_a_whole_cable_takes_everything_at_once() -> None:
    cables = Cables()
    assert cables.sent(packet(A, B), 0.0) == B
    assert cables.due_s is None


def test_what_is_no_packet_for_anybody_is_dropped() -> None:
    cables = Cables()
    assert cables.sent(b"", 0.0) is None
    assert cables.sent(b"\x60" + bytes(39), 0.0) is None


def test_a_cut_is_of_one_direction_and_silent() -> None:
    cables = Cables()
    cables.lay(A, B, Cable(cut=True))
    assert cables.sent(packet(A, B), 0.0) is None
    assert cables.sent(packet(B, A), 0.0) == A
    assert cables.arrived(1e9) == []
    cables.lay(A, B, Cable())
    assert cables.sent(packet(A, B), 0.0) == B


def test_a_slow_cable_keeps_the_order_and_loses_nothing_when_it_is_healed() -> None:
    cables = Cables()
    cables.lay(A, B, Cable(delay_s=0.5))
    assert [cables.sent(packet(A, B, n), 10.0) for n in range(3)] == [None] * 3
    assert cables.due_s == 10.5
    assert cables.arrived(10.4) == []
    cables.lay(A, B, Cable())
    assert cables.arrived(10.5) == [(B, packet(A, B, n)) for n in range(3)]


def test_what_is_under_way_is_lost_with_the_cable() -> None:
    cables = Cables()
    cables.lay(A, B, Cable(delay_s=0.5))
    cables.sent(packet(A, B), 10.0)
    cables.lay(A, B, Cable(cut=True))
    assert cables.arrived(20.0) == []
