"""What a write may make of a mesh: the rules of creating, updating, tagging and deleting.

One operation decides about one resource, a batch about many; both decide here.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from meshwright.api.errors import ApiError, bad_request, not_found, resource_in_use
from meshwright.api.validation import render_value
from meshwright.graph.field_rules import find_field_violations
from meshwright.graph.graph import Graph
from meshwright.graph.quotas import Quotas, find_exceeded
from meshwright.graph.violations import (
    Violation,
    find_standing_violations,
    find_violations,
)
from meshwright.meshes import Meshes
from meshwright.model.resources import (
    Kind,
    Resource,
    ResourceKey,
    Spec,
    build_arn,
    parse_mesh_id,
)
from meshwright.translate.coverage import find_unsupported_fields

MAX_TAGS: Final = 50
MAX_NAME: Final = 255

_PARAMETERS: Final = frozenset(
    (
        *("clientToken", "limit", "meshOwner", "nextToken", "resourceArn", "spec", "tagKeys"),
        *("tags", *(kind.name_member for kind in Kind)),
    )
)
"""The members of requests that take effect, whichever the operation."""


@dataclass(frozen=True, slots=True)
class Origin:
    """What a new resource takes from where and when it is made.

    Attributes:
        account_id: The account that makes it.
        region: The region that stands in its ARN.
        now: Seconds since the epoch.
    """

    account_id: str
    region: str
    now: float


def require_effective(parameters: Mapping[str, Any]) -> None:
    """Check that all of a request takes effect, though a later model than today's had more.

    Raises:
        ApiError: A member would be ignored.
    """
    ignored = sorted(parameters.keys() - _PARAMETERS)
    if ignored:
        raise bad_request(
            f"{', '.join(ignored)}: not carried out by this version of meshwright, so it is "
            "refused rather than ignored"
        )


def create_resource(key: ResourceKey, parameters: Mapping[str, Any], origin: Origin) -> Resource:
    """The resource that a create operation's parameters ask for.

    Raises:
        ApiError: Its name or its tags break a rule.
    """
    _check_name(key)
    tags = read_tags(parameters)
    check_tag_keys([name for name, _ in tags])
    owner = key.mesh.owner if key.kind is Kind.MESH else origin.account_id
    return Resource(
        key=key,
        arn=build_arn(key, region=origin.region, account_id=owner),
        spec=parameters.get("spec", {}),
        uid=str(uuid.uuid4()),
        version=1,
        created_at=origin.now,
        last_updated_at=origin.now,
        resource_owner=owner,
        tags=tags,
    )


def update_resource(existing: Resource, spec: Spec, now: float) -> Resource:
    """The resource with another specification; the very same one where that changes nothing."""
    if spec == existing.spec:
        return existing
    return replace(existing, spec=spec, version=existing.version + 1, last_updated_at=now)


def read_tags(parameters: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """The tags of a create operation's parameters, as a resource keeps them."""
    return tuple((tag["key"], tag["value"]) for tag in parameters.get("tags", ()))


def require_parents(graph: Graph, key: ResourceKey, field: str | None = None) -> None:
    """Check that what a resource lives in is there.

    Args:
        graph: The mesh.
        key: The resource.
        field: The request's field that names it, where it is not named by names.

    Raises:
        ApiError: NotFoundException that names the outermost that is missing.
    """
    parent = key.parent_key
    if parent is not None and parent not in graph.resources:
        require_parents(graph, parent, field)
        raise no_such(parent, field)


def no_such(key: ResourceKey, field: str | None = None) -> ApiError:
    """NotFoundException for a resource that is not there; `field` as in `require_parents`."""
    where = "" if key.kind is Kind.MESH else f" in mesh {key.mesh.name!r}"
    if key.kind.parent not in (None, Kind.MESH):
        where = f" in {key.kind.parent.label} {key.parent!r}{where}"
    return not_found(f"{field or key.kind.name_member}: there is no {key}{where}")


