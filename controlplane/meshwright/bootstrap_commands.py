"""`meshwright bootstrap`: prints the file that an Envoy of a mesh is started with."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from meshwright.complaints import fail
from meshwright.model.endpoints import find_host_and_port

if TYPE_CHECKING:
    from meshwright.bootstrap import ControlPlaneTls, ExplicitInterception

_ANY_ACCOUNT = "000000000000"


def bootstrap_command(
    resource: Annotated[
        str,
        typer.Option(
            "--for",
            metavar="RESOURCE",
            help="mesh/MESH/virtualNode/NAME, .../virtualGateway/NAME, or an ARN: whose proxy "
            "it is.",
        ),
    ],
    xds: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="By what name or address it reaches ADS.")
    ],
    *,
    ca: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="The authorities of the control plane's certificate, as PEM. Without them there "
            "is no TLS.",
        ),
    ] = None,
    server_name: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="The name in the control plane's certificate, where it is not the host of --xds.",
        ),
    ] = None,
    certificate: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="The proxy's own certificate and its chain, as PEM."),
    ] = None,
    key: Annotated[
        str | None, typer.Option(metavar="FILE", help="The key of --certificate, as PEM.")
    ] = None,
    sds_certificate: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="By what name the SDS server at --sds-socket knows the proxy's own certificate, "
            "such as its SPIFFE id. Envoy takes renewed ones over.",
        ),
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="What `meshwright token issue` printed; - reads standard input. The token stands "
            "in the bootstrap, which then is as secret.",
            allow_dash=True,
        ),
    ] = None,
    state_of_the_world: Annotated[
        bool, typer.Option("--state-of-the-world", help="Not delta xDS, but state of the world.")
    ] = False,
    listener_address: Annotated[
        str | None,
        typer.Option(
            metavar="IP",
            help="Bind the declared ports on this address, without iptables. Without it, traffic "
            "is taken as redirected to ports 15000 and 15001.",
        ),
    ] = None,
    application_address: Annotated[
        str | None,
        typer.Option(
            metavar="IP",
            help="Where the application listens, with --listener-address.",
            show_default="loopback",
        ),
    ] = None,
    admin: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Where Envoy serves its admin page.")
    ] = "127.0.0.1:9901",
    sds_socket: Annotated[
        str | None,
        typer.Option(metavar="PATH", help="The socket of the SDS server beside the proxy, if any."),
    ] = None,
) -> None:
    """Print the bootstrap of a proxy as JSON: `envoy --config-path FILE` starts with it.

    It says who the proxy is, where the control plane is, and what the proxy shows there: a client
    certificate or a token. All else it gets over ADS. Files are named as they are where Envoy runs,
    which reads certificates when it starts.
    """
    from meshwright.bootstrap import BootstrapSettings, build_bootstrap

    if sds_certificate is not None and sds_socket is None:
        fail("--sds-certificate needs --sds-socket")
    try:
        settings = BootstrapSettings(
            resource,
            *_split_address(xds, "--xds"),
            tls=_build_tls(ca, server_name, certificate, key, sds_certificate),
            token=None if token_file is None else _read_token(token_file, has_tls=ca is not None),
            delta=not state_of_the_world,
            interception=_build_interception(listener_address, application_address),
            admin=_split_address(admin, "--admin"),
            sds_socket=sds_socket,
        )
        bootstrap = build_bootstrap(settings)
        _check_node(bootstrap["node"])
    except (OSError, ValueError) as error:
        fail(str(error))
    typer.echo(json.dumps(bootstrap, indent=2))


def _check_node(node: dict[str, Any]) -> None:
    """Refuse what the control plane would refuse."""
    from meshwright.graph.graph import PROXY_KINDS
    from meshwright.translate import parse_proxy

    proxy = parse_proxy(node["id"], node["metadata"], account_id=_ANY_ACCOUNT)
    if proxy.key.kind not in PROXY_KINDS:
        raise ValueError(f"--for {node['id']}: expected a virtual node or a virtual gateway")


def _split_address(text: str, option: str) -> tuple[str, int]:
    address = find_host_and_port(text)
    if address is None:
        raise ValueError(f"{option} {text!r}: expected HOST:PORT")
    return address


def _build_tls(
    ca: str | None,
    server_name: str | None,
    certificate: str | None,
    key: str | None,
    sds_certificate: str | None,
) -> ControlPlaneTls | None:
    if (certificate is None) != (key is None):
        raise ValueError("--certificate and --key belong together: give both or neither")
    if certificate is not None and sds_certificate is not None:
        raise ValueError("--certificate and --sds-certificate: give one of them")
    if ca is not None:
        from meshwright.bootstrap import ControlPlaneTls

        return ControlPlaneTls(ca, server_name, certificate, key, sds_certificate)
    options = {
        "--certificate": certificate,
        "--sds-certificate": sds_certificate,
        "--server-name": server_name,
    }
    given = [option for option, value in options.items() if value is not None]
    if given:
        raise ValueError(f"{given[0]} needs --ca: without it there is no TLS")
    return None


def _build_interception(
    listener: str | None, application: str | None
) -> ExplicitInterception | None:
    if listener is not None:
        from meshwright.bootstrap import ExplicitInterception

        return ExplicitInterception(listener, application)
    if application is not None:
        raise ValueError("--application-address needs --listener-address")
    return None


def _read_token(file: Path, *, has_tls: bool) -> str:
    if not has_tls:
        raise ValueError("--token-file needs --ca: a token is not shown without TLS")
    token = (sys.stdin.read() if str(file) == "-" else file.read_text()).strip()
    if not token or not token.isascii() or any(each.isspace() for each in token):
        raise ValueError(
            f"--token-file {file}: expected one token, as `meshwright token issue` prints it"
        )
    return token
