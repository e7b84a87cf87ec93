"""The class names of `pulumi_aws.appmesh`, each for the class of this SDK that stands for it.

AWS's provider names a class after where it is used, `VirtualNodeSpecListenerPortMapping`, the model
after what it is, `PortMapping`. The names follow from the model and the table of spellings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from botocore.model import ListShape, StructureShape

from pulumi_meshwright.aws_spelling import Form, spellings_of
from pulumi_meshwright.model import kinds

if TYPE_CHECKING:
    from botocore.model import Shape


def class_names() -> dict[str, str]:
    """AWS's class names without their `Args`, and this SDK's for the same thing."""
    names: dict[str, str] = {}
    for kind in kinds().values():
        _visit(f"{kind.name}Spec", kind.spec, names)
    return {theirs: ours for theirs, ours in sorted(names.items()) if theirs != ours}


def _visit(name: str, shape: Shape, names: dict[str, str]) -> None:
    if not isinstance(shape, StructureShape):
        return
    names[name] = shape.name
    spelt = {each.member: each for each in spellings_of(shape.name)}
    for member, of in shape.members.items():
        spelling = spelt.get(member)
        if spelling is not None and spelling.form is Form.MAP:
            continue
        theirs = spelling.name if spelling is not None else member
        is_list = isinstance(of, ListShape)
        if is_list or (spelling is not None and spelling.form is Form.LIST_OF_ONE):
            theirs = theirs.removesuffix("s")  # a class is named after one item
        _visit(f"{name}{theirs[0].upper()}{theirs[1:]}", of.member if is_list else of, names)
