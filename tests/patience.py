"""How long a test waits for another process, a server or a browser before it says that what it waits for does not come.

Far longer than any of it takes, since a busy machine is no finding, and only a test that fails waits so long.
"""

from __future__ import annotations

from typing import Final

__all__ = ["PATIENCE_MS", "PATIENCE_S"]

PATIENCE_S: Final = 120.0
PATIENCE_MS: Final = 1_000 * PATIENCE_S
