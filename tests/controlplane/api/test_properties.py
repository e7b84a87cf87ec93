"""Generated requests against the real process: never a 5xx, and nothing that disagrees.

Requests are derived from botocore's shapes and sent over HTTP as they are, so that broken ones get
past no client's own checks.
"""

from __future__ import annotations

import itertools
import json
import os
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final, cast
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, Phase, event, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from meshwright.model.resources import Kind, MeshKey, ResourceKey, Spec, mesh_resource_key
from tests.controlplane.access.serving import serving
from tests.controlplane.api.operations import MODEL, input_shape, noun, split
from tests.controlplane.api.strategies import JSON, broken, values
from tests.controlplane.api.unchecked import Answer, UncheckedClient
from tests.controlplane.meshes import node_spec, router_spec
from tests.controlplane.spec_strategies import NODES, ROUTERS, SERVICES, specs

_numbers = itertools.count()

NAMES: Final[dict[Kind, tuple[str, ...]]] = {
    Kind.VIRTUAL_NODE: NODES,
    Kind.VIRTUAL_ROUTER: ROUTERS,
    Kind.ROUTE: ("first", "second"),
    Kind.VIRTUAL_SERVICE: SERVICES,
    Kind.VIRTUAL_GATEWAY: ("edge", "side"),
    Kind.GATEWAY_ROUTE: ("first", "second"),
}
"""Few, so that requests are about what there is."""

generated = settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

TAG_KEYS = st.sampled_from(["team", "env", "stage", "é"])
TAGS = st.dictionaries(TAG_KEYS, st.text(st.characters(codec="utf-8"), max_size=5), max_size=3)


