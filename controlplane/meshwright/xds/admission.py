"""Whether a proxy may have the configuration that it asks for: the question, and who answers it."""

from __future__ import annotations

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
    """What a stream shows of its proxy, as far as the transport has verified it.

    Attributes:
        spiffe_id: The one SPIFFE id of its client certificate, or None.
    """

    spiffe_id: str | None = None


class Gate(Protocol):
    """Who decides."""

    def admit(self, credentials: Credentials, key: ResourceKey) -> None:
        """Let a proxy have the configuration of a resource.

        Raises:
            NotAdmittedError: It may not.
        """
        ...


class OpenGate:
    """Lets everybody in: for addresses that only this machine reaches."""

    def admit(self, credentials: Credentials, key: ResourceKey) -> None:
        """Let it in."""
