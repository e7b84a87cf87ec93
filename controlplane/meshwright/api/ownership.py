"""Who may write to what in a mesh that several accounts share.

create        every account that the mesh is shared with; a route only in a virtual router of its
              own, a gateway route only in a virtual gateway of its own
update, tag   the account that made the resource
delete        that account, and the mesh's owner

Source: App Mesh user guide, "Working with shared meshes", and the same page of its Preview Channel
(routes). Unlike App Mesh, virtual gateways are like all others.
"""

from __future__ import annotations

from typing import Literal

from meshwright.access.errors import AccessError
from meshwright.api.audit import Author
from meshwright.api.errors import ApiError
from meshwright.graph import Graph
from meshwright.model.resources import Kind, ResourceKey

Write = Literal["create", "update", "tag", "delete"]


def require_admitted(graph: Graph, author: Author) -> None:
    """Check that a mesh is the author's own or shared with their account, at this revision of it.

    Raises:
        AccessError: AccessDeniedException.
    """
    if author.is_known and not graph.admits(author.account_id):
        raise AccessError(
            "AccessDeniedException",
            f"mesh {graph.head.mesh.name!r} of account {graph.head.mesh.owner} is not shared with "
            f"account {author.account_id}",
        )


def require_ownership(graph: Graph, author: Author, write: Write, key: ResourceKey) -> None:
    """Check that an author may write to a resource of a mesh that admits them.

    Args:
        graph: The mesh as it is.
        author: Who asks.
        write: What they want to do.
        key: The resource; where it is not there, there is nothing to check but its parent.

    Raises:
        ApiError: ForbiddenException that names the account which may.
    """
    if not author.is_known:
        return
    owned = key.parent_key if write == "create" else key
    resource = graph.resources.get(owned) if owned is not None else None
    if resource is None or resource.resource_owner == author.account_id:
        return
    if write == "create" and resource.key.kind is Kind.MESH:
        return
    if write == "delete" and key.mesh.owner == author.account_id:
        return
    what = f"a {key.kind.label} in it" if write == "create" else "it"
    also = f", or {key.mesh.owner} as the mesh's owner," if write == "delete" else ""
    raise ApiError(
        "ForbiddenException",
        f"{resource.key.kind.name_member}: {resource.key} belongs to account "
        f"{resource.resource_owner}: only that account{also} may {write} {what}, and this request "
        f"is account {author.account_id}'s",
    )
