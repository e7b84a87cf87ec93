"""Who decides which proxy gets which resource's configuration: by certificate or by token.

    a client certificate -> CertificateGate
    Bearer ...           -> TokenGate

A stream of which the transport has verified a certificate is judged by that alone.
"""

from __future__ import annotations

import re
from typing import Final

from meshwright.access.tokens import TokenError, Tokens
from meshwright.model.resources import ResourceKey, mesh_resource_key, parse_resource_id
from meshwright.xds.admission import Admission, Credentials, Gate, NotAdmittedError

_SPIFFE: Final = re.compile(r"spiffe://[^/]+/(?:(?P<account>[0-9]{12})/)?(?P<path>mesh/.+)")


class CertificateGate:
    """Admits a proxy for the one resource that its certificate is for.

    The certificate's only URI is a SPIFFE id. Its path names the resource, with the owner's
    account before it where that is not the server's, `spiffe://DOMAIN/mesh/MESH/virtualNode/NAME`;
    or the operator's mapping does, and then nothing else does.

    Args:
        account_id: The owner of meshes that an id names without one.
        identities: Resources by SPIFFE id; None reads them from the ids.
    """

    def __init__(self, account_id: str, identities: dict[str, ResourceKey] | None = None) -> None:
        self._account_id = account_id
        self._identities = identities

    def admit(self, credentials: Credentials, key: ResourceKey) -> Admission:
        """Let a proxy have the configuration of a resource.

        Raises:
            NotAdmittedError: Its certificate is for another, or for none.
        """
        spiffe_id = credentials.spiffe_id
        if spiffe_id is None:
            raise NotAdmittedError(
                "its client certificate must have one URI, a SPIFFE id such as "
                f"spiffe://DOMAIN/{key.path}",
                is_known=False,
            )
        if self._find_resource(spiffe_id) != key:
            raise NotAdmittedError(
                f"its client certificate, {spiffe_id}, is not for {key.path}", is_known=True
            )
        return Admission(spiffe_id)

    def _find_resource(self, spiffe_id: str) -> ResourceKey | None:
        if self._identities is not None:
            return self._identities.get(spiffe_id)
        match = _SPIFFE.fullmatch(spiffe_id)
        if match is None:
            return None
        try:
            return parse_resource_id(match["path"], account_id=match["account"] or self._account_id)
        except ValueError:
            return None


class TokenGate:
    """Admits a proxy by the token of its `authorization` metadata, `Bearer TOKEN`.

    Args:
        tokens: Reads tokens.
    """

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    def admit(self, credentials: Credentials, key: ResourceKey) -> Admission:
        """Let a proxy have the configuration of a resource.

        Raises:
            NotAdmittedError: Its token is not good, or for another resource.
        """
        try:
            grant = self._tokens.read(find_authorization(credentials).partition(" ")[2].strip())
        except TokenError as error:
            raise NotAdmittedError(f"its token {error}", is_known=False) from None
        if grant.scope not in (key, mesh_resource_key(key.mesh)):
            raise NotAdmittedError(
                f"its token {grant.token_id} is for {grant.scope.path} of account "
                f"{grant.scope.mesh.owner}, not for {key.path}",
                is_known=True,
            )

        def find_fault() -> str | None:
            fault = self._tokens.find_fault(grant)
            return fault and f"its token {fault}"

        return Admission(f"token {grant.token_id}", find_fault)


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
        if credentials.has_certificate:
            return self._certificates.admit(credentials, key)
        gate = self._schemes.get(find_authorization(credentials).partition(" ")[0])
        if gate is None:
            raise NotAdmittedError(
                "expected metadata authorization: Bearer TOKEN, with a token of `meshwright token "
                f"issue --for {key.path}`",
                is_known=False,
            )
        return gate.admit(credentials, key)


def find_authorization(credentials: Credentials) -> str:
    """The one value of a stream's `authorization` metadata; empty without exactly one."""
    values = [value for name, value in credentials.metadata if name == "authorization"]
    return values[0] if len(values) == 1 else ""
