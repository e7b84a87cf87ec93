"""The life of a resource: what is asked of the API, and what the engine is told of the answer.

State and inputs keep the program's own spelling as long as the control plane means the same, so
that neither a preview nor a refresh reports a change that isn't one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast
from uuid import uuid4

from pulumi.provider.experimental.property_value import PropertyValue

from pulumi_meshwright.api import Api, ApiError
from pulumi_meshwright.convergence import Convergence, NotConvergedError
from pulumi_meshwright.meaning import same_meaning
from pulumi_meshwright.values import COMPUTED, Plain, plain, plain_map, wrap, wrap_like

if TYPE_CHECKING:
    from collections.abc import Callable

    from pulumi_meshwright.model import Kind

OUTPUTS: Final = {
    "arn": "arn",
    "uid": "uid",
    "version": "version",
    "createdDate": "createdAt",
    "lastUpdatedDate": "lastUpdatedAt",
    "meshOwner": "meshOwner",
    "resourceOwner": "resourceOwner",
}
"""The outputs of every resource, and the members of the model's ResourceMetadata behind them."""

STABLE_OUTPUTS: Final = ("arn", "uid", "createdDate", "meshOwner", "region", "resourceOwner")
"""The outputs that an update leaves as they are."""

CHANGING_OUTPUTS: Final = ("version", "lastUpdatedDate")
"""The outputs that change with the specification."""

NO_TAGS: Final[Mapping[str, str]] = MappingProxyType({})

REVISION_HEADER: Final = "x-meshwright-revision"
"""In what the control plane answers to a write: the mesh's revision with it."""

CREATING: Final = "__clientToken"
"""In the state of a resource of which it is not known whether it was made: the token of the try."""

_GONE = "NotFoundException"
_EXISTS = "ConflictException"
_IN_USE = "ResourceInUseException"

_PATIENCE_IN_USE = 20.0  # seconds; what refers to a resource from outside the stack will not go

Properties: TypeAlias = dict[str, PropertyValue]


class ResourceError(Exception):
    """A request that can't be carried out, in one line for the user."""


class MissingError(ResourceError):
    """The resource, or one that it hangs from or refers to, is not there."""


@dataclass(frozen=True, slots=True)
class Found:
    """A resource as the control plane has it: the engine's outputs and inputs."""

    resource_id: str
    outputs: Properties
    inputs: Properties


class IncompleteError(ResourceError):
    """A failure after which the engine has to keep the resource, and to see to it the next time.

    Attributes:
        found: The resource, for the engine's state.
    """

    def __init__(self, text: str, found: Found) -> None:
        super().__init__(text)
        self.found = found


class NotArrivedError(IncompleteError):
    """A resource that was made or changed, and proxies that don't have it."""


class UncertainError(IncompleteError):
    """A resource of which it is not known whether it was made: the answer was lost."""


class _TakenError(Exception):
    """The name of a resource that was to be made is another's."""


