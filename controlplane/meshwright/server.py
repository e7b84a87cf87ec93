"""The whole control plane in one process: the API over HTTP, ADS over gRPC, one store."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import ipaddress
import math
import signal
import socket
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import structlog
import uvicorn

from meshwright.access.certificates import Certificate
from meshwright.access.guard import Guard
from meshwright.access.keys import KeyFile
from meshwright.access.proxies import ProxySettings
from meshwright.access.settings import AccessSettings
from meshwright.access.tokens import Tokens
from meshwright.api.admission import Admission, Limits
from meshwright.api.app import build_app
from meshwright.api.audit import AuditLog
from meshwright.api.connections import IDLE_FACTOR, MAX_HEAD_BYTES, build_protocol
from meshwright.api.operator import MAX_APPLY_BYTES, OperatorApi
from meshwright.api.sharing import SharingApi
from meshwright.api.status import StatusApi
from meshwright.api.tokens import TokenApi
from meshwright.api.writing import Writer
from meshwright.chores import Following, follow, watch
from meshwright.discovery.cloud_map import CloudMap, CloudMapClient
from meshwright.discovery.credentials import CredentialError, Credentials, Source, parse_mapping
from meshwright.discovery.outside import LiveOutside
from meshwright.graph.quotas import QuotaError, Quotas, parse_quotas
from meshwright.meshes import Meshes
from meshwright.model.endpoints import find_host_and_port
from meshwright.presence.publishing import Publisher
from meshwright.presence.reading import OtherReplicas
from meshwright.presence.rejections import Rejections
from meshwright.reloading import ReloadedFiles
from meshwright.status import Statuses
from meshwright.store import StoreError, open_store
from meshwright.xds.admission import Gate
from meshwright.xds.bounds import Bounds
from meshwright.xds.distribution import Distribution, Pace
from meshwright.xds.server import XdsServer
from meshwright.xds.transport.sockets import Upkeep

_log = structlog.get_logger("meshwright")

_STOP_GRACE_SECONDS: Final = 1.0
_COLLECTION_THRESHOLDS: Final = (50_000, 20, 20)


class ServeError(Exception):
    """The control plane can't start; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What `meshwright serve` is told.

    Attributes:
        api: `HOST:PORT` of the App Mesh API; port 0 takes any that is free.
        xds: `HOST:PORT` of ADS.
        store: The store's URL.
        account_id: The account that callers act for and that owns their meshes.
        region: The region that stands in ARNs.
        access: Who may call the API, and over what.
        proxies: Which proxies get configuration, and over what.
        xds_upkeep: How proxies' connections are kept, and how long.
        xds_pace: How bursts of changes are merged.
        xds_bounds: What one proxy's identity and one stream may take.
        drain_seconds: How long proxies may be handed over when this process is stopped.
        limits: How much the API takes on at once, and how long a client may take.
        quotas: The file that says how many resources there may be.
        audit_log: The file that every change is written down in; `-` is standard output.
        certificates: The file that says what the ARNs of certificates stand for.
        discovery_seconds: How often AWS Cloud Map is asked for a service's instances.
        replica: What this control plane is called where several share a store; None takes this
            machine's name and the API's port.
    """

    api: str
    xds: str
    store: str
    account_id: str
    region: str
    access: AccessSettings = field(default_factory=AccessSettings)
    proxies: ProxySettings = field(default_factory=ProxySettings)
    xds_upkeep: Upkeep = field(default_factory=Upkeep)
    xds_pace: Pace = field(default_factory=Pace)
    xds_bounds: Bounds = field(default_factory=Bounds)
    drain_seconds: float = 10.0
    limits: Limits = field(default_factory=Limits)
    quotas: Path | None = None
    audit_log: str | None = None
    certificates: Path | None = None
    discovery_seconds: float = 5.0
    replica: str | None = None


async def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then stop cleanly.

    Raises:
        ServeError: An address can't be bound.
        AuditError: The audit log can't be opened.
        AccessSettingsError: Keys or certificates can't be used, or an address is not safe.
        QuotaError: The file of quotas can't be read.
        CredentialError: The file of mapped certificates can't be read.
        StoreError: The store can't be opened.
    """
    api_host, api_port = parse_address(settings.api, "--api")
    xds_host, _ = parse_address(settings.xds, "--xds")
    settings.access.require_safe(settings.api, is_loopback=_is_loopback(api_host))
    settings.proxies.require_safe(settings.xds, is_loopback=_is_loopback(xds_host))
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    with contextlib.ExitStack() as stack:
        parts = _assemble(settings, stack)
        await asyncio.to_thread(parts.catch_up)
        _spare_collections()
        api_socket = stack.enter_context(_listen(api_host, api_port, "--api"))
        replica = settings.replica or f"{socket.gethostname()}:{api_socket.getsockname()[1]}"
        address = f"{socket.gethostname()} {_address_of(api_socket)}"
        publisher = Publisher(parts.meshes.store, parts.distribution, replica, address)
        await asyncio.to_thread(publisher.retire_predecessor)
        rejections = Rejections(parts.meshes.store, parts.distribution)
        await rejections.load()
        others = OtherReplicas(parts.meshes.store, publisher.instance)
        statuses = Statuses(parts.meshes, parts.distribution, others, replica)
        api, xds = _build_api(settings, parts, statuses), _build_xds(settings, parts)
        xds_address = await _listen_xds(xds, settings, parts.xds_certificate, stack)
        serving = asyncio.create_task(api.serve(sockets=[api_socket]))
        chores = _begin_chores(parts, xds)
        chores.append(asyncio.create_task(rejections.run()))
        publishing = asyncio.create_task(publisher.run())
        _log.info(
            "serving",
            version=version("meshwright"),
            replica=replica,
            api=_address_of(api_socket),
            xds=xds_address,
            store=parts.meshes.store.url,
            tls=parts.certificate is not None,
            xds_tls=parts.xds_certificate is not None,
            access="keys" if parts.guard.has_keys else "open",
        )
        await stop.wait()
        for chore in chores:
            chore.cancel()
        await parts.cloud_map.close()
        api.should_exit = True
        await asyncio.gather(serving, xds.stop(settings.drain_seconds))
        with contextlib.suppress(StoreError):
            await rejections.write()
        publisher.close()
        await publishing
    _log.info("stopped")


