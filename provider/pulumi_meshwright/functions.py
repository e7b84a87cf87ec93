"""The provider's functions: what a program may ask, with which arguments, and what it is told.

get...               a resource as the control plane has it, whoever made it; one for each type
explainRoute         where a request would go, and why
waitForConvergence   waits until the proxies have what was changed

This is only what they are; `invocations` carries them out.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final, TypeAlias, cast

from botocore.model import StructureShape

from pulumi_meshwright.model import PACKAGE, kinds, shape

if TYPE_CHECKING:
    from botocore.model import Shape

    from pulumi_meshwright.model import Kind

Type: TypeAlias = "str | tuple[Field, ...]"
"""A type of the schema, such as `string`; `map`, of strings; or the fields of a list's objects."""

EXPLAIN_ROUTE: Final = "explainRoute"
WAIT_FOR_CONVERGENCE: Final = "waitForConvergence"


@dataclass(frozen=True, slots=True)
class Field:
    """One argument of a function, or one value of its result.

    Attributes:
        name: Its name in Pulumi.
        type: Its type.
        text: What it is, in Markdown; empty where its shape in the model says it.
        required: Whether there is always one.
        shape: The shape by which the model bounds it, where it does.
        item: Of a list, what one of its objects is called; the name of the objects' type.
        item_text: What one of them is.
    """

    name: str
    type: Type
    text: str = ""
    required: bool = True
    shape: Shape | None = None
    item: str = ""
    item_text: str = ""


@dataclass(frozen=True, slots=True)
class Function:
    """One function.

    Attributes:
        name: Its name in Pulumi, for instance `getRoute`.
        text: What it is for, in Markdown.
        arguments: What it takes.
        result: What it gives, beside the outputs of `kind`.
        kind: The type of the resource that it gets, where it gets one.
    """

    name: str
    text: str
    arguments: tuple[Field, ...]
    result: tuple[Field, ...]
    kind: Kind | None = None

    @property
    def token(self) -> str:
        """The function's token in Pulumi, for instance `meshwright:index:getRoute`."""
        return f"{PACKAGE}:index:{self.name}"


_MESH_NAME: Final = "The name of the service mesh."
_MESH_OWNER: Final = (
    "The account that owns the mesh, where it is another one's that shares it. Else the provider's "
    "`meshOwner`."
)


def _mesh_arguments() -> tuple[Field, ...]:
    return (
        Field("meshName", "string", _MESH_NAME, shape=shape("ResourceName")),
        Field("meshOwner", "string", _MESH_OWNER, required=False, shape=shape("AccountId")),
    )


def _getter(kind: Kind) -> Function:
    """The function that gets a resource, with the arguments of the API's describe operation."""
    request = cast("StructureShape", shape(f"Describe{kind.name}Input"))
    names = [Field(name, "string", shape=request.members[name]) for name in kind.parents]
    names.append(Field("name", "string", shape=request.members[kind.name_member]))
    owner = Field(
        "meshOwner", "string", _MESH_OWNER, required=False, shape=request.members["meshOwner"]
    )
    region = Field(
        "region", "string", "The provider's region, for programs that say it.", required=False
    )
    tags_text = "Ignored, as `pulumi_aws` ignores it: the result has the resource's own."
    tags = Field("tags", "map", tags_text, required=False)
    text = f"A {kind.noun} as the control plane has it now, whoever made it."
    resource_id = Field("id", "string", f"Its id, written as `{kind.id_form}`.")
    return Function(f"get{kind.name}", text, (*names, owner, region, tags), (resource_id,), kind)


_STEP: Final = (
    Field("text", "string", "What was decided."),
    Field(
        "source", "string", "What decided it: a field of a resource, or a default.", required=False
    ),
)

_TARGET: Final = (
    Field("virtualNode", "string", "The virtual node's name."),
    Field("share", "number", "How much of such requests it gets, between 0 and 1."),
    Field("port", "integer", "The port of its listener."),
    Field("protocol", "string", "The protocol of its listener."),
    Field("tls", "boolean", "Whether it is spoken to over TLS."),
)

_EXPLAIN_TEXT: Final = (
    "Where a request would go, and why: the rules of the mesh as it is at the control plane, "
    "applied to a request that is not sent. A program so asserts its own routing.\n\n"
    "Let it depend on the resources that it is about. In a preview that changes the mesh there is "
    "no answer yet."
)

_WAIT_TEXT: Final = (
    "Waits until all connected proxies of a mesh have acknowledged its configuration, as the "
    "provider's setting `waitForConvergence` does after a change. It fails, with their names, "
    "where proxies lag behind when the time is up, or reject the configuration.\n\n"
    "Let it depend on the resources that it is about. A preview waits for nothing, and tells what "
    "has been reached so far."
)


def _explain() -> Function:
    mesh = _mesh_arguments()
    return Function(
        EXPLAIN_ROUTE,
        _EXPLAIN_TEXT,
        (
            *mesh,
            Field(
                "from",
                "string",
                "The name of the virtual node whose application sends the request.",
                shape=shape("ResourceName"),
            ),
            Field(
                "method",
                "string",
                "Its method; `CONNECT` for a connection. Else `GET`.",
                required=False,
            ),
            Field(
                "url",
                "string",
                "`http://HOST[:PORT]/PATH?QUERY`, or `tcp://HOST:PORT` of a connection.",
            ),
            Field("headers", "map", "Its headers.", required=False),
        ),
        (
            Field("meshName", "string", _MESH_NAME),
            Field("revision", "integer", "The mesh's revision that the answer is about."),
            Field("routed", "boolean", "Whether it gets anywhere."),
            Field(
                "route",
                "string",
                "The ARN of the route that takes it; none where no route does, or "
                "where a virtual node provides the virtual service.",
                required=False,
            ),
            Field(
                "targets",
                _TARGET,
                "Who may get it; empty where it leaves the mesh, or gets nowhere.",
                item="ExplainRouteTarget",
                item_text="A virtual node that may get the request.",
            ),
            Field(
                "steps",
                _STEP,
                "The decisions about it, in order.",
                item="ExplainRouteStep",
                item_text="A decision about the request.",
            ),
        ),
    )


def _wait() -> Function:
    return Function(
        WAIT_FOR_CONVERGENCE,
        _WAIT_TEXT,
        (
            *_mesh_arguments(),
            Field(
                "revision",
                "integer",
                "The mesh's revision that is waited for. Else the one that it has now.",
                required=False,
            ),
            Field(
                "timeout",
                "number",
                "For how many seconds. Else the provider's `convergenceTimeout`.",
                required=False,
            ),
        ),
        (
            Field("meshName", "string", _MESH_NAME),
            Field(
                "revision",
                "integer",
                "The latest revision that all connected proxies have acknowledged.",
            ),
            Field("proxies", "integer", "How many proxies are connected."),
        ),
    )


@cache
def functions() -> dict[str, Function]:
    """The functions by token."""
    found = (*map(_getter, kinds().values()), _explain(), _wait())
    return {function.token: function for function in found}
