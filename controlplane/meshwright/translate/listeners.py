"""Listeners for what comes in: those of virtual nodes and of virtual gateways."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from google.protobuf.message import Message

from meshwright.model.ports import INGRESS_PORT, TCP
from meshwright.model.resources import Resource
from meshwright.translate.addresses import Addresses
from meshwright.translate.envoy_api import Listener, build_address
from meshwright.translate.filter_chains import build_connection_filters, build_request_filters
from meshwright.translate.listener_filters import (
    INSPECTION_TIMEOUT,
    inspect_tls,
    restore_original_destination,
)
from meshwright.translate.names import cluster_name, listener_name, route_configuration_name
from meshwright.translate.proxies import Interception, Proxy
from meshwright.translate.tls import build_server_transport_socket, find_server_tls


def build_ingress_listeners(
    node: Resource, proxy: Proxy, addresses: Addresses
) -> tuple[Message, ...]:
    """The listeners for what comes to a virtual node.

    Transparent traffic is redirected to one listener, which tells the declared ports apart;
    explicit traffic comes to the declared ports themselves.
    """
    declared = node.spec.get("listeners", ())
    if proxy.interception is Interception.EXPLICIT:
        return _build_own_listeners(node, addresses)
    chains = [
        chain
        for listener in declared
        for chain in _build_ingress_chains(node, listener, match_port=True)
    ]
    if not chains:
        return ()
    inspected = [each for each in declared if find_server_tls(each) is not None]
    return (
        build_listener(
            "ingress",
            addresses.listener,
            INGRESS_PORT,
            chains,
            [
                restore_original_destination(),
                *(
                    [inspect_tls(only_on=[each["portMapping"]["port"] for each in inspected])]
                    if inspected
                    else []
                ),
            ],
            also=addresses.also,
            server_may_speak_first=any(map(_takes_plain_tcp, inspected)),
        ),
    )


def build_gateway_listeners(gateway: Resource, addresses: Addresses) -> tuple[Message, ...]:
    """The listeners of a virtual gateway, which nobody redirects to: it binds its ports itself."""
    return _build_own_listeners(gateway, addresses)


def _build_own_listeners(owner: Resource, addresses: Addresses) -> tuple[Message, ...]:
    return tuple(
        build_listener(
            "ingress",
            addresses.listener,
            listener["portMapping"]["port"],
            _build_ingress_chains(owner, listener),
            [inspect_tls()] if find_server_tls(listener) is not None else [],
            also=addresses.also,
            server_may_speak_first=_takes_plain_tcp(listener),
        )
        for listener in owner.spec.get("listeners", ())
    )


def _takes_plain_tcp(listener: Mapping[str, Any]) -> bool:
    """Whether a listener tells plain TCP from TLS by a connection's first bytes."""
    tls = find_server_tls(listener)
    protocol = listener["portMapping"]["protocol"]
    return protocol == TCP and tls is not None and tls["mode"] == "PERMISSIVE"


def _build_ingress_chains(
    owner: Resource, listener: Mapping[str, Any], *, match_port: bool = False
) -> list[dict[str, Any]]:
    """A declared listener's filter chains: for plain text, for TLS, or for both.

    Source: App Mesh user guide, tls.md: STRICT takes TLS only, PERMISSIVE plain text as well.
    """
    mapping = listener["portMapping"]
    chain = _build_ingress_filters(owner, listener)
    port = {"destination_port": {"value": mapping["port"]}} if match_port else {}
    tls = find_server_tls(listener)
    plain = {**chain, "filter_chain_match": port} if port else chain
    if tls is None:
        return [plain]
    encrypted = {
        **chain,
        "filter_chain_match": {**port, "transport_protocol": "tls"},
        "transport_socket": build_server_transport_socket(tls, mapping["protocol"]),
    }
    return [encrypted, plain] if tls["mode"] == "PERMISSIVE" else [encrypted]


def _build_ingress_filters(owner: Resource, listener: Mapping[str, Any]) -> dict[str, Any]:
    protocol, port = listener["portMapping"]["protocol"], listener["portMapping"]["port"]
    if protocol == TCP:
        key = owner.key
        application = cluster_name("ingress", key.mesh.name, key.name, protocol, port)
        timeout = listener.get("timeout", {}).get(TCP)
        return build_connection_filters(owner, "ingress", [(application, 1)], timeout)
    routes = route_configuration_name("ingress", protocol, port)
    return build_request_filters(owner, "ingress", routes)


def build_listener(
    direction: str,
    address: str,
    port: int,
    chains: Sequence[Mapping[str, Any]],
    listener_filters: Sequence[Mapping[str, Any]] = (),
    *,
    also: str | None = None,
    server_may_speak_first: bool = False,
    default_chain: Mapping[str, Any] | None = None,
) -> Message:
    """A listener.

    Args:
        direction: `ingress` or `egress`.
        address: The IP address that it binds.
        port: Its port.
        chains: Its filter chains.
        listener_filters: Its listener filters, in their order.
        also: Another address that it binds.
        server_may_speak_first: Whether its inspectors must not wait long for a client's bytes.
        default_chain: The filter chain for what none of the others takes; None closes it.
    """
    return Listener(
        name=listener_name(direction, address, port),
        address=build_address(address, port),
        additional_addresses=[] if also is None else [{"address": build_address(also, port)}],
        traffic_direction="INBOUND" if direction == "ingress" else "OUTBOUND",
        filter_chains=chains,
        default_filter_chain=default_chain,
        listener_filters=listener_filters,
        **(INSPECTION_TIMEOUT if server_may_speak_first else {}),
    )