def _spare_collections() -> None:
    """Have the garbage collector look less often at what lives as long as its proxy or mesh.

    A mesh and its proxies are a million objects that are no garbage; with Python's thresholds, a
    fifth of a push's time is spent on seeing that. What dies young needs no collector here.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECTION_THRESHOLDS)


@dataclass(frozen=True, slots=True)
class _Parts:
    """What both servers are built of."""

    guard: Guard
    gate: Gate
    certificate: Certificate | None
    xds_certificate: Certificate | None
    meshes: Meshes
    tokens: Tokens
    writer: Writer
    cloud_map: CloudMap
    outside: LiveOutside
    distribution: Distribution
    catch_up: Following
    files: Sequence[ReloadedFiles[Any]]


def _assemble(settings: Settings, stack: contextlib.ExitStack) -> _Parts:
    """Open what the settings name; the stack closes it."""
    keys = settings.access.open_keys(settings.account_id)
    certificate = settings.access.open_certificate()
    xds_certificate = settings.proxies.open_certificate()
    identities = settings.proxies.open_identities(settings.account_id)
    quotas, mapping = _open_quotas(settings), _open_mapping(settings)
    audit = None
    if settings.audit_log is not None:
        audit = stack.enter_context(contextlib.closing(AuditLog(settings.audit_log)))
    store = stack.enter_context(contextlib.closing(open_store(settings.store)))
    meshes = Meshes(store)
    tokens = Tokens(store, region=settings.region)
    cloud_map = CloudMap(CloudMapClient(settings.region), settings.discovery_seconds)
    credentials = Credentials((lambda: mapping.value) if mapping else dict)
    credentials.refresh()
    outside = LiveOutside(cloud_map, credentials)
    distribution = Distribution(meshes, outside, settings.xds_pace)
    key_file = keys if isinstance(keys, KeyFile) else None
    options = (key_file, certificate, xds_certificate, identities, quotas, mapping)
    files = [each for each in options if each is not None]
    for each in files:
        distribution.metrics.watch_files(each)
    return _Parts(
        guard=Guard(keys, account_id=settings.account_id),
        gate=settings.proxies.build_gate(settings.account_id, identities, tokens, keys, meshes),
        certificate=certificate,
        xds_certificate=xds_certificate,
        meshes=meshes,
        tokens=tokens,
        writer=Writer(
            meshes,
            region=settings.region,
            find_quotas=(lambda: quotas.value) if quotas else Quotas,
            audit=audit,
        ),
        cloud_map=cloud_map,
        outside=outside,
        distribution=distribution,
        catch_up=Following(meshes, None if xds_certificate is None else tokens),
        files=files,
    )


def _begin_chores(parts: _Parts, xds: XdsServer) -> list[asyncio.Task[None]]:
    return [
        asyncio.create_task(follow(parts.catch_up, xds, parts.distribution.metrics)),
        asyncio.create_task(parts.outside.follow_credentials()),
        asyncio.create_task(watch(parts.files)),
    ]


def _open_quotas(settings: Settings) -> ReloadedFiles[Quotas] | None:
    path = settings.quotas
    if path is None:
        return None
    return ReloadedFiles("--quotas", [path], lambda: parse_quotas(path), QuotaError)


def _open_mapping(settings: Settings) -> ReloadedFiles[Mapping[str, Source]] | None:
    path = settings.certificates
    if path is None:
        return None
    return ReloadedFiles[Mapping[str, Source]](
        "--certificates",
        [path],
        lambda: parse_mapping(path, region=settings.region),
        CredentialError,
    )


def _build_xds(settings: Settings, parts: _Parts) -> XdsServer:
    return XdsServer(
        parts.distribution,
        account_id=settings.account_id,
        gate=parts.gate,
        upkeep=settings.xds_upkeep,
        bounds=settings.xds_bounds,
    )


def _build_api(settings: Settings, parts: _Parts, statuses: Statuses) -> _ApiServer:
    limits = settings.limits
    app = build_app(
        parts.writer,
        StatusApi(parts.meshes, statuses.render, statuses.find_leftover),
        OperatorApi(
            parts.writer,
            find_problems=statuses.find_problems,
            count_proxies=statuses.count_proxies,
            find_leftover=statuses.find_leftover,
        ),
        SharingApi(parts.writer),
        TokenApi(parts.tokens, parts.writer, account_id=settings.account_id),
        parts.distribution.metrics.render,
    )
    large_bodies = {"/meshwright/v1/apply": MAX_APPLY_BYTES}
    config = uvicorn.Config(
        Admission(
            app,
            parts.guard,
            limits,
            large_bodies=large_bodies,
            unspend=parts.meshes.store.unspend,
        ),
        # By name and not "auto": the limits of connections are made for this implementation.
        http=build_protocol(limits),
        ws="none",
        h11_max_incomplete_event_size=MAX_HEAD_BYTES,
        timeout_keep_alive=math.ceil(limits.request_seconds * IDLE_FACTOR),
        log_config=None,
        access_log=False,
        proxy_headers=False,  # where a request came from is no word of its own
        server_header=False,
        lifespan="off",
        timeout_graceful_shutdown=int(_STOP_GRACE_SECONDS),
    )
    if parts.certificate is not None:
        config.load()
        config.ssl = parts.certificate.http
    return _ApiServer(config)


class _ApiServer(uvicorn.Server):
    """uvicorn without its own signal handlers: both servers are stopped together."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Leave signals alone."""
        yield


