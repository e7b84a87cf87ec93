"""Set-up: which components a command needs, prepared in order, and what children are told of them.

Every component is made once, in the user's cache folder or in the Docker engine; a second run
finds it there and says nothing.
"""

import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from tools.dev.console import say
from tools.dev.docker_engine import is_switched_off, prepare_engine
from tools.dev.dynamodb_local import prepare_dynamodb_local
from tools.dev.go_programs import prepare_go_programs
from tools.dev.java_packages import prepare_java_packages
from tools.dev.localstack_image import prepare_localstack_image
from tools.dev.network_tools import prepare_network_tools
from tools.dev.npm_packages import prepare_npm_packages
from tools.dev.paths import SCRIPTS, is_ci
from tools.dev.processes import SetupError, ending_on_sigterm
from tools.dev.pulumi_cli import prepare_pulumi


class Component(StrEnum):
    """What can be prepared; the order is the order of preparation."""

    PULUMI = "pulumi"
    DYNAMODB = "dynamodb"
    GO = "go"
    NPM = "npm"
    JAVA = "java"
    DOCKER = "docker"
    IMAGES = "images"
    NETWORK = "network"


EVERYTHING = tuple(Component)

ONLY_FOR_TESTS = frozenset(
    {Component.DYNAMODB, Component.GO, Component.NPM, Component.JAVA, Component.NETWORK}
)
"""What the demo goes without."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Prepared:
    """What set-up found or made.

    Attributes:
        pulumi: the Pulumi CLI's executable.
        dynamodb: the folder of DynamoDB Local, which runs on Java.
        docker: a Docker engine answers.
        localstack_image: the image that AWS is emulated with, if there is an engine.
    """

    pulumi: Path | None = None
    dynamodb: Path | None = None
    docker: bool = False
    localstack_image: str | None = None


def prepare(components: Collection[Component]) -> Prepared:
    """Prepare components; images are prepared only where Docker is.

    Raises:
        SetupError: the Pulumi CLI can't be had; or in CI, where nothing may be missing, anything.
    """
    with ending_on_sigterm():
        pulumi = prepare_pulumi() if Component.PULUMI in components else None
        dynamodb = None
        if Component.DYNAMODB in components:
            skipped = "the tests of the DynamoDB store are skipped"
            dynamodb = _try_for(prepare_dynamodb_local, skipped)
        if Component.GO in components:
            skipped = "the tests with AWS's and Pulumi's Go programs and h2spec are skipped"
            _try(prepare_go_programs, skipped)
        if Component.NPM in components:
            _try_for(prepare_npm_packages, "the tests of the TypeScript SDK are skipped")
        if Component.JAVA in components:
            _try_for(prepare_java_packages, "the tests of the Java SDK are skipped")
        if Component.NETWORK in components:
            _try(prepare_network_tools, "the tests of redirected traffic are skipped")
        docker = False
        image = None
        if {Component.DOCKER, Component.IMAGES} & set(components) and not is_switched_off():
            docker = _try(prepare_engine, "tests that need Docker are skipped, moto stands in")
        if docker and Component.IMAGES in components:
            image = _try_for(prepare_localstack_image, "moto stands in for LocalStack")
    return Prepared(pulumi, dynamodb, docker, image)


def _try_for(step: Callable[[], T], consequence: str) -> T | None:
    """The step's result, or None after a line that says what its failure means."""
    try:
        return step()
    except SetupError as error:
        if is_ci():
            raise
        say(f"{error}: {consequence}")
        return None


def _try(step: Callable[[], None], consequence: str) -> bool:
    def done() -> str:
        step()
        return "done"

    return _try_for(done, consequence) is not None


def build_child_environment(prepared: Prepared, environ: Mapping[str, str]) -> dict[str, str]:
    """The environment of programs that use what was prepared, built upon `environ`.

    PATH leads to the virtual environment (for the provider's plugin) and to the Pulumi CLI.
    """
    folders = [str(SCRIPTS)]
    changes = {
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        # Every plugin that is needed is on PATH; what is not there can't be downloaded silently.
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        "MESHWRIGHT_DYNAMODB_LOCAL": str(prepared.dynamodb or ""),
        "MESHWRIGHT_LOCALSTACK_IMAGE": prepared.localstack_image or "",
    }
    if prepared.pulumi:
        folders.append(str(prepared.pulumi.parent))
        changes["MESHWRIGHT_PULUMI"] = str(prepared.pulumi)
    changes["PATH"] = os.pathsep.join([*folders, environ.get("PATH", os.defpath)])
    return {**environ, **changes}
