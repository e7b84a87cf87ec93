"""Why a caller is turned away, by the names that SDKs know."""

from __future__ import annotations


class AccessError(Exception):
    """A request that is not let in.

    Args:
        code: The exception's name as AWS's services answer it, such as
            `InvalidSignatureException`; the API gives it its HTTP code.
        message: What was wrong and how to mend it.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class AccessSettingsError(Exception):
    """Keys or certificates that can't be used; the message says which and why, in one line."""


def incomplete_signature(message: str) -> AccessError:
    """The request is signed, but not with everything that a signature needs."""
    return AccessError("IncompleteSignatureException", message)


def signature_used() -> AccessError:
    """The signature is that of a write which was carried out before."""
    return invalid_signature(
        "Signature already used: this signed write was answered before; sign it anew"
    )


def invalid_signature(message: str) -> AccessError:
    """The signature is not valid: made otherwise, for something else, or at another time."""
    return AccessError("InvalidSignatureException", message)
