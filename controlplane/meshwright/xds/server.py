"""ADS over gRPC: sockets for the state machines."""
# pyright: basic, reportAttributeAccessIssue=false
# grpcio's stubs know neither grpc.aio.EOF nor the generic handlers' types.

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

import grpc
import grpc.aio
import structlog

from meshwright.translate import Proxy, parse_proxy
from meshwright.xds.admission import Admission, Credentials, Gate, NotAdmittedError, OpenGate
from meshwright.xds.distribution import Connection, Distribution, UnknownProxyError
from meshwright.xds.stream import Delta, Dialect, StateOfTheWorld
from meshwright.xds.wire import Node, Request, parse_delta_request, parse_sotw_request

_log = structlog.get_logger("meshwright.xds")

SERVICE: Final = "envoy.service.discovery.v3.AggregatedDiscoveryService"

MAX_SUBSCRIPTIONS: Final = 10_000
"""How many types and names one stream may ask for; a proxy needs a few for each backend."""

_METHODS: Final = (
    ("DeltaAggregatedResources", parse_delta_request, Delta),
    ("StreamAggregatedResources", parse_sotw_request, StateOfTheWorld),
)

_OPTIONS: Final = (
    # App Mesh's Envoy image pings every 10 s, with or without data; that must not be punished.
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ("grpc.http2.max_ping_strikes", 0),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 20_000),
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
    """

    def __init__(
        self,
        distribution: Distribution,
        *,
        account_id: str,
        gate: Gate | None = None,
        connection_seconds: float = 3600.0,
    ) -> None:
        self._distribution = distribution
        self._account_id = account_id
        self._gate = gate or OpenGate()
        self._exchanges: set[_Exchange] = set()
        self._server = grpc.aio.server(
            options=(
                *_OPTIONS,
                ("grpc.max_connection_age_ms", round(connection_seconds * 1000)),
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
        """Stop taking streams, and end those that are open after a while."""
        await self._server.stop(grace_seconds)

    def end_unwelcome(self) -> None:
        """End the streams of proxies that would not be let in any more."""
        for exchange in self._exchanges:
            exchange.end_if_unwelcome()

    def _handler(
        self, path: str, parse: Callable[[bytes], Request], dialect: Callable[[], Dialect]
    ) -> Callable[[Any, Any], Any]:
        async def serve(_: Any, context: Any) -> None:
            credentials = _read_credentials(context, path)
            exchange = _Exchange(
                self._distribution, self._account_id, self._gate, credentials, parse, context
            )
            self._exchanges.add(exchange)
            try:
                await exchange.run(dialect())
            finally:
                self._exchanges.remove(exchange)

        return serve


class _Exchange:
    """One stream: a reader that feeds an inbox, and a loop that empties it and writes."""

    def __init__(
        self,
        distribution: Distribution,
        account_id: str,
        gate: Gate,
        credentials: Credentials,
        parse: Callable[[bytes], Request],
        context: Any,
    ) -> None:
        self._distribution = distribution
        self._account_id = account_id
        self._gate = gate
        self._credentials = credentials
        self._parse = parse
        self._context = context
        self._peer = str(context.peer())
        self._inbox: asyncio.Queue[Request] = asyncio.Queue(maxsize=64)
        self._stirred = asyncio.Event()
        self._ended = False
        self._admission = Admission()
        self._node_id = ""
        self._end: tuple[grpc.StatusCode, str] | None = None

    async def run(self, dialect: Dialect) -> None:
        first = await self._read()
        if first is None:
            return
        connection = await self._admit(first, dialect)
        reader = asyncio.create_task(self._fill_inbox())
        try:
            self._receive(connection, first)
            await self._serve(connection)
        finally:
            reader.cancel()
            self._distribution.disconnect(connection)
        if self._end is not None:
            await self._context.abort(*self._end)

    async def _read(self) -> Request | None:
        data = await self._context.read()
        if data is grpc.aio.EOF:
            return None
        try:
            return self._parse(data)
        except ValueError as error:
            await self._context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
            raise

    async def _admit(self, first: Request, dialect: Dialect) -> Connection:
        node = first.node or Node("", {}, "")
        self._node_id = node.id
        try:
            proxy = self._parse_proxy(node)
            self._admission = self._gate.admit(self._credentials, proxy.key)
            return self._distribution.connect(
                proxy,
                node,
                self._peer,
                dialect,
                wake=self._stirred.set,
                close=self._close,
            )
        except NotAdmittedError as error:
            status = grpc.StatusCode
            code = status.PERMISSION_DENIED if error.is_known else status.UNAUTHENTICATED
            reason = f"node id {node.id!r}: {error}"
        except UnknownProxyError as error:
            code, reason = grpc.StatusCode.NOT_FOUND, f"node id {node.id!r}: {error}"
        except ValueError as error:
            code, reason = grpc.StatusCode.INVALID_ARGUMENT, f"node id {node.id!r}: {error}"
        _log.warning("proxy_refused", node_id=node.id, peer=self._peer, reason=reason)
        await self._context.abort(code, reason)
        raise AssertionError("abort raises")

    def _parse_proxy(self, node: Node) -> Proxy:
        return parse_proxy(node.id, node.metadata, account_id=self._account_id)

    def end_if_unwelcome(self) -> None:
        """End the stream if its proxy would not be let in any more."""
        fault = self._admission.find_fault()
        if fault is not None and self._end is None:
            self._refuse(grpc.StatusCode.UNAUTHENTICATED, fault)

    def _refuse(self, code: grpc.StatusCode, reason: str) -> None:
        _log.warning("proxy_refused", node_id=self._node_id, peer=self._peer, reason=reason)
        self._end = (code, reason)
        self._stirred.set()

    def _close(self, reason: str) -> None:
        self._end = (grpc.StatusCode.NOT_FOUND, reason)
        self._stirred.set()

    def _receive(self, connection: Connection, request: Request) -> None:
        said = request.node.id if request.node is not None else ""
        if said not in ("", connection.node.id):
            code = grpc.StatusCode.INVALID_ARGUMENT
            reason = f"node id {said!r}: this stream is for {connection.node.id!r}; open another"
        else:
            self._distribution.receive(connection, request)
            if connection.stream.count_subscriptions() <= MAX_SUBSCRIPTIONS:
                return
            code = grpc.StatusCode.RESOURCE_EXHAUSTED
            reason = f"a stream may ask for {MAX_SUBSCRIPTIONS} types and names at most"
        self._refuse(code, reason)

    async def _fill_inbox(self) -> None:
        try:
            while (request := await self._read()) is not None:
                await self._inbox.put(request)
                self._stirred.set()
        finally:
            self._ended = True
            self._stirred.set()

    async def _serve(self, connection: Connection) -> None:
        """Take requests and send what is due, until either side ends it."""
        while self._end is None:
            while self._end is None and not self._inbox.empty():
                self._receive(connection, self._inbox.get_nowait())
            if self._end is not None:
                return
            for response in connection.stream.next_responses():
                await self._context.write(response.data)
                _log.info(
                    "push",
                    resource=connection.arn,
                    peer=self._peer,
                    type=response.type_url.rpartition(".")[2],
                    sent=[each.name for each in response.update.changed],
                    versions={each.name: each.version for each in response.update.changed},
                    removed=list(response.update.removed),
                    revision=connection.stream.target.revision,
                    nonce=response.nonce,
                )
            if self._ended and self._inbox.empty():
                return
            await self._stirred.wait()
            self._stirred.clear()


def _read_credentials(context: Any, path: str) -> Credentials:
    """What the handshake has proven; gRPC tells a SPIFFE id only where it is the only URI."""
    proven = context.auth_context()
    spiffe_ids = proven.get("peer_spiffe_id", ())
    return Credentials(
        spiffe_id=spiffe_ids[0].decode() if len(spiffe_ids) == 1 else None,
        has_certificate="x509_pem_cert" in proven,
        path=path,
        metadata=tuple((name, str(value)) for name, value in context.invocation_metadata()),
    )
