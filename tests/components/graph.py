"""The shape of a program's resource graph, from an engine of mocks."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pulumi
from pulumi.runtime import mocks, rpc

if TYPE_CHECKING:
    from collections.abc import Callable, Generator


@dataclass(frozen=True, slots=True)
class Declared:
    """A resource as a program declared it."""

    name: str
    type: str
    parent: str
    inputs: dict[str, Any]
    dependencies: frozenset[str]


class Answers(mocks.Mocks):
    """What an engine would answer: the inputs, and the outputs that every resource has."""

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        """Make any resource."""
        kind = args.typ.rpartition(":")[2]
        return f"{args.name}-id", {**args.inputs, "arn": f"arn:{kind}/{args.name}", "version": 1}

    def call(self, args: mocks.MockCallArgs) -> Any:
        """Functions tell nothing."""
        return {}


class Graph(mocks.MockMonitor):
    """Remembers what a program declares.

    Attributes:
        declared: The resources by URN.
        outputs: What the components registered, by URN.
    """

    def __init__(self) -> None:
        super().__init__(Answers())
        self.declared: dict[str, Declared] = {}
        self.outputs: dict[str, dict[str, Any]] = {}

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802 - the base's name
        """Remember the resource, and let it be made."""
        with event_loop():  # of this thread, one of a pool: the base would leave one open
            response = super().RegisterResource(request)
        if request.type == "pulumi:pulumi:Stack":
            return response  # the program's root, which is nothing that the program declared
        self.declared[response.urn] = Declared(
            name=request.name,
            type=request.type,
            parent=request.parent,
            inputs=rpc.deserialize_properties(request.object),
            dependencies=frozenset(request.dependencies),
        )
        return response

    def Invoke(self, request: Any) -> Any:  # noqa: N802 - the base's name
        """Let the function be answered."""
        with event_loop():
            return super().Invoke(request)

    def RegisterResourceOutputs(self, request: Any) -> Any:  # noqa: N802 - the base's name
        """Remember the outputs."""
        self.outputs[request.urn] = rpc.deserialize_properties(request.outputs)
        return super().RegisterResourceOutputs(request)

    def inputs(self, kind: str, name: str) -> dict[str, Any]:
        """The inputs of the resource with the last part of its type, and its name."""
        return self.declared[self.urn(kind, name)].inputs

    def urn(self, kind: str, name: str) -> str:
        """The URN of the resource with the last part of its type, and its name."""
        return next(
            urn
            for urn, item in self.declared.items()
            if (item.type.rpartition(":")[2], item.name) == (kind, name)
        )


def run(
    program: Callable[[], Any], config: dict[str, str] | None = None, *, preview: bool = False
) -> Graph:
    """Run a program to its end against mocks.

    Args:
        program: Declares resources; what it returns may be an output to wait for.
        config: The stack's settings, in full: `{"project:blueWeight": "80"}`.
        preview: Whether it is run in a preview.
    """
    graph = Graph()
    with event_loop():
        mocks.set_mocks(Answers(), preview=preview, monitor=graph)
        pulumi.runtime.set_all_config(config or {})
        pulumi.runtime.test(program)()
    return graph


@contextmanager
def event_loop() -> Generator[None]:
    """A current event loop, which the SDK's mocks take for granted."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        yield
    finally:
        asyncio.set_event_loop(None)
        loop.close()
