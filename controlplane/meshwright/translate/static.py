"""A proxy's whole configuration as one static Envoy bootstrap, as `meshwright render` prints it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, cast

from google.protobuf.json_format import MessageToJson
from google.protobuf.message import Message

from meshwright.translate.translation import ProxyResources

_MAPS: Final = frozenset({"filter_metadata", "json_format"})


def render_resource(message: Message) -> dict[str, Any]:
    """An Envoy resource as the JSON object that Envoy's documentation shows, in snake_case.

    Fields stand in the order of Envoy's API; maps, which have none, by their keys.
    """
    return _sort_maps(json.loads(MessageToJson(message, preserving_proto_field_name=True)))


def _sort_maps(value: Any, *, is_map: bool = False) -> Any:
    if isinstance(value, list):
        items = cast("list[Any]", value)
        return [_sort_maps(each, is_map=is_map) for each in items]
    if not isinstance(value, dict):
        return value
    members = cast("dict[str, Any]", value)
    return {
        name: _sort_maps(members[name], is_map=is_map or name in _MAPS)
        for name in (sorted(members) if is_map else members)
    }


def render_static(resources: ProxyResources) -> dict[str, Any]:
    """A bootstrap that holds everything itself, so that `envoy --mode validate` can judge it.

    Route configurations stand inside the listeners that would otherwise ask for them, and secrets
    beside them: one that names no source is found there.
    """
    routes = {route["name"]: route for route in map(render_resource, resources.routes)}
    listeners = [render_resource(listener) for listener in resources.listeners]
    for listener in listeners:
        for chain in listener.get("filter_chains", ()):
            for network_filter in chain.get("filters", ()):
                _inline_routes(network_filter["typed_config"], routes)
    static: dict[str, Any] = {
        "listeners": listeners,
        "clusters": [render_resource(cluster) for cluster in resources.clusters],
    }
    if resources.secrets:
        static["secrets"] = [render_resource(secret) for secret in resources.secrets]
    return {"static_resources": _without(static, "sds_config")}


def _without(value: Any, name: str) -> Any:
    if isinstance(value, list):
        return [_without(each, name) for each in cast("list[Any]", value)]
    if isinstance(value, dict):
        members = cast("dict[str, Any]", value)
        return {key: _without(each, name) for key, each in members.items() if key != name}
    return value


def _inline_routes(manager: dict[str, Any], routes: Mapping[str, Any]) -> None:
    rds = manager.pop("rds", None)
    if rds is not None:
        manager["route_config"] = routes[rds["route_config_name"]]
