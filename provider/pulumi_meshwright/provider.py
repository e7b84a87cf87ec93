"""The provider: what the engine asks about a resource, answered by the parts that know.

Check   check.py        is it right by the model?
Diff    differences.py  does it mean something else than the state?
Create, Read, Update, Delete, and what they will do   resources.py
Invoke  invocations.py  the functions
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING
from urllib.parse import quote

from pulumi.provider.experimental import provider as engine
from pulumi.provider.experimental.property_value import PropertyValue

from pulumi_meshwright.api import Api, ApiError
from pulumi_meshwright.aws_spelling import normalize
from pulumi_meshwright.check import Failure, check_inputs
from pulumi_meshwright.convergence import Convergence, Status
from pulumi_meshwright.differences import find_differences
from pulumi_meshwright.invocations import Invocations
from pulumi_meshwright.model import InvalidIdError, Kind, find_kind, kinds
from pulumi_meshwright.redaction import hiding
from pulumi_meshwright.resources import (
    STABLE_OUTPUTS,
    Properties,
    ResourceError,
    Resources,
    render_preview,
    render_update_preview,
)
from pulumi_meshwright.rules import Rules
from pulumi_meshwright.schema import build_schema
from pulumi_meshwright.settings import SETTINGS, Settings, check_settings, parse_settings
from pulumi_meshwright.values import plain, plain_map

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class InvokeRequest(engine.InvokeRequest):
    """A call of a function, and whether a preview makes it, which the SDK's class leaves out."""

    def __init__(self, tok: str, args: dict[str, PropertyValue], *, preview: bool) -> None:
        super().__init__(tok, args)
        self.preview = preview


