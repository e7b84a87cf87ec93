"""The package schema: whole, documented, and the source of the generated SDK."""

from __future__ import annotations

import re
from typing import Any

import pytest
from botocore.model import ListShape, StructureShape

from provider.codegen.generate import find_stale
from pulumi_meshwright.aws_spelling import SPELLINGS
from pulumi_meshwright.model import kinds, shape
from pulumi_meshwright.schema import build_schema, render_text

SCHEMA = build_schema("1.2.3")
OWN_TYPES = {"ProviderDefaultTags", "ExplainRouteStep", "ExplainRouteTarget"}
"""The types that are none of the model's."""


def references(value: Any) -> set[str]:
    """The types that a part of the schema refers to."""
    if isinstance(value, dict):
        found = {value["$ref"].removeprefix("#/types/")} if "$ref" in value else set[str]()
        return found.union(*(references(item) for item in value.values()))
    return set[str]().union(*map(references, value)) if isinstance(value, list) else set()


def leaves(of: Any, path: str) -> set[str]:
    """The paths of all fields in a shape of the model."""
    if isinstance(of, StructureShape):
        return set[str]().union(*(leaves(m, f"{path}.{n}") for n, m in of.members.items()))
    return leaves(of.member, f"{path}[]") if isinstance(of, ListShape) else {path}


def schema_leaves(of: Any, path: str) -> set[str]:
    """The paths of all fields in a type of the schema."""
    if "properties" in of:
        properties = of["properties"].items()
        return set[str]().union(
            *(schema_leaves(item, f"{path}.{name}") for name, item in properties)
        )
    if "$ref" in of:
        return schema_leaves(SCHEMA["types"][of["$ref"].removeprefix("#/types/")], path)
    if "oneOf" in of and "type" not in of:
        return schema_leaves(of["oneOf"][0], path)  # the model's form, before AWS's
    return schema_leaves(of["items"], f"{path}[]") if of["type"] == "array" else {path}


@pytest.mark.parametrize("kind", kinds().values(), ids=lambda kind: kind.name)
def test_every_field_of_the_model_is_in_the_schema(kind: Any) -> None:
    spec = SCHEMA["resources"][kind.token]["inputProperties"]["spec"]

    assert leaves(kind.spec, "spec") <= schema_leaves(spec, "spec")


def test_what_the_schema_has_beyond_the_model_is_how_aws_spells_it() -> None:
    beyond = {
        (name, member)
        for token, of in SCHEMA["types"].items()
        if (name := token.rpartition(":")[2]) not in OWN_TYPES
        for member in of.get("properties", {}).keys() - getattr(shape(name), "members", {}).keys()
    }

    assert beyond == {(each.structure, each.name) for each in SPELLINGS if each.name != each.member}


def test_every_reference_leads_to_a_type_and_every_type_is_used() -> None:
    assert references(SCHEMA) == set(SCHEMA["types"])


def test_every_resource_and_input_is_described() -> None:
    undescribed = [
        f"{token}.{name}"
        for token, resource in SCHEMA["resources"].items()
        for name, item in resource["inputProperties"].items()
        if not item.get("description")
    ]

    assert undescribed == []


def test_every_function_argument_and_result_is_described() -> None:
    undescribed = [
        f"{token}.{name}"
        for token, function in SCHEMA["functions"].items()
        for part in (function["inputs"], function["outputs"])
        for name, item in part["properties"].items()
        if not item.get("description") or not function["description"]
    ]

    assert undescribed == []


def test_every_type_enum_and_field_is_described() -> None:
    undescribed = [
        f"{token}.{name}"
        for token, of in SCHEMA["types"].items()
        for name, item in {"": of, **of.get("properties", {})}.items()
        if not item.get("description")
    ]

    assert undescribed == []


def test_a_field_has_more_of_a_text_than_its_bounds() -> None:
    bounds = re.compile(r"(From|At least|At most|Exactly) \S+( to \S+)?( characters| items)?\.")

    assert [
        f"{token}.{name}"
        for token, of in SCHEMA["types"].items()
        for name, item in of.get("properties", {}).items()
        if bounds.fullmatch(item["description"])
    ] == []


def test_an_enum_tells_which_fields_take_it() -> None:
    enum = SCHEMA["types"]["meshwright:index:TcpRetryPolicyEvent"]

    assert enum["description"] == (
        "The values of `GrpcRetryPolicy.tcpRetryEvents` and `HttpRetryPolicy.tcpRetryEvents`."
    )


def test_packages_made_of_the_schema_name_who_made_it() -> None:
    assert (SCHEMA["publisher"], SCHEMA["homepage"]) == ("Meshwright", SCHEMA["repository"])


def test_there_is_a_function_to_get_each_type() -> None:
    getters = {f"meshwright:index:get{name}" for name in kinds()}

    assert SCHEMA["functions"].keys() - getters == {
        "meshwright:index:explainRoute",
        "meshwright:index:waitForConvergence",
    }


@pytest.mark.parametrize("name", kinds())
def test_what_is_got_of_a_resource_has_the_names_of_its_outputs(name: str) -> None:
    resource = SCHEMA["resources"][f"meshwright:index:{name}"]["properties"]
    result = SCHEMA["functions"][f"meshwright:index:get{name}"]["outputs"]["properties"]

    assert result.keys() - {"id"} == resource.keys() - {"tagsAll"} | {"meshOwner"}


def test_descriptions_hold_no_html() -> None:
    assert re.findall(r"</?[a-z]+[ >]", str(SCHEMA)) == []


def test_names_and_parents_are_marked_as_replacing() -> None:
    inputs = SCHEMA["resources"]["meshwright:index:Route"]["inputProperties"]

    assert [name for name, item in inputs.items() if item.get("willReplaceOnChanges")] == [
        "meshName",
        "virtualRouterName",
        "name",
        "meshOwner",
    ]


def test_keys_are_secret_settings() -> None:
    settings = SCHEMA["provider"]["inputProperties"]

    assert [name for name, item in settings.items() if item.get("secret")] == [
        "accessKey",
        "secretKey",
        "token",
    ]


def test_html_becomes_markdown() -> None:
    link = '<p>See <a href="https://x">here</a>.</p>'
    items = "<ul> <li> <p>one &amp; <code>1</code></p> </li></ul>"

    assert render_text(f"{link} {items}") == "See [here](https://x).\n\n- one & `1`"


def test_the_generated_sdk_is_what_the_schema_makes_it() -> None:
    assert find_stale() == [], "run: python -m provider.codegen.generate"
