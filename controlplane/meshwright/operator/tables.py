"""Rows for people and for pipes: a table on a terminal, tab-separated lines elsewhere."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final

import typer
from rich.console import Console
from rich.table import Table

Row = Sequence[str]

_MOST_NAMED: Final = 3
"""How many of the resources that a proxy refused are named."""


def print_rows(columns: Sequence[str], rows: Sequence[Row]) -> None:
    """Print rows; their headings stand over them on a terminal only."""
    if sys.stdout.isatty():
        Console().print(build_table(columns, rows))
    else:
        for row in rows:
            typer.echo("\t".join(row))


def build_table(columns: Sequence[str], rows: Sequence[Row]) -> Table:
    """Rows under their headings, as rich draws them."""
    # As little room as possible between columns: the headings of `mesh list` fill a terminal.
    table = Table(box=None, pad_edge=False, collapse_padding=True, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        # Texts come from users' names and Envoy's messages: they hold no markup.
        table.add_row(*(cell.replace("[", r"\[") for cell in row))
    return table


def print_json(content: object) -> None:
    """Print a value as JSON, indented."""
    typer.echo(json.dumps(content, indent=2, ensure_ascii=False))


MESH_COLUMNS = (
    *("MESH", "REVISION", "NODES", "SERVICES", "ROUTERS", "ROUTES", "GATEWAYS", "GATEWAY ROUTES"),
    *("FINDINGS", "PROXIES"),
)
_COUNTED = (
    *("virtualNode", "virtualService", "virtualRouter", "route", "virtualGateway"),
    "gatewayRoute",
)


def mesh_row(mesh: Mapping[str, Any]) -> Row:
    """A mesh as `list` shows it, in the order of `MESH_COLUMNS`."""
    counts = mesh["resources"]
    cells = [mesh["revision"], *(counts[kind] for kind in _COUNTED), mesh["findings"]]
    return [mesh["mesh"], *map(str, cells), str(mesh["proxies"])]


SHARE_COLUMNS = ("ACCOUNT", "STATE", "RESOURCES")


def share_row(share: Mapping[str, Any]) -> Row:
    """An account as `shares` shows it, in the order of `SHARE_COLUMNS`."""
    state = "shared" if share["shared"] else "not shared"
    return [share["account"], state, str(share["resources"])]


PROXY_COLUMNS = (
    *("MESH", "PROXY", "PEER", "ENVOY", "REPLICA", "CONNECTED", "REVISION", "LAG"),
    "REJECTION",
)


def proxy_row(mesh: str, proxy: Mapping[str, Any]) -> Row:
    """A proxy as `status` shows it, in the order of `PROXY_COLUMNS`."""
    acknowledged: int | None = proxy["acknowledged_revision"]
    rejection: Mapping[str, Any] | None = proxy["rejection"]
    return [
        mesh,
        proxy_name(proxy),
        proxy["peer"],
        proxy["envoy_version"] or "-",
        proxy["replica"],
        proxy["connected_at"][:19],
        "-" if acknowledged is None else str(acknowledged),
        f"{proxy['lag_seconds']:.1f}s" if proxy["lag_seconds"] else "-",
        describe_rejection(rejection) if rejection else "-",
    ]


def refusal_row(mesh: str, refusal: Mapping[str, Any]) -> Row:
    """A proxy that was refused as `status` shows it, in the order of `PROXY_COLUMNS`."""
    seen = f"refused {refusal['at'][:19]}"
    who = (mesh, proxy_name(refusal), refusal["peer"], "-", refusal["replica"])
    return [*who, seen, "-", "-", refusal["reason"]]


def proxy_name(proxy: Mapping[str, Any]) -> str:
    """A proxy's virtual node or virtual gateway: `virtualNode/front`."""
    return "/".join(proxy["resource"].split("/")[2:])


def describe_incomplete(status: Mapping[str, Any]) -> str:
    """Why the proxies of other replicas are missing in a status; empty where they are not."""
    reason = status.get("incomplete")
    return f"the proxies of other replicas than {status['replica']}: {reason}" if reason else ""


def describe_rejection(rejection: Mapping[str, Any]) -> str:
    """What a proxy refused and why, in a line."""
    names: Sequence[str] = rejection["resources"]
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    what = " ".join([rejection["type"], ", ".join(names[:_MOST_NAMED])]).rstrip() + more
    detail = " ".join(rejection["detail"].split())
    return f"revision {rejection['revision']}, {what}: {detail}"
