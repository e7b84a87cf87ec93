"""What `pulumi_aws.appmesh` writes otherwise, held to AWS's SDK, and how it is read."""

from __future__ import annotations

import sys
import typing
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any

import pulumi
import pulumi_aws.appmesh as aws
import pytest
from hypothesis import given

import pulumi_meshwright as ours
from provider.codegen.aws_names import class_names
from provider.codegen.python_sdk import snake_case
from pulumi_meshwright import generated
from pulumi_meshwright.aws_spelling import OPTIONAL, SPELLINGS, normalize, spellings_of
from pulumi_meshwright.meaning import same_meaning
from pulumi_meshwright.model import Kind, kinds, shape
from pulumi_meshwright.values import COMPUTED, plain, wrap
from tests.provider.specs import kinds_and_specs

assert aws.Mesh, aws.outputs.MeshSpec  # the SDK loads its modules when it is asked for something

KINDS = pytest.mark.parametrize("kind", kinds().values(), ids=lambda kind: kind.name)

NAMES = class_names()
"""AWS's class names and ours, for all classes that don't have one name in both."""


def names_of_both() -> list[tuple[str, str]]:
    """The names of the input classes of AWS's SDK, each with the model's for the same thing."""
    form = "ArgsDict"
    found = [name.removesuffix(form) for name in vars(aws) if name.endswith(form)]
    specs = [name for name in found if name not in kinds() and not name.startswith("Get")]
    return [(name, NAMES.get(name, name)) for name in specs]


