"""Specifications for property tests, drawn from the model: right ones, with every kind of field."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from botocore.model import ListShape, StringShape, StructureShape
from hypothesis import strategies as st

from pulumi_meshwright.model import kinds

if TYPE_CHECKING:
    from botocore.model import Shape

    from pulumi_meshwright.model import Kind

_MOST_ITEMS = 3


def specs(kind: Kind) -> st.SearchStrategy[Any]:
    """Specifications of a resource type that the model allows."""
    return values(kind.spec)


def kinds_and_specs() -> st.SearchStrategy[tuple[Kind, Any]]:
    """A resource type and a specification of it."""
    return st.sampled_from(list(kinds().values())).flatmap(
        lambda kind: st.tuples(st.just(kind), specs(kind))
    )


def values(shape: Shape) -> st.SearchStrategy[Any]:
    """Values that a shape of the model allows."""
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    if isinstance(shape, StructureShape):
        return _structures(shape)
    if isinstance(shape, ListShape):
        longest = min(most or _MOST_ITEMS, _MOST_ITEMS)
        return st.lists(values(shape.member), min_size=least or 0, max_size=longest)
    if isinstance(shape, StringShape):
        if shape.enum:
            return st.sampled_from(shape.enum)
        # All patterns of the model allow letters and digits.
        return st.text("abc123", min_size=least or 1, max_size=min(most or 8, 8))
    if shape.type_name == "boolean":
        return st.booleans()
    return st.integers(least or 0, most or 1000)


def _structures(shape: StructureShape) -> st.SearchStrategy[Any]:
    members = {name: values(member) for name, member in shape.members.items()}
    if shape.is_tagged_union:
        return st.sampled_from(sorted(members)).flatmap(
            lambda name: st.fixed_dictionaries({name: members[name]})
        )
    required = {name: members.pop(name) for name in shape.required_members}
    return st.fixed_dictionaries(required, optional=members)
