"""AWS Cloud Map: the healthy instances of services, asked for again and again.

Each service that some proxy needs is asked for once per round, however many proxies need it.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import botocore.session
import structlog
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from meshwright.translate.lookups import CloudMapService, Instance

_log = structlog.get_logger("meshwright.discovery")

_MOST_INSTANCES: Final = 1000
"""What one DiscoverInstances answers at most
(https://docs.aws.amazon.com/cloud-map/latest/api/API_DiscoverInstances.html)."""

_LINGER_ROUNDS: Final = 12
"""For so many rounds a service that nobody needs is followed on: a proxy that connects again
finds its endpoints as they are now."""


class DiscoveryError(Exception):
    """A service's instances can't be had; the message says why."""


class Discover(Protocol):
    """Asks for a service's healthy instances."""

    def __call__(self, service: CloudMapService) -> Sequence[Instance]:
        """The instances.

        Raises:
            DiscoveryError: They can't be had.
        """
        ...


class CloudMapClient:
    """Asks AWS, with the credentials of its SDKs' usual places.

    Args:
        region: The region of the services.
    """

    def __init__(self, region: str) -> None:
        self._region = region
        self._client: Any = None

    def __call__(self, service: CloudMapService) -> Sequence[Instance]:
        """The healthy instances of a service.

        Raises:
            DiscoveryError: They can't be had.
        """
        try:
            answer = self._open().discover_instances(
                NamespaceName=service.namespace,
                ServiceName=service.service,
                QueryParameters=dict(service.attributes),
                HealthStatus="HEALTHY",
                MaxResults=_MOST_INSTANCES,
            )
        except (BotoCoreError, ClientError) as error:
            raise DiscoveryError(str(error)) from error
        attributes = [instance.get("Attributes", {}) for instance in answer["Instances"]]
        return [
            Instance(each.get("AWS_INSTANCE_IPV4", ""), each.get("AWS_INSTANCE_IPV6", ""))
            for each in attributes
        ]

    def _open(self) -> Any:
        """The client; made when it is first needed, since most meshes are found by DNS."""
        if self._client is None:
            session: Any = botocore.session.get_session()
            config = Config(connect_timeout=2, read_timeout=5, retries={"total_max_attempts": 2})
            client = session.create_client("servicediscovery", self._region, config=config)
            if not client.meta.endpoint_url.endswith((".amazonaws.com", ".amazonaws.com.cn")):
                # An endpoint of one's own has no host "data-..." beside it.
                config = config.merge(Config(inject_host_prefix=False))
                client = session.create_client("servicediscovery", self._region, config=config)
            self._client = client
        return self._client


@dataclass(slots=True)
class _Followed:
    """What is known of a service.

    Attributes:
        task: The task that asks for it.
        instances: Its instances when AWS last answered; None before.
        error: Why AWS did not answer the last time; empty where it did.
        idle_rounds: For how many rounds nobody has needed it.
    """

    task: asyncio.Task[None] | None = None
    instances: tuple[Instance, ...] | None = None
    error: str = ""
    idle_rounds: int = 0


class CloudMap:
    """Follows the services that are needed. Lives in one event loop.

    While AWS does not answer, a service keeps the instances that it had: an outage of discovery is
    none of the mesh.

    Args:
        discover: Asks for a service's instances; called in threads.
        poll_seconds: How long it waits between two questions for one service.
    """

    def __init__(self, discover: Discover, poll_seconds: float = 5.0) -> None:
        self._discover = discover
        self._poll_seconds = poll_seconds
        self._needed: frozenset[CloudMapService] = frozenset()
        self._followed: dict[CloudMapService, _Followed] = {}
        self._watchers: list[Callable[[CloudMapService], None]] = []

    def watch(self, watcher: Callable[[CloudMapService], None]) -> None:
        """Have a function called whenever a service's instances are others than before."""
        self._watchers.append(watcher)

    def need(self, services: Collection[CloudMapService]) -> None:
        """Follow these services, and the others not much longer."""
        self._needed = frozenset(services)
        for service in self._needed - self._followed.keys():
            followed = self._followed[service] = _Followed()
            followed.task = asyncio.create_task(self._follow(service, followed))

    def find_instances(self, service: CloudMapService) -> Sequence[Instance] | None:
        """The healthy instances of a service; None where AWS has not answered yet."""
        followed = self._followed.get(service)
        return None if followed is None else followed.instances

    def find_error(self, service: CloudMapService) -> str:
        """Why AWS did not answer when last asked for a service; empty where it did."""
        followed = self._followed.get(service)
        return "" if followed is None else followed.error

    async def close(self) -> None:
        """Stop asking."""
        tasks = [each.task for each in self._followed.values() if each.task is not None]
        self._followed.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _follow(self, service: CloudMapService, followed: _Followed) -> None:
        while followed.idle_rounds < _LINGER_ROUNDS:
            try:
                self._take(service, followed, await asyncio.to_thread(self._discover, service))
            except DiscoveryError as error:
                if not followed.error:  # once, not at each round
                    _log.error("cloud_map_failed", service=str(service), reason=str(error))
                followed.error = str(error)
            # Not all services at the same moment: AWS limits requests per second.
            await asyncio.sleep(self._poll_seconds * random.uniform(0.9, 1.1))  # noqa: S311
            followed.idle_rounds = 0 if service in self._needed else followed.idle_rounds + 1
        del self._followed[service]

    def _take(
        self, service: CloudMapService, followed: _Followed, instances: Sequence[Instance]
    ) -> None:
        if followed.error:
            _log.info("cloud_map_answers_again", service=str(service))
        followed.error = ""
        before, followed.instances = followed.instances, tuple(sorted(instances))
        if before != followed.instances:
            _log.info("instances_changed", service=str(service), instances=len(instances))
            for watcher in self._watchers:
                watcher(service)
