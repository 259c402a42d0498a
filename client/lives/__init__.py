"""Who the city's programs are and what they do all day: the mix, from many who walk to the one who tends the bell.

Each is a `Life`: a walker with a purpose, a name and clothes, that is told the time and what happens around it, and
says what it wishes. None reads a clock or opens a socket; `client.swarm` carries them. All are marked as programs.
"""

from __future__ import annotations

import random
from collections import Counter
from typing import TYPE_CHECKING, Final

from client.lives.bus import Rider
from client.lives.drums import TROUPE, Drummer
from client.lives.hosts import POSTS, BellRinger, Host
from client.lives.life import Badge, Life
from client.lives.walkers import Commuter, Tourist

if TYPE_CHECKING:
    from client.lives.ground import Ground

__all__ = ["LEAST", "MIX", "Badge", "Life", "mix", "populate"]

LEAST: Final = 40  # with fewer than so many, all are commuters: a city of hosts alone is no city
MIX: Final = {"tourist": 0.15, "rider": 0.05}  # shares; the rest are commuters
_LIVES: Final = {
    "commuter": Commuter,
    "tourist": Tourist,
    "rider": Rider,
    "drummer": Drummer,
    "host": Host,
    "bell": BellRinger,
}


def mix(count: int) -> tuple[str, ...]:
    """The role of each of `count` programs, well mixed so that they come in together."""
    if count < LEAST:
        return ("commuter",) * count
    roles = ["host"] * len(POSTS) + ["bell"] + ["drummer"] * TROUPE
    left = count - len(roles)
    for role, share in MIX.items():
        roles += [role] * round(left * share)
    roles += ["commuter"] * (count - len(roles))
    # a fixed stride meets everybody once if it has no common divisor with their number
    stride = next(step for step in (7, 11, 13, 17, 19, 23) if count % step)
    return tuple(roles[number * stride % count] for number in range(count))


def populate(
    count: int,
    seed: int,
    ground: Ground,
    roles: tuple[str, ...] | None = None,
    official: Badge | None = None,
) -> list[Life]:
    """`count` lives on this ground, the same for the same seed; `roles` (default: the mix) are who they are.

    The first host at an official's post wears the badge of the `official`.
    """
    met: Counter[str] = Counter()
    lives: list[Life] = []
    for number, role in enumerate(roles or mix(count)):
        lives.append(_LIVES[role](random.Random(f"p2pworld life {seed} {number}"), ground, met[role]))
        met[role] += 1
    posted = (life for life in lives if isinstance(life, Host) and life.post.official)
    if official is not None and (first := next(posted, None)) is not None:
        first.badge = official
    return lives
