"""`meshwright token ...`: what proxies show to get their configuration."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import typer

from meshwright.operator.client import DEFAULT_ENDPOINT, CommandError
from meshwright.operator.commands import AsJson, Endpoint, talking
from meshwright.operator.tables import Row, print_json, print_rows

token_app = typer.Typer(
    name="token",
    help="Issue, list and revoke the tokens that proxies show to a running control plane.\n\n"
    "Exit codes: 0 done; 1 refused; 2 it could not even be asked.",
    no_args_is_help=True,
)

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_COLUMNS: Final = ("ID", "FOR", "ISSUED", "EXPIRES", "KEY", "STATE")


@token_app.command("issue")
def issue_command(
    scope: Annotated[
        str,
        typer.Option(
            "--for",
            metavar="ARN",
            help="The one resource whose configuration it is good for, as its ARN or "
            "mesh/MESH/virtualNode/NAME; or mesh/MESH, for all of a mesh.",
        ),
    ],
    expires_in: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="30d, 12h, 90m or 30s; without it, it does not expire."),
    ] = None,
    endpoint: Endpoint = DEFAULT_ENDPOINT,
    as_json: AsJson = False,  # noqa: FBT002 - typer makes a flag of it
) -> None:
    """Print a new token. It is shown this once, and kept nowhere.

    A proxy sends it as metadata of its ADS stream: authorization: Bearer TOKEN.
    """
    with talking(endpoint) as connection:
        seconds = None if expires_in is None else parse_duration("--expires-in", expires_in)
        issued = connection.issue_token(scope, seconds=seconds)
    if as_json:
        print_json(issued)
    else:
        typer.echo(issued["token"])


@token_app.command("list")
def list_command(
    endpoint: Endpoint = DEFAULT_ENDPOINT,
    as_json: AsJson = False,  # noqa: FBT002 - typer makes a flag of it
) -> None:
    """List the tokens that are good still, and those that were revoked before their time."""
    with talking(endpoint) as connection:
        tokens = connection.list_tokens()
    if as_json:
        print_json(tokens)
    else:
        print_rows(_COLUMNS, [_row(token) for token in tokens])


@token_app.command("revoke")
def revoke_command(
    token_id: Annotated[str, typer.Argument(metavar="ID", help="As `list` shows it.")],
    endpoint: Endpoint = DEFAULT_ENDPOINT,
) -> None:
    """Make a token worthless. Streams that were opened with it end within seconds."""
    with talking(endpoint) as connection:
        revoked = connection.revoke_token(token_id)
    typer.echo(f"token {token_id} for {revoked['scope']}: revoked", err=True)


@token_app.command("rotate")
def rotate_command(
    overlap: Annotated[
        str,
        typer.Option(
            metavar="TIME",
            help="For how long tokens that were signed before stay good: 7d, 12h, 90m or 0s.",
        ),
    ],
    endpoint: Endpoint = DEFAULT_ENDPOINT,
) -> None:
    """Sign with a new key from now on; issue new tokens and exchange them within the overlap."""
    with talking(endpoint) as connection:
        seconds = parse_duration("--overlap", overlap)
        rotated = connection.rotate_token_keys(overlap_seconds=seconds)
    typer.echo(
        f"new tokens are signed with key {rotated['keyId']}; those before are good for {overlap}",
        err=True,
    )


def parse_duration(option: str, text: str) -> float:
    """Seconds of `30d`, `12h`, `90m` or `30s`.

    Raises:
        CommandError: It is none of these.
    """
    match = re.fullmatch(r"([0-9]{1,9})([smhd])", text)
    if match is None:
        raise CommandError(f"{option} {text!r}: expected a number with s, m, h or d, such as 30d")
    return float(int(match[1]) * _UNITS[match[2]])


def _row(token: Mapping[str, Any]) -> Row:
    return (
        token["token_id"],
        token["scope"],
        _render_time(token["issued_at"]),
        "never" if token["expires_at"] is None else _render_time(token["expires_at"]),
        token["key_id"],
        "revoked" if token["revoked"] else "good",
    )


def _render_time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
