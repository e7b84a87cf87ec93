"""ADS over gRPC: sockets for the state machines."""
# pyright: basic, reportAttributeAccessIssue=false
# grpcio's stubs know neither grpc.aio.EOF nor the generic handlers' types.

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from typing import Any, Final

import grpc
import grpc.aio

from meshwright.xds.admission import Credentials, Gate, OpenGate
from meshwright.xds.bounds import STREAMS_PER_CONNECTION, Bounds, Turnstile
from meshwright.xds.distribution import Distribution
from meshwright.xds.exchange import Exchange
from meshwright.xds.stream import Delta, Dialect, StateOfTheWorld
from meshwright.xds.wire import Request, parse_delta_request, parse_sotw_request

SERVICE: Final = "envoy.service.discovery.v3.AggregatedDiscoveryService"

_HANDED_OVER_PER_SECOND: Final = 100
"""How many proxies a stopping server sends elsewhere in a second, where it has the time."""

_METHODS: Final = (
    ("DeltaAggregatedResources", parse_delta_request, Delta),
    ("StreamAggregatedResources", parse_sotw_request, StateOfTheWorld),
)

_OPTIONS: Final = (
    # App Mesh's Envoy image pings every 10 s, with or without data; that must not be punished.
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ("grpc.http2.max_ping_strikes", 0),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.max_concurrent_streams", STREAMS_PER_CONNECTION),
    # Requests are small, so there is no bandwidth to be probed for; while a probe's own ping is
    # unanswered, gRPC sends no other one, and would not miss a proxy that has vanished.
    ("grpc.http2.bdp_probe", 0),
    ("grpc.max_receive_message_length", 4 * 1024 * 1024),
    ("grpc.so_reuseport", 0),
    # An ADS stream never ends by itself; what is under way at the end of its age may finish.
    ("grpc.max_connection_age_grace_ms", 5_000),
)


class XdsServer:
    """The gRPC server.

    Args:
        distribution: What it gives out.
        account_id: The owner of meshes that node ids name without one.
        gate: Who decides which proxy gets what; without one, all get what they ask for.
        connection_seconds: How old a connection gets, give or take a tenth, which keeps proxies
            that came together from going together.
        keepalive_seconds: After how long without a word from a client it is asked for a sign of
            life; without one it is forgotten after two thirds of that.
        bounds: What one identity and one stream may take.
    """

    def __init__(
        self,
        distribution: Distribution,
        *,
        account_id: str,
        gate: Gate | None = None,
        connection_seconds: float = 3600.0,
        keepalive_seconds: float = 30.0,
        bounds: Bounds | None = None,
    ) -> None:
        self._distribution = distribution
        self._account_id = account_id
        self._gate = gate or OpenGate()
        self._turnstile = Turnstile(bounds or Bounds())
        self._exchanges: set[Exchange] = set()
        answer_ms = round(keepalive_seconds * 1000 * 2 / 3)
        self._server = grpc.aio.server(
            options=(
                *_OPTIONS,
                ("grpc.max_connection_age_ms", round(connection_seconds * 1000)),
                ("grpc.keepalive_time_ms", round(keepalive_seconds * 1000)),
                ("grpc.keepalive_timeout_ms", answer_ms),
                # Without this one gRPC's own minute counts, whatever the other says.
                ("grpc.http2.ping_timeout_ms", answer_ms),
            )
        )
        self._server.add_generic_rpc_handlers(
            (
                grpc.method_handlers_generic_handler(
                    SERVICE,
                    {
                        name: grpc.stream_stream_rpc_method_handler(
                            self._handler(f"/{SERVICE}/{name}", parse, dialect)
                        )
                        for name, parse, dialect in _METHODS
                    },
                ),
            )
        )

    def bind(self, address: str, credentials: grpc.ServerCredentials | None = None) -> int:
        """Bind an address, `HOST:PORT`, with TLS where there are credentials; return the port.

        Raises:
            RuntimeError: It can't be bound.
        """
        if credentials is None:
            return self._server.add_insecure_port(address)
        return self._server.add_secure_port(address, credentials)

    async def start(self) -> None:
        """Begin to serve."""
        await self._server.start()

    async def stop(self, grace_seconds: float) -> None:
        """Take no more streams, and end those that are open one after another.

        So their proxies come to another control plane one after another too, and not all at once.

        Args:
            grace_seconds: How long that may take.
        """
        stopping = asyncio.create_task(self._server.stop(grace_seconds))
        exchanges = list(self._exchanges)
        random.shuffle(exchanges)
        loop = asyncio.get_running_loop()
        for delay, exchange in zip(
            plan_handover(len(exchanges), grace_seconds), exchanges, strict=True
        ):
            loop.call_later(delay, _hand_over, exchange)
        await stopping

    def end_unwelcome(self) -> None:
        """End the streams of proxies that would not be let in any more."""
        for exchange in self._exchanges:
            exchange.end_if_unwelcome()

    def _handler(
        self, path: str, parse: Callable[[bytes], Request], dialect: Callable[[], Dialect]
    ) -> Callable[[Any, Any], Any]:
        async def serve(_: Any, context: Any) -> None:
            credentials = _read_credentials(context, path)
            exchange = Exchange(
                self._distribution,
                self._account_id,
                self._gate,
                self._turnstile,
                credentials,
                parse,
                context,
            )
            self._exchanges.add(exchange)
            try:
                await exchange.run(dialect())
            finally:
                self._exchanges.remove(exchange)

        return serve


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
    exchange.end(
        grpc.StatusCode.UNAVAILABLE,
        "this control plane is stopping: connect again",
        is_refusal=False,
    )


def _read_credentials(context: Any, path: str) -> Credentials:
    """What the handshake has proven; gRPC tells a SPIFFE id only where it is the only URI."""
    proven = context.auth_context()
    spiffe_ids = proven.get("peer_spiffe_id", ())
    certificates = proven.get("x509_pem_cert", ())
    return Credentials(
        spiffe_id=spiffe_ids[0].decode() if len(spiffe_ids) == 1 else None,
        certificate=certificates[0] if certificates else None,
        path=path,
        metadata=tuple((name, str(value)) for name, value in context.invocation_metadata()),
    )
