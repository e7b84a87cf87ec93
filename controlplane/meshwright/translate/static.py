"""A proxy's whole configuration as one static Envoy bootstrap, as `meshwright render` prints it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, cast

from google.protobuf.json_format import MessageToJson
from google.protobuf.message import Message

from meshwright.model.mounts import (
    AUTHORITIES_FILE,
    CHAIN_FILE,
    DEFAULT_SDS_SOCKET,
    KEY_FILE,
)
from meshwright.translate.clusters import build_http2
from meshwright.translate.envoy_api import Cluster
from meshwright.translate.lookups import (
    EndpointsLookup,
    Instance,
    SecretLookup,
    build_certificate,
    build_trust,
)
from meshwright.translate.packing import PackedResource
from meshwright.translate.secrets import ADS, SDS_CLUSTER
from meshwright.translate.translation import ProxyResources

_MAPS: Final = frozenset({"filter_metadata", "json_format"})


def render_resource(message: Message) -> dict[str, Any]:
    """An Envoy resource as the JSON object that Envoy's documentation shows, in snake_case.

    Fields stand in the order of Envoy's API; maps, which have none, by their keys.
    """
    return _sort_maps(json.loads(MessageToJson(message, preserving_proto_field_name=True)))


def render_packed(resource: PackedResource) -> dict[str, Any]:
    """A packed resource, as `render_resource` has it."""
    return render_resource(resource.unpack())


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


class UnmappedError(ValueError):
    """A certificate is needed that nobody has mapped; the message says which and how to."""


@dataclass(frozen=True, slots=True)
class MountedCredential:
    """What an ARN stands for, in a folder beside the proxy.

    Attributes:
        folder: The folder of `tls.crt` and `tls.key`.
        authorities: Those that signed the certificate, as PEM.
    """

    folder: str
    authorities: bytes


@dataclass(frozen=True, slots=True)
class StaticSettings:
    """What a configuration without a control plane has to be told.

    Attributes:
        node_id: Who the proxy says it is, to an SDS server for instance.
        sds_socket: The Unix domain socket of the proxy's own SDS server.
        credentials: What each ARN of a certificate or an authority stands for.
    """

    node_id: str = "offline"
    sds_socket: str = DEFAULT_SDS_SOCKET
    credentials: Mapping[str, MountedCredential] = field(
        default_factory=dict[str, MountedCredential]
    )


def render_static(
    resources: ProxyResources, settings: StaticSettings | None = None
) -> dict[str, Any]:
    """A bootstrap that holds everything itself, so that `envoy --mode validate` can judge it.

    Route configurations stand inside the listeners that would otherwise ask for them, and secrets
    beside them: one that names no source is found there. Private keys are not printed but named
    as files, and AWS Cloud Map is asked by DNS.

    Raises:
        UnmappedError: A certificate's ARN has no folder.
    """
    settings = settings or StaticSettings()
    routes = {name: render_packed(route) for name, route in resources.routes.items()}
    listeners = [render_packed(listener) for listener in resources.listeners.values()]
    for listener in listeners:
        for chain in listener.get("filter_chains", ()):
            for network_filter in chain.get("filters", ()):
                _inline_routes(network_filter["typed_config"], routes)
    static: dict[str, Any] = {
        "listeners": listeners,
        "clusters": [*_render_clusters(resources)],
    }
    secrets = [render_packed(secret) for secret in resources.secrets.values()]
    secrets += (
        _render_secret(lookup, settings.credentials)
        for lookup in resources.lookups
        if isinstance(lookup, SecretLookup)
    )
    if secrets:
        static["secrets"] = secrets
    static = _without(static, "sds_config", ADS)
    if SDS_CLUSTER in json.dumps(static):
        cluster = build_sds_cluster(settings.sds_socket)
        static["clusters"].append(render_resource(cluster))
    node = {"id": settings.node_id, "cluster": settings.node_id.rpartition("/")[2]}
    return {"node": node, "static_resources": static}


def build_sds_cluster(socket: str) -> Message:
    """The cluster of a bootstrap that reaches the proxy's own SDS server.

    Args:
        socket: The server's Unix domain socket.
    """
    endpoint = {"endpoint": {"address": {"pipe": {"path": socket}}}}
    return Cluster(
        name=SDS_CLUSTER,
        type="STATIC",
        connect_timeout={"seconds": 1},
        load_assignment={
            "cluster_name": SDS_CLUSTER,
            "endpoints": [{"lb_endpoints": [endpoint]}],
        },
        **build_http2(),
    )


def _render_clusters(resources: ProxyResources) -> Iterator[dict[str, Any]]:
    lookups = {each.name: each for each in resources.lookups if isinstance(each, EndpointsLookup)}
    for cluster in map(render_packed, resources.clusters.values()):
        lookup = lookups.get(cluster["name"])
        if lookup is None:
            yield cluster
        else:
            del cluster["eds_cluster_config"]
            yield {**cluster, "type": "STRICT_DNS", "load_assignment": _ask_dns(lookup)}


def _ask_dns(lookup: EndpointsLookup) -> dict[str, Any]:
    host = Instance(ipv4=str(lookup.service))
    return render_resource(lookup.build_from([host]))


def _render_secret(
    lookup: SecretLookup, credentials: Mapping[str, MountedCredential]
) -> dict[str, Any]:
    missing = [arn for arn in lookup.arns if arn not in credentials]
    if missing:
        raise UnmappedError(
            f"nothing is known of {missing[0]}: give --certificate {missing[0]}=FOLDER, the folder "
            f"with its {CHAIN_FILE}, {KEY_FILE} and {AUTHORITIES_FILE}"
        )
    mounted = [credentials[arn] for arn in lookup.arns]
    if lookup.is_trust:
        authorities = b"\n".join(each.authorities for each in mounted)
        return render_resource(build_trust(lookup.name, {"inline_bytes": authorities}))
    folder = mounted[0].folder
    chain, key = ({"filename": f"{folder}/{name}"} for name in (CHAIN_FILE, KEY_FILE))
    return render_resource(build_certificate(lookup.name, chain, key))


def _without(value: Any, name: str, content: Any) -> Any:
    """A JSON value without the members of a name that have a content, wherever they stand."""
    if isinstance(value, list):
        return [_without(each, name, content) for each in cast("list[Any]", value)]
    if isinstance(value, dict):
        members = cast("dict[str, Any]", value)
        return {
            key: _without(each, name, content)
            for key, each in members.items()
            if (key, each) != (name, content)
        }
    return value


def _inline_routes(manager: dict[str, Any], routes: Mapping[str, Any]) -> None:
    rds = manager.pop("rds", None)
    if rds is not None:
        manager["route_config"] = routes[rds["route_config_name"]]