def forms(hint: Any) -> set[str]:
    """The forms of values that an annotation takes: `str`, `object`, `[]object`, `{}str`."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if typing.is_typeddict(hint) or hasattr(hint, "_pulumi_input_type"):
        return {"object"}
    if origin is Sequence:
        return {f"[]{form}" for form in forms(arguments[0])}
    if origin is Mapping:
        return {f"{{}}{form}" for form in forms(arguments[1])}
    if origin is None:
        is_enum = isinstance(hint, type) and issubclass(hint, Enum)
        return set() if hint is type(None) else {"str" if is_enum else hint.__name__}
    return set[str]().union(*map(forms, arguments))


def fields(owner: Any, name: str) -> dict[str, set[str]]:
    """The fields of an input dict of an SDK, and the forms that each takes."""
    of = getattr(owner, name)
    # Names in `pulumi.Input` that its users needn't have imported.
    names = {"Output": pulumi.Output, "T": typing.Any}
    modules = vars(sys.modules[of.__module__])
    hints = typing.get_type_hints(of, globalns=modules, localns=names)
    return {field: forms(hint) for field, hint in hints.items()}


@pytest.mark.parametrize(("theirs", "model"), names_of_both())
def test_every_field_of_aws_is_taken_in_the_form_that_aws_has(theirs: str, model: str) -> None:
    taken = fields(ours, f"{model}ArgsDict")

    missing = {
        name: wanted
        for name, wanted in fields(aws, f"{theirs}ArgsDict").items()
        if not wanted <= taken.get(name, set())
    }
    assert missing == {}


@pytest.mark.parametrize(("theirs", "model"), names_of_both())
def test_what_aws_writes_otherwise_is_in_the_table(theirs: str, model: str) -> None:
    members = {snake_case(name) for name in shape(model).members}  # pyright: ignore
    stray = fields(aws, f"{theirs}ArgsDict").keys() - members

    spelt = {snake_case(each.name) for each in spellings_of(model) if each.name != each.member}
    assert stray == spelt


@pytest.mark.parametrize(("theirs", "model"), names_of_both())
def test_nothing_is_required_that_aws_does_not_require(theirs: str, model: str) -> None:
    required = getattr(ours, f"{model}ArgsDict").__required_keys__

    assert required <= getattr(aws, f"{theirs}ArgsDict").__required_keys__ | required_by_model(
        theirs, model
    )


def required_by_model(theirs: str, model: str) -> set[str]:
    """What only the model requires, of members that AWS's SDK doesn't know at all."""
    known = fields(aws, f"{theirs}ArgsDict")
    members: Any = shape(model)
    return {snake_case(name) for name in members.required_members} - known.keys()


def test_every_class_of_aws_has_its_name_here_too() -> None:
    inputs = {name for name in vars(aws) if name.endswith(("Args", "ArgsDict"))}
    # Not the results of functions, whose names are made another way.
    outputs = {
        name
        for name in vars(aws.outputs)
        if name.startswith(tuple(kinds())) and name not in kinds()
    }

    assert inputs - vars(ours.appmesh).keys() == set()
    assert outputs - vars(ours.appmesh.outputs).keys() == set()


def test_no_name_stands_for_two_classes() -> None:
    assert {f"{theirs}Args" for theirs in NAMES} & set(generated.__all__) == set()


@KINDS
def test_resources_have_the_inputs_and_outputs_of_aws_s(kind: Kind) -> None:
    theirs, own = (getattr(sdk, kind.name) for sdk in (aws, ours))
    args = [getattr(sdk, f"{kind.name}Args") for sdk in (aws, ours)]

    def attributes(of: Any) -> set[str]:
        return {name for name, value in vars(of).items() if isinstance(value, property)}

    assert attributes(theirs) <= attributes(own)
    assert attributes(args[0]) <= attributes(args[1])


CASES = [
    ("SubjectAlternativeNameMatchers", {"exacts": ["a"]}, {"exact": ["a"]}),
    ("LoggingFormat", {"jsons": []}, {"json": []}),
    ("GrpcRouteMatch", {"metadatas": [{"name": "x"}]}, {"metadata": [{"name": "x"}]}),
    ("GrpcRouteMatch", {"prefix": "/", "port": 1}, {"port": 1}),
    (
        "VirtualNodeConnectionPool",
        {"https": [{"maxConnections": 1}]},
        {"http": {"maxConnections": 1}},
    ),
    ("VirtualNodeConnectionPool", {"http2s": [{}]}, {"http2": {}}),
    ("VirtualNodeConnectionPool", {"tcps": []}, {}),
    (
        "AwsCloudMapServiceDiscovery",
        {"attributes": {"b": "2", "a": "1"}},
        {"attributes": [{"key": "a", "value": "1"}, {"key": "b", "value": "2"}]},
    ),
    ("EgressFilter", {}, {"type": "DROP_ALL"}),
    ("GrpcRoute", {"action": {}}, {"action": {}, "match": {}}),
    ("VirtualNodeConnectionPool", {"https": None, "http": {}}, {"http": {}}),
]


@pytest.mark.parametrize(("structure", "written", "meant"), CASES)
def test_aws_s_form_is_read(structure: str, written: Any, meant: Any) -> None:
    found = normalize(shape(structure), wrap(written), "spec")

    assert (plain(found.value), found.clashes) == (meant, [])


def test_every_entry_of_the_table_has_a_case() -> None:
    tried = {(structure, name) for structure, written, _ in CASES for name in written}

    assert {(each.structure, each.name) for each in SPELLINGS} <= tried
    assert {structure for structure, _ in OPTIONAL} <= {structure for structure, _, _ in CASES}


@given(kinds_and_specs())
def test_the_model_s_form_is_left_as_it_is(case: tuple[Kind, Any]) -> None:
    kind, spec = case

    found = normalize(kind.spec, wrap(spec), "spec")

    assert (plain(found.value), found.clashes, found.ignored, found.written) == (spec, [], [], {})


def test_both_spellings_of_one_field_are_refused_by_its_path() -> None:
    written: Any = {"accessLog": {"file": {"path": "/x", "format": {"json": [], "jsons": []}}}}

    [clash] = normalize(shape("Logging"), wrap(written), "spec.logging").clashes

    assert clash.path == "spec.logging.accessLog.file.format.jsons"
    assert clash.reason == "is AWS's spelling of 'json', which is given too: keep one of them"


@pytest.mark.parametrize("written", [[{}, {}], {"maxConnections": 1}, "x"])
def test_what_is_no_list_of_one_is_refused(written: Any) -> None:
    [clash] = normalize(shape("VirtualNodeConnectionPool"), wrap({"https": written}), "p").clashes

    assert clash.path == "p.https"
    assert clash.reason == "must be a list of one item; or give the item itself as 'http'"


def test_a_path_is_told_as_it_was_written() -> None:
    written: Any = {
        "listeners": [{"connectionPool": {"https": [{"maxConnections": 0}]}}],
        "serviceDiscovery": {"awsCloudMap": {"attributes": {"stage": ""}}},
    }
    found = normalize(kinds()["VirtualNode"].spec, wrap(written), "spec")

    assert [
        found.as_written("spec.listeners[0].connectionPool.http.maxConnections"),
        found.as_written("spec.serviceDiscovery.awsCloudMap.attributes[0].value"),
        found.as_written("spec.listeners[0].connectionPool.grpc"),
    ] == [
        "spec.listeners[0].connectionPool.https[0].maxConnections",
        'spec.serviceDiscovery.awsCloudMap.attributes["stage"]',
        "spec.listeners[0].connectionPool.grpc",
    ]


def test_what_is_not_known_yet_is_passed_on_by_the_model_s_name() -> None:
    found = normalize(
        shape("VirtualNodeConnectionPool"), wrap({}).with_value({"https": COMPUTED}), "p"
    )

    assert found.value.value == {"http": COMPUTED}


def test_what_is_secret_stays_secret() -> None:
    secret = wrap([{"maxConnections": 1}]).with_secret(True)
    pool = wrap({}).with_value({"https": secret})
    attributes = wrap({}).with_value({"attributes": wrap({"a": "hush"}).with_secret(True)})

    for structure, value, member in (
        ("VirtualNodeConnectionPool", pool, "http"),
        ("AwsCloudMapServiceDiscovery", attributes, "attributes"),
    ):
        members: Any = normalize(shape(structure), value, "p").value.value
        assert members[member].is_secret


def test_the_default_of_an_egress_filter_is_the_model_s() -> None:
    spec = kinds()["Mesh"].spec
    found = normalize(spec, wrap({"egressFilter": {}}), "spec")

    assert same_meaning(spec, plain(found.value), {})
