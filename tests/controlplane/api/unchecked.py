"""A client of the API that sends what the model has no place for, which SDKs would not."""

from __future__ import annotations

import http.client
import json
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

from botocore.model import OperationModel

from tests.controlplane.api.operations import MODEL, input_shape


class Answer(NamedTuple):
    """What came back: the HTTP code and the body."""

    status: int
    content: Any


class UncheckedClient:
    """A client that checks nothing.

    Args:
        address: Where the API is served, as `HOST:PORT`.
    """

    def __init__(self, address: str) -> None:
        self._connection = http.client.HTTPConnection(address, timeout=60)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def call(self, operation: str, parameters: dict[str, Any]) -> Answer:
        """Send parameters where the model says they belong, whatever they are."""
        model = MODEL.operation_model(operation)
        path, query, body = _place(model, parameters)
        url = path + (f"?{urlencode(query)}" if query else "")
        return self.send(model.http["method"], url, json.dumps(body))

    def send(self, method: str, url: str, body: str) -> Answer:
        """Send a request as it is."""
        headers = {"content-type": "application/json"} if body else {}
        self._connection.request(method, url, body.encode("utf-8", "replace"), headers)
        with self._connection.getresponse() as answer:
            return Answer(answer.status, json.loads(answer.read()))


def _place(
    model: OperationModel, parameters: dict[str, Any]
) -> tuple[str, dict[str, str], dict[str, Any]]:
    path: str = model.http["requestUri"]
    query: dict[str, str] = {}
    body: dict[str, Any] = {}
    members = input_shape(model.name).members
    for name, value in parameters.items():
        serialization = members[name].serialization if name in members else {}
        wire_name = str(serialization.get("name", name))
        match serialization.get("location"):
            case "uri":
                path = path.replace(f"{{{wire_name}}}", quote(_text(value), safe=""))
            case "querystring":
                query[wire_name] = _text(value)
            case _:
                body[name] = value
    return path, query, body


def _text(value: Any) -> str:
    return (value if isinstance(value, str) else json.dumps(value)) or "x"
