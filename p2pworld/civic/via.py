"""A gateway that files for somebody who cannot sign: it says so, and signs beside the key that is made for the filing.

The filing names the gateway's key in `via`, and its last public field is that key's signature over the filing without
the field. So everybody who reads the log sees who vouches for the entry. What the log's holder itself enters, an event
of a booking, carries the holder's key in the same way.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from p2pworld.crypto.keys import verify

if TYPE_CHECKING:
    from p2pworld.civic.transaction import Filing

__all__ = ["GATEWAY", "gateway_statement", "signed_by_gateway"]

GATEWAY: Final = "gateway"  # the field with the signature
_NAME: Final = b"p2pworld gateway v1\n"
_SIGNATURE_DIGITS: Final = 128


def gateway_statement(filing: Filing) -> bytes:
    """What the gateway of a filing signs; the last public field does not count."""
    return _NAME + replace(filing, public=filing.fields).statement()


def signed_by_gateway(filing: Filing) -> bool:
    """Whether the key in `via` signed this filing."""
    if not filing.via or not filing.public or filing.public[-1].name != GATEWAY:
        return False
    text = filing.public[-1].value
    if len(text) != _SIGNATURE_DIGITS or text.strip("0123456789abcdef"):
        return False
    return verify(filing.via, gateway_statement(filing), bytes.fromhex(text))
