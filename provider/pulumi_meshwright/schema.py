"""The Pulumi package schema: resources, types, enums and texts, all from the App Mesh model.

`pulumi package get-schema` prints it; `pulumi package add` makes SDKs for TypeScript, Go, .NET and
Java from it; `provider/codegen` makes the Python SDK of this distribution from it.
"""

from __future__ import annotations

import html
import json
import re
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

from botocore.model import ListShape, StringShape, StructureShape

from pulumi_meshwright.aws_spelling import (
    OPTIONAL,
    Form,
    Spelling,
    required_members,
    spellings_of,
)
from pulumi_meshwright.functions import functions
from pulumi_meshwright.model import PACKAGE, kinds, service_model, shape
from pulumi_meshwright.resources import OUTPUTS
from pulumi_meshwright.settings import SETTINGS, Setting

if TYPE_CHECKING:
    from botocore.model import Shape

    from pulumi_meshwright.functions import Field, Function
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
_REGION = (
    "The control plane's region, which is the provider's: there is one to a control plane. "
    "For programs that say it, as those of `pulumi_aws` may."
)
_TAGS: Json = {"type": "object", "additionalProperties": {"type": "string"}}
_TAGS_ALL = "The tags with those that the provider gives to all, its `defaultTags`."
_DEFAULT_TAGS = f"{PACKAGE}:index:ProviderDefaultTags"
_MISSING_TEXTS = {
    ("LoggingFormat", "json"): "The keys of a line in JSON, in their order, and what each holds.",
    ("LoggingFormat", "text"): "A line of text, with Envoy's command operators.",
}
"""Of the fields that the model says nothing of, by (structure, field)."""
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
    asked = {token: _function(function, types) for token, function in functions().items()}
    settings = {setting.name: _setting(setting, types) for setting in SETTINGS}
    _describe_enums(types)
    return {
        "name": PACKAGE,
        "displayName": "Meshwright",
        "version": version,
        "description": "App Mesh's resources, against any Meshwright control plane.",
        "keywords": ["pulumi", "meshwright", "appmesh", "category/network", "kind/native"],
        "license": "Apache-2.0",
        "attribution": "The descriptions are those of the App Mesh service model in botocore.",
        "publisher": "Meshwright",
        "homepage": REPOSITORY,
        "repository": REPOSITORY,
        # Generated SDKs are whole packages, with their version and their go.mod.
        "meta": {"supportPack": True},
        "config": {"variables": settings},
        "provider": {
            "description": "A Meshwright control plane, and as whom to speak to it.",
            "inputProperties": settings,
            # What the engine passes on of a provider are strings.
            "properties": {name: of for name, of in settings.items() if of.get("type") == "string"},
        },
        "types": dict(sorted(types.items())),
        "resources": resources,
        "functions": asked,
        "language": {
            "python": {
                "packageName": "pulumi_meshwright",
                "inputTypes": "classes-and-dicts",
                "pyproject": {"enabled": True},
            },
            "nodejs": {"packageName": "@meshwright/pulumi"},
        },
    }


def _setting(setting: Setting, types: dict[str, Json]) -> Json:
    """One setting of the provider."""
    described: Json = {"description": setting.description}
    if setting.type != "map":
        described["type"] = setting.type
    else:
        types[_DEFAULT_TAGS] = {
            "type": "object",
            "description": setting.text,
            "properties": {"tags": {**_TAGS, "description": "The tags."}},
        }
        described["$ref"] = f"#/types/{_DEFAULT_TAGS}"
    return described | ({"secret": True} if setting.secret else {})


def _resource(kind: Kind, types: dict[str, Json]) -> Json:
    """One resource: its inputs, and its outputs, which repeat the inputs."""
    request = cast("StructureShape", shape(f"Create{kind.name}Input"))
    inputs: dict[str, Json] = {}
    for name in kind.identity:
        if name == "name":
            inputs[name] = {"type": "string", "description": _NAME.format(noun=kind.noun)}
        else:
            text = render_text(request.members[name].documentation) + _PARENT
            inputs[name] = {"type": "string", "description": text}
        # For readers of the schema; what is replaced, the provider's Diff decides.
        inputs[name]["willReplaceOnChanges"] = True
    spec_text = render_text(request.members["spec"].documentation)
    inputs["spec"] = _reference(kind.spec, types) | {"description": spec_text}
    inputs["region"] = {"type": "string", "description": _REGION}
    inputs["tags"] = {**_TAGS, "description": "Tags as a map of keys to values."}
    required = [*kind.parents, *(["spec"] if kind.spec_required else [])]
    outputs = inputs | _told_outputs()
    outputs["tagsAll"] = {**_TAGS, "description": _TAGS_ALL}
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
        "required": sorted({"name", "region", "tagsAll", *required, *OUTPUTS}),
    }


