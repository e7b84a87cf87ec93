"""Certificates that trustme does not issue: those with URIs for names, such as SPIFFE ids."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

ONE_DAY: Final = timedelta(days=1)

Pair = tuple[bytes, bytes]
"""A private key and its certificate chain, as PEM."""


def issue_for_uris(by: trustme.CA, *uris: str, expires_in: timedelta = ONE_DAY) -> Pair:
    """A certificate with these alternative names.

    Args:
        by: Who signs it.
        uris: The names.
        expires_in: How long it is valid; less than nothing where it has expired.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a proxy")])
    issuer = x509.load_pem_x509_certificate(by.cert_pem.bytes())
    expiry = datetime.now(UTC) + expires_in
    builder = (
        x509.CertificateBuilder(issuer.subject, name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(expiry - 2 * ONE_DAY)
        .not_valid_after(expiry)
    )
    if uris:
        names = [x509.UniformResourceIdentifier(uri) for uri in uris]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    signer: Any = serialization.load_pem_private_key(by.private_key_pem.bytes(), None)
    certificate = builder.sign(signer, hashes.SHA256())
    return (
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
        certificate.public_bytes(serialization.Encoding.PEM),
    )
