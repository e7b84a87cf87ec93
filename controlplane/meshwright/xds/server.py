"""ADS over gRPC: which methods there are, and how a stopping server lets its proxies go."""

from __future__ import annotations

import asyncio
import random
import socket
import ssl
from collections.abc import Callable, Sequence
from typing import Final

from meshwright.xds.admission import Credentials, Gate, OpenGate
from meshwright.xds.bounds import Bounds, Turnstile
from meshwright.xds.distribution import Distribution
from meshwright.xds.exchange import Exchange, Wakening
from meshwright.xds.stream import Delta, Dialect, StateOfTheWorld
from meshwright.xds.transport.calls import Call, Status
from meshwright.xds.transport.sockets import CallServer, Peer, Upkeep
from meshwright.xds.wire import Request, parse_delta_request, parse_sotw_request

SERVICE: Final = "envoy.service.discovery.v3.AggregatedDiscoveryService"

_HANDED_OVER_PER_SECOND: Final = 100
"""How many proxies a stopping server sends elsewhere in a second, where it has the time."""

_Method = tuple[Callable[[bytes], Request], Callable[[], Dialect]]

_METHODS: Final[dict[str, _Method]] = {
    f"/{SERVICE}/DeltaAggregatedResources": (parse_delta_request, Delta),
    f"/{SERVICE}/StreamAggregatedResources": (parse_sotw_request, StateOfTheWorld),
}


class XdsServer:
    """The gRPC server.

    Args:
        distribution: What it gives out.
        account_id: The owner of meshes that node ids name without one.
        gate: Who decides which proxy gets what; without one, all get what they ask for.
        upkeep: How connections are kept, and how long.
        bounds: What one identity and one stream may take.
    """

    def __init__(
        self,
        distribution: Distribution,
        *,
        account_id: str,
        gate: Gate | None = None,
        upkeep: Upkeep | None = None,
        bounds: Bounds | None = None,
    ) -> None:
        self._distribution = distribution
        self._account_id = account_id
        self._gate = gate or OpenGate()
        self._turnstile = Turnstile(bounds or Bounds())
        self._wakening = Wakening()
        self._exchanges: set[Exchange] = set()
        self._server = CallServer(self._accept, upkeep)
        distribution.metrics.watch_queue(self._server.count_queued_bytes)

    async def listen(
        self, listener: socket.socket, context: Callable[[], ssl.SSLContext] | None = None
    ) -> None:
        """Serve a bound socket, with TLS where there is a context for new connections."""
        await self._server.listen(listener, context)

    async def stop(self, grace_seconds: float) -> None:
        """Take no more streams, and end those that are open one after another.

        So their proxies come to another control plane one after another too, and not all at once.

        Args:
            grace_seconds: How long that may take.
        """
        self._server.refuse_more()
        exchanges = list(self._exchanges)
        random.shuffle(exchanges)
        loop = asyncio.get_running_loop()
        began = loop.time()
        for delay, exchange in zip(
            plan_handover(len(exchanges), grace_seconds), exchanges, strict=True
        ):
            await asyncio.sleep(began + delay - loop.time())
            _hand_over(exchange)
        await self._server.close()

    def end_unwelcome(self) -> None:
        """End the streams of proxies that would not be let in any more."""
        for exchange in list(self._exchanges):
            exchange.end_if_unwelcome()

    def _accept(self, call: Call, peer: Peer) -> Exchange | None:
        method = _METHODS.get(call.path)
        if method is None:
            call.finish(Status.UNIMPLEMENTED, f"{call.path}: only {SERVICE} is served here")
            return None
        parse, dialect = method
        exchange = Exchange(
            self._distribution,
            self._account_id,
            self._gate,
            self._turnstile,
            self._wakening,
            _read_credentials(call, peer),
            peer.address,
            parse,
            dialect(),
            call,
            self._exchanges.discard,
        )
        self._exchanges.add(exchange)
        return exchange


def plan_handover(streams: int, grace_seconds: float) -> Sequence[float]:
    """After how many seconds each stream of a stopping server is ended.

    Args:
        streams: How many there are.
        grace_seconds: Until when all must have ended, with a tenth of it to spare.
    """
    if not streams:
        return ()
    pause = min(1 / _HANDED_OVER_PER_SECOND, grace_seconds * 0.9 / streams)
    return [pause * number for number in range(streams)]


def _hand_over(exchange: Exchange) -> None:
    exchange.end_with(
        Status.UNAVAILABLE, "this control plane is stopping: connect again", is_refusal=False
    )


def _read_credentials(call: Call, peer: Peer) -> Credentials:
    """What the handshake has proven; a SPIFFE id is the certificate's only URI."""
    uris = peer.uris
    is_spiffe = len(uris) == 1 and uris[0].startswith("spiffe://")
    return Credentials(
        spiffe_id=uris[0] if is_spiffe else None,
        certificate=peer.certificate,
        path=call.path,
        metadata=call.metadata,
    )
