"""TLS without sockets: the handshake, what goes through, and peers that are not to be trusted."""

from __future__ import annotations

import ssl
from contextlib import suppress

import pytest
import trustme

from meshwright.xds.transport.tls import TlsSession


class TlsClient:
    """The other side of a session: OpenSSL's client over two buffers."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._session = context.wrap_bio(
            self._incoming, self._outgoing, server_hostname="localhost"
        )

    def take(self, data: bytes) -> None:
        """Get bytes of the server."""
        self._incoming.write(data)

    def speak(self) -> bytes:
        """The bytes that are for the server."""
        return self._outgoing.read()

    def shake_hands(self) -> bytes:
        """Go on with the handshake, and return what that says to the server."""
        with suppress(ssl.SSLWantReadError):
            self._session.do_handshake()
        return self.speak()

    def write(self, data: bytes) -> bytes:
        """Encrypt something."""
        self._session.write(data)
        return self.speak()

    def read(self) -> bytes:
        """Everything that the server has said."""
        said = b""
        try:
            while data := self._session.read():
                said += data
        except ssl.SSLWantReadError:
            return said
        raise EOFError(said)

    def speak_of_its_end(self) -> bytes:
        """Say that nothing more comes."""
        with suppress(ssl.SSLWantReadError):
            self._session.unwrap()
        return self.speak()


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Who signs the certificates of both sides."""
    return trustme.CA(key_type=trustme.KeyType.ECDSA)


@pytest.fixture
def server_context(authority: trustme.CA) -> ssl.SSLContext:
    """What the server shows."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", key_type=trustme.KeyType.ECDSA).configure_cert(context)
    return context


@pytest.fixture
def client_context(authority: trustme.CA) -> ssl.SSLContext:
    """Whom the client trusts."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def connect(server_context: ssl.SSLContext, client: TlsClient) -> TlsSession:
    """A session whose handshake is complete."""
    session = TlsSession(server_context, client.take)
    for _ in range(3):
        session.receive(client.shake_hands())
    assert session.is_secure
    return session


def test_what_either_side_says_reaches_the_other(
    server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    client = TlsClient(client_context)
    session = connect(server_context, client)
    long = bytes(range(256)) * 1000  # many TLS records

    session.send(long)

    assert client.read() == long
    assert session.receive(client.write(long)) == long


def test_bytes_may_come_one_by_one(
    server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    client = TlsClient(client_context)
    session = connect(server_context, client)

    said = [session.receive(bytes([byte])) for byte in client.write(b"slowly")]

    assert b"".join(said) == b"slowly"


def test_what_comes_with_the_end_of_the_handshake_is_not_lost(
    server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    client = TlsClient(client_context)
    session = TlsSession(server_context, client.take)
    session.receive(client.shake_hands())
    finished = client.shake_hands()

    assert session.receive(finished + client.write(b"at once")) == b"at once"


def test_a_peer_that_does_not_trust_the_server_ends_the_handshake(
    server_context: ssl.SSLContext,
) -> None:
    client = TlsClient(ssl.create_default_context())
    session = TlsSession(server_context, client.take)
    session.receive(client.shake_hands())
    with pytest.raises(ssl.SSLCertVerificationError):
        client.shake_hands()

    with pytest.raises(ssl.SSLError, match="UNKNOWN_CA"):
        session.receive(client.speak())


def test_a_peer_that_speaks_no_tls_is_refused(server_context: ssl.SSLContext) -> None:
    session = TlsSession(server_context, lambda _: None)

    with pytest.raises(ssl.SSLError, match=r"HTTP_REQUEST|WRONG_VERSION_NUMBER"):
        session.receive(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")


def test_a_peer_without_the_certificate_that_is_required_is_refused(
    authority: trustme.CA, server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    server_context.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(server_context)
    client = TlsClient(client_context)
    session = TlsSession(server_context, client.take)
    session.receive(client.shake_hands())

    with pytest.raises(ssl.SSLError, match="PEER_DID_NOT_RETURN_A_CERTIFICATE"):
        session.receive(client.shake_hands())


def test_a_client_that_ends_first_is_heard(
    server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    client = TlsClient(client_context)
    session = connect(server_context, client)

    said = session.receive(client.write(b"that is all") + client.speak_of_its_end())

    assert said == b"that is all"
    assert session.is_ended


def test_the_end_of_either_side_is_told(
    server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    client = TlsClient(client_context)
    session = connect(server_context, client)

    session.close()
    with pytest.raises(EOFError):
        client.read()
    session.receive(client.speak_of_its_end())

    assert session.is_ended