@dataclass(frozen=True, slots=True)
class Resources:
    """The resources of one control plane.

    Attributes:
        api: The control plane.
        on_wait: Told why, when a request has to wait for the control plane.
        default_tags: The provider's tags for all resources.
        convergence: Where changes are waited for until proxies have them; None where they aren't.
    """

    api: Api
    on_wait: Callable[[str], None] | None = None
    default_tags: Mapping[str, str] = field(default_factory=dict[str, str])
    convergence: Convergence | None = None

    async def create(self, kind: Kind, logical_name: str, inputs: Properties) -> Found:
        """Make a new resource.

        All tries carry one token, by which the control plane knows a second try of what it has
        carried out already, its answer being lost, from an attempt to make the same thing again.

        Raises:
            ResourceError: It exists already, or the API refuses it.
            UncertainError: No answer came, and it may have been made.
            NotArrivedError: It was made, and proxies don't have it.
        """
        tags_all = merge_tags(self.default_tags, inputs.get("tags"))
        try:
            found, revision = await self._make(kind, inputs, tags_all, str(uuid4()))
        except _TakenError:
            raise self._adoptable(kind, logical_name, plain_map(inputs)) from None
        await self._arrive(kind, found, revision)
        return found

    async def _make(
        self, kind: Kind, inputs: Properties, tags_all: PropertyValue, token: str
    ) -> tuple[Found, int | None]:
        """A resource that is made now, or was by an earlier try with the token; its revision too.

        Raises:
            _TakenError: There is one by its name that this token did not make.
        """
        wanted = plain_map(inputs)
        parameters = _identity(kind, wanted) | {"spec": wanted.get("spec", {})}
        parameters["clientToken"] = token
        if tags := _tag_map(tags_all):
            parameters["tags"] = _tag_list(tags)
        try:
            answer = await self._call(f"Create{kind.name}", parameters)
        except ApiError as error:
            if error.code == _EXISTS and await self._exists(kind, wanted):
                raise _TakenError from None
            failure = self._failed("create", kind, wanted, error)
            if not error.uncertain:
                raise failure from None
            outputs = _echo(kind, inputs) | {"tagsAll": tags_all, CREATING: wrap(token)}
            known = Found(str(kind.render_id(dict(wanted))), outputs, inputs)
            text = f"{failure}; it may have been made: the next `pulumi up` finds out"
            raise UncertainError(text, known) from None
        return _found(kind, inputs, _data(kind, answer), tags_all), _revision(answer)

    async def _find_out(self, kind: Kind, state: Properties) -> Properties:
        """The outputs of a resource of which it was not known whether it was made; now it is."""
        token = str(plain(state[CREATING]))
        inputs = _echo(kind, state)
        found, _ = await self._make(kind, inputs, state["tagsAll"], token)
        return found.outputs

    async def read(self, kind: Kind, resource_id: str, state: Properties) -> Found | None:
        """The resource as it is now, or None where there is none.

        Args:
            kind: Its type.
            resource_id: Its id; the only thing known of it when it is being imported.
            state: The inputs of the state, in the program's spelling; empty for an import.
        """
        known = plain_map(state)
        if not known:
            known = cast("dict[str, Plain]", kind.parse_id(resource_id))
        try:
            answer = await self._call(f"Describe{kind.name}", _identity(kind, known))
        except ApiError as error:
            if error.code == _GONE:
                return None
            raise self._failed("read", kind, known, error) from None
        data = _data(kind, answer)
        inputs = {
            name: state.get(name, wrap(known[name])) for name in kind.identity if name in known
        }
        live = cast("Plain", data.get("spec"))
        if same_meaning(kind.spec, known.get("spec"), live):
            if "spec" in state:
                inputs["spec"] = state["spec"]
        else:
            inputs["spec"] = wrap_like(live, state.get("spec"))
        if "region" in state:
            inputs["region"] = state["region"]
        tags, tags_all = await self._read_tags(data["metadata"]["arn"], state)
        return _found(kind, inputs | tags, data, tags_all)

    async def describe(self, kind: Kind, identity: Mapping[str, Plain]) -> Found:
        """A resource as the control plane has it, with all of its tags, whoever made it.

        Args:
            kind: Its type.
            identity: Its name and its parents', and the mesh's owner where it is another account.

        Raises:
            MissingError: It does not exist.
            ResourceError: The API refuses to tell.
        """
        parameters = _identity(kind, identity)
        if "meshOwner" in identity:  # the API has it in the question for a mesh too
            parameters["meshOwner"] = identity["meshOwner"]
        try:
            data = _data(kind, await self._call(f"Describe{kind.name}", parameters))
        except ApiError as error:
            raise self._failed("get", kind, dict(identity), error) from None
        tags = wrap(await self._list_tags(data["metadata"]["arn"]))
        inputs = {name: wrap(value) for name, value in identity.items()}
        inputs |= {"spec": wrap(cast("Plain", data.get("spec", {}))), "tags": tags}
        return _found(kind, inputs, data, tags)

    async def update(self, kind: Kind, old: Properties, new: Properties) -> Found:
        """Bring an existing resource to its new inputs; `old` is its state.

        Raises:
            ResourceError: The API refuses it.
            NotArrivedError: It was changed, and proxies don't have it.
        """
        if CREATING in old:
            try:
                old = await self._find_out(kind, old)
            except _TakenError:
                raise self._not_ours(kind, plain_map(new)) from None
        before, wanted = plain_map(old), plain_map(new)
        identity = _identity(kind, wanted)
        try:
            if same_meaning(kind.spec, before.get("spec"), wanted.get("spec")):
                answer = await self._call(f"Describe{kind.name}", identity)
            else:
                specified = identity | {"spec": wanted.get("spec", {})}
                answer = await self._call(f"Update{kind.name}", specified)
            data = _data(kind, answer)
            tags_all = merge_tags(self.default_tags, new.get("tags"))
            had = _tag_map(old.get("tagsAll", old.get("tags")))
            await self._update_tags(data["metadata"]["arn"], had, _tag_map(tags_all))
        except ApiError as error:
            gone = error.code == _GONE and not await self._exists(kind, wanted)
            raise self._failed("update", kind, wanted, error, gone=gone) from None
        found = _found(kind, new, data, tags_all)
        await self._arrive(kind, found, _revision(answer))
        return found

    async def delete(self, kind: Kind, state: Properties) -> None:
        """Remove a resource; one that is gone already is as good as removed.

        What still refers to it may be about to be deleted too, by a program that gave names as
        plain strings, so that the engine doesn't know the order: hence "in use" is waited out.
        """
        known = plain_map(state)
        if CREATING in state and not await self._is_ours(kind, state):
            return
        try:
            answer = await self.api.call(
                f"Delete{kind.name}",
                _identity(kind, known),
                also_busy=frozenset({_IN_USE}),
                patience=_PATIENCE_IN_USE,
                on_wait=self.on_wait,
            )
        except ApiError as error:
            if error.code != _GONE:
                raise self._failed("delete", kind, known, error) from None
            return
        if self.convergence is None:
            return
        data = _data(kind, answer)["metadata"]
        try:
            mesh = str(known.get("meshName", known.get("name")))
            await self._wait(mesh, data, _revision(answer), without=data["arn"])
        except NotConvergedError as error:
            text = f"{kind.name} '{kind.render_id(dict(known))}' was deleted, but {error}"
            raise ResourceError(text) from None

    async def _arrive(self, kind: Kind, found: Found, revision: int | None) -> None:
        """Wait until the proxies have a resource as it is now, where that is asked for."""
        if self.convergence is None:
            return
        outputs = plain_map(found.outputs)
        mesh = str(outputs.get("meshName", outputs["name"]))
        try:
            await self._wait(mesh, outputs, revision)
        except NotConvergedError as error:
            text = f"{kind.name} '{found.resource_id}' is at the control plane, but {error}"
            raise NotArrivedError(text, found) from None

    async def _wait(
        self, mesh: str, data: Mapping[str, Any], revision: int | None, without: str = ""
    ) -> None:
        assert self.convergence is not None
        if data["meshOwner"] != data["resourceOwner"]:
            mesh = f"{mesh}@{data['meshOwner']}"  # as the control plane names another account's
        try:
            await self.convergence.wait(mesh, revision, without=without, tell=self.on_wait)
        except ApiError as error:
            raise NotConvergedError(f"the mesh's status can't be read: {error}") from None

    async def _call(self, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        return await self.api.call(operation, parameters, on_wait=self.on_wait)

    async def _read_tags(self, arn: str, state: Properties) -> tuple[Properties, PropertyValue]:
        """The tags as an input and as an output, where the program or the provider has any.

        Those that are as the provider gives them to all are no input, unless the program repeats
        them. A resource that is being imported has all its tags as inputs.
        """
        if state and "tags" not in state and not self.default_tags:
            return {}, wrap({})
        live = await self._list_tags(arn)
        repeated = _tag_map(state.get("tags"))
        own: dict[str, Plain] = {
            key: value
            for key, value in live.items()
            if key in repeated or self.default_tags.get(key) != value
        }
        earlier = state.get("tags")
        inputs = {"tags": wrap_like(own, earlier)} if own or earlier is not None else {}
        return inputs, wrap_like(live, earlier)

    async def _list_tags(self, arn: str) -> dict[str, Plain]:
        """All tags of a resource."""
        live: dict[str, Plain] = {}
        parameters: dict[str, Any] = {"resourceArn": arn}
        while True:
            try:
                answer = await self._call("ListTagsForResource", parameters)
            except ApiError as error:
                text = f"the tags of {arn} can't be read: {error}"
                raise ResourceError(text) from None
            live |= {tag["key"]: tag["value"] for tag in answer["tags"]}
            if not answer.get("nextToken"):
                break
            parameters["nextToken"] = answer["nextToken"]
        return live

    async def _update_tags(self, arn: str, old: dict[str, Plain], new: dict[str, Plain]) -> None:
        gone = sorted(old.keys() - new.keys())
        changed = {key: value for key, value in new.items() if old.get(key) != value}
        if gone:
            await self._call("UntagResource", {"resourceArn": arn, "tagKeys": gone})
        if changed:
            await self._call("TagResource", {"resourceArn": arn, "tags": _tag_list(changed)})

    async def _is_ours(self, kind: Kind, state: Properties) -> bool:
        """Whether a resource, of which it was not known whether it was made, is there and was."""
        if not await self._exists(kind, plain_map(state)):
            return False
        try:
            await self._find_out(kind, state)
        except _TakenError:
            return False
        return True

    async def _exists(self, kind: Kind, inputs: dict[str, Plain]) -> bool:
        """Whether the resource itself is there, when the API's answer may be about another one."""
        try:
            await self._call(f"Describe{kind.name}", _identity(kind, inputs))
        except ApiError:
            return False
        return True

    def _adoptable(self, kind: Kind, logical_name: str, inputs: dict[str, Plain]) -> ResourceError:
        resource_id = kind.render_id(dict(inputs))
        return ResourceError(
            f"{kind.name} '{resource_id}' exists already at {self.api.endpoint}: give another "
            f"name, or take it over with `pulumi import {kind.token} {logical_name} {resource_id}`"
        )

    def _not_ours(self, kind: Kind, inputs: dict[str, Plain]) -> ResourceError:
        return ResourceError(
            f"{kind.name} '{kind.render_id(dict(inputs))}' exists already at {self.api.endpoint}, "
            "made by somebody else while this stack did not know whether its own try got through: "
            "give another name, or take it over with `pulumi refresh`"
        )

    def _failed(
        self,
        verb: str,
        kind: Kind,
        inputs: dict[str, Plain],
        error: ApiError,
        *,
        gone: bool = False,
    ) -> ResourceError:
        """One line: what was tried on which resource, what the API said, and what may help."""
        remedy = ""
        if gone:
            remedy = "; run `pulumi refresh`, then `pulumi up` makes it anew"
        elif error.code == _GONE:
            remedy = (
                "; if this program makes what is missing, refer to it by its output, such as "
                "mesh.name, so that it is made first"
            )
        elif error.code == _IN_USE:
            remedy = "; remove what refers to it first"
        failure = MissingError if error.code == _GONE else ResourceError
        return failure(
            f"can't {verb} {kind.name} '{kind.render_id(dict(inputs))}': {error}{remedy}"
        )


def merge_tags(defaults: Mapping[str, str], own: PropertyValue | None) -> PropertyValue:
    """All tags of a resource: its own, and the provider's where it has none by that key."""
    tags = PropertyValue({}) if own is None or own.value is None else own
    if not isinstance(tags.value, Mapping):
        return tags  # not known yet
    return tags.with_value({**{key: wrap(value) for key, value in defaults.items()}, **tags.value})


def render_preview(
    kind: Kind, inputs: Properties, default_tags: Mapping[str, str] = NO_TAGS
) -> Properties:
    """The outputs that a create will have, as far as they can be known before."""
    outputs = dict.fromkeys((*OUTPUTS, "region"), COMPUTED) | _echo(kind, inputs)
    return outputs | {"tagsAll": merge_tags(default_tags, inputs.get("tags"))}


def render_update_preview(
    kind: Kind, old: Properties, new: Properties, default_tags: Mapping[str, str] = NO_TAGS
) -> Properties:
    """The outputs that an update will have: a change of the specification makes a new version."""
    if CREATING in old:
        return render_preview(kind, new, default_tags)
    outputs = {name: old[name] for name in (*OUTPUTS, "region") if name in old}
    if not same_meaning(kind.spec, plain(old.get("spec")), plain(new.get("spec"))):
        outputs |= dict.fromkeys(CHANGING_OUTPUTS, COMPUTED)
    outputs["tagsAll"] = merge_tags(default_tags, new.get("tags"))
    return outputs | _echo(kind, new)


def _echo(kind: Kind, inputs: Properties) -> Properties:
    """The inputs as outputs."""
    names = (*kind.identity, "spec", "tags")
    return {name: inputs[name] for name in names if name in inputs}


def _identity(kind: Kind, inputs: Mapping[str, Plain]) -> dict[str, Any]:
    """The members of a request that say which resource is meant."""
    api_names = {name: kind.name_member if name == "name" else name for name in kind.identity}
    return {api_names[name]: inputs[name] for name in kind.identity if inputs.get(name) is not None}


def _revision(answer: Mapping[str, Any]) -> int | None:
    """The mesh's revision with a write in it; none of an answer to a question."""
    headers: Mapping[str, str] = answer["ResponseMetadata"]["HTTPHeaders"]
    found = headers.get(REVISION_HEADER)
    return None if found is None else int(found)


def _data(kind: Kind, answer: dict[str, Any]) -> dict[str, Any]:
    return cast("dict[str, Any]", answer[kind.payload])


def _found(kind: Kind, inputs: Properties, data: dict[str, Any], tags_all: PropertyValue) -> Found:
    metadata = cast("dict[str, Any]", data["metadata"])
    outputs = {name: wrap(_text(metadata.get(member))) for name, member in OUTPUTS.items()}
    # arn:aws:appmesh:REGION:ACCOUNT:mesh/...
    outputs["tagsAll"] = tags_all
    outputs["region"] = wrap(str(metadata["arn"]).split(":")[3])
    resource_id = kind.render_id(dict(plain_map(inputs)))
    assert resource_id is not None, "names are known once a resource exists"
    return Found(resource_id, outputs | _echo(kind, inputs), inputs)


def _text(value: object) -> Plain:
    """A timestamp as ISO 8601 in UTC; anything else is plain already."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return cast("Plain", value)


def _tag_map(tags: PropertyValue | None) -> dict[str, Plain]:
    found = plain(tags)
    return found if isinstance(found, dict) else {}


def _tag_list(tags: Mapping[str, Plain]) -> list[dict[str, Plain]]:
    return [{"key": key, "value": value} for key, value in tags.items()]
