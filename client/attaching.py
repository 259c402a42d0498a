"""Puts what is attached where it belongs, before the filing that names it: at the holder of the stream's log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import trio

from p2pworld.civic.attached import ATTACHMENT_HEADER
from p2pworld.errors import LocalError, RemoteError
from shard_node.http_client import LOST, fetch, why

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterable, Sequence

    from p2pworld.services.sealed_files import SealedFile

__all__ = ["put_all"]

ANSWER_BYTES_MAX: Final = 1 << 16
PUT_S: Final = 300.0  # 50 MiB at 170 kB/s
REDIRECTS: Final = 2  # to the holder, which may just have changed
AGAIN_S: Final = (1.0, 2.0, 4.0, 8.0)


async def put_all(
    urls: Sequence[str],
    stream: str,
    files: Iterable[SealedFile],
    tls: ssl.SSLContext,
    told: Callable[[str, str], None],
) -> bool:
    """Whether all of these are durable there; `told` hears what nodes said instead."""
    for file in files:
        for pause_s in (0.0, *AGAIN_S):
            await trio.sleep(pause_s)
            if await _put(urls, f"/civic/attachment/{stream}/{file.name.hex()}", file, tls, told):
                break
        else:
            return False
    return True


async def _put(
    urls: Sequence[str], path: str, file: SealedFile, tls: ssl.SSLContext, told: Callable[[str, str], None]
) -> bool:
    signed = (ATTACHMENT_HEADER.encode(), file.sig.hex().encode())
    for url in urls:
        where = url.rstrip("/") + path
        try:
            with trio.fail_after(PUT_S):
                for _ in range(REDIRECTS + 1):
                    answer = await fetch(where, tls, "PUT", file.locked, [signed], bytes_max=ANSWER_BYTES_MAX)
                    if answer.status == 200:
                        return True
                    where = answer.headers.get(b"location", b"").decode("latin-1")
                    if answer.status != 307 or not where:
                        told(url, f"does not take what is attached ({answer.status})")
                        break
        except LOST as error:
            told(url, f"does not take what is attached: {why(error)}")
        except (LocalError, RemoteError) as error:
            told(url, f"answers what cannot be: {error}")
    return False