class Conversation(RuleBasedStateMachine):
    """One client's talk with the API, and what must be there after all that was acknowledged."""

    def __init__(self, api: UncheckedClient, accepted: Counter[tuple[Kind, bool]]) -> None:
        super().__init__()
        self.api = api
        self.accepted = accepted
        run = f"talk-{os.getpid()}-{next(_numbers)}"
        self.meshes = [MeshKey("", f"{run}-{name}") for name in ("a", "b")]
        self.there: dict[ResourceKey, dict[str, Any]] = {}
        self.tags: dict[ResourceKey, dict[str, str]] = {}
        self.touched: set[ResourceKey] = set()
        self.repeatable: list[tuple[str, dict[str, Any], Any]] = []

    @initialize(data=st.data())
    def furnish(self, data: st.DataObject) -> None:
        """Make a mesh in which most of what is drawn finds what it refers to, and some of that."""
        mesh = self.meshes[0]
        protocols = ("http", "http2", "grpc", "tcp")
        listeners = [
            {"portMapping": {"port": port, "protocol": protocol}}
            for port, protocol in zip((80, 443, 8080, 9000), protocols, strict=True)
        ]
        provider = {"virtualRouter": {"virtualRouterName": "mixed"}}
        for key, spec in (
            (mesh_resource_key(mesh), {}),
            (
                ResourceKey(mesh, Kind.VIRTUAL_NODE, "red"),
                node_spec("red") | {"listeners": listeners},
            ),
            (ResourceKey(mesh, Kind.VIRTUAL_ROUTER, "mixed"), {"listeners": listeners}),
            (ResourceKey(mesh, Kind.VIRTUAL_SERVICE, "mixed.local"), {"provider": provider}),
            (ResourceKey(mesh, Kind.VIRTUAL_GATEWAY, "edge"), router_spec()),
        ):
            answer = self.send(f"Create{noun(key.kind)}", names_of(key) | {"spec": spec})
            assert answer.status == 200
        for kind in Kind:
            self.write_fitting(data, "Create", self.draw_key(data, there=False, kind=kind))

    # What is asked

    @rule(data=st.data(), verb=st.sampled_from(["Create"] * 4 + ["Update"] * 4 + ["Delete"]))
    def write(self, data: st.DataObject, verb: str) -> None:
        """Create what is not there, mostly, or update or delete what is."""
        key = self.draw_key(data, there=verb != "Create")
        if verb == "Delete":
            existed = key in self.there
            answer = self.send(f"Delete{noun(key.kind)}", names_of(key))
            assert (answer.status == 404) == (not existed)
        else:
            self.write_fitting(data, verb, key)

    def write_fitting(self, data: st.DataObject, verb: str, key: ResourceKey) -> None:
        """Create or update something as it fits what is there."""
        existed = key in self.there
        operation = f"{verb}{noun(key.kind)}"
        fitting = specs(key.kind, self.find_in(key.mesh), key.parent)
        parameters = names_of(key) | {
            "spec": data.draw(fitting, label="spec"),
            "clientToken": f"token-{os.getpid()}-{next(_numbers)}",
        }
        if verb == "Create":
            tags = data.draw(TAGS, label="tags")
            parameters["tags"] = [{"key": name, "value": tags[name]} for name in tags]
        answer = self.send(operation, parameters)
        if answer.status == 200:
            assert existed == (verb == "Update")
            self.repeatable.append((operation, parameters, answer.content))
        if existed == (verb == "Update") and key.parent_key in (None, *self.there):
            self.accepted[key.kind, answer.status == 200] += 1
            event(f"{operation}: {answer.status}")

    @rule(data=st.data(), tags=TAGS, gone=st.lists(TAG_KEYS, max_size=2))
    def tag(self, data: st.DataObject, tags: dict[str, str], gone: list[str]) -> None:
        """Tag something, and take tags away, which are there or not."""
        arn = self.draw_arn(data)
        given = [{"key": name, "value": value} for name, value in tags.items()]
        self.send("TagResource", {"resourceArn": arn, "tags": given})
        self.send("UntagResource", {"resourceArn": arn, "tagKeys": gone})

    @rule(data=st.data(), limit=st.integers(1, 3))
    def list_by_pages(self, data: st.DataObject, limit: int) -> None:
        """List everything of a kind, page by page."""
        self.require_listed(self.draw_key(data, there=True), limit)

    @rule(data=st.data(), count=st.integers(1, 3), is_broken=st.booleans())
    def apply(self, data: st.DataObject, count: int, is_broken: bool) -> None:
        """Declare several things of one mesh at once, of which the last may be broken."""
        mesh = data.draw(st.sampled_from(self.meshes))
        keys = data.draw(
            st.lists(st.sampled_from(every_key(mesh)), min_size=count, max_size=count, unique=True)
        )
        declared = {
            key: data.draw(specs(key.kind, self.find_in(mesh), key.parent), label=str(key))
            for key in keys
        }
        if is_broken:
            declared[keys[-1]] = data.draw(broken(st.just(declared[keys[-1]])), label="broken")
        documents = [names_of(key) | {"spec": spec} for key, spec in declared.items()]
        answer = self.api.send("POST", "/meshwright/v1/apply", json.dumps({"documents": documents}))
        assert answer.status < 500
        # Where it is refused, that nothing was changed is seen in the end.
        for key, spec in declared.items() if answer.status == 200 else ():
            described = self.api.call(f"Describe{noun(key.kind)}", names_of(key)).content
            before = self.there.get(key)
            verb = "Create" if before is None else "Update"
            self.acknowledge(f"{verb}{noun(key.kind)}", without_nulls({"spec": spec}), described)

    @precondition(lambda self: self.repeatable)
    @rule(data=st.data())
    def send_again(self, data: st.DataObject) -> None:
        """Send an acknowledged write again with its client token: it is answered alike, only."""
        operation, parameters, content = data.draw(st.sampled_from(self.repeatable))
        assert self.api.call(operation, parameters) == Answer(200, content)

    @rule(data=st.data(), operation=st.sampled_from(MODEL.operation_names))
    def send_broken(self, data: st.DataObject, operation: str) -> None:
        """Send something that fits but for one place."""
        _, kind = split(operation)
        key = self.draw_key(data, there=data.draw(st.booleans()), kind=kind)
        members = input_shape(operation).members
        fitting: dict[str, Any] = names_of(key) | {
            "tags": [{"key": "team", "value": "a"}],
            "tagKeys": ["team"],
            "resourceArn": self.draw_arn(data),
            "limit": 5,
        }
        if "spec" in members:
            fitting["spec"] = data.draw(specs(key.kind, self.find_in(key.mesh), key.parent))
        whole = {name: value for name, value in fitting.items() if name in members}
        parameters = data.draw(broken(st.just(whole)), label=operation)
        if isinstance(parameters, dict):
            self.send(operation, parameters)

    # What is drawn

    def draw_key(
        self, data: st.DataObject, *, there: bool, kind: Kind | None = None
    ) -> ResourceKey:
        """The key of something that is there or could be; of anything where there is none such."""
        every = [key for mesh in self.meshes for key in every_key(mesh)]
        of_kind = [key for key in every if kind in (None, key.kind)]
        fitting = [
            key
            for key in of_kind
            if (key in self.there) == there and key.parent_key in (None, *self.there)
        ]
        kinds = sorted({key.kind for key in fitting or of_kind})
        chosen = data.draw(st.sampled_from(kinds))
        keys = [key for key in fitting or of_kind if key.kind is chosen]
        return data.draw(st.sampled_from(keys), label="key")

    def draw_arn(self, data: st.DataObject) -> str:
        """The ARN of something that is there, or was just now."""
        key = data.draw(st.sampled_from(sorted(self.there) or every_key(self.meshes[0])))
        arn = self.there[key]["metadata"]["arn"] if key in self.there else key.path
        return data.draw(st.sampled_from([arn, key.path]))

    def find_in(self, mesh: MeshKey) -> Any:
        """Tells what there is in a mesh, for specifications to fit."""

        def find(kind: Kind, name: str) -> Spec | None:
            found = self.there.get(ResourceKey(mesh, kind, name))
            return found["spec"] if found is not None else None

        return find

    # What is answered

    def send(self, operation: str, parameters: dict[str, Any]) -> Answer:
        """Send a request, and keep what its answer acknowledges."""
        answer = self.api.call(operation, parameters)
        assert answer.status < 500, (operation, parameters, answer)
        if answer.status == 200:
            self.acknowledge(operation, without_nulls(parameters), answer.content)
        else:
            assert answer.content["message"]
            modelled = {each.name for each in MODEL.operation_model(operation).error_shapes}
            assert answer.content["__type"] in modelled
        return answer

    def acknowledge(self, operation: str, parameters: dict[str, Any], content: Any) -> None:
        """Check an answer against what was asked and what was there, and keep it."""
        verb, kind = split(operation)
        if verb == "List" or operation == "ListTagsForResource":
            return
        if verb in ("TagResource", "UntagResource"):
            self.retag(operation, parameters)
            return
        assert kind is not None
        key = key_of(kind, content)
        self.touched.add(key)
        before = self.there.get(key)
        if verb in ("Create", "Update"):
            assert same(content["spec"], parameters.get("spec", {}))
        match verb:
            case "Create":
                assert before is None
                assert content["metadata"]["version"] == 1
                self.tags[key] = {each["key"]: each["value"] for each in parameters.get("tags", ())}
            case "Update":
                assert before is not None
                if same(content["spec"], before["spec"]):
                    assert content == before
                    return
                after, earlier = content["metadata"], before["metadata"]
                assert after["version"] == earlier["version"] + 1
                assert after["lastUpdatedAt"] >= earlier["lastUpdatedAt"]
                lasting = ("arn", "uid", "createdAt", "meshOwner", "resourceOwner")
                assert [after[name] for name in lasting] == [earlier[name] for name in lasting]
            case "Delete":
                assert content | {"status": {"status": "ACTIVE"}} == before
                assert not [each for each in self.there if each.parent_key == key != each]
                del self.there[key], self.tags[key]
                return
            case _:
                assert content == before
                return
        self.there[key] = content

    def retag(self, operation: str, parameters: dict[str, Any]) -> None:
        """Keep the tags that were acknowledged."""
        arn = parameters["resourceArn"]
        (key,) = [
            each for each in self.there if arn in (each.path, self.there[each]["metadata"]["arn"])
        ]
        self.touched.add(key)
        if operation == "TagResource":
            self.tags[key] |= {each["key"]: each["value"] for each in parameters["tags"]}
        else:
            for name in parameters["tagKeys"]:
                self.tags[key].pop(name, None)

    # What must be so

    @invariant()
    def what_was_touched_is_as_acknowledged(self) -> None:
        """Describe, list and tags agree about what the last step wrote to."""
        while self.touched:
            key = self.touched.pop()
            self.require_described(key)
            self.require_listed(key, 100)

    def teardown(self) -> None:
        """Describe, list and tags agree about everything; then nothing is left behind."""
        for key in self.there:
            self.require_described(key)
        every = [*self.there, *(key for mesh in self.meshes for key in every_key(mesh))]
        for key in {(key.kind, key.parent_key): key for key in every}.values():
            self.require_listed(key, 100)
        for mesh in {key.mesh for key in self.there}:
            url = f"/meshwright/v1/meshes/{quote(mesh.name, safe='')}?recursive=true"
            assert self.api.send("DELETE", url, "").status == 200

    def require_described(self, key: ResourceKey) -> None:
        """Check one resource as it is described, and its tags."""
        described = self.api.call(f"Describe{noun(key.kind)}", names_of(key))
        if key not in self.there:
            assert described.status == 404
        else:
            assert described == Answer(200, self.there[key])
            arn = self.there[key]["metadata"]["arn"]
            tags = self.api.call("ListTagsForResource", {"resourceArn": arn}).content["tags"]
            assert {each["key"]: each["value"] for each in tags} == self.tags[key]

    def require_listed(self, key: ResourceKey, limit: int) -> None:
        """Check the list that a resource stands in, or would."""
        operation = "ListMeshes" if key.kind is Kind.MESH else f"List{noun(key.kind)}s"
        request = names_of(key) | {"limit": limit}
        del request[key.kind.name_member]
        listed: list[dict[str, Any]] = []
        while True:
            answer = self.api.call(operation, request)
            if answer.status == 404:
                assert key.parent_key not in self.there
                return
            (page,) = [each for each in answer.content.values() if isinstance(each, list)]
            assert len(page) <= limit
            listed += page
            if "nextToken" not in answer.content:
                break
            request["nextToken"] = answer.content["nextToken"]
        if key.kind is Kind.MESH:
            own = {each.mesh.name for each in self.there}
            listed = [each for each in listed if each["meshName"] in own]
        beside = sorted(
            each
            for each in self.there
            if each.kind is key.kind
            and (key.kind is Kind.MESH or each.parent_key == key.parent_key)
        )
        assert listed == [self.summary(each) for each in beside]

    def summary(self, key: ResourceKey) -> dict[str, Any]:
        """What a list tells of a resource: its names and its metadata but for the uid."""
        content = self.there[key]
        names = {name: content[name] for name in names_of(key)}
        return names | {name: v for name, v in content["metadata"].items() if name != "uid"}


