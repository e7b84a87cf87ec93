r"""A lab: a control plane, DNS, and real services, each an application beside its own Envoy.

    application --(egress)--> Envoy =========> Envoy --> application
                                 \              /
                                  \  ADS, names /
                               control plane, DNS

A lab has a block of loopback addresses to itself, so that any number of labs run side by side on
the ports that the specs name.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pytest_meshwright.addresses import AddressBlock, ServiceAddresses
from pytest_meshwright.applications import Application, CallTally
from pytest_meshwright.aws import AwsEmulator
from pytest_meshwright.control_plane import ControlPlane
from pytest_meshwright.dns import DnsServer
from pytest_meshwright.envoy import Envoy
from pytest_meshwright.envoy_bootstrap import (
    Endpoint,
    ProxyCredentials,
    ProxySettings,
    build_bootstrap,
)
from pytest_meshwright.logs import LogShipper, LogStream
from pytest_meshwright.processes import ProcessGroup
from pytest_meshwright.reaper import FoundProcess

EGRESS_PORT = 15001
API_PORT, XDS_PORT = 4580, 18000

_DNS_HOST, _CONTROL_PLANE_HOST = 2, 3
_STOPPING_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Service:
    """An application and the Envoy beside it."""

    name: str
    node_id: str
    addresses: ServiceAddresses
    port: int
    application: Application
    envoy: Envoy
    service_addresses: Mapping[str, str]
    """Where its Envoy takes TCP connections for its `tcp_backends`, by their names."""

    @property
    def ingress(self) -> Endpoint:
        """Where its Envoy takes requests for it."""
        return Endpoint(self.addresses.listener, self.port)

    @property
    def egress(self) -> Endpoint:
        """The HTTP proxy through which it reaches the mesh."""
        return Endpoint(self.addresses.listener, EGRESS_PORT)

    def call(self, url: str, *, requests: int = 1, concurrency: int = 8) -> CallTally:
        """Let the application send requests through its Envoy; see `Application.call`."""
        return self.application.call(url, requests=requests, concurrency=concurrency)

    def wait_ready(self) -> Self:
        """Wait until the application answers and Envoy listens; see `Envoy.wait_ready`."""
        self.application.wait_ready()
        self.envoy.wait_ready()
        return self

    def count_requests(self) -> int:
        """How many requests its Envoy has served by its own count, both directions together."""
        stats = self.envoy.admin.read_stats(r"^http\.(ingress|egress)\.downstream_rq_total$")
        return sum(stats.values())

    def read_access_log(self) -> list[dict[str, Any]]:
        """The lines of the access log so far, where the spec asks for JSON on /dev/stdout.

        Raises:
            ValueError: a line is not JSON.
        """
        # The last line may be under way.
        complete = self.envoy.stdout.read_text().rpartition("\n")[0]
        return [json.loads(line) for line in complete.splitlines()]


class Lab:
    """Starts everything, and stops it in the order in which nothing is lost."""

    def __init__(
        self,
        folder: Path,
        *,
        envoy_binary: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Reserve the addresses; `start` starts things, and `stop` is needed in any case.

        Args:
            folder: where state and logs go.
            envoy_binary: the Envoy to run; None asks `get_envoy_binary`.
            environment: the control plane's variables, see `ControlPlane`.
        """
        self.folder = folder
        self.services: dict[str, Service] = {}
        self.shippers: list[LogShipper] = []
        self.leftovers: list[FoundProcess] = []
        """After `stop`: what still ran when everything had been stopped in order."""
        self.group = ProcessGroup()
        self.addresses = AddressBlock()
        self.dns = DnsServer(self.addresses.address(_DNS_HOST))
        host = self.addresses.address(_CONTROL_PLANE_HOST)
        self.control_plane = ControlPlane(
            folder=folder,
            group=self.group,
            api=Endpoint(host, API_PORT),
            xds=Endpoint(host, XDS_PORT),
            environment=environment,
        )
        self._envoy_binary = envoy_binary

    def start(self) -> Self:
        """Start DNS and the control plane, and wait until they serve.

        Raises:
            HarnessError: the control plane does not serve; everything is stopped again.
        """
        try:
            self.dns.start()
            self.control_plane.start()
        except BaseException as error:
            if not isinstance(error, Exception):
                self.abandon()
            self.stop()
            raise
        return self

    def add_service(
        self,
        name: str,
        *,
        mesh: str,
        hostname: str | None = None,
        port: int = 8080,
        node_id: str | None = None,
        tcp_backends: Sequence[str] = (),
        delta: bool = True,
        sds_socket: Path | None = None,
        credentials: ProxyCredentials | None = None,
        log_level: str = "info",
    ) -> Service:
        """Start an application and its Envoy, without waiting until they are ready.

        The mesh does not have to exist yet: Envoy asks the control plane again until it does.

        Args:
            name: of the virtual node; the application calls itself so in its answers.
            mesh: of the virtual node.
            hostname: the name of the node's DNS discovery; the lab's DNS then knows it.
            port: of the node's listener.
            node_id: what Envoy says that it is; None means `mesh/<mesh>/virtualNode/<name>`.
            tcp_backends: virtual services that each get an address of their own, on which its
                Envoy takes the TCP connections for them.
            delta: delta xDS, or state of the world.
            sds_socket: the socket of the SDS server beside its Envoy.
            credentials: what its Envoy trusts and shows at the control plane, where that has TLS.
            log_level: of Envoy's own log.
        """
        addresses = self.addresses.reserve_service()
        service_addresses = {
            backend: self.addresses.reserve_service().listener for backend in tcp_backends
        }
        settings = ProxySettings(
            node_id=node_id or f"mesh/{mesh}/virtualNode/{name}",
            cluster=name,
            addresses=addresses,
            control_plane=self.control_plane.xds,
            dns=Endpoint(self.dns.address, self.dns.port),
            service_addresses=service_addresses,
            delta=delta,
            sds_socket=sds_socket,
            credentials=credentials or ProxyCredentials(),
        )
        service = Service(
            name=name,
            node_id=settings.node_id,
            addresses=addresses,
            port=port,
            application=Application(
                name,
                Endpoint(addresses.application, port),
                folder=self.folder,
                group=self.group,
                proxy=Endpoint(addresses.listener, EGRESS_PORT),
            ),
            envoy=Envoy(
                name,
                build_bootstrap(settings),
                folder=self.folder,
                group=self.group,
                binary=self._envoy_binary,
                log_level=log_level,
            ),
            service_addresses=service_addresses,
        )
        self.services[name] = service
        if hostname is not None:
            self.dns.set_record(hostname, [addresses.listener])
        service.application.start()
        service.envoy.start()
        return service

    def wait_ready(self) -> Self:
        """Wait until every service is ready; see `Service.wait_ready`."""
        for service in self.services.values():
            service.wait_ready()
        return self

    def ship_logs(self, service: Service, aws: AwsEmulator, group: str) -> LogShipper:
        """Carry what the service's Envoy writes to its standard output to CloudWatch Logs.

        Args:
            service: whose Envoy.
            aws: where CloudWatch Logs is.
            group: the log group; the stream has the service's name.
        """
        stream = LogStream(aws.logs, group, service.name)
        shipper = LogShipper(service.envoy.stdout, stream).start()
        self.shippers.append(shipper)
        return shipper

    def abandon(self) -> None:
        """End all processes at once, without regard to what is lost; call `stop` after it."""
        for shipper in self.shippers:
            shipper.abandon()
        self._close_group()

    def stop(self) -> None:
        """Stop everything, whatever state it is in; Envoys lose no line of their access logs.

        Raises:
            HarnessError: log lines could not be delivered; everything is stopped nevertheless.
        """
        services = list(self.services.values())
        # Callbacks run from the last to the first, and all of them even where one fails.
        with ExitStack() as stack:
            stack.callback(self.addresses.close)
            stack.callback(self._close_group)
            stack.callback(self.dns.stop)
            if self.control_plane.is_started:
                stack.callback(self.control_plane.stop)
            stack.callback(_all_at_once, [service.application.stop for service in services])
            stack.callback(self.stop_shipping)
            stack.callback(_all_at_once, [service.envoy.stop for service in services])
            # A probe that goes on would keep the Envoys from becoming idle.
            stack.callback(_all_at_once, [service.application.end_probe for service in services])

    def _close_group(self) -> None:
        self.leftovers = self.group.close()

    def stop_shipping(self) -> None:
        """Deliver what the access logs hold by now, and end the shippers.

        Raises:
            HarnessError: log lines could not be delivered.
        """
        shippers, self.shippers = self.shippers, []
        _all_at_once([shipper.stop for shipper in shippers])

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def _all_at_once(actions: Sequence[Callable[[], object]]) -> None:
    """Run actions side by side, all of them even where one fails; raise the first failure."""
    with ThreadPoolExecutor(_STOPPING_AT_ONCE) as pool:
        futures = [pool.submit(action) for action in actions]
    for future in futures:
        future.result()
