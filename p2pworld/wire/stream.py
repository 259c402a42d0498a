"""Whole messages over a stream of bytes: four bytes of length, little-endian, then the message.

Sans-I/O: the reader is fed what arrived, however it was cut, and gives back what is complete. A length above the
agreed bound is refused when its four bytes are read, before anything of that size is held.
"""

from __future__ import annotations

from p2pworld.errors import LocalError, RemoteError

__all__ = ["FrameReader", "frame"]

_LENGTH_BYTES = 4
_LENGTH_MAX = 2**32 - 1


def frame(payload: bytes) -> bytes:
    """The length and the payload.

    Raises:
        LocalError: empty, or longer than four bytes can tell.
    """
    if not 1 <= len(payload) <= _LENGTH_MAX:
        raise LocalError(f"a frame holds 1 to {_LENGTH_MAX} bytes, not {len(payload)}")
    return len(payload).to_bytes(_LENGTH_BYTES, "little") + payload


class FrameReader:
    """Cuts a stream into frames of at most `max_bytes`, a bound that may change while it runs (after a handshake)."""

    __slots__ = ("_broken", "_buffer", "max_bytes")

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._buffer = bytearray()
        self._broken = False

    @property
    def waiting_bytes(self) -> int:
        """How much of an unfinished frame is held."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[bytes]:
        """The frames that `data` completes, in order.

        Raises:
            RemoteError: a length of zero or above the bound (`frame-size`); the stream cannot be read any further.
        """
        if self._broken:
            raise RemoteError("frame-size", "the stream was broken before")
        buffer = self._buffer
        buffer += data
        frames: list[bytes] = []
        at = 0
        while len(buffer) - at >= _LENGTH_BYTES:
            length = int.from_bytes(buffer[at : at + _LENGTH_BYTES], "little")
            if not 1 <= length <= self.max_bytes:
                self._broken = True
                buffer.clear()
                raise RemoteError(
                    "frame-size", f"a frame of {length} bytes; allowed are 1 to {self.max_bytes}"
                )
            end = at + _LENGTH_BYTES + length
            if end > len(buffer):
                break
            frames.append(bytes(buffer[at + _LENGTH_BYTES : end]))
            at = end
        del buffer[:at]
        return frames
