"""The model's operations, by their verbs and kinds."""

from __future__ import annotations

from botocore.model import StructureShape

from meshwright.model.resources import Kind
from meshwright.model.service import load_service_model

MODEL = load_service_model()


def input_shape(operation: str) -> StructureShape:
    """The shape of an operation's parameters; every operation of this model has one."""
    shape = MODEL.operation_model(operation).input_shape
    assert shape is not None
    return shape


def noun(kind: Kind) -> str:
    """A kind as the names of operations have it: `VirtualNode`."""
    return kind[0].upper() + kind[1:]


def split(operation: str) -> tuple[str, Kind | None]:
    """The verb and the kind of an operation; those about tags are verbs without a kind."""
    for verb in ("Create", "Describe", "Update", "Delete", "List"):
        for kind in Kind:
            if operation.removeprefix(verb) in (noun(kind), f"{noun(kind)}s", f"{noun(kind)}es"):
                return verb, kind
    return operation, None