def _check_name(key: ResourceKey) -> None:
    # The model bounds all names but a virtual service's, and nobody could ask for an empty one.
    if not 1 <= len(key.name) <= MAX_NAME:
        raise bad_request(
            f"{key.kind.name_member}: must have between 1 and {MAX_NAME} characters, got "
            f"{render_value(key.name)}"
        )
    # Names stand in ARNs, in paths of the API and in Envoy's resource names, where these would
    # break what reads them.
    if "/" in key.name or not key.name.isprintable():
        raise bad_request(
            f"{key.kind.name_member}: may not hold a slash or unprintable characters, "
            f"got {key.name!r}"
        )
    if key.kind is Kind.MESH and parse_mesh_id(key.name, account_id="").owner:
        raise bad_request(
            "meshName: may not end with @ and 12 digits, which name a mesh's owner in ARNs, "
            f"got {key.name!r}"
        )


def check_tag_keys(given: Sequence[str]) -> None:
    """Check the keys of the tags that a request holds; how many those may be is in the model.

    Raises:
        ApiError: A key is reserved or stands there twice.
    """
    for name in given:
        if name.lower().startswith("aws:"):
            raise bad_request(f"tags: keys that begin with aws: are reserved, got {name!r}")
    if len(set(given)) < len(given):
        twice = next(name for position, name in enumerate(given) if name in given[:position])
        raise bad_request(f"tags: the key {twice!r} stands there twice; a tag has one value")


def find_refusal(graph: Graph, resource: Resource) -> ApiError | None:
    """Why a resource can't be put into a mesh, or None where it can.

    Args:
        graph: The mesh with the resource in it.
        resource: The resource, valid by the model.
    """
    return _find_refusal(resource, find_violations(graph, resource))


def find_standing_refusal(graph: Graph, resource: Resource) -> ApiError | None:
    """Why a resource can't even be left in a mesh; arguments and result as in `find_refusal`."""
    return _find_refusal(resource, find_standing_violations(graph, resource))


def _find_refusal(resource: Resource, found: Sequence[Violation]) -> ApiError | None:
    unsupported = find_unsupported_fields(resource)
    if unsupported:
        return bad_request(
            f"{', '.join(unsupported)}: not carried out by this version of meshwright for a "
            f"{resource.key.kind.label}, so it is refused rather than ignored"
        )
    violations = [*find_field_violations(resource), *found]
    if not violations:
        return None
    message = "; ".join(f"{each.field}: {each.message}" for each in violations)
    return not_found(message) if violations[0].missing else bad_request(message)


def require_within_quotas(
    quotas: Quotas, before: Graph, after: Graph, resource: Resource, meshes: Meshes
) -> None:
    """Check that a mesh with a new or changed resource in it keeps within the quotas.

    Raises:
        ApiError: LimitExceededException that names the quota, its bound and how to raise it.
    """
    is_mesh = resource.key.kind is Kind.MESH
    owned = meshes.count(resource.key.mesh.owner) if is_mesh else 0
    exceeded = find_exceeded(quotas, before, after, resource, meshes=owned)
    if exceeded is not None:
        raise ApiError("LimitExceededException", exceeded)


def require_unused(graph: Graph, key: ResourceKey) -> None:
    """Check that nothing lives in a resource or refers to it.

    Raises:
        ApiError: ResourceInUseException that names who does.
    """
    users = _users(graph, key)
    if users:
        named = ", ".join(_describe_user(graph.resources[user]) for user in users[:5])
        more = f" and {len(users) - 5} more" if len(users) > 5 else ""
        raise resource_in_use(
            f"{key.kind.name_member}: {key} is in use by {named}{more}; delete or change them first"
        )


def _describe_user(user: Resource) -> str:
    is_owners = user.resource_owner == user.key.mesh.owner
    whose = "" if is_owners else f" of account {user.resource_owner}"
    return f"{user.key}{whose} ({user.key.path})"


def _users(graph: Graph, key: ResourceKey) -> Sequence[ResourceKey]:
    children = [child.key for child in graph.children_of(key)]
    referrers = graph.referrers_of(key)
    if key.kind is Kind.VIRTUAL_SERVICE:
        # Nodes keep their backends while services are deleted: the finding BackendMissing says so.
        referrers = [each for each in referrers if each.kind is not Kind.VIRTUAL_NODE]
    return children + sorted(referrers)
