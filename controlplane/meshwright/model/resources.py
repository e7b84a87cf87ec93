"""What users declare: the seven kinds of resource, their keys, ARNs and stored form.

mesh
 |-- virtualNode
 |-- virtualService
 |-- virtualRouter ---- route
 '-- virtualGateway --- gatewayRoute
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, NamedTuple

Spec = Mapping[str, Any]
"""A resource's specification as the model's JSON, one of `mypy_boto3_appmesh`'s `*SpecTypeDef`."""


class Kind(StrEnum):
    """A kind of resource, named as the model's output members and ARNs name it."""

    MESH = "mesh"
    VIRTUAL_NODE = "virtualNode"
    VIRTUAL_SERVICE = "virtualService"
    VIRTUAL_ROUTER = "virtualRouter"
    ROUTE = "route"
    VIRTUAL_GATEWAY = "virtualGateway"
    GATEWAY_ROUTE = "gatewayRoute"

    # Enum's own is Python code, which every look-up by a ResourceKey would run.
    __hash__ = str.__hash__

    @property
    def label(self) -> str:
        """The kind in words, for messages: `virtual node`."""
        return re.sub(r"(?=[A-Z])", " ", self.value).lower()

    @property
    def parent(self) -> Kind | None:
        """The kind that a resource of this kind lives in; None for a mesh."""
        return _PARENTS[self]

    @property
    def name_member(self) -> str:
        """The model's member that holds the name of such a resource: `virtualNodeName`."""
        return f"{self.value}Name"


_PARENTS: Final[Mapping[Kind, Kind | None]] = {
    Kind.MESH: None,
    Kind.VIRTUAL_NODE: Kind.MESH,
    Kind.VIRTUAL_SERVICE: Kind.MESH,
    Kind.VIRTUAL_ROUTER: Kind.MESH,
    Kind.ROUTE: Kind.VIRTUAL_ROUTER,
    Kind.VIRTUAL_GATEWAY: Kind.MESH,
    Kind.GATEWAY_ROUTE: Kind.VIRTUAL_GATEWAY,
}


_ACCOUNT_ID: Final = re.compile(r"[0-9]{12}")


def is_account_id(text: str) -> bool:
    """Whether a text is the 12 digits of an account."""
    return _ACCOUNT_ID.fullmatch(text) is not None


class MeshKey(NamedTuple):
    """A mesh: its owner's account id and its name."""

    owner: str
    name: str


class ResourceKey(NamedTuple):
    """What names one resource: its mesh, kind and name, and its parent's name where it has one.

    `parent` is the virtual router of a route or the virtual gateway of a gateway route, and
    empty for every other kind.
    """

    mesh: MeshKey
    kind: Kind
    name: str
    parent: str = ""

    @property
    def path(self) -> str:
        """The resource's part of its ARN: `mesh/demo/virtualRouter/color/route/all`."""
        if self.kind is Kind.MESH:
            return f"mesh/{self.mesh.name}"
        inside = f"{self.kind.value}/{self.name}"
        if self.kind.parent in (None, Kind.MESH):
            return f"mesh/{self.mesh.name}/{inside}"
        return f"mesh/{self.mesh.name}/{self.kind.parent.value}/{self.parent}/{inside}"

    @property
    def parent_key(self) -> ResourceKey | None:
        """The key of what the resource lives in; None for a mesh."""
        match self.kind.parent:
            case None:
                return None
            case Kind.MESH:
                return mesh_resource_key(self.mesh)
            case kind:
                return ResourceKey(self.mesh, kind, self.parent)

    def __str__(self) -> str:
        return f"{self.kind.label} {self.name!r}"


def mesh_resource_key(mesh: MeshKey) -> ResourceKey:
    """The key of the mesh as a resource of its own."""
    return ResourceKey(mesh, Kind.MESH, mesh.name)


def key_from_names(mesh: MeshKey, kind: Kind, names: Mapping[str, Any]) -> ResourceKey:
    """The key of a resource whose names stand in members such as `virtualNodeName`."""
    if kind is Kind.MESH:
        return mesh_resource_key(mesh)
    within = kind.parent
    parent = names[within.name_member] if within not in (None, Kind.MESH) else ""
    return ResourceKey(mesh, kind, names[kind.name_member], parent)


