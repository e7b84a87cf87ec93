"""The two control planes of `./dev bench xds`, with the same things to ask of both."""

from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self, cast

from benchmarks.conversations import Conversation
from benchmarks.xds_mesh import HOT, MESH, WEIGHTS, Size, build_route_spec, node_ids
from pytest_meshwright.control_plane import ControlPlane
from pytest_meshwright.processes import ProcessGroup
from tools.dev.go_programs import prepare_go_program
from tools.dev.paths import CHECKOUT


class Server(Protocol):
    """A control plane that has the mesh."""

    @property
    def name(self) -> str:
        """What the tables call it."""
        ...

    @property
    def pid(self) -> int:
        """Its process."""
        ...

    @property
    def address(self) -> str:
        """Where it serves ADS."""
        ...

    def change(self, service: str) -> None:
        """Give a service's route its other weights; what follows of that may take longer."""
        ...


class Ours(AbstractContextManager["Ours"]):
    """`meshwright serve`; a change is a request to the App Mesh API.

    Args:
        folder: where its store lies, with the mesh in it.
    """

    name = "meshwright"

    def __init__(self, folder: Path) -> None:
        self._exits = ExitStack()
        group = self._exits.enter_context(ProcessGroup())
        self._server = ControlPlane(folder=folder, group=group).start()
        self._exits.callback(self._server.stop)
        self._client = self._server.client()
        self._changes: dict[str, int] = {}

    @property
    def pid(self) -> int:
        """Its process."""
        return self._server.process.pid

    @property
    def address(self) -> str:
        """Where it serves ADS."""
        return str(self._server.xds)

    def change(self, service: str) -> None:
        """Update the service's route."""
        count = self._changes[service] = self._changes.get(service, 0) + 1
        self._client.update_route(
            meshName=MESH.name,
            virtualRouterName=service,
            routeName="all",
            spec=cast("dict[str, object]", build_route_spec(WEIGHTS[count % 2])),  # pyright: ignore[reportArgumentType]
        )

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._exits.close()


class Peer(AbstractContextManager["Peer"]):
    """go-control-plane's snapshot cache; a change is finished resources in its memory.

    Args:
        size: the mesh's.
        variants: what each node has, as `write_variants` writes it.
        told: whether it is told which nodes a change is for, or sets all of them.
    """

    def __init__(self, size: Size, variants: Path, *, told: bool = True) -> None:
        self.name = "go-control-plane" if told else "go-control-plane, all set"
        self._size = size
        self._told = told
        self._changes: dict[str, int] = {}
        self._program = Conversation([prepare_go_program(CHECKOUT / "benchmarks" / "xds-peer")])
        self.address = str(self._program.read()["address"])
        self._program.ask("load", file=str(variants))

    @property
    def pid(self) -> int:
        """Its process."""
        return self._program.pid

    def change(self, service: str) -> None:
        """Set the snapshots of the nodes that see the service, or of all."""
        count = self._changes[service] = self._changes.get(service, 0) + 1
        changed = 1 if service == HOT else 2
        nodes = node_ids(self._size, rare=service != HOT) if self._told else None
        self._program.ask("set", variant=changed if count % 2 else 0, nodes=nodes)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._program.__exit__(kind, error, trace)
