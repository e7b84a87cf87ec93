"""The HTTP retry events of App Mesh, and what they stand for.

Source: botocore's model, HttpRetryPolicy.httpRetryEvents.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

STATUS_CODES: Final[Mapping[str, tuple[int, ...]]] = {
    "server-error": (500, 501, 502, 503, 504, 505, 506, 507, 508, 510, 511),
    "gateway-error": (502, 503, 504),
    "client-error": (409,),
}
"""Those that are status codes."""

CONDITIONS: Final[Mapping[str, tuple[str, ...]]] = {"stream-error": ("reset", "refused-stream")}
"""The others, as Envoy's conditions."""

HTTP_RETRY_EVENTS: Final = (*STATUS_CODES, *CONDITIONS)