def build_arn(key: ResourceKey, *, region: str, account_id: str | None = None) -> str:
    """The ARN of a resource, in the partition `aws`.

    What another account has in a shared mesh is
    `arn:aws:appmesh:REGION:ACCOUNT:mesh/MESH@OWNER/...`, as in App Mesh (its user guide of the
    Preview Channel, "Working with shared meshes").

    Args:
        key: What names it.
        region: Its region.
        account_id: The account that owns it; the mesh's owner without one.
    """
    owner, name = key.mesh
    account = account_id or owner
    path = key.path
    if account != owner:
        path = f"mesh/{name}@{owner}" + path.removeprefix(f"mesh/{name}")
    return f"arn:aws:appmesh:{region}:{account}:{path}"


_MESH = r"(?P<mesh>[^/]+?)(?:@(?P<owner>[0-9]{12}))?"
_MESH_ID = re.compile(_MESH)
_PATH = re.compile(
    rf"mesh/{_MESH}"
    r"(?:/(?P<kind>virtualNode|virtualService|virtualRouter|virtualGateway)/(?P<name>[^/]+)"
    r"(?:/(?P<child>route|gatewayRoute)/(?P<child_name>[^/]+))?)?"
)
_ARN = re.compile(r"arn:[^:]+:appmesh:[^:]*:(?P<account>[^:]*):(?P<path>.+)")


class ResourceId(NamedTuple):
    """What an ARN says: the account that owns the resource, and what names it."""

    account_id: str
    key: ResourceKey


def parse_resource_id(text: str, *, account_id: str) -> ResourceId:
    """Read an ARN or its `mesh/...` suffix, as proxies and tag operations give them.

    Args:
        text: `arn:aws:appmesh:REGION:ACCOUNT:mesh/demo/virtualNode/front` or
            `mesh/demo/virtualNode/front`; `demo@OWNER` where the mesh is of another account.
        account_id: The account to assume where the text names none.

    Raises:
        ValueError: The text names no App Mesh resource.
    """
    arn = _ARN.fullmatch(text)
    account = arn["account"] if arn else account_id
    path = _PATH.fullmatch(arn["path"] if arn else text)
    if path is None:
        raise ValueError(
            f"{text!r} is no App Mesh resource: expected an ARN such as "
            f"arn:aws:appmesh:REGION:ACCOUNT:mesh/MESH/virtualNode/NAME, or the part from mesh/ on"
        )
    mesh = MeshKey(path["owner"] or account, path["mesh"])
    if path["kind"] is None:
        return ResourceId(account, mesh_resource_key(mesh))
    key = ResourceKey(mesh, Kind(path["kind"]), path["name"])
    if path["child"] is None:
        return ResourceId(account, key)
    child = ResourceKey(mesh, Kind(path["child"]), path["child_name"], parent=key.name)
    if child.kind.parent is not key.kind:
        raise ValueError(f"{text!r} is no App Mesh resource: a {key.kind.label} has no {child}")
    return ResourceId(account, child)


def parse_resource_key(text: str, *, account_id: str) -> ResourceKey:
    """The key of what `parse_resource_id` reads, whoever owns it.

    Raises:
        ValueError: The text names no App Mesh resource.
    """
    return parse_resource_id(text, account_id=account_id).key


def parse_mesh_id(text: str, *, account_id: str) -> MeshKey:
    """A mesh from its name, or `NAME@OWNER` where it is of another account than `account_id`."""
    match = _MESH_ID.fullmatch(text)
    if match is None:
        return MeshKey(account_id, text)
    return MeshKey(match["owner"] or account_id, match["mesh"])


def render_mesh_id(mesh: MeshKey, *, account_id: str) -> str:
    """What `parse_mesh_id` reads."""
    return mesh.name if mesh.owner == account_id else f"{mesh.name}@{mesh.owner}"


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource as users declared it, with what App Mesh keeps about it.

    Attributes:
        key: What names it.
        arn: Its ARN.
        spec: Its specification; never written to once stored.
        uid: A unique id that a resource made anew under the same name does not share.
        version: 1 at creation, one more with each update that changed the specification.
        created_at: Seconds since the epoch.
        last_updated_at: Seconds since the epoch.
        resource_owner: The account that made it.
        tags: Key and value pairs, in the order that the user gave.
        shared_with: The other accounts that may use a mesh, in order; of no other kind.
    """

    key: ResourceKey
    arn: str
    spec: Spec
    uid: str
    version: int
    created_at: float
    last_updated_at: float
    resource_owner: str
    tags: tuple[tuple[str, str], ...] = ()
    shared_with: tuple[str, ...] = ()
