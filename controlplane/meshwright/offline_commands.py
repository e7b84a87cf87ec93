"""`meshwright render` and `meshwright explain`: what can be told of a mesh in a file.

A command imports what it works with when it runs, as everywhere in the command line.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from meshwright.complaints import complain, fail
from meshwright.model.mounts import (
    AUTHORITIES_FILE,
    CHAIN_FILE,
    DEFAULT_SDS_SOCKET,
    KEY_FILE,
)

if TYPE_CHECKING:
    from meshwright.graph import Graph


def render_command(
    mesh: Annotated[
        Path,
        typer.Option(
            metavar="FILE",
            help="A mesh as YAML or JSON: documents in the shapes of the AWS CLI's "
            "--cli-input-json. - reads standard input.",
            allow_dash=True,
        ),
    ],
    node: Annotated[
        str, typer.Option(metavar="NAME", help="The virtual node or gateway to render.")
    ],
    listener_address: Annotated[
        str | None,
        typer.Option(
            metavar="IP",
            help="Bind the declared ports on this address, without iptables (explicit "
            "interception). Without it, traffic is taken as redirected to ports 15000 and 15001.",
        ),
    ] = None,
    application_address: Annotated[
        str | None,
        typer.Option(metavar="IP", help="Where the application listens.", show_default="loopback"),
    ] = None,
    service_address: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=IP",
            help="Where the application finds a virtual service that takes TCP; may be repeated.",
        ),
    ] = None,
    certificate: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ARN=FOLDER",
            help=f"What a certificate or authority of ACM stands for: the folder with its "
            f"{CHAIN_FILE}, {KEY_FILE} and {AUTHORITIES_FILE}; may be repeated.",
        ),
    ] = None,
    sds_socket: Annotated[
        str,
        typer.Option(metavar="PATH", help="The socket of the SDS server beside the proxy."),
    ] = DEFAULT_SDS_SOCKET,
) -> None:
    """Print a proxy's whole Envoy configuration as YAML, without a control plane.

    Envoy itself can check what is printed: `envoy --mode validate -c FILE`.
    """
    from meshwright.offline import mount_credential, render_proxy
    from meshwright.translate.static import StaticSettings

    try:
        addresses = _split_pairs(service_address, "--service-address", "NAME=IP")
        folders = _split_pairs(certificate, "--certificate", "ARN=FOLDER")
        mounted = {arn: mount_credential(Path(folder)) for arn, folder in folders.items()}
        rendered = render_proxy(
            *(_load(mesh), node, listener_address, application_address),
            service_addresses=addresses,
            static=StaticSettings(sds_socket=sds_socket, credentials=mounted),
        )
        typer.echo(rendered, nl=False)
    except (OSError, ValueError) as error:
        fail(f"{mesh}: {error}")


def explain_command(
    method: Annotated[
        str, typer.Argument(help="The request's method, such as GET; CONNECT for TCP.")
    ],
    url: Annotated[
        str, typer.Argument(help="http://color.demo.local/x?a=b, or tcp://db.demo.local:5432.")
    ],
    *,
    caller: Annotated[
        str, typer.Option("--from", metavar="NAME", help="The virtual node that sends it.")
    ],
    mesh: Annotated[
        Path,
        typer.Option(
            metavar="FILE",
            help="A mesh as YAML or JSON; - reads standard input, for instance what "
            "`meshwright mesh export` prints.",
            allow_dash=True,
        ),
    ],
    header: Annotated[
        list[str] | None,
        typer.Option("-H", "--header", metavar="NAME: VALUE", help="A header; may be repeated."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """Say step by step why a request goes where it goes, and where each value comes from.

    Exit codes: 0 it is routed; 1 it is not, and the last step says why; 2 the question is wrong.

    Ask a running control plane so:
    `meshwright mesh export demo | meshwright explain --mesh - --from front GET http://color.local/`
    """
    from meshwright.offline import explain_request
    from meshwright.translate.sent_requests import parse_request

    try:
        request = parse_request(method, url, header or [])
        explanation = explain_request(_load(mesh), caller, request)
    except (OSError, ValueError) as error:
        fail(str(error))
    if as_json:
        typer.echo(json.dumps(asdict(explanation), indent=2))
    else:
        for number, step in enumerate(explanation.steps, start=1):
            typer.echo(f"{number:2}. {step.text}" + (f"  [{step.source}]" if step.source else ""))
    sys.exit(0 if explanation.routed else 1)


def _split_pairs(pairs: list[str] | None, option: str, expected: str) -> dict[str, str]:
    split = [pair.partition("=") for pair in pairs or ()]
    for name, equals, value in split:
        if not equals:
            raise ValueError(f"{option} {name + value!r}: expected {expected}")
    return {name: value for name, _, value in split}


def _load(mesh: Path) -> Graph:
    """The mesh of a file, or of standard input for `-`; what is wrong in it goes to the user."""
    from meshwright.graph.findings import find_problems
    from meshwright.offline import load_graph

    graph = load_graph(sys.stdin.read() if str(mesh) == "-" else mesh.read_text())
    for finding in find_problems(graph):
        complain(f"{finding.code}: {finding.message}; {finding.remedy}")
    return graph