def every_key(mesh: MeshKey) -> list[ResourceKey]:
    """The key of the mesh and of everything that may be in it."""
    return [
        mesh_resource_key(mesh),
        *(
            ResourceKey(mesh, kind, name, parent)
            for kind, names in NAMES.items()
            for parent in ([""] if kind.parent in (None, Kind.MESH) else NAMES[kind.parent])
            for name in names
        ),
    ]


def names_of(key: ResourceKey) -> dict[str, Any]:
    """The parameters that name a resource."""
    names = {"meshName": key.mesh.name, key.kind.name_member: key.name}
    return names | (
        {key.kind.parent.name_member: key.parent} if key.parent and key.kind.parent else {}
    )


def key_of(kind: Kind, content: dict[str, Any]) -> ResourceKey:
    """The key of a resource as an answer names it."""
    mesh = MeshKey("", content["meshName"])
    if kind is Kind.MESH:
        return mesh_resource_key(mesh)
    parent = "" if kind.parent in (None, Kind.MESH) else content[kind.parent.name_member]
    return ResourceKey(mesh, kind, content[kind.name_member], parent)


def without_nulls(value: Any) -> Any:
    """A value as it is kept: an object's member that is null is not set."""
    match value:
        case dict():
            members = cast("dict[str, Any]", value)
            return {name: without_nulls(each) for name, each in members.items() if each is not None}
        case list():
            return [without_nulls(each) for each in cast("list[Any]", value)]
        case _:
            return value


