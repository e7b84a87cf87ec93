"""`meshwright mesh ...`, `meshwright status` and `meshwright wait`."""
# ruff: noqa: FBT002
# Options of the command line are parameters with defaults: that is how typer knows them.

from __future__ import annotations

import sys
import time
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from typing import Annotated, Any, Final

import typer
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from meshwright.complaints import complain, fail
from meshwright.operator.client import (
    DEFAULT_ENDPOINT,
    REFUSED,
    CommandError,
    Connection,
    RefusedError,
)
from meshwright.operator.diffs import describe_path, render_changes
from meshwright.operator.files import Source, find_foreign_values, read_files, render_documents
from meshwright.operator.tables import (
    MESH_COLUMNS,
    PROXY_COLUMNS,
    SHARE_COLUMNS,
    Row,
    build_table,
    describe_incomplete,
    describe_rejection,
    mesh_row,
    print_json,
    print_rows,
    proxy_name,
    proxy_row,
    refusal_row,
    share_row,
)
from meshwright.operator.tree import render_tree
from meshwright.operator.waiting import wait_for_revision

_WATCH_SECONDS: Final = 1.0
_SHOWN_OF_STATUS: Final = ("findings", "proxies", "refusals", "incomplete")

mesh_app = typer.Typer(
    name="mesh",
    help="List, show, export, apply, delete and share the meshes of a running control plane.\n\n"
    "Exit codes: 0 done; 1 refused, with every reason; 2 it could not even be asked.",
    no_args_is_help=True,
)

