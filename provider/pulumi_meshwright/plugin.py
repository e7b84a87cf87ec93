"""The plugin `pulumi-resource-meshwright`: the provider behind Pulumi's gRPC protocol.

The engine starts it with its own address, reads the port from the first line of its output, and
talks to it until it ends it. It ends by itself when the engine is gone.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import sys
from typing import TYPE_CHECKING, Any, Final, cast

import grpc
import grpc.aio
from pulumi.provider.experimental.property_value import PropertyValue
from pulumi.provider.experimental.server import ProviderServicer
from pulumi.runtime import proto
from pulumi.runtime.proto import engine_pb2_grpc, provider_pb2_grpc, status_pb2

from pulumi_meshwright.package import package_version
from pulumi_meshwright.provider import InvokeRequest, MeshwrightProvider
from pulumi_meshwright.resources import IncompleteError, ResourceError

if TYPE_CHECKING:
    from collections.abc import Sequence

_UNLIMITED = (("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1))
_FAILED_PRECONDITION: Final = 9  # gRPC's number
_SDK: Final[Any] = ProviderServicer  # whose methods' types are known in part only
_PARENT_CHECK = 2.0  # seconds between two looks at whether the engine still lives


def _in_one_line(method: Any) -> Any:
    """A method of the SDK's servicer, sending a `ResourceError` as it is.

    The SDK sends a traceback with every error; for anything else, a defect, that is right. A
    resource that was made although there is an error is sent along, for the engine's state.
    """

    async def wrapper(self: MeshwrightServicer, request: Any, context: Any) -> Any:
        try:
            return await method(self, request, context)
        except NotImplementedError:
            raise
        except Exception as error:
            # The SDK raises an Exception with the traceback in it while it handles the real one.
            cause = error if isinstance(error, ResourceError) else error.__context__
            if not isinstance(cause, ResourceError):
                raise
            message = str(cause)
            if isinstance(cause, IncompleteError):
                details = _render_incomplete(cause)
                context.set_trailing_metadata((("grpc-status-details-bin", details),))
        await context.abort(grpc.StatusCode.FAILED_PRECONDITION, message)
        raise AssertionError("abort raises")

    return wrapper


def _render_incomplete(error: IncompleteError) -> bytes:
    """The details of an error by which the engine keeps a resource, to be seen to the next time."""
    failed = proto.ErrorResourceInitFailed(
        id=error.found.resource_id,
        properties=PropertyValue.marshal_map(error.found.outputs),
        inputs=PropertyValue.marshal_map(error.found.inputs),
        reasons=[str(error)],
    )
    status = status_pb2.Status(code=_FAILED_PRECONDITION, message=str(error))
    status.details.add().Pack(failed)
    return status.SerializeToString()


class MeshwrightServicer(ProviderServicer):
    """The SDK's servicer, with errors for the user in one line."""

    async def DiffConfig(self, request: Any, context: Any) -> proto.DiffResponse:  # noqa: N802
        """Another endpoint or key is the same mesh reached otherwise: never a replacement.

        (The SDK's own answer can't be encoded when it holds a change.)
        """
        changed = request.olds != request.news
        kind = proto.DiffResponse.DIFF_SOME if changed else proto.DiffResponse.DIFF_NONE
        return proto.DiffResponse(changes=kind)

    @_in_one_line
    async def Invoke(self, request: Any, context: Any) -> proto.InvokeResponse:  # noqa: N802
        """As the SDK's, but the provider is told whether a preview asks."""
        arguments = PropertyValue.unmarshal_map(request.args)
        asked = InvokeRequest(request.tok, arguments, preview=request.preview)
        answer = await self._provider.invoke(asked)
        result: Any = {"return": PropertyValue.marshal_map(answer.return_value or {})}
        return proto.InvokeResponse(**result)

    @_in_one_line
    async def Read(self, request: Any, context: Any) -> proto.ReadResponse:  # noqa: N802
        """As the SDK's, but of what is not there no properties, where the SDK's are empty ones.

        By their lack the engine knows, in an import, that there is nothing.
        """
        found: proto.ReadResponse = await _SDK.Read(self, request, context)
        return found if found.id else proto.ReadResponse()

    Configure = _in_one_line(_SDK.Configure)
    Check = _in_one_line(_SDK.Check)
    Diff = _in_one_line(_SDK.Diff)
    Create = _in_one_line(_SDK.Create)
    Update = _in_one_line(_SDK.Update)
    Delete = _in_one_line(_SDK.Delete)


class _Notices:
    """Messages to the engine, which shows them beside the resource that they are about."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        # The stub is made for both kinds of channel; its types know only the blocking one.
        self._log: Any = cast("Any", engine_pb2_grpc.EngineStub(channel)).Log
        self._sending: set[asyncio.Task[None]] = set()

    def __call__(self, urn: str, message: str) -> None:
        task = asyncio.ensure_future(self._send(urn, message))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _send(self, urn: str, message: str) -> None:
        severity = proto.LogSeverity.WARNING
        request = proto.LogRequest(severity=severity, message=message, urn=urn)
        # An engine that doesn't listen any more needs no notice.
        with contextlib.suppress(grpc.aio.AioRpcError):
            await self._log(request)


async def serve(engine_address: str) -> None:
    """Serve one engine until it is gone or ends this process.

    Args:
        engine_address: HOST:PORT of the engine, as it passed it.
    """
    parent, stopping = os.getppid(), asyncio.Event()
    for ending in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(ending, stopping.set)
    number = package_version()
    engine = grpc.aio.insecure_channel(engine_address, options=_UNLIMITED)
    provider = MeshwrightProvider(number, notify=_Notices(engine))
    servicer = MeshwrightServicer([], number, provider, engine_address=engine_address)
    server = grpc.aio.server(options=_UNLIMITED)  # pyright: ignore[reportUnknownMemberType]
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(port, flush=True)  # noqa: T201 - the engine reads the port from here
    await _until_stopped(stopping, parent)
    await provider.cancel()
    await server.stop(grace=None)
    await engine.close(grace=None)


async def _until_stopped(stopping: asyncio.Event, parent: int) -> None:
    """Wait for a signal, or for the engine's end: an orphan is adopted by another process."""
    while os.getppid() == parent:
        try:
            await asyncio.wait_for(stopping.wait(), _PARENT_CHECK)
        except TimeoutError:
            continue
        return


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the plugin; the console script `pulumi-resource-meshwright`."""
    parser = argparse.ArgumentParser(
        prog="pulumi-resource-meshwright",
        description="Meshwright's Pulumi plugin. The Pulumi engine starts it: run `pulumi up`.",
    )
    parser.add_argument("engine", help="the address of the Pulumi engine, HOST:PORT")
    parser.add_argument("--version", action="version", version=package_version())
    known, _ = parser.parse_known_args(arguments)  # the engine adds flags about its own logs
    asyncio.run(serve(known.engine))


if __name__ == "__main__":
    main(sys.argv[1:])
