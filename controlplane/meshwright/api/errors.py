"""App Mesh's exceptions, with the HTTP codes that the model gives them."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import cache
from typing import Final, overload

from meshwright.access.errors import AccessError, signature_used
from meshwright.api.audit import AuditError
from meshwright.model.service import load_service_model
from meshwright.store import SignatureSpentError, StoreError, StoreLimitError

_HEADERS: Final[Mapping[str, Mapping[str, str]]] = {
    "ServiceUnavailableException": {"retry-after": "1"},
    "RequestTimeoutException": {"connection": "close"},
}


class ApiError(Exception):
    """An answer that is an error: one of the model's exceptions, or one common to all of AWS.

    Args:
        code: The exception's name, such as `BadRequestException`.
        message: What was wrong, naming the field.
        headers: The answer's headers that go with it; None takes those that go with all such.
        is_failure: Whether the control plane could not do its work, so that its operator has
            something to mend, and not its client.
    """

    def __init__(
        self,
        code: str,
        message: str,
        headers: Mapping[str, str] | None = None,
        *,
        is_failure: bool = False,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.headers = _HEADERS.get(code, {}) if headers is None else headers
        self.is_failure = is_failure

    @property
    def status(self) -> int:
        """The HTTP code that goes with it."""
        return _statuses()[self.code]


@cache
def _statuses() -> dict[str, int]:
    model = load_service_model()
    modelled = {
        shape.name: int(shape.metadata["error"]["httpStatusCode"]) for shape in model.error_shapes
    }
    # Not in the model, but common to every AWS service and known to the SDKs
    # (https://docs.aws.amazon.com/awssupport/latest/APIReference/CommonErrors.html).
    common = {
        "UnknownOperationException": 404,
        "IncompleteSignatureException": 400,
        "MissingAuthenticationTokenException": 403,
        "InvalidSignatureException": 403,
        "UnrecognizedClientException": 403,
        "AccessDeniedException": 403,
        "RequestTimeoutException": 408,
    }
    return common | modelled


@overload
def as_api_error(error: ApiError | AccessError) -> ApiError: ...
@overload
def as_api_error(error: Exception) -> ApiError | None: ...
def as_api_error(error: Exception) -> ApiError | None:
    """What a client is answered where something else refused or failed; None for a bug."""
    match error:
        case ApiError():
            return error
        case AccessError():
            return ApiError(error.code, error.message)
        case SignatureSpentError():
            return as_api_error(signature_used())
        case StoreLimitError():
            return bad_request(str(error))
        case StoreError() | AuditError():
            return ApiError("ServiceUnavailableException", str(error), is_failure=True)
        case _:
            return None


def level_of(error: ApiError | None) -> int:
    """At which level a request is logged that was answered with an error, or with none."""
    return logging.ERROR if error is not None and error.is_failure else logging.INFO


def bad_request(message: str) -> ApiError:
    """The request is malformed or breaks a rule."""
    return ApiError("BadRequestException", message)


def not_found(message: str) -> ApiError:
    """The request names a resource that does not exist."""
    return ApiError("NotFoundException", message)


def conflict(message: str) -> ApiError:
    """The request collides with what exists, or with another request."""
    return ApiError("ConflictException", message)


def resource_in_use(message: str) -> ApiError:
    """The resource can't be deleted because others depend on it."""
    return ApiError("ResourceInUseException", message)