def _told_outputs() -> dict[str, Json]:
    """The outputs that only the control plane can tell."""
    metadata = cast("StructureShape", shape("ResourceMetadata"))
    outputs: dict[str, Json] = {
        "region": {"type": "string", "description": "The region in its ARN."}
    }
    for name, member in OUTPUTS.items():
        text = _OUTPUT_DOCS.get(name) or render_text(metadata.members[member].documentation)
        outputs[name] = {"type": _SCALARS[metadata.members[member].type_name], "description": text}
    return outputs


def _function(function: Function, types: dict[str, Json]) -> Json:
    """One function: its arguments, and its result."""
    arguments, result = _object(function.arguments, types), _object(function.result, types)
    if (kind := function.kind) is not None:
        spec_text = f"The specification of the {kind.noun}."
        result["properties"] |= {
            **{name: arguments["properties"][name] for name in (*kind.parents, "name")},
            **_told_outputs(),
            "spec": _reference(kind.spec, types) | {"description": spec_text},
            "tags": {**_TAGS, "description": "All of its tags."},
        }
        result["required"] = sorted(result["properties"])
    return {"description": function.text, "inputs": arguments, "outputs": result}


def _object(fields: tuple[Field, ...], types: dict[str, Json]) -> Json:
    """An object with some fields."""
    made: Json = {
        "type": "object",
        "properties": {field.name: _field(field, types) for field in fields},
    }
    if required := sorted(field.name for field in fields if field.required):
        made["required"] = required
    return made


def _field(field: Field, types: dict[str, Json]) -> Json:
    """An argument of a function, or a value of its result."""
    documented = "" if field.shape is None else render_text(field.shape.documentation)
    described = {"description": field.text or documented}
    if isinstance(field.type, tuple):
        item = {"description": field.item_text} | _object(field.type, types)
        types[f"{PACKAGE}:index:{field.item}"] = item
        return {"type": "array", "items": {"$ref": _ref(field.item)}} | described
    return (_TAGS if field.type == "map" else {"type": field.type}) | described


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
        documented = render_text(member.documentation) or _MISSING_TEXTS.get((of.name, name), "")
        text = "\n\n".join(filter(None, (documented, render_bounds(member))))
        made["properties"][name] = _reference(member, types) | (
            {"description": text} if text else {}
        )
        default = OPTIONAL.get((of.name, name))
        if isinstance(default, str):
            made["properties"][name]["description"] += f"\n\n`{default}` unless given."
    for spelling in spellings_of(of.name):
        made["properties"][spelling.name] = _other_spelling(spelling, made["properties"])
    if required := required_members(of):
        made["required"] = sorted(required)


def _describe_enums(types: dict[str, Json]) -> None:
    """Say of each enum, which the model says nothing of, which fields take its values."""
    for token, enum in types.items():
        if "enum" not in enum:
            continue
        reference = json.dumps({"$ref": f"#/types/{token}"})
        fields = [
            f"`{holder.rpartition(':')[2]}.{name}`"
            for holder, of in sorted(types.items())
            for name, item in of.get("properties", {}).items()
            if reference in json.dumps(item)
        ]
        enum["description"] = f"The values of {' and '.join(fields)}."


def _other_spelling(spelling: Spelling, properties: Json) -> Json:
    """A field as AWS's provider writes it, beside the model's or in place of it."""
    if spelling.member is None:
        return {
            "type": "string",
            "description": "Ignored, as `pulumi_aws` ignores it: App Mesh has no such field.",
        }
    ours = dict(properties[spelling.member])
    text = ours.pop("description", "")
    if spelling.form is Form.MAP:
        a_map = {"type": "object", "additionalProperties": {"type": "string"}}
        text = f"{text}\n\nAs a list of keys and values, or as a map, as in `pulumi_aws`."
        return {"oneOf": [ours, a_map], "description": text.strip()}
    text = f"`{spelling.member}` as `pulumi_aws` has it; give one of the two."
    if spelling.form is Form.LIST_OF_ONE:
        ours = {"type": "array", "items": ours}
        text = f"`{spelling.member}` as `pulumi_aws` has it, in a list of one; give one of the two."
    return ours | {"description": text}


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
