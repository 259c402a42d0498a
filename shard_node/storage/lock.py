"""The lock on a data directory: one process at a time, and proof that the one before it is dead.

The kernel holds the lock for as long as the process lives, whatever kills it. So whoever gets it knows that the process
which wrote the file before has ended, and may end that one's incarnation without waiting for its lease.
"""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING, Final, Self

from shard_node.storage.journal import StorageFailed

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["DataDirLock", "lock_file"]

_NAME: Final = "lock"
_BYTES_MAX: Final = 32


def lock_file(path: Path, what: str) -> int:
    """Take the lock on the file at `path`, made if it is not there; the descriptor to close when it is let go.

    Raises:
        StorageFailed: another process has it (`busy`), or it cannot be used (`io`); said of `what` it stands for.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise StorageFailed("io", f"{_capital(what)} cannot be used: {error.strerror}.") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise StorageFailed("busy", f"Another process runs on {what}.") from error
    except OSError as error:
        os.close(descriptor)
        raise StorageFailed("io", f"{_capital(what)} cannot be locked: {error.strerror}.") from error
    return descriptor


class DataDirLock:
    """The lock on `data_dir`, held from `acquire` to `release`. `ended` is the incarnation number that the earlier
    process wrote down and that is proven dead, 0 if it wrote none."""

    def __init__(self, descriptor: int, ended: int) -> None:
        self.ended = ended
        self._descriptor = descriptor

    @classmethod
    def acquire(cls, data_dir: Path) -> Self:
        """Take the lock, making the directory if there is none.

        Raises:
            StorageFailed: another process has it (`busy`), or the directory cannot be used (`io`).
        """
        try:
            data_dir.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageFailed(
                "io", f"The directory {data_dir} cannot be used: {error.strerror}."
            ) from error
        descriptor = lock_file(data_dir / _NAME, f"the directory {data_dir}")
        try:
            written = os.pread(descriptor, _BYTES_MAX, 0)
        except OSError as error:
            os.close(descriptor)
            raise StorageFailed(
                "io", f"The directory {data_dir} cannot be locked: {error.strerror}."
            ) from error
        return cls(descriptor, _number(written))

    def record(self, number: int) -> None:
        """Write down this process's incarnation number, durably, for whoever takes the lock next.

        Raises:
            StorageFailed: the disk refused; the next process then ends nothing early.
        """
        line = f"{number:020d}\n".encode()  # always of one length, so that no write leaves a part of another
        try:
            os.pwrite(self._descriptor, line, 0)
            os.fsync(self._descriptor)
        except OSError as error:
            raise StorageFailed("io", f"The lock cannot be written: {error.strerror}.") from error

    def release(self) -> None:
        """Let the next process in; idempotent."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _number(written: bytes) -> int:
    """What an earlier process wrote, 0 for anything else: ending nothing early is always safe."""
    line = written.strip()
    return int(line) if len(line) == 20 and line.isdigit() else 0


def _capital(what: str) -> str:
    return what[:1].upper() + what[1:]
