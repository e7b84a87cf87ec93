"""A Pulumi provider that makes nothing: the peer of the provider's benchmark.

It accepts any type of the package `nothing`, remembers nothing, and has no resource anywhere. Its
resources have as many outputs as Meshwright's, since the engine keeps them and the SDK awaits them.
What the engine, its state and Pulumi's own part of a Python provider cost is all that it costs.
"""

import sys

from pulumi.provider.experimental import provider as engine
from pulumi.provider.experimental.property_value import PropertyValue
from pulumi.provider.experimental.server import main

PACKAGE = "nothing"
VERSION = "1.0.0"
OUTPUTS = (
    "arn",
    "uid",
    "version",
    "createdDate",
    "lastUpdatedDate",
    "meshOwner",
    "resourceOwner",
)
_FILLER = PropertyValue("x" * 36)  # the length of a UUID


class NothingProvider(engine.Provider):
    """Answers whatever lets the engine go on."""

    async def diff(self, request: engine.DiffRequest) -> engine.DiffResponse:
        """Nothing ever changes."""
        return engine.DiffResponse(
            changes=False,
            replaces=[],
            stables=[],
            delete_before_replace=False,
            diffs=[],
            detailed_diff={},
        )

    async def create(self, request: engine.CreateRequest) -> engine.CreateResponse:
        """The id is the resource's name; the outputs are the inputs and some filler."""
        made_up = dict.fromkeys(OUTPUTS, _FILLER)
        return engine.CreateResponse(request.name, {**request.properties, **made_up})

    async def delete(self, request: engine.DeleteRequest) -> None:
        """There is nothing to delete."""


if __name__ == "__main__":
    main(sys.argv[1:], VERSION, NothingProvider())