Endpoint = Annotated[
    str,
    typer.Option(
        envvar="MESHWRIGHT_ENDPOINT",
        metavar="URL",
        help="The control plane's API. Requests are signed where MESHWRIGHT_ACCESS_KEY_ID and "
        "MESHWRIGHT_SECRET_ACCESS_KEY are set.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Name = Annotated[
    str,
    typer.Argument(
        metavar="NAME", help="The mesh's name; NAME@OWNER where another account shares it."
    ),
]
Account = Annotated[
    str, typer.Argument(metavar="ACCOUNT", help="The 12 digits of the other account.")
]


@contextmanager
def talking(endpoint: str) -> Generator[Connection]:
    """A connection to the control plane; errors end the process, a line for each reason."""
    try:
        yield Connection.from_environment(endpoint)
    except RefusedError as error:
        for problem in error.problems:
            where = f"{describe_path(problem.resource)}: " if problem.resource else ""
            complain(f"{where}{problem.message}")
        if not error.problems:
            complain(str(error))
        sys.exit(error.exit_code)
    except CommandError as error:
        fail(str(error), error.exit_code)


@mesh_app.command("list")
def list_command(endpoint: Endpoint = DEFAULT_ENDPOINT, as_json: AsJson = False) -> None:
    """List all meshes: revision, what they hold, findings and connected proxies.

    In a pipe there is a line for each, tab-separated and without headings.
    """
    with talking(endpoint) as connection:
        meshes = connection.list_meshes()
    if as_json:
        print_json(meshes)
    else:
        print_rows(MESH_COLUMNS, [mesh_row(mesh) for mesh in meshes])


@mesh_app.command("show")
def show_command(
    name: Name,
    endpoint: Endpoint = DEFAULT_ENDPOINT,
    as_json: AsJson = False,
) -> None:
    """Draw a mesh: services, routers, routes with their shares, nodes; then what is wrong.

    Findings are what is wrong without having been refused, each with its remedy. Proxies are
    shown with the revision that they have acknowledged and what they rejected.
    """
    with talking(endpoint) as connection:
        description = connection.show(name)
        status = connection.status(name)
    if as_json:
        shown = {each: status[each] for each in _SHOWN_OF_STATUS}
        print_json(description | shown)
        return
    for line in (*render_tree(description), *_render_status(status)):
        typer.echo(line)


def _render_status(status: dict[str, Any]) -> Iterable[str]:
    for finding in status["findings"]:
        yield ""
        yield f"{finding['code']}: {finding['message']}"
        yield f"  remedy: {finding['remedy']}"
    if status["proxies"] or status["refusals"] or status["incomplete"]:
        yield ""
    incomplete = describe_incomplete(status)
    if incomplete:
        yield f"not known are {incomplete}"
    for proxy in status["proxies"]:
        acknowledged = proxy["acknowledged_revision"]
        has = f"has revision {acknowledged}" if acknowledged else "has acknowledged nothing yet"
        yield f"proxy {proxy_name(proxy)}  {proxy['peer']}  at {proxy['replica']}  {has}"
        if proxy["rejection"]:
            yield f"  rejected {describe_rejection(proxy['rejection'])}"
    for refusal in status["refusals"]:
        who = f"proxy {proxy_name(refusal)}  {refusal['peer']}  at {refusal['replica']}"
        yield f"{who}  refused: {refusal['reason']}"


@mesh_app.command("export")
def export_command(name: Name, endpoint: Endpoint = DEFAULT_ENDPOINT) -> None:
    """Print a mesh as YAML that `apply` takes, in the order of dependency, tags included.

    Each document holds the parameters of one create operation, as the AWS CLI's
    --cli-input-json takes them: `meshwright mesh export demo > demo.yaml`.
    """
    with talking(endpoint) as connection:
        description = connection.show(name)
    typer.echo(f"# Mesh {name} at revision {description['revision']}.")
    documents = [resource["document"] for resource in description["resources"]]
    typer.echo(render_documents(documents), nl=False)


@mesh_app.command("apply")
def apply_command(
    file: Annotated[
        list[str],
        typer.Option(
            "--file",
            "-f",
            metavar="FILE",
            help="YAML documents or JSON in the shapes of --cli-input-json; - is standard input. "
            "Several are taken as one.",
        ),
    ],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would change, and change nothing.")
    ] = False,
    prune: Annotated[
        bool,
        typer.Option("--prune", help="Delete what is in the mesh and not in the files."),
    ] = False,
    endpoint: Endpoint = DEFAULT_ENDPOINT,
    as_json: AsJson = False,
) -> None:
    """Make a mesh hold what files declare: all of it in one revision, or nothing.

    Everything is checked first, against the mesh as it would be, and every problem is shown with
    its document and field. What is declared as it is already keeps its version. A document
    without tags leaves the tags alone; clientToken has no effect.
    """
    with talking(endpoint) as connection:
        sources = read_files(file)
        _require_json(sources)
        try:
            outcome = connection.apply(
                [source.content for source in sources], prune=prune, dry_run=dry_run
            )
        except RefusedError as error:
            raise _located(error, sources) from None
    if as_json:
        print_json(outcome)
        return
    for line in render_changes(outcome):
        typer.echo(line)


def _require_json(sources: list[Source]) -> None:
    if not sources:
        raise CommandError("--file: there is no document to apply")
    problems = [
        f"{source}: {message}"
        for source in sources
        for message in find_foreign_values(source.content)
    ]
    for problem in problems[:-1]:
        complain(problem)
    if problems:
        raise CommandError(problems[-1], REFUSED)


def _located(error: RefusedError, sources: list[Source]) -> CommandError:
    """The refusal with each document told by its file; its lines are printed but for the last."""
    lines: list[str] = []
    for problem in error.problems:
        where = f"{sources[problem.document - 1]}: " if problem.document else ""
        what = f"{describe_path(problem.resource)}: " if problem.resource else ""
        lines.append(f"{where}{what}{problem.message}")
    if not lines:
        return error
    for line in lines:
        complain(line)
    plural = "problem" if len(lines) == 1 else "problems"
    return CommandError(f"nothing was changed: {len(lines)} {plural}", REFUSED)


