"""TLS between a router and its gateway. Certificates are tried when they are read: with a bad one nothing starts.

What OpenSSL thinks of a certificate is asked of OpenSSL: it greets itself with it, in memory.
"""

from __future__ import annotations

import logging
import ssl
from dataclasses import dataclass
from pathlib import Path

import grpc

from cloud.config import CloudSettings
from edgewise.errors import EdgewiseError, NotReady

HTTPS = "https://"
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate with its chain, and its key, both PEM."""

    key: bytes
    chain: bytes


def server_credentials(settings: CloudSettings) -> grpc.ServerCredentials | None:
    """None without a certificate. Files that change are read again: for the next connection, if they are good.

    NotReady says what is wrong with them.
    """
    if settings.tls_cert_file is None or settings.tls_key_file is None:
        return None
    files = _ServerFiles(settings.tls_cert_file, settings.tls_key_file, settings.client_ca_file)
    return grpc.dynamic_ssl_server_credentials(
        files.read(),
        files.changed,  # type: ignore[arg-type]  # its stub does not know that None stands for "as before"
        require_client_authentication=settings.client_ca_file is not None,
    )


def channel_credentials(settings: CloudSettings) -> grpc.ChannelCredentials | None:
    """None for an address without https://; NotReady."""
    if not settings.address.startswith(HTTPS):
        return None
    authorities = _authorities(settings.ca_file, "cloud.ca_file") if settings.ca_file else None
    if settings.client_cert_file is None or settings.client_key_file is None:
        return grpc.ssl_channel_credentials(authorities)
    pair = read_pair(settings.client_cert_file, settings.client_key_file, "cloud.client_cert_file")
    return grpc.ssl_channel_credentials(authorities, pair.key, pair.chain)


def why_unreachable(details: str, has_tls: bool) -> str:
    """What gRPC says of a connection that did not come about, in words for who set it up."""
    if "CERTIFICATE_VERIFY_FAILED" in details:
        reason = details.rpartition("CERTIFICATE_VERIFY_FAILED: ")[2].removesuffix(": OK")
        return f"shows a certificate that is not trusted ({reason}); set cloud.ca_file to the authority that signed it"
    if "Hostname Verification" in details:
        return "shows a certificate for another name; write cloud.address with a name that stands in it"
    if "WRONG_VERSION_NUMBER" in details:
        return "has no TLS; give it cloud.tls_cert_file, or write cloud.address without https://"
    if "Socket closed" in details or "Connection reset" in details:
        wants = (
            "a certificate of this router (cloud.client_cert_file)" if has_tls else "TLS (https:// in cloud.address)"
        )
        return f"hung up; it may want {wants}, or be stopping"
    return "cannot be reached; start it, or correct cloud.address"


def read_pair(certificate: Path, key: Path, setting: str) -> Pair:
    """NotReady when they do not belong together, are no certificate, or are out of date."""
    certificate, key = certificate.expanduser(), key.expanduser()
    pair = Pair(_read(key, setting), _read(certificate, setting))
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    # Its own certificate is what is trusted, whoever signed it: only what it says itself is looked at.
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    try:
        # A key that wants a passphrase must not make OpenSSL ask the terminal for it.
        server.load_cert_chain(certificate, key, password="")
        client.load_verify_locations(certificate)
        _greet(server, client)
    except ssl.SSLCertVerificationError as error:
        raise NotReady(f"{setting}: {certificate}: {error.verify_message}; renew it") from None
    except (ssl.SSLError, ValueError, OSError) as error:
        reason = getattr(error, "reason", None) or "it is no PEM, or its key has a passphrase"
        raise NotReady(
            f"{setting}: {certificate} cannot be used with {key} ({reason}); give a certificate and its own key as PEM"
        ) from None
    return pair


class _ServerFiles:
    def __init__(self, certificate: Path, key: Path, authorities: Path | None) -> None:
        self._certificate = certificate
        self._key = key
        self._authorities_file = authorities
        self._seen = self._stamps()

    def read(self) -> grpc.ServerCertificateConfiguration:
        pair = read_pair(self._certificate, self._key, "cloud.tls_cert_file")
        file = self._authorities_file
        authorities = _authorities(file, "cloud.client_ca_file") if file else None
        return grpc.ssl_server_certificate_configuration([(pair.key, pair.chain)], authorities)

    def changed(self) -> grpc.ServerCertificateConfiguration | None:
        """Asked by grpc for every connection, on a thread of its own."""
        now = self._stamps()
        if now == self._seen:
            return None
        self._seen = now
        try:
            configuration = self.read()
        except EdgewiseError as error:
            log.warning("the certificate stays the old one: %s", error.message)
            return None
        log.info("%s was read again", self._certificate)
        return configuration

    def _stamps(self) -> tuple[float, ...]:
        files = filter(None, (self._certificate, self._key, self._authorities_file))
        try:
            return tuple(file.expanduser().stat().st_mtime for file in files)
        except OSError:
            return ()


def _authorities(file: Path, setting: str) -> bytes:
    content = _read(file, setting)
    try:
        ssl.create_default_context(cadata=content.decode("ascii"))
    except (ssl.SSLError, ValueError):
        raise NotReady(f"{setting}: {file} has no certificates; give them as PEM") from None
    return content


def _read(file: Path, setting: str) -> bytes:
    try:
        return file.expanduser().read_bytes()
    except OSError:
        raise NotReady(f"{setting}: {file} cannot be read; check the path and its permissions") from None


def _greet(server: ssl.SSLContext, client: ssl.SSLContext) -> None:
    """A handshake between two ends in this process."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = (
        client.wrap_bio(to_client, to_server, server_hostname="localhost"),
        server.wrap_bio(to_server, to_client, server_side=True),
    )
    waiting = list(ends)
    for _ in range(10):
        for end in tuple(waiting):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
            waiting.remove(end)
        if not waiting:
            return
