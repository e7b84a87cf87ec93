"""Quotas as clients meet them: LimitExceededException, for one request and for a batch."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from meshwright.operator.client import Connection, RefusedError
from pytest_meshwright.control_plane import ControlPlane
from pytest_meshwright.processes import ProcessGroup
from tests.controlplane.conftest import Refused


@pytest.fixture
def narrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ControlPlane]:
    """A control plane where a mesh has at most one virtual service."""
    file = tmp_path / "quotas.yaml"
    file.write_text(json.dumps({"virtual_services_per_mesh": 1}))
    monkeypatch.setenv("MESHWRIGHT_QUOTAS", str(file))
    with ProcessGroup() as group, ControlPlane(folder=tmp_path, group=group) as control_plane:
        yield control_plane


def test_one_more_than_allowed_is_refused_alone_and_in_a_batch(
    narrow: ControlPlane, refused: Refused
):
    client: Any = narrow.client()
    client.create_mesh(meshName="demo")
    client.create_virtual_service(meshName="demo", virtualServiceName="a", spec={})
    message = (
        "virtual_services_per_mesh: the virtual services of mesh 'demo' would be 2, and at most 1 "
        "are allowed; raise virtual_services_per_mesh in the file that meshwright serve --quotas "
        "names"
    )

    error = refused(client.create_virtual_service, meshName="demo", virtualServiceName="b", spec={})
    with pytest.raises(RefusedError) as batch:
        Connection(narrow.url).apply(
            [{"meshName": "demo", "virtualServiceName": "b", "spec": {}}],
            prune=False,
            dry_run=False,
        )

    assert error == (400, "LimitExceededException", message)
    assert (batch.value.code, str(batch.value)) == ("LimitExceededException", message)
