"""Tags on each type of resource, given at its creation and afterwards."""

from __future__ import annotations

from typing import Any

import pytest

from meshwright.model.resources import Kind
from tests.controlplane.api.operations import noun
from tests.controlplane.api.whole_mesh import ask, furnish
from tests.controlplane.conftest import Refused

EACH = pytest.mark.parametrize("kind", Kind, ids=lambda kind: kind.value)


def some(count: int, *, first: int = 0) -> list[dict[str, str]]:
    """So many tags."""
    return [{"key": f"key-{number}", "value": "é"} for number in range(first, first + count)]


def sort(tags: list[dict[str, str]]) -> list[tuple[str, str]]:
    """Tags in the order of their keys."""
    return sorted((tag["key"], tag["value"]) for tag in tags)


class Tagged:
    """Something of a kind that a test makes, beside what there is in its mesh."""

    def __init__(self, client: Any, mesh: str, kind: Kind) -> None:
        self.client = client
        self.mesh = mesh
        self.kind = kind
        self.name = {kind.name_member: f"{mesh}-tagged"}

    def create(self, tags: list[dict[str, str]]) -> str:
        """Make it; its ARN."""
        answer = ask(self.client, f"Create{noun(self.kind)}", self.mesh, self.name | {"tags": tags})
        return answer[self.kind.value]["metadata"]["arn"]

    def describe(self) -> Any:
        """Describe it."""
        return ask(self.client, f"Describe{noun(self.kind)}", self.mesh, self.name)

    def tags_of(self, arn: str) -> list[tuple[str, str]]:
        """Its tags."""
        return sort(self.client.list_tags_for_resource(resourceArn=arn)["tags"])


@pytest.fixture
def tagged(appmesh: Any, mesh: str, kind: Kind) -> Tagged:
    """Something of the kind that is to be made."""
    furnish(appmesh, mesh)
    return Tagged(appmesh, mesh, kind)


@EACH
def test_tags_are_kept_from_the_creation_on(tagged: Tagged):
    arn = tagged.create(some(50))

    assert tagged.tags_of(arn) == sort(some(50))


@EACH
def test_tags_are_added_changed_and_taken_away(appmesh: Any, tagged: Tagged):
    arn = tagged.create(some(2))
    appmesh.tag_resource(
        resourceArn=arn, tags=[{"key": "key-1", "value": "other"}, {"key": "more", "value": ""}]
    )
    appmesh.untag_resource(resourceArn=arn, tagKeys=["key-0", "never there"])

    assert tagged.tags_of(arn) == [("key-1", "other"), ("more", "")]


@EACH
def test_tags_leave_the_version_alone(appmesh: Any, tagged: Tagged):
    arn = tagged.create([])
    before = tagged.describe()[tagged.kind.value]
    appmesh.tag_resource(resourceArn=arn, tags=some(1))

    assert tagged.describe()[tagged.kind.value] == before


@EACH
def test_more_than_50_at_the_creation_are_refused(tagged: Tagged, refused: Refused):
    error = refused(tagged.create, some(51))

    assert error[1:] == (
        "BadRequestException",
        "tags: must have between 0 and 50 members, got 51 members",
    )
    assert refused(tagged.describe).code == "NotFoundException"


@EACH
def test_of_a_request_that_leads_beyond_50_none_is_added(
    appmesh: Any, tagged: Tagged, refused: Refused
):
    arn = tagged.create(some(49))

    error = refused(appmesh.tag_resource, resourceArn=arn, tags=some(2, first=49))

    assert error.code == "TooManyTagsException"
    assert tagged.tags_of(arn) == sort(some(49))


@EACH
@pytest.mark.parametrize("key", ["aws:team", "AWS:team"])
def test_the_prefix_of_aws_is_reserved(appmesh: Any, tagged: Tagged, refused: Refused, key: str):
    reserved = [{"key": "team", "value": "a"}, {"key": key, "value": "a"}]

    made = refused(tagged.create, reserved)
    arn = tagged.create([])
    added = refused(appmesh.tag_resource, resourceArn=arn, tags=reserved)

    message = f"tags: keys that begin with aws: are reserved, got {key!r}"
    assert made == added == (400, "BadRequestException", message)
    assert tagged.tags_of(arn) == []
