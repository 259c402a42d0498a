"""Network namespaces and TUN devices, by the system calls themselves: root, or a user namespace, is needed for both."""

from __future__ import annotations

import ctypes
import fcntl
import os
import shutil
import socket
import struct
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["enter", "inside", "new_network", "tun", "why_not"]

_CLONE_NEWNET: Final = 0x4000_0000
_TUNSETIFF: Final = 0x4004_54CA
_IFF_TUN, _IFF_NO_PI = 0x0001, 0x1000
_SIOCGIFFLAGS, _SIOCSIFFLAGS = 0x8913, 0x8914
_SIOCSIFADDR, _SIOCSIFNETMASK, _SIOCSIFMTU, _SIOCSIFTXQLEN = 0x8916, 0x891C, 0x8922, 0x8943
_IFF_UP: Final = 0x1
_MTU: Final = 1_500
_QUEUE: Final = (
    10_000  # packets that wait for the switch; a device that loses some makes TCP wait 200 ms and more
)
_NAME: Final = b"cable"
_NETMASK: Final = "255.255.0.0"
_PROBE: Final = "from simulations.fabric.lan import Lan; Lan(['probe']).close()"

_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def inside(*arguments: str) -> list[str]:
    """The command that runs this Python with `arguments` in a network, and mounts, of its own."""
    own = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    return [shutil.which("unshare") or "unshare", *own, "--net", "--mount", "--", sys.executable, *arguments]


def why_not() -> str:
    """Why this machine cannot have such networks, as a few words; empty if it can."""
    if _libc is None:
        return "network namespaces are Linux's"
    if shutil.which("unshare") is None:
        return "there is no unshare (util-linux)"
    tried = subprocess.run(inside("-c", _PROBE), capture_output=True, text=True, timeout=60, check=False)
    return "" if tried.returncode == 0 else (tried.stderr.strip().splitlines() or ["it just failed"])[-1]


def _call(result: int, what: str) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def enter(network: int) -> None:
    """Puts the calling thread, and what it starts from now on, into the network with this descriptor.

    Raises:
        OSError: it may not.
    """
    assert _libc is not None
    _call(_libc.setns(network, _CLONE_NEWNET), "setns")


@contextmanager
def new_network() -> Iterator[int]:
    """The calling thread is in a new network meanwhile; yields its descriptor, which stays open and is the caller's.

    Raises:
        OSError: this machine does not allow it.
    """
    assert _libc is not None
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        _call(_libc.unshare(_CLONE_NEWNET), "unshare")
        try:
            yield os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        finally:
            enter(before)
    finally:
        os.close(before)


def tun(address: str) -> int:
    """A TUN device with this address in the calling thread's network, up, as is its loopback; its other end.

    Raises:
        OSError: there is no /dev/net/tun, or no right to it.
    """
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        fcntl.ioctl(fd, _TUNSETIFF, struct.pack("16sH22x", _NAME, _IFF_TUN | _IFF_NO_PI))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
            for request, value in ((_SIOCSIFADDR, address), (_SIOCSIFNETMASK, _NETMASK)):
                packed = struct.pack("16sHH4s16x", _NAME, socket.AF_INET, 0, socket.inet_aton(value))
                fcntl.ioctl(asked, request, packed)
            for request, number in ((_SIOCSIFMTU, _MTU), (_SIOCSIFTXQLEN, _QUEUE)):
                fcntl.ioctl(asked, request, struct.pack("16si20x", _NAME, number))
            for name in (b"lo", _NAME):
                (flags,) = struct.unpack_from(
                    "16xH", fcntl.ioctl(asked, _SIOCGIFFLAGS, name.ljust(40, b"\0"))
                )
                fcntl.ioctl(asked, _SIOCSIFFLAGS, struct.pack("16sH22x", name, flags | _IFF_UP))
    except OSError:
        os.close(fd)
        raise
    return fd
