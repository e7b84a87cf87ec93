"""The Pulumi package schema: resources, types, enums and texts, all from the App Mesh model.

`pulumi package get-schema` prints it; `pulumi package add` makes SDKs for TypeScript, Go, .NET and
Java from it; `provider/codegen` makes the Python SDK of this distribution from it.
"""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

from botocore.model import ListShape, StringShape, StructureShape

from pulumi_meshwright.model import PACKAGE, kinds, service_model, shape
from pulumi_meshwright.resources import OUTPUTS
from pulumi_meshwright.settings import DESCRIPTIONS, SECRETS

if TYPE_CHECKING:
    from botocore.model import Shape

    from pulumi_meshwright.model import Kind

Json: TypeAlias = dict[str, Any]

REPOSITORY: Final = "https://github.com/meshwright/meshwright"

_SCALARS = {
    "string": "string",
    "timestamp": "string",
    "integer": "integer",
    "long": "integer",
    "boolean": "boolean",
}

_NAME = (
    "The name of the {noun}. The resource's name in the Pulumi program unless given; never a "
    "random one, because the names of a mesh are addresses. Changing it makes a new resource."
)
_PARENT = " Changing it makes a new resource."
_TAGS = "Tags as a map of keys to values."
_OUTPUT_DOCS = {
    "createdDate": "When it was created: ISO 8601, in UTC.",
    "lastUpdatedDate": "When its specification was last changed: ISO 8601, in UTC.",
}


def build_schema(version: str) -> Json:
    """The whole schema, as JSON data.

    Args:
        version: The version of the package, as it will be published.
    """
    types: dict[str, Json] = {}
    resources = {kind.token: _resource(kind, types) for kind in kinds().values()}
    settings = {
        name: {"type": "string", "description": text}
        | ({"secret": True} if name in SECRETS else {})
        for name, text in DESCRIPTIONS.items()
    }
    return {
        "name": PACKAGE,
        "displayName": "Meshwright",
        "version": version,
        "description": "App Mesh's resources, against any Meshwright control plane.",
        "keywords": ["pulumi", "meshwright", "appmesh", "category/network", "kind/native"],
        "license": "Apache-2.0",
        "attribution": "The descriptions are those of the App Mesh service model in botocore.",
        "repository": REPOSITORY,
        "config": {"variables": settings},
        "provider": {
            "description": "A Meshwright control plane, and as whom to speak to it.",
            "inputProperties": settings,
            "properties": settings,
        },
        "types": dict(sorted(types.items())),
        "resources": resources,
        "language": {
            "python": {
                "packageName": "pulumi_meshwright",
                "inputTypes": "classes-and-dicts",
                "pyproject": {"enabled": True},
            },
            "nodejs": {"packageName": "@meshwright/pulumi"},
        },
    }


def _resource(kind: Kind, types: dict[str, Json]) -> Json:
    """One resource: its inputs, and its outputs, which repeat the inputs."""
    request = cast("StructureShape", shape(f"Create{kind.name}Input"))
    noun = re.sub(r"(?<!^)([A-Z])", r" \1", kind.name).lower()
    inputs: dict[str, Json] = {}
    for name in kind.identity:
        if name == "name":
            inputs[name] = {"type": "string", "description": _NAME.format(noun=noun)}
        else:
            text = render_text(request.members[name].documentation) + _PARENT
            inputs[name] = {"type": "string", "description": text}
        # For readers of the schema; what is replaced, the provider's Diff decides.
        inputs[name]["willReplaceOnChanges"] = True
    spec_text = render_text(request.members["spec"].documentation)
    inputs["spec"] = _reference(kind.spec, types) | {"description": spec_text}
    inputs["tags"] = {
        "type": "object",
        "additionalProperties": {"type": "string"},
        "description": _TAGS,
    }
    required = [*kind.parents, *(["spec"] if kind.spec_required else [])]
    metadata = cast("StructureShape", shape("ResourceMetadata"))
    outputs = dict(inputs)
    for name, member in OUTPUTS.items():
        text = _OUTPUT_DOCS.get(name) or render_text(metadata.members[member].documentation)
        outputs[name] = {"type": _SCALARS[metadata.members[member].type_name], "description": text}
    operation = service_model().operation_model(f"Create{kind.name}")
    text = render_text(operation.documentation)
    return {
        "description": f"{text}\n\nImported with the id `{kind.id_form}`.",
        "inputProperties": inputs,
        "requiredInputs": sorted(required),
        "properties": {
            name: {key: value for key, value in prop.items() if key != "willReplaceOnChanges"}
            for name, prop in outputs.items()
        },
        "required": sorted({"name", *required, *OUTPUTS}),
    }


