"""A small file system of its own, in memory, for tests of what a full or read-only disk does to a node."""

from __future__ import annotations

import os
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["mounted"]


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[Path]:
    """A tmpfs at `folder`, which is made; the test is skipped where that takes rights it does not have."""
    folder.mkdir()
    if os.geteuid():
        pytest.skip("NOT TESTED: mounting a small disk takes root")
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    if subprocess.run(command, check=False).returncode:
        pytest.skip("NOT TESTED: this machine lets not even root mount a small disk")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
