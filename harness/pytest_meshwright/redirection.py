"""Redirection of traffic to a proxy by iptables, as App Mesh's proxy configuration asks for it.

from outside, to an application port --PREROUTING--> the proxy's ingress port
from the application, to elsewhere  ----OUTPUT-----> the proxy's egress port
"""

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass

_VERSIONS = {"iptables": 4, "ip6tables": 6}


@dataclass(frozen=True, slots=True)
class ProxyConfiguration:
    """The properties of a task definition's `proxyConfiguration` of type APPMESH.

    Source: Amazon ECS developer guide, task_definition_parameters.md, "Proxy configuration".
    """

    app_ports: tuple[int, ...]
    """AppPorts: where the application listens."""
    ignored_uid: int | None = None
    """IgnoredUID: the proxy's user, whose traffic is not redirected."""
    ignored_gid: int | None = None
    """IgnoredGID: its group."""
    proxy_ingress_port: int = 15000
    """ProxyIngressPort."""
    proxy_egress_port: int = 15001
    """ProxyEgressPort."""
    egress_ignored_ports: tuple[int, ...] = ()
    """EgressIgnoredPorts: what goes to them is not redirected."""
    egress_ignored_ips: tuple[str, ...] = ()
    """EgressIgnoredIPs: addresses of either version that are reached directly."""


def build_redirection(configuration: ProxyConfiguration) -> Iterator[tuple[str, ...]]:
    """The commands that redirect a namespace's traffic, of both versions of IP, in their order.

    Traffic to and from the machine itself is left alone, so that application and proxy reach
    each other.

    Raises:
        ValueError: neither a user nor a group is ignored, so that the proxy would reach itself.
    """
    if configuration.ignored_uid is None and configuration.ignored_gid is None:
        raise ValueError("ignored_uid or ignored_gid must say who the proxy is")
    for program, version in _VERSIONS.items():
        table = (program, "-w", "-t", "nat")
        for port in configuration.app_ports:
            yield (
                *(*table, "-A", "PREROUTING", "-p", "tcp", "--dport", str(port)),
                *("-m", "addrtype", "!", "--src-type", "LOCAL"),
                *("-j", "REDIRECT", "--to-ports", str(configuration.proxy_ingress_port)),
            )
        for left_alone in _left_alone(configuration, version):
            yield (*table, "-A", "OUTPUT", "-p", "tcp", *left_alone, "-j", "RETURN")
        yield (
            *(*table, "-A", "OUTPUT", "-p", "tcp", "-m", "addrtype", "!", "--dst-type", "LOCAL"),
            *("-j", "REDIRECT", "--to-ports", str(configuration.proxy_egress_port)),
        )


def _left_alone(configuration: ProxyConfiguration, version: int) -> Iterator[tuple[str, ...]]:
    if configuration.ignored_uid is not None:
        yield "-m", "owner", "--uid-owner", str(configuration.ignored_uid)
    if configuration.ignored_gid is not None:
        yield "-m", "owner", "--gid-owner", str(configuration.ignored_gid)
    for port in configuration.egress_ignored_ports:
        yield "--dport", str(port)
    for address in configuration.egress_ignored_ips:
        if ipaddress.ip_address(address).version == version:
            yield "-d", address
