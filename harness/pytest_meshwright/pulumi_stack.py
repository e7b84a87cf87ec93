"""A Pulumi stack of an inline program, with its state in a local folder."""

import asyncio
import os
import shutil
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from pulumi import automation
from pulumi.runtime import _grpc_settings as grpc_settings

from pytest_meshwright.errors import HarnessError
from pytest_meshwright.processes import ProcessGroup
from pytest_meshwright.waiting import wait_until

PULUMI_VARIABLE = "MESHWRIGHT_PULUMI"

# A process that runs many engines meets a port again that an ended one had. gRPC would share that
# one's dead connection with the new channel, which then fails before it has tried. Pulumi has no
# public place for its channels' options.
CHANNEL_OPTIONS: list[tuple[str, int]] = vars(grpc_settings)["_GRPC_CHANNEL_OPTIONS"]
CHANNEL_OPTIONS.append(("grpc.use_local_subchannel_pool", 1))

OnOutput = Callable[[str], Any]
Result = TypeVar("Result")


def get_pulumi() -> Path:
    """The Pulumi CLI: `MESHWRIGHT_PULUMI`, else the one on PATH.

    Raises:
        HarnessError: there is none, or the variable names a file that cannot be run.
    """
    if named := os.environ.get(PULUMI_VARIABLE):
        if not os.access(named, os.X_OK):
            raise HarnessError(f"{PULUMI_VARIABLE} names {named}, which cannot be run")
        return Path(named)
    if on_path := shutil.which("pulumi"):
        return Path(on_path)
    raise HarnessError(
        f"found no Pulumi CLI: set {PULUMI_VARIABLE}, or install it from "
        "https://www.pulumi.com/docs/install"
    )


class PulumiStack:
    """The real engine over a program of this process.

    The provider plugins are those on PATH, with this Python's scripts in front: in a virtual
    environment that holds a provider's wheel the engine finds it. To import what exists, let the
    program say so (`ResourceOptions(import_=...)`): `pulumi import` wants the CLI's own language
    host, which an inline program does without.
    """

    def __init__(
        self,
        program: Callable[[], None],
        *,
        folder: Path,
        name: str = "test",
        project: str = "meshwright",
        config: Mapping[str, str] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Create the stack, or select it where the folder has it already.

        Args:
            program: declares the resources.
            folder: where the state and Pulumi's own files go.
            name: of the stack.
            project: of the project; a config key without a namespace belongs to it.
            config: the stack's settings, for instance `{"blueWeight": "80"}`.
            environment: variables for the engine, its plugins and the program's host.

        Raises:
            HarnessError: there is no Pulumi CLI.
        """
        state = folder / "state"
        for needed in (state, folder / "work", folder / "cli" / "bin"):
            needed.mkdir(parents=True, exist_ok=True)
        scripts = Path(sys.executable).parent
        variables = {
            "PULUMI_CONFIG_PASSPHRASE": "",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            # A plugin that is missing must be an error, not a download.
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            **(environment or {}),
            "PATH": os.pathsep.join([str(scripts), os.environ.get("PATH", os.defpath)]),
        }
        self._loops: list[asyncio.AbstractEventLoop] = []

        def watched_program() -> None:
            self._loops.append(asyncio.get_running_loop())
            program()

        workspace = automation.LocalWorkspace(
            work_dir=str(folder / "work"),
            pulumi_home=str(folder / "home"),
            program=watched_program,
            env_vars=variables,
            project_settings=automation.ProjectSettings(
                name=project,
                runtime="python",
                backend=automation.ProjectBackend(url=f"file://{state}"),
            ),
            pulumi_command=_build_command(folder / "cli"),
        )
        self._workspace = workspace
        self._variables = variables
        self._stack = self._supervise(lambda: automation.Stack.create_or_select(name, workspace))
        if config:
            # All at once: each time costs a start of the CLI.
            values = {key: automation.ConfigValue(value) for key, value in config.items()}
            self._supervise(lambda: self._stack.set_all_config(values))

    @property
    def stack(self) -> automation.Stack:
        """The Automation API's own object, for what this class does not offer."""
        return self._stack

    def set_config(self, key: str, value: str) -> None:
        """Set one setting of the stack, for instance `blueWeight` or `meshwright:endpoint`."""
        self._supervise(lambda: self._stack.set_config(key, automation.ConfigValue(value)))

    def up(self, on_output: OnOutput | None = None, **options: Any) -> automation.UpResult:
        """Create or update the resources.

        Args:
            on_output: is called with each line that the engine prints.
            options: those of `pulumi.automation.Stack.up`.

        Raises:
            pulumi.automation.CommandError: the engine failed; the text holds what it printed.
        """
        return self._run(self._stack.up, on_output, options)

    def preview(
        self, on_output: OnOutput | None = None, **options: Any
    ) -> automation.PreviewResult:
        """Say what `up` would do; arguments and errors as in `up`."""
        return self._run(self._stack.preview, on_output, options)

    def refresh(
        self, on_output: OnOutput | None = None, **options: Any
    ) -> automation.RefreshResult:
        """Bring the state in line with what is there; arguments and errors as in `up`."""
        return self._run(self._stack.refresh, on_output, options)

    def destroy(
        self, on_output: OnOutput | None = None, **options: Any
    ) -> automation.DestroyResult:
        """Delete the resources; arguments and errors as in `up`."""
        return self._run(self._stack.destroy, on_output, options)

    def _run(
        self, operation: Callable[..., Result], on_output: OnOutput | None, options: dict[str, Any]
    ) -> Result:
        try:
            return self._supervise(lambda: operation(on_output=on_output, color="never", **options))
        finally:
            # An interrupted program ends with the process; there is nobody to wait for it.
            if not isinstance(sys.exc_info()[1], KeyboardInterrupt):
                self._close_loops()

    def _supervise(self, operation: Callable[[], Result]) -> Result:
        """Carry out an operation whose processes end with this one, or when it is interrupted.

        An exception that comes in the middle of the Automation API, as Ctrl-C does, leaves the
        engine running and the threads that read its output in trouble; so it runs in a thread.
        """
        with ProcessGroup() as group, ThreadPoolExecutor(max_workers=1) as pool:
            self._workspace.env_vars = {**self._variables, **group.environment}
            future = pool.submit(operation)
            try:
                return future.result()
            except BaseException:
                group.close()
                raise

    def _close_loops(self) -> None:
        """End what a program left behind in its event loop when its engine gave up.

        The Automation API runs a program in a loop of its own, and leaves that open, with tasks in
        it, where one of the tasks failed.
        """
        while self._loops:
            loop = self._loops.pop()
            wait_until(lambda loop=loop: not loop.is_running(), what="the Pulumi program to end")
            if not loop.is_closed():
                loop.run_until_complete(_cancel_all_others())
                loop.close()


async def _cancel_all_others() -> None:
    """End what is left in the event loop, of which there may be nothing."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _build_command(root: Path) -> automation.PulumiCommand:
    # The Automation API takes a folder that holds bin/pulumi, not an executable.
    link = root / "bin" / "pulumi"
    link.unlink(missing_ok=True)
    link.symlink_to(get_pulumi().resolve())
    return automation.PulumiCommand(root=str(root))