def parse_address(text: str, option: str) -> tuple[str, int]:
    """`HOST:PORT` or `[IPV6]:PORT`, taken apart.

    Raises:
        ServeError: It is no such address.
    """
    named = find_host_and_port(text)
    if named is None:
        raise ServeError(f"{option} {text!r}: expected HOST:PORT, for instance 127.0.0.1:4580")
    host, port = named
    try:
        address = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host)
    except ValueError:
        raise ServeError(f"{option} {text!r}: HOST must be an IP address or localhost") from None
    return str(address), port


def _is_loopback(host: str) -> bool:
    return ipaddress.ip_address(host).is_loopback


def _listen(host: str, port: int, option: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns Nagle's algorithm off only on sockets that name TCP as their protocol; with it
    # on, a delayed acknowledgement holds every answer's body back for 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        # Whoever reads the address in the log may connect at once, and waits instead of failing.
        listener.listen(socket.SOMAXCONN)
    except OSError as error:
        listener.close()
        raise ServeError(
            f"{option} {_render_address(host, port)} can't be bound: {error.strerror}"
        ) from error
    return listener


async def _listen_xds(
    xds: XdsServer, settings: Settings, certificate: Certificate | None, stack: contextlib.ExitStack
) -> str:
    """Serve ADS, and return its address."""

    async def listen(address: str, option: str) -> str:
        listener = stack.enter_context(_listen(*parse_address(address, option), option))
        await xds.listen(listener, None if certificate is None else certificate.get_ads)
        return _address_of(listener)

    if settings.proxies.token_address is not None:
        _log.warning(
            "option_deprecated",
            option="--xds-tokens",
            address=await listen(settings.proxies.token_address, "--xds-tokens"),
            remedy="lead its proxies to --xds, which takes certificates and tokens",
        )
    return await listen(settings.xds, "--xds")


def _address_of(listener: socket.socket) -> str:
    return _render_address(*listener.getsockname()[:2])


def _render_address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
