"""From a method and a path to the model's operation."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import NamedTuple
from urllib.parse import unquote

from botocore.model import OperationModel

from meshwright.model.service import load_service_model


class Match(NamedTuple):
    """An operation and the values of the members that stand in its path."""

    operation: OperationModel
    path_values: Mapping[str, str]


@cache
def _routes() -> tuple[tuple[str, re.Pattern[str], OperationModel], ...]:
    model = load_service_model()
    routes: list[tuple[str, re.Pattern[str], OperationModel]] = []
    for name in model.operation_names:
        operation = model.operation_model(name)
        pattern = re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(operation.http["requestUri"]))
        routes.append((operation.http["method"], re.compile(pattern), operation))
    return tuple(routes)


def find_operation(method: str, raw_path: str) -> Match | None:
    """The operation that a request line asks for, or None.

    Args:
        method: The HTTP method.
        raw_path: The path as it was sent, still percent-encoded, without the query: names may
            hold an encoded slash.
    """
    for route_method, pattern, operation in _routes():
        if route_method == method and (match := pattern.fullmatch(raw_path)):
            return Match(
                operation, {name: unquote(text) for name, text in match.groupdict().items()}
            )
    return None


def known_methods(raw_path: str) -> list[str]:
    """The methods that a path takes, for the message to one that used another."""
    return sorted({method for method, pattern, _ in _routes() if pattern.fullmatch(raw_path)})
