"""What the demo runs on: a lab with the three services, an AWS emulator, a Pulumi stack."""

from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from pytest_meshwright.aws import AwsEmulator, find_localstack_image
from pytest_meshwright.lab import Lab, Service
from pytest_meshwright.processes import ProcessGroup
from pytest_meshwright.pulumi_stack import PulumiStack
from pytest_meshwright.reaper import FoundProcess
from stacks.demo import demo_program

MESH = "demo"
FRONT = "front"
SERVICES = (FRONT, "color-blue", "color-green")
COLOR_URL = f"http://color.{MESH}.local/"
LOG_GROUP = f"/meshwright/{MESH}"


class Stage:
    """Everything that the demo starts; leaving it stops everything."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lab = Lab(folder / "lab")
        self.leftovers: list[FoundProcess] = []
        """After the end: what still ran when everything had been stopped in order."""
        self._aws_group = ProcessGroup()
        self.aws = AwsEmulator(self._aws_group, image=find_localstack_image())
        self._background = ThreadPoolExecutor(max_workers=1, thread_name_prefix="aws")

    @property
    def front(self) -> Service:
        """The service that calls the others."""
        return self.lab.services[FRONT]

    def start(self) -> None:
        """Start all parts side by side; the Envoys then wait for their mesh."""
        emulator = self._background.submit(self.aws.start)
        self.lab.start()
        for name in SERVICES:
            self.lab.add_service(name, mesh=MESH, hostname=f"{name}.{MESH}.local")
        for service in self.lab.services.values():
            service.application.wait_ready()
            service.envoy.wait_admin()
        emulator.result()

    def start_shipping(self) -> Future[None]:
        """Begin in the background to carry the Envoys' access logs to CloudWatch Logs."""

        def ship() -> None:
            # The first call to CloudWatch Logs takes LocalStack seconds; nothing waits for it, as
            # a shipper begins with the first line whenever it is started.
            for service in self.lab.services.values():
                self.lab.ship_logs(service, self.aws, LOG_GROUP)

        return self._background.submit(ship)

    def make_stack(self) -> PulumiStack:
        """The Pulumi stack, with its state in the stage's folder."""
        return PulumiStack(
            demo_program,
            folder=self.folder / "pulumi",
            name="demo",
            config={"meshwright:endpoint": self.lab.control_plane.url, "meshName": MESH},
        )

    def abandon(self) -> None:
        """End everything at once, without regard to what is lost; `stop` then has little to do."""
        with ExitStack() as stack:
            stack.callback(self._aws_group.close)
            stack.callback(self.lab.abandon)

    def stop(self) -> None:
        """Stop everything in order."""
        with ExitStack() as stack:
            stack.callback(self._end_groups)
            stack.callback(self.aws.stop)
            stack.callback(self.lab.stop)
            stack.callback(self._background.shutdown)

    def _end_groups(self) -> None:
        self.leftovers = [*self.lab.leftovers, *self._aws_group.close()]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            self.abandon()
        self.stop()
