"""`ListMeshes` for a caller that may see some meshes only."""

from __future__ import annotations

import json
from typing import Any

from meshwright.access.permissions import Caller
from meshwright.api.operations import Answer, Operations, Parameters
from meshwright.model.resources import MeshKey

_PAGE = 100


def list_visible_meshes(operations: Operations, parameters: Parameters, caller: Caller) -> Answer:
    """A page of the meshes that the caller may see, as full as if there were no others.

    Each further look takes no more than is still missing, so a page that is full ends with a mesh
    that the caller may see, and its `nextToken` tells nothing of another.
    """
    if caller.key is None:
        return operations.call("ListMeshes", parameters)
    missing: int = parameters.get("limit", _PAGE)
    token = parameters.get("nextToken")
    found: list[dict[str, Any]] = []
    while True:
        look: dict[str, Any] = {"limit": missing}
        if token is not None:
            look["nextToken"] = token
        page = json.loads(operations.call("ListMeshes", look).body)
        seen = [
            each
            for each in page["meshes"]
            if caller.may_see(MeshKey(each["meshOwner"], each["meshName"]))
        ]
        found += seen
        missing -= len(seen)
        token = page.get("nextToken")
        if missing == 0 or token is None:
            break
    result: dict[str, Any] = {"meshes": found}
    if token is not None:
        result["nextToken"] = token
    return Answer(json.dumps(result))
