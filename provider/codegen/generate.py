"""Writes the Python SDK, `pulumi_meshwright/generated` and `appmesh`, from the package schema.

python provider/codegen/generate.py           write it anew
python provider/codegen/generate.py --check   say whether it is what would be written
"""

from __future__ import annotations

import argparse
import json
import sys
from importlib.metadata import version
from pathlib import Path

from provider.codegen import python_sdk
from provider.codegen.aws_names import class_names
from pulumi_meshwright.schema import build_schema

PACKAGE = Path(__file__).parent.parent / "pulumi_meshwright"
TARGETS = (PACKAGE / "generated", PACKAGE / "appmesh")


def build_files() -> dict[str, str]:
    """The SDK's files by their paths in the package, with their texts."""
    schema = build_schema(version("pulumi-meshwright"))
    types = {token.rpartition(":")[2]: of for token, of in schema["types"].items()}
    enums = {name: of for name, of in types.items() if "enum" in of}
    structures = {name: of for name, of in types.items() if "enum" not in of}
    # What only functions refer to, they give: nothing takes it.
    rest = json.dumps({name: of for name, of in schema.items() if name != "functions"})
    taken = {
        name: of for name, of in structures.items() if f'#/types/meshwright:index:{name}"' in rest
    }
    files = {
        "_enums.py": python_sdk.emit_enums(enums),
        "_inputs.py": python_sdk.emit_inputs(taken),
        "outputs.py": python_sdk.emit_outputs(structures),
    }
    modules = {"Provider": "provider"}
    provider = schema["provider"]
    files["provider.py"] = python_sdk.emit_resource(
        "Provider", "meshwright", provider, provider=True
    )
    for token, resource in schema["resources"].items():
        name = token.rpartition(":")[2]
        modules[name] = python_sdk.snake_case(name)
        files[f"{modules[name]}.py"] = python_sdk.emit_resource(name, token, resource)
    files["functions.py"] = python_sdk.emit_functions(schema["functions"])
    others = {
        "_enums": list(enums),
        "_inputs": [f"{name}{form}" for name in taken for form in python_sdk.FORMS],
        "functions": [
            name
            for token in schema["functions"]
            for name in python_sdk.function_names(token.rpartition(":")[2])
        ],
    }
    files["__init__.py"] = python_sdk.emit_package(modules, others)
    written = {f"generated/{name}": lines for name, lines in files.items()}
    public, names = python_sdk.public_names(modules, others), class_names()
    written["appmesh/__init__.py"] = python_sdk.emit_aws_names(public, names)
    written["appmesh/outputs.py"] = python_sdk.emit_aws_outputs(list(structures), names)
    return {name: "\n".join(lines) for name, lines in written.items()}


def find_stale() -> list[str]:
    """The files of the SDK that are not what would be written, missing and surplus ones too."""
    wanted = build_files()
    present = {str(path.relative_to(PACKAGE)): path.read_text() for path in _present()}
    return sorted(name for name in wanted | present if wanted.get(name) != present.get(name))


def _present() -> list[Path]:
    return [path for target in TARGETS for path in target.glob("*.py")]


def main() -> None:
    """Write the SDK, or check it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if it is stale")
    if parser.parse_args().check:
        if stale := find_stale():
            sys.exit(f"stale: {', '.join(stale)}: run python -m provider.codegen.generate")
        return
    wanted = build_files()
    for path in _present():
        if str(path.relative_to(PACKAGE)) not in wanted:
            path.unlink()
    for name, text in wanted.items():
        (PACKAGE / name).parent.mkdir(exist_ok=True)
        (PACKAGE / name).write_text(text)


if __name__ == "__main__":
    main()