def same(one: Any, other: Any) -> bool:
    """Whether two values are the same as JSON, where true is not 1."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UncheckedClient]:
    """A client of a control plane on SQLite."""
    folder = tmp_path_factory.mktemp("server")
    with talking(folder, f"sqlite:///{folder}/mesh.db") as client:
        yield client


@contextmanager
def talking(folder: Path, store: str) -> Generator[UncheckedClient]:
    """Run a control plane on a store, which must log no error; a client of it."""
    credentials = {"AWS_ACCESS_KEY_ID": "meshwright", "AWS_SECRET_ACCESS_KEY": "meshwright"}
    with serving(folder, "--store", store, **credentials) as server:
        host, port = server.address
        with closing(UncheckedClient(f"{host}:{port}")) as client:
            yield client
        assert server.records("unexpected_error") == []


def talk(api: UncheckedClient, *, examples: int) -> Counter[tuple[Kind, bool]]:
    """Have conversations; how many fitting creates and updates of each kind were accepted or not.

    They are not made shorter where something is found, which would take minutes.
    """
    accepted: Counter[tuple[Kind, bool]] = Counter()

    class Talk(Conversation):
        def __init__(self) -> None:
            super().__init__(api, accepted)

    limits = settings(
        max_examples=examples,
        stateful_step_count=40,
        deadline=None,
        phases=[Phase.explicit, Phase.reuse, Phase.generate],
        suppress_health_check=[
            HealthCheck.too_slow,
            HealthCheck.data_too_large,
            HealthCheck.filter_too_much,
            HealthCheck.large_base_example,
        ],
    )
    run_state_machine_as_test(Talk, settings=limits)
    return accepted


def test_everything_is_as_it_was_acknowledged(api: UncheckedClient) -> None:
    accepted = talk(api, examples=20)

    of_kind = {kind: accepted[kind, True] for kind in Kind}
    assert min(of_kind.values()) > 0, accepted
    assert sum(of_kind.values()) > accepted.total() / 2, accepted


def test_everything_is_as_it_was_acknowledged_on_dynamodb(
    tmp_path: Path, new_table: Callable[[], str]
) -> None:
    with talking(tmp_path, new_table()) as api:
        talk(api, examples=5)


@pytest.mark.parametrize("operation", MODEL.operation_names)
@generated
@given(data=st.data())
def test_no_broken_request_is_answered_with_a_server_error(
    api: UncheckedClient, operation: str, data: st.DataObject
):
    parameters = data.draw(broken(values(input_shape(operation))))

    answer = api.call(operation, parameters if isinstance(parameters, dict) else {})

    assert answer.status < 500
    if answer.status != 200:
        assert answer.content["message"]
    elif operation == "CreateMesh":
        api.call("DeleteMesh", {"meshName": answer.content["meshName"]})


@generated
@given(
    method=st.sampled_from(["GET", "PUT", "POST", "DELETE", "PATCH"]),
    path=st.sampled_from(
        [
            "/v20190125/meshes",
            "/v20190125/meshes/x",
            "/v20190125/meshes/x/virtualNodes",
            "/v20190125/tag",
            "/meshwright/v1/apply",
            "/meshwright/v1/meshes/x",
            "/nowhere",
            "/healthz",
        ]
    ),
    body=JSON.map(json.dumps) | st.text(),
)
def test_no_body_is_answered_with_a_server_error(
    api: UncheckedClient, method: str, path: str, body: str
):
    assert api.send(method, path, body).status < 500