def _reference(of: Shape, types: dict[str, Json]) -> Json:
    """How a property refers to a shape; shapes that need a type of their own are added."""
    if isinstance(of, StructureShape):
        _add_structure(of, types)
        return {"$ref": _ref(of.name)}
    if isinstance(of, ListShape):
        return {"type": "array", "items": _reference(of.member, types)}
    if isinstance(of, StringShape) and of.enum:
        types[f"{PACKAGE}:index:{of.name}"] = {
            "type": "string",
            "enum": [{"name": _enum_name(value), "value": value} for value in of.enum],
        }
        # A plain string is as good, so that a value may also come from configuration.
        return {"type": "string", "oneOf": [{"type": "string"}, {"$ref": _ref(of.name)}]}
    return {"type": _SCALARS[of.type_name]}


def _add_structure(of: StructureShape, types: dict[str, Json]) -> None:
    token = f"{PACKAGE}:index:{of.name}"
    if token in types:
        return
    made: Json = {"type": "object", "properties": {}}
    types[token] = made  # before its members, should one of them refer back to it
    description = render_text(of.documentation)
    if of.is_tagged_union:
        description += f"\n\nGive exactly one of {', '.join(f'`{name}`' for name in of.members)}."
    if description.strip():
        made["description"] = description.strip()
    for name, member in of.members.items():
        text = "\n\n".join(filter(None, (render_text(member.documentation), render_bounds(member))))
        made["properties"][name] = _reference(member, types) | (
            {"description": text} if text else {}
        )
    if of.required_members:
        made["required"] = sorted(of.required_members)


def _ref(name: str) -> str:
    return f"#/types/{PACKAGE}:index:{name}"


def _enum_name(value: str) -> str:
    """A name for an enum's value that every language takes: `connection-error` ConnectionError."""
    return "".join(word.capitalize() for word in re.split(r"[-_]", value))


def render_bounds(of: Shape) -> str:
    """The model's bounds of a value in a sentence, or nothing."""
    least, most = of.metadata.get("min"), of.metadata.get("max")
    unit = {"string": " characters", "list": " items"}.get(of.type_name, "")
    if least is not None and most is not None:
        return f"From {least} to {most}{unit}." if least != most else f"Exactly {least}{unit}."
    if least is not None:
        return f"At least {least}{unit}."
    return f"At most {most}{unit}." if most is not None else ""


def render_text(documentation: str) -> str:
    """The model's HTML as Markdown: paragraphs, lists and code; and links."""
    text = re.sub(r"\s+", " ", documentation)
    text = re.sub(r"</?code>", "`", text)
    text = re.sub(r"</?(b|strong)>", "**", text)
    text = re.sub(r'<a href="([^"]+)">([^<]*)</a>', r"[\2](\1)", text)
    text = re.sub(r"<li>\s*(<p>)?\s*", "\n- ", text)
    text = re.sub(r"<(p|/p|ul|/ul|ol|/ol|note|/note|important|/important|dl|/dl)>", "\n\n", text)
    text = html.unescape(re.sub(r"<[^>]+>", "", text))
    lines = [line.strip() for line in text.split("\n")]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()
