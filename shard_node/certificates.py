"""The certificate that browsers see: read from its two files, and exchanged while the node runs.

Sockets are accepted with one context that never changes; whose certificate it shows is asked at each handshake. A
reload reads both files into a context of its own first, so that a broken pair is refused whole: the certificate before
it is shown on, and the refusal stands in the log and in /metrics until a reload succeeds.
"""

from __future__ import annotations

import ipaddress
import logging
import ssl
from collections import Counter
from typing import TYPE_CHECKING

from cryptography import x509

from shard_node.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from shard_node.config import TlsConfig

__all__ = ["WebCertificate", "is_for", "not_after_ms"]

log = logging.getLogger(__name__)


def not_after_ms(path: Path, key: str) -> int:
    """When the first certificate in this PEM file ends, in Unix milliseconds; `key` of the configuration names it.

    Raises ConfigError.
    """
    return int(_first(path, key).not_valid_after_utc.timestamp() * 1000)


def is_for(path: Path, host: str) -> bool:
    """Whether the certificate that browsers see is for this host, as they judge it (RFC 6125).

    Raises ConfigError.
    """
    try:
        names = (
            _first(path, "tls.play_cert")
            .extensions.get_extension_for_class(x509.SubjectAlternativeName)
            .value
        )
    except x509.ExtensionNotFound:
        return False
    try:
        return ipaddress.ip_address(host) in names.get_values_for_type(x509.IPAddress)
    except ValueError:  # then it is a name, for itself or by a star in place of its first part
        star = f"*.{host.partition('.')[2]}".lower()
        return any(name.lower() in (host.lower(), star) for name in names.get_values_for_type(x509.DNSName))


def _first(path: Path, key: str) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigError(f"{key} names {path}, which holds no certificate in PEM ({error}).") from None


class WebCertificate:
    """The pair of files that `[tls]` names, as last read. `context` is for accepted sockets, play and web alike.

    `refused` while the files hold something else than what is shown.

    Raises ConfigError: they are no pair of a certificate and its key.
    """

    def __init__(self, files: TlsConfig) -> None:
        self.counters: Counter[str] = Counter()
        self.refused = False
        self._files = files
        self._shown, self.not_after_ms = _read(files)
        self.context, _ = _read(files)
        self.context.sni_callback = self._show

    def _show(self, sock: ssl.SSLSocket | ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
        """Called at each handshake, whether the client names a server or not."""
        sock.context = self._shown

    def reload(self) -> bool:
        """Whether new handshakes show what the files hold now; if not, they show what they did before."""
        try:
            self._shown, self.not_after_ms = _read(self._files)
        except ConfigError as error:
            self.refused = True
            self.counters["certificate_refused"] += 1
            log.error("the certificate was not reloaded, the one before it is shown on: %s", error)
            return False
        self.refused = False
        self.counters["certificate_reloaded"] += 1
        log.info("the certificate was reloaded")
        return True


def _read(files: TlsConfig) -> tuple[ssl.SSLContext, int]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(files.play_cert, files.play_key, password=lambda: "")
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"tls.play_cert and tls.play_key are no pair of PEM files ({error}).") from None
    # no client of ours comes back with one; they would be written before the first frame
    context.num_tickets = 0
    return context, not_after_ms(files.play_cert, "tls.play_cert")
