"""Copying meshes from one store to another, whole and at their own revisions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from meshwright.model.resources import MeshKey, Resource, ResourceKey
from meshwright.store.interface import (
    MeshHead,
    MeshState,
    RevisionConflictError,
    Store,
)


class CopyError(Exception):
    """A mesh can't be copied; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Copy:
    """What is to be done for one mesh.

    Attributes:
        state: The mesh as it is where it comes from.
        there: Its head where it goes to.
        is_there: It is there already, with equal resources.
    """

    state: MeshState
    there: MeshHead
    is_there: bool


def plan_copies(source: Store, target: Store, name: str | None = None) -> Sequence[Copy]:
    """What copying means for each mesh, deleted ones included; nothing is written.

    Args:
        source: Where they come from.
        target: Where they go to.
        name: Only the meshes of this name.

    Raises:
        CopyError: There is no such mesh, or another one of its name is in the target.
    """
    meshes = sorted(head.mesh for head in source.heads() if name in (None, head.mesh.name))
    if name is not None and not meshes:
        raise CopyError(f"there is no mesh {name!r} in {source.url}; check the name")
    return [_plan_copy(source, target, mesh) for mesh in meshes]


def _plan_copy(source: Store, target: Store, mesh: MeshKey) -> Copy:
    state, there = source.load(mesh), target.load(mesh)
    is_there = there.head.revision > 0 and _by_key(there) == _by_key(state)
    if there.resources and not is_there:
        raise CopyError(
            f"mesh {mesh.name!r}: {target.url} has another mesh of this name, at revision "
            f"{there.head.revision}; they differ in {_describe_difference(state, there)}; delete "
            "that one first, or copy to another store"
        )
    return Copy(state, there.head, is_there)


def carry_out(copy: Copy, source: Store, target: Store) -> MeshHead:
    """Copy a mesh, and compare what is there afterwards; its head there.

    Its revision goes on from where it was, or, where the target had a mesh of its name that was
    deleted at a later revision, from there.

    Raises:
        CopyError: The mesh was written to meanwhile, here or there.
    """
    mesh = copy.state.head.mesh
    revision = max(copy.state.head.revision, copy.there.revision + 1)
    state = replace(copy.state, head=replace(copy.state.head, revision=revision))
    try:
        target.restore(state, expected_revision=copy.there.revision)
    except RevisionConflictError as error:
        raise CopyError(
            f"mesh {mesh.name!r}: {target.url} was written to meanwhile; run this again"
        ) from error
    there = target.load(mesh)
    if there.head != state.head or _by_key(there) != _by_key(state):
        raise CopyError(
            f"mesh {mesh.name!r}: {target.url} was written to meanwhile; compare both, delete the "
            "mesh there and run this again"
        )
    now = source.head(mesh).revision
    if now != copy.state.head.revision:
        raise CopyError(
            f"mesh {mesh.name!r}: was copied at revision {copy.state.head.revision}, and "
            f"{source.url} is at {now} by now; stop who writes there, delete the copy and run this "
            "again"
        )
    return there.head


def _by_key(state: MeshState) -> dict[ResourceKey, Resource]:
    return {resource.key: resource for resource in state.resources}


def _describe_difference(one: MeshState, other: MeshState) -> str:
    """The first resources that differ, in words."""
    left, right = _by_key(one), _by_key(other)
    keys = sorted(key for key in {*left, *right} if left.get(key) != right.get(key))
    more = f" and {len(keys) - 3} more" if len(keys) > 3 else ""
    return ", ".join(str(key) for key in keys[:3]) + more
