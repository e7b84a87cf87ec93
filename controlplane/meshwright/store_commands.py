"""`meshwright store ...`: what is done to stores while nobody serves from them."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from meshwright.complaints import complain, fail

if TYPE_CHECKING:
    from meshwright.store.copying import Copy

store_app = typer.Typer(
    name="store",
    help="Work on stores directly, without a control plane.\n\n"
    "Exit codes: 0 done; 1 refused; 2 a store can't be used.",
    no_args_is_help=True,
)

_URL = "sqlite:///PATH or dynamodb://TABLE?region=REGION"


@store_app.callback()
def _root() -> None:  # pyright: ignore[reportUnusedFunction] - typer calls it
    """Work on stores directly, without a control plane."""


@store_app.command("copy")
def copy_command(
    source: Annotated[str, typer.Argument(metavar="FROM", help=f"The store to read: {_URL}.")],
    target: Annotated[
        str, typer.Argument(metavar="TO", help="The store to write; made where it does not exist.")
    ],
    mesh: Annotated[
        str | None, typer.Option(metavar="NAME", help="Copy this mesh only, not all.")
    ] = None,
) -> None:
    """Copy meshes from one store to another, with versions, dates, uids, tags and revisions.

    A mesh that is there already is left as it is if it is equal; if it is not, nothing is copied.
    An interrupted copy is taken up by running it again. Stop control planes that write to FROM
    first: what is written there during the copy is noticed, but not copied.
    """
    from meshwright.logs import configure_logging
    from meshwright.store import StoreError, open_store
    from meshwright.store.copying import CopyError, carry_out, plan_copies

    configure_logging("auto", "info")
    try:
        with (
            closing(open_store(source, create=False)) as source_store,
            closing(open_store(target)) as target_store,
        ):
            progress = Console(stderr=True)
            copies = plan_copies(source_store, target_store, mesh)
            if not copies:
                complain(f"there is no mesh in {source}: nothing to copy")
            for copy in copies:
                with progress.status(f"copying {_describe(copy)}"):
                    if not copy.is_there:
                        carry_out(copy, source_store, target_store)
                typer.echo(f"{_describe(copy)}: {'already there' if copy.is_there else 'copied'}")
    except CopyError as error:
        fail(str(error), 1)
    except StoreError as error:
        fail(str(error), 2)


def _describe(copy: Copy) -> str:
    count = len(copy.state.resources)
    what = f"{count} resource{'' if count == 1 else 's'}" if count else "deleted"
    return f"mesh {copy.state.head.mesh.name} at revision {copy.state.head.revision} ({what})"
