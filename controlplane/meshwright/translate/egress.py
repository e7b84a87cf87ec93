"""The listeners for what leaves a proxy: HTTP goes by the host that it names, TCP by its port.

Under transparent interception, a connection redirected to 15001 is for

    a port of HTTP backends ..... the connection manager
    a port of a TCP backend ..... that backend; HTTP where the port is that of HTTP backends too
    several TCP backends ........ the one whose name TLS asks for, or whose address it goes to
    an AWS endpoint ............. where it wanted to go, although egress is closed
    anything else ............... where it wanted to go if egress is open; if it is closed, HTTP is
                                  told what the backends are, and other connections are closed

Source: App Mesh user guide, troubleshooting-connectivity.md: connections are told apart by the
destination's port, which several TCP backends could not share. Names and addresses are ours.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from google.protobuf.message import Message

from meshwright.model.ports import EGRESS_PORT
from meshwright.model.resources import Resource
from meshwright.translate.addresses import Addresses
from meshwright.translate.backends import Backend, TcpPort
from meshwright.translate.filter_chains import build_connection_filters, build_request_filters
from meshwright.translate.listener_filters import (
    HTTP_PROTOCOLS,
    inspect_http,
    inspect_tls,
    restore_original_destination,
)
from meshwright.translate.listeners import build_listener
from meshwright.translate.names import (
    aws_egress_cluster_name,
    open_egress_cluster_name,
)
from meshwright.translate.proxies import Proxy
from meshwright.translate.routes import EGRESS_ROUTES, HTTP_PORT

AWS_PORT: Final = 443
AWS_NAMES: Final = "*.amazonaws.com"
"""What DROP_ALL lets out (botocore's model, EgressFilter)."""

_Services = Sequence[tuple[str, TcpPort]]


def build_gateway_egress_listener(gateway: Resource, address: str) -> Message:
    """The listener to which a virtual gateway hands the requests that its routes have taken."""
    chain = build_request_filters(gateway, "egress", EGRESS_ROUTES)
    return build_listener("egress", address, EGRESS_PORT, [chain])


def build_explicit_egress_listeners(
    node: Resource,
    proxy: Proxy,
    addresses: Addresses,
    backends: tuple[Backend, ...],
    dns_cache: Mapping[str, Any] | None,
) -> Iterator[Message]:
    """The application's HTTP proxy on 15001, and a listener for each port of TCP backends.

    Envoy takes absolute-form request targets; the host that a request names chooses its virtual
    host. TCP has no such name, so that the application connects to an address and port.

    Args:
        node: The virtual node.
        proxy: Its proxy; a TCP backend without an address of its own is found at the proxy's,
            unless the virtual node itself listens there.
        addresses: What it binds.
        backends: What it can reach.
        dns_cache: How hosts that are no backend are looked up; None where they are not reached.
    """
    address = addresses.listener
    requests = build_request_filters(node, "egress", EGRESS_ROUTES, dns_cache=dns_cache)
    yield build_listener("egress", address, EGRESS_PORT, [requests])
    taken = explicit_ports(node)
    for (bound, port), services in _group_tcp_ports(backends, proxy, address).items():
        if bound == address and port in taken:
            continue
        several = len(services) > 1
        chains = list(_build_tcp_chains(node, services, {}, by_name=several))
        yield build_listener("egress", bound, port, chains, [inspect_tls()] if several else [])


def explicit_ports(node: Resource) -> frozenset[int]:
    """The ports that a virtual node's proxy binds at its own address where nothing redirects."""
    listeners = node.spec.get("listeners", ())
    return frozenset({EGRESS_PORT, *(each["portMapping"]["port"] for each in listeners)})


def build_transparent_egress_listener(
    node: Resource,
    proxy: Proxy,
    addresses: Addresses,
    backends: tuple[Backend, ...],
    *,
    open_egress: bool,
) -> Message:
    """The one listener to which iptables redirects all that the application sends.

    Args:
        node: The virtual node.
        proxy: Its proxy.
        addresses: What it binds.
        backends: What it can reach.
        open_egress: Whether what is for no backend may leave the mesh.
    """
    mesh = node.key.mesh.name
    groups = _group_tcp_ports(backends, proxy, "")
    tcp_ports = {port for address, port in groups if not address}
    http_ports = {EGRESS_PORT, *(port for backend in backends for port in backend.ports)}
    if HTTP_PORT not in tcp_ports:
        # A request without a port in its host name may be for any backend.
        http_ports.add(HTTP_PORT)
    requests = build_request_filters(node, "egress", EGRESS_ROUTES)
    outside = build_connection_filters(node, "egress", [(open_egress_cluster_name(mesh), 1)])
    chains: list[dict[str, Any]] = []
    tls_ports: set[int] = set()

    def match(chain: Mapping[str, Any], port: int, **more: Any) -> None:
        criteria = {"destination_port": {"value": port}, **more}
        chains.append({**chain, "filter_chain_match": criteria})

    for (address, port), services in groups.items():
        beside_aws = port == AWS_PORT and not address and not open_egress
        by_name = len(services) > 1 or beside_aws
        where = {"destination_port": {"value": port}, **_build_prefix(address)}
        chains.extend(_build_tcp_chains(node, services, where, by_name=by_name))
        if by_name:
            tls_ports.add(port)
    for port in sorted(http_ports):
        if port in tcp_ports:
            match(requests, port, application_protocols=HTTP_PROTOCOLS)
        elif port == EGRESS_PORT and open_egress:
            # Nobody redirected this: to go where it wanted to go would lead here for ever.
            match(build_connection_filters(node, "egress", ()), port)
        else:
            match(requests, port)
            if open_egress:
                match(outside, port, transport_protocol="tls")
                tls_ports.add(port)
    shared = http_ports & tcp_ports
    if open_egress:
        http_filter = [inspect_http(only_on=shared)] if shared else []
    else:
        aws = build_connection_filters(node, "egress", [(aws_egress_cluster_name(mesh), 1)])
        match(aws, AWS_PORT, server_names=[AWS_NAMES])
        tls_ports.add(AWS_PORT)
        # What is for no backend is told so, if it can be.
        chains.append({**requests, "filter_chain_match": {"application_protocols": HTTP_PROTOCOLS}})
        known = http_ports | {port for _, port in groups}
        http_filter = [inspect_http(nowhere_on=known - shared)]
    tls_filter = [inspect_tls(only_on=tls_ports)] if tls_ports else []
    return build_listener(
        "egress",
        addresses.listener,
        EGRESS_PORT,
        chains,
        [restore_original_destination(), *tls_filter, *http_filter],
        also=addresses.also,
        server_may_speak_first=bool(tls_filter or http_filter),
        default_chain=outside if open_egress else None,
    )


def _group_tcp_ports(
    backends: tuple[Backend, ...], proxy: Proxy, default: str
) -> dict[tuple[str, int], list[tuple[str, TcpPort]]]:
    """The TCP services by the address and port at which the application finds them.

    The address of one that has none to itself is the default.
    """
    groups: dict[tuple[str, int], list[tuple[str, TcpPort]]] = {}
    for backend in backends:
        name = backend.service.key.name
        address = proxy.find_service_address(name) or default
        for tcp in backend.tcp_ports:
            groups.setdefault((address, tcp.port), []).append((name, tcp))
    return dict(sorted(groups.items()))


def _build_tcp_chains(
    node: Resource, services: _Services, match: Mapping[str, Any], *, by_name: bool
) -> Iterator[dict[str, Any]]:
    """The filter chains of services that share an address and port.

    A name is what TLS asks for; plain connections can only be for a service that is alone.
    """
    for name, tcp in services:
        chain = _build_tcp_filters(node, tcp)
        if by_name and "*" not in name:
            yield {**chain, "filter_chain_match": {**match, "server_names": [name.lower()]}}
        if len(services) == 1:
            yield {**chain, "filter_chain_match": match} if match else chain


def _build_tcp_filters(node: Resource, tcp: TcpPort) -> dict[str, Any]:
    if tcp.rule is None:
        return build_connection_filters(node, "egress", ())
    clusters = [(target.endpoint.cluster, target.weight) for target in tcp.rule.targets]
    return build_connection_filters(node, "egress", clusters, tcp.rule.rule.get("timeout"))


def _build_prefix(address: str) -> dict[str, Any]:
    if not address:
        return {}
    length = ipaddress.ip_address(address).max_prefixlen
    return {"prefix_ranges": [{"address_prefix": address, "prefix_len": {"value": length}}]}
