"""`meshwright serve`: the options of a control plane, and the settings that they make.

It imports what it works with when it runs, as everywhere in the command line.
"""

from __future__ import annotations

import asyncio
import os
import re
from pathlib import Path
from typing import Annotated, Final

import typer

from meshwright.complaints import fail

_SERVED: Final = "Where it serves, and what"
_CALLERS: Final = "Who may call the API"
_PROXIES: Final = "Which proxies are let in"
_CONNECTIONS: Final = "Proxies' connections"
_LIMITS: Final = "Limits of the API"
_OUTSIDE: Final = "What is asked of AWS"
_LOG: Final = "Log"


def _default_store() -> str:
    state = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return f"sqlite:///{state}/meshwright/meshwright.db"


def serve_command(
    api: Annotated[
        str,
        typer.Option(
            envvar="MESHWRIGHT_API",
            metavar="HOST:PORT",
            help="Where the App Mesh API is served over HTTP. Port 0 takes any that is free.",
            rich_help_panel=_SERVED,
        ),
    ] = "127.0.0.1:4580",
    xds: Annotated[
        str,
        typer.Option(
            envvar="MESHWRIGHT_XDS",
            metavar="HOST:PORT",
            help="Where proxies get their configuration by ADS over gRPC.",
            rich_help_panel=_SERVED,
        ),
    ] = "127.0.0.1:18000",
    store: Annotated[
        str | None,
        typer.Option(
            envvar="MESHWRIGHT_STORE",
            metavar="URL",
            help="Where meshes are kept: sqlite:///PATH (an absolute path makes four slashes) "
            "or dynamodb://TABLE?region=REGION.",
            show_default="sqlite:///~/.local/state/meshwright/meshwright.db",
            rich_help_panel=_SERVED,
        ),
    ] = None,
    account_id: Annotated[
        str,
        typer.Option(
            envvar="MESHWRIGHT_ACCOUNT_ID",
            help="The 12 digits of the account that owns the meshes and stands in ARNs.",
            rich_help_panel=_SERVED,
        ),
    ] = "000000000000",
    region: Annotated[
        str,
        typer.Option(
            envvar="MESHWRIGHT_REGION",
            help="The region that stands in ARNs.",
            rich_help_panel=_SERVED,
        ),
    ] = "us-east-1",
    replica: Annotated[
        str | None,
        typer.Option(
            envvar="MESHWRIGHT_REPLICA",
            metavar="NAME",
            help="What this control plane is called in the log and in the status of proxies, where "
            "several share a store.",
            show_default="HOSTNAME:PORT, with the API's port",
            rich_help_panel=_SERVED,
        ),
    ] = None,
    access_keys: Annotated[
        Path | None,
        typer.Option(
            envvar="MESHWRIGHT_ACCESS_KEYS",
            metavar="FILE",
            help="The access keys that requests must be signed with, as YAML; read again when it "
            "changes. A single key may be given by MESHWRIGHT_ACCESS_KEY_ID and "
            "MESHWRIGHT_SECRET_ACCESS_KEY instead.",
            rich_help_panel=_CALLERS,
        ),
    ] = None,
    tls_certificate: Annotated[
        Path | None,
        typer.Option(
            envvar="MESHWRIGHT_TLS_CERTIFICATE",
            metavar="FILE",
            help="The API's certificate and its chain, as PEM; taken over when it changes.",
            rich_help_panel=_CALLERS,
        ),
    ] = None,
    tls_key: Annotated[
        Path | None,
        typer.Option(
            envvar="MESHWRIGHT_TLS_KEY",
            metavar="FILE",
            help="The certificate's key, as PEM.",
            rich_help_panel=_CALLERS,
        ),
    ] = None,
    insecure_http: Annotated[  # noqa: FBT002 - typer makes a flag of it
        bool,
        typer.Option(
            "--insecure-http",
            envvar="MESHWRIGHT_INSECURE_HTTP",
            help="Serve addresses beyond loopback without TLS, behind what terminates it.",
            rich_help_panel=_CALLERS,
        ),
    ] = False,
    audit_log: Annotated[
        str | None,
        typer.Option(
            envvar="MESHWRIGHT_AUDIT_LOG",
            metavar="FILE",
            help="Append to this file, as JSON lines, who changed what, before and after; "
            "- is standard output.",
            rich_help_panel=_CALLERS,
        ),
    ] = None,
    xds_tls_certificate: Annotated[
        Path | None,
        typer.Option(
            envvar="MESHWRIGHT_XDS_TLS_CERTIFICATE",
            metavar="FILE",
            help="The certificate of ADS and its chain, as PEM; taken over when it changes.",
            rich_help_panel=_PROXIES,
        ),
    ] = None,
    xds_tls_key: Annotated[
        Path | None,
        typer.Option(
            envvar="MESHWRIGHT_XDS_TLS_KEY",
            metavar="FILE",
            help="The key of the certificate of ADS, as PEM.",
            rich_help_panel=_PROXIES,
        ),
    ] = None,
    xds_client_ca: Annotated[
        Path | None,
        typer.Option(
            envvar="MESHWRIGHT_XDS_CLIENT_CA",
            metavar="FILE",
            help="The authorities, as PEM, of the certificates that proxies may show in place of a "
            "token. Each is for the resource that its SPIFFE id names: "
            "spiffe://DOMAIN/mesh/MESH/virtualNode/NAME.",
            rich_help_panel=_PROXIES,
        ),
    ] = None,
    xds_identities: Annotated[
        Path | None,
        typer.Option(
            envvar="MESHWRIGHT_XDS_IDENTITIES",
            metavar="FILE",
            help="YAML with the resource that each SPIFFE id is for, where the ids do not say it; "
            "read again when it changes.",
            rich_help_panel=_PROXIES,
        ),
    ] = None,
    xds_tokens: Annotated[
        str | None,
        typer.Option(
            envvar="MESHWRIGHT_XDS_TOKENS",
            metavar="HOST:PORT",
            hidden=True,
            help="Another address of ADS; --xds takes certificates and tokens alike.",
            rich_help_panel=_PROXIES,
        ),
    ] = None,
    xds_host: Annotated[
        list[str] | None,
        typer.Option(
            envvar="MESHWRIGHT_XDS_HOST",
            metavar="HOST[:PORT]",
            help="By what name and port proxies reach ADS (no port means 443), for streams that "
            "are signed with an access key, as AWS's Envoy image does; may be repeated.",
            rich_help_panel=_PROXIES,
        ),
    ] = None,
    xds_connection_seconds: Annotated[
        float,
        typer.Option(
            envvar="MESHWRIGHT_XDS_CONNECTION_SECONDS",
            min=1,
            help="How old a proxy's connection gets, give or take a tenth, before it is told to "
            "connect again.",
            rich_help_panel=_CONNECTIONS,
        ),
    ] = 3600.0,
    xds_keepalive_seconds: Annotated[
        float,
        typer.Option(
            envvar="MESHWRIGHT_XDS_KEEPALIVE_SECONDS",
            min=0.1,
            help="How long a proxy may be silent before it is pinged; one that does not answer for "
            "two thirds as long is forgotten.",
            rich_help_panel=_CONNECTIONS,
        ),
    ] = 30.0,
    xds_streams: Annotated[
        int,
        typer.Option(
            envvar="MESHWRIGHT_XDS_STREAMS",
            min=1,
            help="How many streams one certificate, token or key may have for one resource.",
            rich_help_panel=_CONNECTIONS,
        ),
    ] = 1_000,
    xds_connects_per_second: Annotated[
        float,
        typer.Option(
            envvar="MESHWRIGHT_XDS_CONNECTS_PER_SECOND",
            min=0.01,
            help="How fast it may go on opening streams, once as many as it may have came at once.",
            rich_help_panel=_CONNECTIONS,
        ),
    ] = 10.0,
    xds_patience_seconds: Annotated[
        float,
        typer.Option(
            envvar="MESHWRIGHT_XDS_PATIENCE_SECONDS",
            min=0.1,
            help="How long a stream's first request may take to come, and a response to be taken.",
            rich_help_panel=_CONNECTIONS,
        ),
    ] = 30.0,
    xds_quiet_seconds: Annotated[
        float,
        typer.Option(
            envvar="MESHWRIGHT_XDS_QUIET_SECONDS",
            min=0,
            help="For how long nothing must have changed before proxies are told, so that a burst "
            "of changes reaches them as one.",
            rich_help_panel=_CONNECTIONS,
        ),
    ] = 0.005,
    xds_merge_seconds: Annotated[
        float,
        typer.Option(
            envvar="MESHWRIGHT_XDS_MERGE_SECONDS",
            min=0,
            help="How long a change waits at the most while others go on coming.",
            rich_help_panel=_CONNECTIONS,
        ),
    ] = 0.1,
    drain_seconds: Annotated[
        float,
        typer.Option(
            envvar="MESHWRIGHT_DRAIN_SECONDS",
            min=0,
            help="How long a stopping process may take to send its proxies elsewhere, 100 a second "
            "where there is time.",
            rich_help_panel=_CONNECTIONS,
        ),
    ] = 10.0,
    request_seconds: Annotated[
        float,
        typer.Option(
            envvar="MESHWRIGHT_REQUEST_SECONDS",
            min=0.1,
            help="Within how many seconds a request's head, and then its body, must arrive.",
            rich_help_panel=_LIMITS,
        ),
    ] = 20.0,
    concurrent_requests: Annotated[
        int,
        typer.Option(
            envvar="MESHWRIGHT_CONCURRENT_REQUESTS",
            min=1,
            help="How many requests are served at once; more are told to try again.",
            rich_help_panel=_LIMITS,
        ),
    ] = 128,
    requests_per_second: Annotated[
        float,
        typer.Option(
            envvar="MESHWRIGHT_REQUESTS_PER_SECOND",
            min=0.001,
            help="How many requests an access key may go on making, once as many as it may make in "
            "ten seconds came at once; more are told to try again.",
            rich_help_panel=_LIMITS,
        ),
    ] = 1_000.0,
    quotas: Annotated[
        Path | None,
        typer.Option(
            envvar="MESHWRIGHT_QUOTAS",
            metavar="FILE",
            help="YAML with quotas other than the default ones, such as "
            "virtual_nodes_per_mesh: 500; read again when it changes.",
            rich_help_panel=_LIMITS,
        ),
    ] = None,
    certificates: Annotated[
        Path | None,
        typer.Option(
            envvar="MESHWRIGHT_CERTIFICATES",
            metavar="FILE",
            help="YAML with what the ARNs of ACM certificates and authorities stand for: "
            "ARN: {directory: PATH}, or {secret: NAME} in AWS Secrets Manager. Read again when it "
            "changes.",
            rich_help_panel=_OUTSIDE,
        ),
    ] = None,
    discovery_seconds: Annotated[
        float,
        typer.Option(
            envvar="MESHWRIGHT_DISCOVERY_SECONDS",
            min=0.1,
            help="How often AWS Cloud Map is asked for the instances of each service in use.",
            rich_help_panel=_OUTSIDE,
        ),
    ] = 5.0,
    log_format: Annotated[
        str,
        typer.Option(
            envvar="MESHWRIGHT_LOG_FORMAT",
            metavar="auto|json|console",
            help="JSON lines, or something for people; auto looks whether a terminal is there.",
            rich_help_panel=_LOG,
        ),
    ] = "auto",
    log_level: Annotated[
        str,
        typer.Option(
            envvar="MESHWRIGHT_LOG_LEVEL",
            metavar="debug|info|warning|error",
            help="The lowest level that is logged, on standard error.",
            rich_help_panel=_LOG,
        ),
    ] = "info",
) -> None:
    """Serve the App Mesh API and ADS from one process, until SIGTERM or Ctrl-C.

    Point any App Mesh client at the API, for instance
    `aws appmesh list-meshes --endpoint-url http://127.0.0.1:4580`, and Envoys at ADS.
    """
    from meshwright.access.errors import AccessSettingsError
    from meshwright.access.proxies import ProxySettings
    from meshwright.access.settings import AccessSettings
    from meshwright.api.admission import Limits
    from meshwright.api.audit import AuditError
    from meshwright.discovery.credentials import CredentialError
    from meshwright.graph.quotas import QuotaError
    from meshwright.logs import configure_logging
    from meshwright.server import ServeError, Settings, serve
    from meshwright.store import StoreError
    from meshwright.xds.bounds import Bounds
    from meshwright.xds.distribution import Pace
    from meshwright.xds.transport.sockets import Upkeep

    if log_format not in ("auto", "json", "console"):
        fail(f"--log-format {log_format!r}: expected auto, json or console")
    if log_level not in ("debug", "info", "warning", "error"):
        fail(f"--log-level {log_level!r}: expected debug, info, warning or error")
    if not re.fullmatch(r"\d{12}", account_id):
        fail(f"--account-id {account_id!r}: expected 12 digits")
    if replica is not None and not re.fullmatch(r"[!-~]{1,255}", replica):
        fail(f"--replica {replica!r}: expected 1 to 255 printable ASCII characters without spaces")
    configure_logging(log_format, log_level)
    access = AccessSettings(
        keys_file=access_keys,
        access_key_id=os.environ.get("MESHWRIGHT_ACCESS_KEY_ID"),
        secret_access_key=os.environ.get("MESHWRIGHT_SECRET_ACCESS_KEY"),
        tls_certificate=tls_certificate,
        tls_key=tls_key,
        insecure_http=insecure_http,
    )
    limits = Limits(concurrent_requests, request_seconds, requests_per_second)
    try:
        settings = Settings(
            *(api, xds, store or _default_store(), account_id, region),
            access=access,
            xds_upkeep=Upkeep(
                age_seconds=xds_connection_seconds,
                silence_seconds=xds_keepalive_seconds,
                answer_seconds=xds_keepalive_seconds * 2 / 3,
                patience_seconds=xds_patience_seconds,
            ),
            xds_pace=Pace(xds_quiet_seconds, xds_merge_seconds),
            xds_bounds=Bounds(xds_streams, xds_connects_per_second, xds_patience_seconds),
            drain_seconds=drain_seconds,
            proxies=ProxySettings(
                *(xds_tls_certificate, xds_tls_key, xds_client_ca, xds_identities, xds_tokens),
                hosts=xds_host or (),
            ),
            limits=limits,
            quotas=quotas,
            audit_log=audit_log,
            certificates=certificates,
            discovery_seconds=discovery_seconds,
            replica=replica,
        )
        asyncio.run(serve(settings))
    except (
        *(ServeError, StoreError, AccessSettingsError, QuotaError, AuditError),
        CredentialError,
    ) as error:
        fail(str(error))
