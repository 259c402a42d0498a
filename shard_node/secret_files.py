"""Files with secrets: keys, and what only their owner is to read."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from shard_node.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["write_new"]


def write_new(path: Path, text: str) -> None:
    """Writes a file that was not there, readable by its owner only.

    Raises ConfigError.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise ConfigError(f"{path} is there already: name another file, or move that one away.") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}.") from None
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
