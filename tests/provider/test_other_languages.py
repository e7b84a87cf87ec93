"""SDKs of other languages, made of the plugin's schema by Pulumi's CLI and generators.

The CLI is a real one. So are the generators, behind a language host of the tests' own (see
`sdks/pulumi-language-host`), since most of Pulumi's hosts come with its installer only; Java's is
Pulumi's, built from its module. The SDKs of Go, TypeScript and Java are compiled too, and a program
of each is run by the engine.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pulumi_meshwright.model import kinds
from pytest_meshwright.pulumi_stack import get_pulumi
from tests.provider.language_hosts import LANGUAGES, link_language_hosts, required
from tools.dev.go_programs import LANGUAGE_HOST, prepare_go_program
from tools.dev.java_packages import JAVA_PROGRAM, find_java_packages
from tools.dev.npm_packages import NODE, TYPESCRIPT_PROGRAM, find_npm_packages

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_meshwright.control_plane import ControlPlane

PLUGIN = Path(sys.executable).with_name("pulumi-resource-meshwright")
GO_PROGRAM = LANGUAGE_HOST.with_name("go-program")
GATEWAY_ROUTE = {
    "dotnet": "GatewayRoute.cs",
    "go": "meshwright/gatewayRoute.go",
    "java": "src/main/java/com/pulumi/meshwright/GatewayRoute.java",
    "nodejs": "gatewayRoute.ts",
    "python": "pulumi_meshwright/gateway_route.py",
}
"""Where each language has one of the resources, in its manner of naming files."""


@dataclass(frozen=True, slots=True)
class Cli:
    """The Pulumi CLI beside language hosts, in a home of its own."""

    folder: Path

    def environment(self) -> dict[str, str]:
        """What the CLI, and programs that run it, need to know."""
        found = os.pathsep.join(
            [str(self.folder / "hosts"), str(PLUGIN.parent), str(get_pulumi().parent)]
        )
        return {
            **os.environ,
            "PATH": os.pathsep.join([found, os.environ["PATH"]]),
            "PULUMI_HOME": str(self.folder / "home"),
            "PULUMI_BACKEND_URL": f"file://{self.folder}",
            "PULUMI_CONFIG_PASSPHRASE": "",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        }

    def add_package(self, language: str, folder: Path) -> Path:
        """Add the package to a folder as a user does; returns the SDK's own folder."""
        # A project says in which language it is.
        said = [] if (folder / "Pulumi.yaml").is_file() else ["--language", language]
        command = [get_pulumi(), "--cwd", folder, "package", "add", PLUGIN, *said]
        run(command, self.environment())
        return folder / "sdks" / "meshwright"


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """The CLI, with a host for each language."""
    required(link_language_hosts(tmp_path / "cli" / "hosts"), "the language host")
    return Cli(tmp_path / "cli")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """An empty folder for a user's project."""
    folder = tmp_path / "project"
    folder.mkdir()
    return folder


@pytest.mark.parametrize("language", LANGUAGES)
def test_an_sdk_has_every_resource_type_with_its_texts(
    cli: Cli, project: Path, language: str
) -> None:
    if language == "java":  # whose host makes nothing without knowing how a program is started
        shutil.copy(JAVA_PROGRAM / "Pulumi.yaml", project)

    sdk = cli.add_package(language, project)

    example = sdk / GATEWAY_ROUTE[language]
    files = {re.sub(r"\W|_", "", path.stem).lower() for path in example.parent.iterdir()}
    assert {name.lower() for name in kinds()} <= files
    text = " ".join(re.sub(r"[*/#]", " ", example.read_text()).split())
    assert "Imported with the id" in text
    assert "MESH GATEWAY ROUTE" in text
    assert "The name of the service mesh to create the gateway route in." in text


@dataclass(frozen=True, slots=True)
class Program:
    """A program over the Automation API, which is started for each thing that it shall do.

    Attributes:
        command: How it is started.
        cli: Where it finds the CLI.
        control_plane: Where its mesh is made.
    """

    command: tuple[str | Path, ...]
    cli: Cli
    control_plane: ControlPlane

    def up(self) -> dict[str, Any]:
        """Bring its stack up; returns the stack's outputs."""
        self._work.mkdir()
        return json.loads(self._run())

    def destroy(self) -> None:
        """Take its stack down again."""
        self._run("destroy")

    @property
    def _work(self) -> Path:
        return self.cli.folder / "work"

    def _run(self, *arguments: str) -> str:
        environment = self.cli.environment() | {"MESHWRIGHT_ENDPOINT": self.control_plane.url}
        return run([*self.command, self._work, *arguments], environment)


@dataclass(frozen=True, slots=True)
class Project:
    """A program in a project with a Pulumi.yaml, which Pulumi's language host runs.

    Attributes:
        folder: The project.
        cli: The CLI.
        control_plane: Where its mesh is made.
    """

    folder: Path
    cli: Cli
    control_plane: ControlPlane

    def up(self) -> dict[str, Any]:
        """Bring its stack up; returns the stack's outputs."""
        self._pulumi("stack", "init", "test")
        self._pulumi("up", "--yes")
        return json.loads(self._pulumi("stack", "output", "--json"))

    def destroy(self) -> None:
        """Take its stack down again."""
        self._pulumi("destroy", "--yes")

    def _pulumi(self, *arguments: str) -> str:
        environment = self.cli.environment() | {"MESHWRIGHT_ENDPOINT": self.control_plane.url}
        command = [get_pulumi(), "--non-interactive", "--cwd", self.folder, *arguments]
        return run(command, environment)


