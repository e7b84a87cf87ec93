"""Who decides which proxy gets which resource's configuration, and by what.

    a client certificate -> CertificateGate
    Bearer ...           -> TokenGate
    AWS4-HMAC-SHA256 ... -> SignatureGate

A stream of which the transport has verified a certificate is judged by that alone. Where a mesh is
shared, each is for what one account owns in it (App Mesh user guide, "Working with shared meshes":
accounts "can connect an Envoy proxy to App Mesh as a virtual node that the account owns").
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from cryptography import x509

from meshwright.access.canonical import RequestHead
from meshwright.access.errors import AccessError, invalid_signature
from meshwright.access.keys import AccessKey, Keys
from meshwright.access.permissions import Caller
from meshwright.access.signatures import check_signature, check_time, parse_claim
from meshwright.access.tokens import TokenError, Tokens
from meshwright.meshes import Meshes
from meshwright.model.resources import (
    ResourceKey,
    mesh_resource_key,
    parse_resource_id,
)
from meshwright.xds.admission import Admission, Credentials, Gate, NotAdmittedError

Identities = Mapping[str, ResourceKey]
"""The resources that SPIFFE ids are for."""

_SPIFFE: Final = re.compile(r"spiffe://[^/]+/(?:(?P<account>[0-9]{12})/)?(?P<path>mesh/.+)")


class CertificateGate:
    """Admits a proxy for the one resource that its certificate is for.

    The certificate's only URI is a SPIFFE id. Its path names the resource as an ARN does, with the
    account that owns it before it where that is not the server's:
    `spiffe://DOMAIN/mesh/MESH/virtualNode/NAME`. Or the operator's mapping names it, and then
    nothing else does.

    Args:
        account_id: The account that ids without one are of.
        meshes: Tells which account a resource is of.
        find_identities: Tells the resources of SPIFFE ids as they are mapped now; None reads them
            from the ids.
        clock: The time, in UTC.
    """

    def __init__(
        self,
        account_id: str,
        meshes: Meshes,
        find_identities: Callable[[], Identities] | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._account_id = account_id
        self._meshes = meshes
        self._find_identities = find_identities
        self._clock = clock

    def admit(self, credentials: Credentials, key: ResourceKey) -> Admission:
        """Let a proxy have the configuration of a resource.

        Raises:
            NotAdmittedError: Its certificate is for another, or for none, or has expired since
                its connection was made.
        """
        spiffe_id = credentials.spiffe_id
        if spiffe_id is None:
            raise NotAdmittedError(
                "its client certificate must have one URI, a SPIFFE id such as "
                f"spiffe://DOMAIN/{key.path}",
                is_known=False,
            )
        if not self._is_for(spiffe_id, key):
            raise NotAdmittedError(
                f"its client certificate, {spiffe_id}, is not for {key.path}", is_known=True
            )
        if credentials.certificate is None:
            return Admission(spiffe_id)
        expires_at = x509.load_pem_x509_certificate(credentials.certificate).not_valid_after_utc

        def find_fault() -> str | None:
            if self._clock() > expires_at:
                return f"its client certificate, {spiffe_id}, has expired"
            if self._find_identities is not None and not self._is_for(spiffe_id, key):
                return f"its client certificate, {spiffe_id}, is not for it now"
            return None

        if (fault := find_fault()) is not None:
            raise NotAdmittedError(fault, is_known=False)
        return Admission(spiffe_id, find_fault)

    def _is_for(self, spiffe_id: str, key: ResourceKey) -> bool:
        if self._find_identities is not None:
            return self._find_identities().get(spiffe_id) == key
        match = _SPIFFE.fullmatch(spiffe_id)
        if match is None:
            return False
        try:
            said = parse_resource_id(match["path"], account_id=match["account"] or self._account_id)
        except ValueError:
            return False
        return said.key == key and _may_own(self._meshes, said.account_id, key)


class TokenGate:
    """Admits a proxy by the token of its `authorization` metadata, `Bearer TOKEN`.

    Args:
        tokens: Reads tokens.
        meshes: Tells which account a resource is of.
    """

    def __init__(self, tokens: Tokens, meshes: Meshes) -> None:
        self._tokens = tokens
        self._meshes = meshes

    def admit(self, credentials: Credentials, key: ResourceKey) -> Admission:
        """Let a proxy have the configuration of a resource.

        Raises:
            NotAdmittedError: Its token is not good, or for another resource.
        """
        try:
            grant = self._tokens.read(find_authorization(credentials).partition(" ")[2].strip())
        except TokenError as error:
            raise NotAdmittedError(f"its token {error}", is_known=False) from None
        account_id, scope = grant.scope
        if scope not in (key, mesh_resource_key(key.mesh)):
            raise NotAdmittedError(
                f"its token {grant.token_id} is for {scope.path} of account {account_id}, not for "
                f"{key.path}",
                is_known=True,
            )
        if not _may_own(self._meshes, account_id, key):
            raise NotAdmittedError(
                f"its token {grant.token_id} is for what account {account_id} owns, and {key.path} "
                "is another account's",
                is_known=True,
            )

        def find_fault() -> str | None:
            fault = self._tokens.find_fault(grant)
            return fault and f"its token {fault}"

        return Admission(f"token {grant.token_id}", find_fault)


class SignatureGate:
    """Admits a proxy whose stream is signed (AWS Signature Version 4) with an access key.

    So do AWS's own Envoy image and agent. What they sign is a POST without a body, with the host
    that their channel is for (Envoy's `AwsIamHeaderAuthenticator::buildMessageToSign`). gRPC for
    Python does not tell a server which host was asked for, so the operator says which may be.

    Args:
        keys: The access keys; None without any.
        hosts: By what proxies reach ADS: `HOST:PORT`, or `HOST` where the port is 443.
        meshes: Tells which account a resource is of, and whom its mesh is shared with.
        clock: The time, in UTC.
    """

    def __init__(
        self,
        keys: Keys | None,
        hosts: Sequence[str],
        meshes: Meshes,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._keys = keys
        self._hosts = hosts
        self._meshes = meshes
        self._clock = clock

    def admit(self, credentials: Credentials, key: ResourceKey) -> Admission:
        """Let a proxy have the configuration of a resource.

        Raises:
            NotAdmittedError: Its signature is not good, or its key is not for the mesh.
        """
        if self._keys is None or not self._hosts:
            raise NotAdmittedError(
                "signed streams are taken where there are access keys and --xds-host says by what "
                "name and port proxies reach ADS",
                is_known=False,
            )
        try:
            access_key = self._identify(self._keys, credentials)
        except AccessError as error:
            raise NotAdmittedError(error.message, is_known=False) from None
        key_id = access_key.access_key_id
        if not self._covers(access_key, key):
            raise NotAdmittedError(f"its access key {key_id} is not for {key.path}", is_known=True)
        keys = self._keys

        def find_fault() -> str | None:
            current = keys.find(key_id)
            if current is None or current.secret_access_key != access_key.secret_access_key:
                return f"its access key {key_id} was removed"
            if not self._covers(current, key):
                return f"its access key {key_id} is not for it now"
            return None

        return Admission(f"access key {key_id}", find_fault)

    def _covers(self, access_key: AccessKey, key: ResourceKey) -> bool:
        graph = self._meshes.graph(key.mesh)
        caller = Caller(access_key.account_id, access_key)
        may_see = caller.may_see(key.mesh, graph.shared_with)
        return may_see and _may_own(self._meshes, caller.account_id, key)

    def _identify(self, keys: Keys, credentials: Credentials) -> AccessKey:
        heads = [_render_head(credentials, host) for host in self._hosts]
        claim = parse_claim(heads[0])
        access_key = keys.find(claim.access_key_id)
        if access_key is None:
            raise invalid_signature(f"this control plane has no access key {claim.access_key_id!r}")
        check_time(claim, self._clock())
        refusal = None
        for head in heads:
            try:
                check_signature(head, claim, access_key.secret_access_key, b"")
            except AccessError as error:
                refusal = error
            else:
                return access_key
        raise invalid_signature(
            f"{refusal}; the host must be signed as one of --xds-host: {', '.join(self._hosts)}"
        )


class ProxyGate:
    """Lets each proxy be judged by the kind of credential that it shows.

    Args:
        certificates: For streams with a verified client certificate.
        schemes: For those without, by the scheme of their `authorization` metadata.
    """

    def __init__(self, certificates: Gate, schemes: dict[str, Gate]) -> None:
        self._certificates = certificates
        self._schemes = schemes

    def admit(self, credentials: Credentials, key: ResourceKey) -> Admission:
        """Let a proxy have the configuration of a resource.

        Raises:
            NotAdmittedError: It may not, or has shown nothing.
        """
        if credentials.certificate is not None:
            return self._certificates.admit(credentials, key)
        gate = self._schemes.get(find_authorization(credentials).partition(" ")[0])
        if gate is None:
            raise NotAdmittedError(
                "expected metadata authorization: Bearer TOKEN, with a token of `meshwright token "
                f"issue --for {key.path}`, or a signature (AWS Signature Version 4)",
                is_known=False,
            )
        return gate.admit(credentials, key)


def find_authorization(credentials: Credentials) -> str:
    """The one value of a stream's `authorization` metadata; empty without exactly one."""
    values = [value for name, value in credentials.metadata if name == "authorization"]
    return values[0] if len(values) == 1 else ""


def _may_own(meshes: Meshes, account_id: str, key: ResourceKey) -> bool:
    """Whether a resource is an account's; of one that is not there, somebody else will tell."""
    return meshes.find_owner(key) in (None, account_id)


def _render_head(credentials: Credentials, host: str) -> RequestHead:
    return RequestHead("POST", credentials.path, "", [("host", host), *credentials.metadata])
