"""The two control planes of `./dev bench xds`, with the same things to ask of both."""

from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self, cast

import trustme

from benchmarks.conversations import Conversation
from benchmarks.xds_mesh import HOT, MESH, WEIGHTS, Size, build_route_spec, node_ids
from meshwright.operator.client import Connection
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

    @property
    def token(self) -> str:
        """What proxies have to show; empty for nothing."""
        ...

    def change(self, service: str) -> None:
        """Give a service's route its other weights; what follows of that may take longer."""
        ...


@dataclass(frozen=True, slots=True)
class Certificate:
    """What a server shows for `localhost` over TLS.

    Attributes:
        chain: the certificate, as PEM.
        key: its key.
        authority: who has signed it.
    """

    chain: Path
    key: Path
    authority: Path

    @classmethod
    def issue(cls, folder: Path) -> "Certificate":
        """A new one, whose files lie in a folder."""
        authority = trustme.CA(key_type=trustme.KeyType.ECDSA)
        issued = authority.issue_cert("localhost", key_type=trustme.KeyType.ECDSA)
        certificate = cls(folder / "chain.pem", folder / "key.pem", folder / "ca.pem")
        issued.cert_chain_pems[0].write_to_path(str(certificate.chain))
        issued.private_key_pem.write_to_path(str(certificate.key))
        authority.cert_pem.write_to_path(str(certificate.authority))
        return certificate


class Ours(AbstractContextManager["Ours"]):
    """`meshwright serve`; a change is a request to the App Mesh API.

    Args:
        folder: where its store lies, with the mesh in it.
        certificate: what it shows over TLS, where it then asks for a token; without, it asks for
            nothing.
    """

    name = "meshwright"

    def __init__(self, folder: Path, certificate: Certificate | None = None) -> None:
        self._exits = ExitStack()
        group = self._exits.enter_context(ProcessGroup())
        environment: dict[str, str] = {}
        if certificate is not None:
            environment["MESHWRIGHT_XDS_TLS_CERTIFICATE"] = str(certificate.chain)
            environment["MESHWRIGHT_XDS_TLS_KEY"] = str(certificate.key)
        self._server = ControlPlane(folder=folder, group=group, environment=environment).start()
        self._exits.callback(self._server.stop)
        self.token = ""
        if certificate is not None:
            scope = f"mesh/{MESH.name}"
            self.token = Connection(self._server.url).issue_token(scope, seconds=None)["token"]
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
        certificate: what it shows over TLS.
    """

    token = ""

    def __init__(
        self,
        size: Size,
        variants: Path,
        *,
        told: bool = True,
        certificate: Certificate | None = None,
    ) -> None:
        self.name = "go-control-plane" if told else "go-control-plane, all set"
        self._size = size
        self._told = told
        self._changes: dict[str, int] = {}
        flags: list[str | Path] = []
        if certificate is not None:
            flags = ["--certificate", certificate.chain, "--key", certificate.key]
        program = prepare_go_program(CHECKOUT / "benchmarks" / "xds-peer")
        self._program = Conversation([program, *flags])
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