class MeshwrightProvider(engine.Provider):
    """App Mesh's resource types over one control plane's API.

    Args:
        version: The version in the schema.
        environment: Where settings are looked for that the engine doesn't pass.
        notify: Shows the user, below a resource (URN), what it waits for.
    """

    def __init__(
        self,
        version: str,
        environment: Mapping[str, str] | None = None,
        notify: Callable[[str, str], None] | None = None,
    ) -> None:
        self._version = version
        self._environment = os.environ if environment is None else environment
        self._notify = notify
        self._settings = Settings()
        self._api: Api | None = None
        self._convergence = Convergence(self._read_status, self._settings.convergence_timeout)
        self._rules = Rules(None)
        self._changing: set[str] = set()  # the names of meshes that a preview has seen to change

    async def get_schema(self, request: engine.GetSchemaRequest) -> engine.GetSchemaResponse:
        """The package's schema as JSON."""
        return engine.GetSchemaResponse(json.dumps(build_schema(self._version)))

    async def check_config(self, request: engine.CheckRequest) -> engine.CheckResponse:
        """Refuse misspelt settings, and an endpoint that is no URL."""
        failures = check_settings(request.new_inputs)
        # Settings that aren't ours stay out of the state, where their change would look like one.
        given = request.new_inputs
        ours = {each.name: given[each.name] for each in SETTINGS if each.name in given}
        for each in SETTINGS:
            # However the configuration has them, in the state they are to be ciphertext.
            if each.secret and each.name in ours:
                ours[each.name] = ours[each.name].with_secret(is_secret=True)
        return engine.CheckResponse(ours, _failures(failures))

    async def configure(self, request: engine.ConfigureRequest) -> engine.ConfigureResponse:
        """Take the settings; the control plane is not asked anything yet."""
        try:
            self._settings = parse_settings(request.args, self._environment)
        except ValueError as error:
            raise ResourceError(str(error)) from None
        self._api = Api(self._settings)
        self._convergence = Convergence(self._read_status, self._settings.convergence_timeout)
        self._changing = set()
        self._rules = Rules(self._api, lambda reason: self._tell("", reason))
        self._api.warm_up()
        return engine.ConfigureResponse(accept_secrets=True, supports_preview=True)

    async def check(self, request: engine.CheckRequest) -> engine.CheckResponse:
        """Fill in the name where it is left out, and report every wrong field."""
        kind = _kind(request.type)
        inputs = dict(request.new_inputs)
        given = inputs.get("name")
        if given is None or given.value is None:
            # What an import or an earlier program named stays, whatever the resource is called.
            inputs["name"] = request.old_inputs.get("name", PropertyValue(request.name))
        if kind.owned and self._settings.mesh_owner:
            inputs.setdefault("meshOwner", PropertyValue(self._settings.mesh_owner))
        spec = normalize(kind.spec, inputs.get("spec", PropertyValue(None)), "spec")
        if "spec" in inputs:
            inputs["spec"] = spec.value
        region = self._settings.region if self._api is not None else None
        found = check_inputs(kind, inputs, region=region)
        if not spec.clashes and inputs.get("spec") != request.old_inputs.get("spec"):
            found += await self._rules.find_broken(kind, inputs, found)
        failures = [Failure(spec.as_written(each.path), each.reason) for each in found]
        for path in spec.ignored:
            self._tell(request.urn, f"{path} is ignored, as AWS's provider does: remove it")
        return engine.CheckResponse(inputs, _failures([*spec.clashes, *failures]))

    async def diff(self, request: engine.DiffRequest) -> engine.DiffResponse:
        """What would change, by path, and whether that takes a new resource."""
        kind = _kind(request.type)
        old, new = plain_map(request.old_state), plain_map(request.new_inputs)
        found = find_differences(kind, old, new, default_tags=self._settings.default_tags)
        replaces = sorted({item.top for item in found if item.top in kind.identity})
        new_id = kind.render_id(dict(new))
        return engine.DiffResponse(
            changes=bool(found),
            replaces=replaces,
            stables=[] if replaces else [*kind.identity, *STABLE_OUTPUTS],
            # Two resources can't have one name at one time.
            delete_before_replace=bool(replaces) and new_id == request.resource_id,
            diffs=sorted({item.top for item in found}),
            detailed_diff={
                item.path: engine.PropertyDiff(item.kind, input_diff=item.top != "tagsAll")
                for item in found
            },
        )

    async def create(self, request: engine.CreateRequest) -> engine.CreateResponse:
        """Make the resource, or say what it will be."""
        kind = _kind(request.type)
        if request.preview:
            self._note_change(request.properties)
            outputs = render_preview(kind, request.properties, self._settings.default_tags)
            # Its id could be told; but by the lack of one the engine knows that functions which
            # depend on the resource can't be called yet.
            return engine.CreateResponse("", outputs)
        resources = self._resources(request.urn)
        with hiding(request.properties):
            found = await resources.create(kind, request.name, request.properties)
        return engine.CreateResponse(found.resource_id, found.outputs)

    async def read(self, request: engine.ReadRequest) -> engine.ReadResponse:
        """The resource as it is now, for a refresh or an import."""
        kind = _kind(request.type)
        state: Properties = request.inputs
        try:
            with hiding(state):
                found = await self._resources(request.urn).read(kind, request.resource_id, state)
        except InvalidIdError as error:
            raise ResourceError(str(error)) from None
        if found is None:
            return engine.ReadResponse()
        return engine.ReadResponse(found.resource_id, found.outputs, found.inputs)

    async def update(self, request: engine.UpdateRequest) -> engine.UpdateResponse:
        """Change the resource, or say what will become of it."""
        kind = _kind(request.type)
        if request.preview:
            self._note_change(request.news)
            tags = self._settings.default_tags
            outputs = render_update_preview(kind, request.olds, request.news, tags)
            return engine.UpdateResponse(outputs)
        resources = self._resources(request.urn)
        with hiding(request.olds, request.news):
            found = await resources.update(kind, request.olds, request.news)
        return engine.UpdateResponse(found.outputs)

    async def delete(self, request: engine.DeleteRequest) -> None:
        """Remove the resource."""
        kind = _kind(request.type)
        with hiding(request.properties):
            await self._resources(request.urn).delete(kind, request.properties)

    async def invoke(self, request: engine.InvokeRequest) -> engine.InvokeResponse:
        """Call a function."""
        preview = isinstance(request, InvokeRequest) and request.preview
        changing = frozenset(self._changing)
        resources = self._resources("")
        invocations = Invocations(resources, self._convergence, self._settings, changing)
        with hiding(dict(request.args)):
            result = await invocations.call(request.tok, request.args, preview=preview)
        return engine.InvokeResponse(dict(result))

    async def cancel(self) -> None:
        """End all waiting for the control plane."""
        if self._api is not None:
            self._api.cancel()
        self._convergence.cancel()

    def _note_change(self, properties: Properties) -> None:
        """Take note, in a preview, of the mesh that a change of a resource will change."""
        mesh = plain(properties.get("meshName", properties.get("name")))
        if isinstance(mesh, str):
            self._changing.add(mesh)

    def _tell(self, urn: str, message: str) -> None:
        if self._notify is not None:
            self._notify(urn, message)

    def _resources(self, urn: str) -> Resources:
        return Resources(
            self._configured(),
            lambda reason: self._tell(urn, reason),
            self._settings.default_tags,
            self._convergence if self._settings.wait_for_convergence else None,
        )

    def _configured(self) -> Api:
        if self._api is None:
            raise ResourceError("the provider has not been configured yet")
        return self._api

    async def _read_status(self, mesh: str, patience: float | None) -> Status | None:
        path = f"meshes/{quote(mesh, safe='')}/status"
        try:
            return await self._configured().ask_operator(
                path, patience=patience, on_wait=lambda reason: self._tell("", reason)
            )
        except ApiError as error:
            if error.code == "NotFoundException":
                return None
            raise


def _kind(token: str) -> Kind:
    kind = find_kind(token)
    if kind is None:
        known = ", ".join(kinds())
        raise ResourceError(f"'{token}' is not a resource type of Meshwright; they are {known}")
    return kind


def _failures(failures: list[Failure]) -> list[engine.CheckFailure]:
    """Failures as the engine shows them.

    Given a property, the engine prints its value too: of a nested one, a misleading nothing; of a
    secret one, the secret. So the path is told as part of the reason.
    """
    return [engine.CheckFailure("", f"{failure.path} {failure.reason}") for failure in failures]