def run(command: Sequence[str | Path], environment: Mapping[str, str] | None = None) -> str:
    """Run a command that must succeed; returns what it printed."""
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def check_life(program: Program | Project) -> None:
    """Bring a program's mesh up, hold it against its outputs, and take it down again."""
    client: Any = program.control_plane.client()

    outputs = program.up()

    node = client.describe_virtual_node(meshName="demo", virtualNodeName="blue")["virtualNode"]
    mesh = client.describe_mesh(meshName="demo")["mesh"]
    arn = node["metadata"]["arn"]
    declared = {"arn": arn, "port": 8080, "tags": {"team": "paint"}}
    assert outputs == {**declared, "got": arn, "routed": True}
    assert mesh["spec"] == {"egressFilter": {"type": "ALLOW_ALL"}}
    assert node["spec"]["listeners"] == [{"portMapping": {"port": 8080, "protocol": "http"}}]
    program.destroy()
    assert client.list_meshes()["meshes"] == []


def test_a_go_program_is_compiled_and_brings_up_a_mesh(
    cli: Cli, tmp_path: Path, meshwright_control_plane: ControlPlane
) -> None:
    module = shutil.copytree(GO_PROGRAM, tmp_path / GO_PROGRAM.name)
    cli.add_package("go", module)

    # Compiling takes a while, so that it is done anew only where program or SDK have changed.
    program = prepare_go_program(module)

    check_life(Program((program,), cli, meshwright_control_plane))


@pytest.fixture
def compile_typescript(cli: Cli, project: Path) -> list[str | Path]:
    """The command that compiles the TypeScript program, which lies in the project."""
    packages = required(find_npm_packages(), "what the TypeScript program needs")
    shutil.copytree(TYPESCRIPT_PROGRAM, project, dirs_exist_ok=True)
    (project / "node_modules").symlink_to(packages)
    cli.add_package("nodejs", project)
    return [NODE, packages / "typescript" / "bin" / "tsc", "--project", project]


def test_a_typescript_program_is_compiled_and_brings_up_a_mesh(
    compile_typescript: list[str | Path],
    cli: Cli,
    project: Path,
    meshwright_control_plane: ControlPlane,
) -> None:
    compiled = subprocess.run(compile_typescript, capture_output=True, text=True, check=False)
    assert compiled.returncode == 0, compiled.stdout

    check_life(Program((NODE, project / "main.js"), cli, meshwright_control_plane))


@pytest.mark.parametrize(
    ("right", "wrong", "complaint"),
    [
        ("meshName: mesh.name,", "", "Property 'meshName' is missing"),
        ("port: 8080,", 'port: "8080",', "Type 'string' is not assignable to type"),
        ("portMapping:", "portMaping:", "'portMaping' does not exist in type"),
        ("AllowAll", "AllowNone", "Property 'AllowNone' does not exist"),
    ],
)
def test_typescript_refuses_what_the_schema_does(
    compile_typescript: list[str | Path], project: Path, right: str, wrong: str, complaint: str
) -> None:
    main = project / "main.ts"
    assert right in main.read_text()
    main.write_text(main.read_text().replace(right, wrong))

    compiled = subprocess.run(compile_typescript, capture_output=True, text=True, check=False)

    assert complaint in compiled.stdout


def test_the_documented_program_is_compiled(
    compile_typescript: list[str | Path], project: Path
) -> None:
    page = (Path(__file__).parents[2] / "docs" / "provider.md").read_text()
    [code] = re.findall(r"^```typescript\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    (project / "main.ts").write_text(code.replace("@meshwright/pulumi", "./sdks/meshwright"))

    compiled = subprocess.run(compile_typescript, capture_output=True, text=True, check=False)

    assert (compiled.stdout, compiled.returncode) == ("", 0)


def test_a_java_program_is_compiled_and_brings_up_all_seven_types(
    cli: Cli, project: Path, meshwright_control_plane: ControlPlane
) -> None:
    jars = required(find_java_packages(), "what the Java program needs")
    shutil.copytree(JAVA_PROGRAM, project, dirs_exist_ok=True)
    sdk = cli.add_package("java", project)
    compile_java([project / "src", sdk / "src"], jars, project / "colors.jar")

    check_life(Project(project, cli, meshwright_control_plane))


def compile_java(sources: list[Path], jars: Path, made: Path) -> None:
    """Compile sources of Maven's layout into a jar that finds what it needs."""
    java = [each for folder in sources for each in folder.rglob("*.java")]
    classes = made.with_suffix("")
    run(["javac", "-proc:none", "-d", classes, "-cp", jars / "*", *java])
    for folder in sources:
        resources = folder / "main" / "resources"
        if resources.is_dir():
            shutil.copytree(resources, classes, dirs_exist_ok=True)
    # A line goes on in the next one after a blank; another blank parts two names.
    needed = "".join(f" \n  {jar.as_uri()}" for jar in sorted(jars.iterdir()))
    manifest = made.with_suffix(".txt")
    manifest.write_text(f"Main-Class: colors.App\nClass-Path:{needed}\n")
    run(["jar", "--create", "--file", made, "--manifest", manifest, "-C", classes, "."])