@mesh_app.command("delete")
def delete_command(
    name: Name,
    recursive: Annotated[
        bool, typer.Option("--recursive", help="Delete everything in the mesh with it.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    endpoint: Endpoint = DEFAULT_ENDPOINT,
) -> None:
    """Delete a mesh; with --recursive also what is in it, in one revision."""
    with talking(endpoint) as connection:
        try:
            if not yes:
                _ask(connection.delete(name, recursive=recursive, dry_run=True))
            outcome = connection.delete(name, recursive=recursive, dry_run=False)
        except RefusedError as error:
            if not recursive and error.problems:
                complain(f"mesh {name} is not empty; --recursive deletes what is in it too")
            raise
    for line in render_changes(outcome):
        typer.echo(line)
    if proxies := outcome.get("proxies"):
        complain(
            f"{_count_proxies(proxies)} connected to it; what is still running keeps the "
            "configuration that it has, and is refused from now on"
        )


def _count_proxies(number: int) -> str:
    return "1 proxy was" if number == 1 else f"{number} proxies were"


def _ask(plan: dict[str, Any]) -> None:
    if not sys.stdin.isatty():
        raise CommandError("there is no terminal to ask on; --yes deletes without asking")
    inside = len(plan["changes"]) - 1
    what = f" with the {inside} resources in it" if inside else ""
    if proxies := plan.get("proxies"):
        complain(f"{proxies} of its proxies {'is' if proxies == 1 else 'are'} connected")
    if not typer.confirm(f"Delete mesh {plan['mesh']}{what}?"):
        raise CommandError("nothing was deleted", REFUSED)


@mesh_app.command("share")
def share_command(name: Name, account: Account, endpoint: Endpoint = DEFAULT_ENDPOINT) -> None:
    """Let another account make resources in a mesh of yours, and connect proxies as them.

    What it makes is its own: nobody else changes it, and only you, the mesh's owner, may delete it
    as well. It sees the whole mesh, as meshOwner with your account, and changes nothing of yours.
    """
    with talking(endpoint) as connection:
        connection.share(name, account)
    typer.echo(f"mesh {name} is shared with account {account}", err=True)


@mesh_app.command("unshare")
def unshare_command(name: Name, account: Account, endpoint: Endpoint = DEFAULT_ENDPOINT) -> None:
    """Take a mesh of yours away from an account: at once, for its keys and for its proxies.

    What it has made stays in the mesh until you delete it.
    """
    with talking(endpoint) as connection:
        shares = connection.unshare(name, account)["shares"]
    left = next((each["resources"] for each in shares if each["account"] == account), 0)
    stay = f"; {left} of its resources stay in it, without configuration" if left else ""
    typer.echo(f"mesh {name} is not shared with account {account}{stay}", err=True)


@mesh_app.command("shares")
def shares_command(
    name: Name, endpoint: Endpoint = DEFAULT_ENDPOINT, as_json: AsJson = False
) -> None:
    """List the accounts that a mesh of yours is shared with, and those that left something in it.

    In a pipe there is a line for each, tab-separated and without headings.
    """
    with talking(endpoint) as connection:
        answer = connection.list_shares(name)
    if as_json:
        print_json(answer)
    else:
        print_rows(SHARE_COLUMNS, [share_row(each) for each in answer["shares"]])


def status_command(
    mesh: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only this mesh; all without it.")
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Go on showing it, until Ctrl-C.")] = False,
    endpoint: Endpoint = DEFAULT_ENDPOINT,
    as_json: AsJson = False,
) -> None:
    """Show every connected proxy: its Envoy, the revision it has, its lag, its last rejection.

    A proxy that was not let in, or sent away, within the last minutes is shown with the reason.

    Proxies of all control planes on one store are shown, whichever of them is asked; REPLICA says
    which one a proxy is connected to. LAG says for how many seconds a proxy has lacked something
    of the mesh's present revision. One that was killed is shown for up to 15 seconds more.

    In a pipe there is a tab-separated line for each; with --watch, all lines again whenever one
    has changed otherwise than by its lag growing, or by being refused again.
    """
    with talking(endpoint) as connection:
        if not watch:
            _print_proxies(_read_statuses(connection, mesh), as_json=as_json)
        elif sys.stdout.isatty() and not as_json:
            _watch_on_terminal(connection, mesh)
        else:
            _watch_in_pipe(connection, mesh, as_json=as_json)


def _read_statuses(connection: Connection, mesh: str | None) -> list[dict[str, Any]]:
    if mesh is not None:
        return [connection.status(mesh)]
    return [connection.status(each["mesh"]) for each in connection.list_meshes()]


def _proxy_rows(statuses: list[dict[str, Any]]) -> list[Row]:
    rows: list[Row] = []
    for status in statuses:
        mesh = status["mesh"]
        rows += (proxy_row(mesh, proxy) for proxy in status["proxies"])
        rows += (refusal_row(mesh, refusal) for refusal in status["refusals"])
    return rows


def _print_proxies(statuses: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        print_json(statuses)
        return
    rows = _proxy_rows(statuses)
    print_rows(PROXY_COLUMNS, rows)
    complaints = _describe_incomplete(statuses)
    for complaint in complaints:
        complain(complaint)
    if not rows and not complaints:
        complain("no proxy is connected")


def _describe_incomplete(statuses: list[dict[str, Any]]) -> list[str]:
    reasons = filter(None, map(describe_incomplete, statuses))
    return [f"not known are {reason}" for reason in dict.fromkeys(reasons)]


def _watch_on_terminal(connection: Connection, mesh: str | None) -> None:
    with Live(console=Console(), auto_refresh=False, screen=True) as live:
        while True:
            statuses = _read_statuses(connection, mesh)
            table = build_table(PROXY_COLUMNS, _proxy_rows(statuses))
            live.update(Group(table, *map(Text, _describe_incomplete(statuses))), refresh=True)
            time.sleep(_WATCH_SECONDS)


def _watch_in_pipe(connection: Connection, mesh: str | None, *, as_json: bool) -> None:
    shown: list[dict[str, Any]] | None = None
    while True:
        statuses = _read_statuses(connection, mesh)
        steady = [_without_growth(status) for status in statuses]
        if steady != shown:
            _print_proxies(statuses, as_json=as_json)
            sys.stdout.flush()
            shown = steady
        time.sleep(_WATCH_SECONDS)


def _without_growth(status: dict[str, Any]) -> dict[str, Any]:
    """A status without what goes on changing by itself, and without who was asked for it."""
    proxies = [each | {"lag_seconds": each["lag_seconds"] > 0} for each in status["proxies"]]
    # Whoever is refused knocks again and again, each time from another port.
    again = {"peer": None, "count": None, "at": None}
    refusals = sorted((each | again for each in status["refusals"]), key=str)
    return status | {"replica": None, "proxies": proxies, "refusals": refusals}


def wait_command(
    mesh: Annotated[str, typer.Option(metavar="NAME", help="The mesh.")],
    revision: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="The revision to wait for, as writes answer it in x-meshwright-revision.",
            show_default="the mesh's current one",
        ),
    ] = None,
    timeout: Annotated[
        float, typer.Option(min=0.0, metavar="SECONDS", help="For how long at most.")
    ] = 60.0,
    endpoint: Endpoint = DEFAULT_ENDPOINT,
) -> None:
    """Wait until every connected proxy has acknowledged a revision of a mesh.

    Those of all control planes on one store are waited for, whichever of them is asked.

    Ends with 1 and the names of those who have not when time runs out, and at once when a proxy
    has rejected that revision.
    """
    with talking(endpoint) as connection:
        status = wait_for_revision(
            lambda: connection.status(mesh),
            revision,
            timeout,
            lambda progress: typer.echo(progress, err=True),
        )
    count = len(status["proxies"])
    typer.echo(
        f"mesh {mesh}: {count} connected {'proxy has' if count == 1 else 'proxies have'} "
        f"acknowledged revision {revision or status['revision']}",
        err=True,
    )


def attach(app: typer.Typer) -> None:
    """Give an application the operator's commands."""
    app.add_typer(mesh_app)
    app.command("status")(status_command)
    app.command("wait")(wait_command)
