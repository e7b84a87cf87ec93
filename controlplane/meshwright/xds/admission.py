"""Whether a proxy may have the configuration that it asks for: the question, and who answers it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from meshwright.model.resources import ResourceKey


class NotAdmittedError(Exception):
    """A proxy that is not let in; the message says why and what would be.

    Args:
        message: What was shown, and what was expected.
        is_known: Whether it has shown who it is, and is only not for this resource.
    """

    def __init__(self, message: str, *, is_known: bool) -> None:
        super().__init__(message)
        self.is_known = is_known


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a stream shows of its proxy.

    Attributes:
        spiffe_id: The one SPIFFE id of its client certificate, which the transport has verified,
            or None.
        certificate: Its client certificate as PEM, which the transport has verified, or None.
        path: The path of its method, which a signature covers.
        metadata: The names and values that it was opened with.
    """

    spiffe_id: str | None = None
    certificate: bytes | None = None
    path: str = ""
    metadata: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True, slots=True)
class Admission:
    """A proxy that was let in.

    Attributes:
        identity: Who it is, by what it has shown; None where nobody was asked.
        find_fault: Why it would no longer be let in; None while it would.
    """

    identity: str | None = None
    find_fault: Callable[[], str | None] = lambda: None


class Gate(Protocol):
    """Who decides."""

    def admit(self, credentials: Credentials, key: ResourceKey) -> Admission:
        """Let a proxy have the configuration of a resource.

        Raises:
            NotAdmittedError: It may not.
        """
        ...


class OpenGate:
    """Lets everybody in: for addresses that only this machine reaches."""

    def admit(self, credentials: Credentials, key: ResourceKey) -> Admission:
        """Let it in."""
        del credentials, key
        return Admission()
