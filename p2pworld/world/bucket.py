"""So many a second, with a burst: how often one client may ask for something."""

from __future__ import annotations

__all__ = ["Bucket"]


class Bucket:
    """Full at first; what is taken flows back with time."""

    __slots__ = ("at_s", "left")

    def __init__(self, burst: float, now_s: float) -> None:
        self.left, self.at_s = burst, now_s

    def take(self, per_s: float, burst: float, now_s: float, count: float = 1) -> bool:
        """Take one, or so much, if it is there."""
        self.left = min(burst, self.left + (now_s - self.at_s) * per_s)
        self.at_s = now_s
        if self.left < count:
            return False
        self.left -= count
        return True
