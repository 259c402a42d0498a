"""The types of leaves that no declaration has: of what is done about requests, places and draws, and of every log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from p2pworld.civic.announce import KEYS
from p2pworld.civic.erasure import ERASED
from p2pworld.civic.transaction import SUGGESTION
from p2pworld.services.case_log import CASE_TYPES, SLOT_EVENT
from p2pworld.services.draw_log import DRAW_TYPES
from p2pworld.services.support import SUPPORT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from p2pworld.civic.transaction import TransactionType

__all__ = ["NO_SERVICES", "WORK_TYPES"]

# what officials, holders and supporters file
WORK_TYPES: Final[Mapping[str, TransactionType]] = {**CASE_TYPES, **DRAW_TYPES, SUPPORT.name: SUPPORT}
# names that no service may take: whoever reads a log takes its leaves for something else
NO_SERVICES: Final = frozenset({*WORK_TYPES, SLOT_EVENT.name, SUGGESTION.name, ERASED.name, KEYS})
