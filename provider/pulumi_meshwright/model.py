r"""The seven resource types, read out of botocore's App Mesh service model.

Nothing about a shape is written down here. What the model says about operations decides which
resource types there are, what names them, what they hang from and how they are called:

    CreateRoute  PUT /v20190125/meshes/{meshName}/virtualRouter/{virtualRouterName}/routes
          \                         '-- parents: meshName, virtualRouterName --'
           '-- Route, named by routeName, specified by RouteSpec, id "mesh/router/route"
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, cast

from botocore.model import ServiceModel, StructureShape
from botocore.session import Session

if TYPE_CHECKING:
    from botocore.loaders import Loader
    from botocore.model import OperationModel, Shape

API_VERSION = "2019-01-25"
"""The only version of the App Mesh API that was ever published, besides its preview."""

PACKAGE = "meshwright"
"""The name of the Pulumi package; the plugin's executable is `pulumi-resource-` and this."""

_KINDS_IN_ORDER = (
    "Mesh",
    "VirtualNode",
    "VirtualRouter",
    "Route",
    "VirtualService",
    "VirtualGateway",
    "GatewayRoute",
)


class InvalidIdError(ValueError):
    """An id, as given to `pulumi import`, that can't be the id of its resource type."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One resource type: its Pulumi name and the API's names for the same thing.

    Attributes:
        name: The type's name in Pulumi and in the API's operations, for instance `Route`.
        name_member: The API's name for the resource's own name, for instance `routeName`.
        parents: The API's names of the resources that it hangs from, outermost first.
        owned: Whether the API lets a caller say whose mesh is meant (`meshOwner`).
        payload: The member of the answer that holds the resource, for instance `route`.
        spec: The shape of its specification.
        spec_required: Whether the API wants a specification.
    """

    name: str
    name_member: str
    parents: tuple[str, ...]
    owned: bool
    payload: str
    spec: StructureShape
    spec_required: bool

    @property
    def token(self) -> str:
        """The type's token in Pulumi, for instance `meshwright:index:Route`."""
        return f"{PACKAGE}:index:{self.name}"

    @property
    def noun(self) -> str:
        """The type's name in a text, for instance `virtual node`."""
        return re.sub(r"(?<!^)([A-Z])", r" \1", self.name).lower()

    @property
    def identity(self) -> tuple[str, ...]:
        """The inputs that say which resource it is; a change of one is a replacement."""
        owner = ("meshOwner",) if self.owned else ()
        return (*self.parents, "name", *owner)

    @property
    def id_form(self) -> str:
        """How an id is written, for messages: `MESH/ROUTER/ROUTE`."""
        members = (*self.parents, self.name_member)
        words = [re.findall(r"[A-Z]?[a-z]+", member)[-2] for member in members]
        return "/".join(word.upper() for word in words)

    def render_id(self, inputs: dict[str, object]) -> str | None:
        """The resource's id, or None as long as a part of it is not known."""
        parts = [inputs.get(member) for member in (*self.parents, "name")]
        known = [part for part in parts if isinstance(part, str)]
        return "/".join(known) if len(known) == len(parts) else None

    def parse_id(self, resource_id: str) -> dict[str, str]:
        """The names in an id, by input.

        Raises:
            InvalidIdError: The id has too few parts, too many or an empty one.
        """
        parts = resource_id.split("/")
        if len(parts) != len(self.parents) + 1 or not all(parts):
            raise InvalidIdError(
                f"'{resource_id}' is not the id of a {self.name}: write it as {self.id_form}"
            )
        return dict(zip((*self.parents, "name"), parts, strict=True))


@cache
def model_loader() -> Loader:
    """Reads botocore's models, each once: for what is derived of them and for the client."""
    return cast("Loader", Session().get_component("data_loader"))


@cache
def service_model() -> ServiceModel:
    """The App Mesh service model that the installed botocore ships."""
    description = model_loader().load_service_model("appmesh", "service-2", API_VERSION)
    return ServiceModel(description, "appmesh")


def _build_kind(operation: OperationModel) -> Kind:
    name = operation.name.removeprefix("Create")
    name_member = name[0].lower() + name[1:] + "Name"
    request = cast("StructureShape", operation.input_shape)
    answer = cast("StructureShape", operation.output_shape)
    spec = request.members["spec"]
    assert isinstance(spec, StructureShape)
    return Kind(
        name=name,
        name_member=name_member,
        parents=tuple(re.findall(r"{(\w+)}", operation.http["requestUri"])),
        owned="meshOwner" in request.members,
        payload=answer.serialization["payload"],
        spec=spec,
        spec_required="spec" in request.required_members,
    )


@cache
def kinds() -> dict[str, Kind]:
    """The resource types by name, containers before what they contain."""
    model = service_model()
    found = {
        kind.name: kind
        for kind in (
            _build_kind(model.operation_model(name))
            for name in model.operation_names
            if name.startswith("Create")
        )
    }
    return {name: found[name] for name in sorted(found, key=_KINDS_IN_ORDER.index)}


def find_kind(token: str) -> Kind | None:
    """The resource type with a Pulumi token such as `meshwright:index:Route`.

    In the URN of a component's child the types of its parents come first, each with a `$` after it.
    """
    package, _, name = token.rpartition("$")[2].rpartition(":")
    return kinds().get(name) if package == f"{PACKAGE}:index" else None


def shape(name: str) -> Shape:
    """A shape of the model by its name, for instance `TagKey`."""
    return service_model().shape_for(name)
