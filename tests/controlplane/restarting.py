"""Control planes that are killed and come back on their ports, which nobody may take meanwhile."""

from __future__ import annotations

from pathlib import Path

from pytest_meshwright.addresses import AddressBlock
from pytest_meshwright.control_plane import ControlPlane
from pytest_meshwright.envoy_bootstrap import Endpoint
from pytest_meshwright.processes import ProcessGroup


def restartable(
    folder: Path, group: ProcessGroup, block: AddressBlock, host: int = 3
) -> ControlPlane:
    """A control plane at an address of the block, where no other process gets a port by chance.

    Args:
        folder: Where its state and its log go.
        group: The processes that it ends with.
        block: Addresses that the caller holds.
        host: Which of them, 2 to 9.
    """
    address = block.address(host)
    return ControlPlane(
        folder=folder, group=group, api=Endpoint(address, 4580), xds=Endpoint(address, 18000)
    )
