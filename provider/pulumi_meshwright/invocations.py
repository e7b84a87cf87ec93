"""The provider's functions carried out: what the control plane is asked, and what that becomes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from pulumi_meshwright.api import ApiError
from pulumi_meshwright.check import check_arguments
from pulumi_meshwright.convergence import NotConvergedError, find_reached
from pulumi_meshwright.functions import EXPLAIN_ROUTE, WAIT_FOR_CONVERGENCE, functions
from pulumi_meshwright.resources import MissingError, ResourceError
from pulumi_meshwright.values import plain_map, wrap

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pulumi.provider.experimental.property_value import PropertyValue

    from pulumi_meshwright.convergence import Convergence
    from pulumi_meshwright.functions import Function
    from pulumi_meshwright.model import Kind
    from pulumi_meshwright.resources import Properties, Resources
    from pulumi_meshwright.settings import Settings
    from pulumi_meshwright.values import Plain

NOT_KNOWN_YET: Final[Mapping[str, PropertyValue]] = {}
"""A result that a preview can't know; the engine has none but this way to say it."""

_QUESTION: Final = ("from", "method", "url", "headers")


@dataclass(frozen=True, slots=True)
class Invocations:
    """The functions over one control plane.

    Attributes:
        resources: The control plane's resources.
        convergence: The waiting for its proxies.
        settings: The provider's settings.
        changing: The names of the meshes that this preview changes; empty in an update.
    """

    resources: Resources
    convergence: Convergence
    settings: Settings
    changing: frozenset[str] = frozenset()

    async def call(
        self, token: str, arguments: Mapping[str, PropertyValue], *, preview: bool = False
    ) -> Mapping[str, PropertyValue]:
        """Call a function.

        Args:
            token: The function's token.
            arguments: What it is given.
            preview: Whether a preview calls it.

        Returns:
            Its result, or `NOT_KNOWN_YET`.

        Raises:
            ResourceError: The arguments are wrong, or there is no result; in one line.
        """
        function = functions().get(token)
        if function is None:
            known = ", ".join(each.name for each in functions().values())
            raise ResourceError(f"'{token}' is not a function of Meshwright; they are {known}")
        given = self._parse(function, arguments)
        to_change = preview and given.get("meshName", given.get("name")) in self.changing
        if function.kind is not None:
            try:
                return await self._get(function.kind, given)
            except MissingError:
                if to_change:  # by the time of the update the program may have made it
                    return NOT_KNOWN_YET
                raise
        if to_change:
            return NOT_KNOWN_YET
        try:
            if function.name == EXPLAIN_ROUTE:
                return await self._explain(given)
            assert function.name == WAIT_FOR_CONVERGENCE
            return await self._wait(given, preview=preview)
        except (ApiError, NotConvergedError) as error:
            raise ResourceError(str(error)) from None

    def _parse(
        self, function: Function, arguments: Mapping[str, PropertyValue]
    ) -> dict[str, Plain]:
        """The arguments as plain data.

        Raises:
            ResourceError: Some are wrong; all of them are told.
        """
        failures = check_arguments(function, arguments, region=self.settings.region)
        if failures:
            raise ResourceError("; ".join(f"{each.path} {each.reason}" for each in failures))
        given = plain_map(arguments)
        if self.settings.mesh_owner:
            given.setdefault("meshOwner", self.settings.mesh_owner)
        return given

    async def _get(self, kind: Kind, given: Mapping[str, Plain]) -> Properties:
        names = (*kind.parents, "name", "meshOwner")
        found = await self.resources.describe(
            kind, {name: given[name] for name in names if name in given}
        )
        outputs = {name: value for name, value in found.outputs.items() if name != "tagsAll"}
        return outputs | {"id": wrap(found.resource_id)}

    async def _explain(self, given: Mapping[str, Plain]) -> Properties:
        question = {name: given[name] for name in _QUESTION if name in given}
        path = f"meshes/{quote(_mesh_id(given), safe='')}/explain"
        answer = await self.resources.api.ask_operator(
            path, question, on_wait=self.resources.on_wait
        )
        route: dict[str, Plain] = {"route": answer["route"]} if answer["route"] else {}
        result: dict[str, Plain] = {
            "meshName": given["meshName"],
            "revision": answer["revision"],
            "routed": answer["routed"],
            "targets": [
                {
                    "virtualNode": target["virtual_node"],
                    "share": target["share"],
                    "port": target["port"],
                    "protocol": target["protocol"],
                    "tls": target["tls"],
                }
                for target in answer["targets"]
            ],
            "steps": [
                {name: step[name] for name in ("text", "source") if step[name]}
                for step in answer["steps"]
            ],
        }
        return _wrapped(result | route)

    async def _wait(self, given: Mapping[str, Plain], *, preview: bool) -> Properties:
        mesh, revision, timeout = _mesh_id(given), given.get("revision"), given.get("timeout")
        assert isinstance(revision, int | None)
        assert isinstance(timeout, int | float | None)
        if preview:
            status = await self.convergence.read_status(mesh, timeout)
        else:
            status = await self.convergence.wait(
                mesh, revision, timeout=timeout, alone=True, tell=self.resources.on_wait
            )
        if status is None:
            raise ResourceError(f"there is no mesh '{mesh}' at {self.resources.api.endpoint}")
        result: dict[str, Plain] = {
            "meshName": given["meshName"],
            "revision": find_reached(status),
            "proxies": len(status["proxies"]),
        }
        return _wrapped(result)


def _mesh_id(given: Mapping[str, Plain]) -> str:
    """How the control plane's own requests name a mesh."""
    owner = given.get("meshOwner")
    return f"{given['meshName']}@{owner}" if owner else str(given["meshName"])


def _wrapped(values: Mapping[str, Plain]) -> Properties:
    return {name: wrap(value) for name, value in values.items()}
