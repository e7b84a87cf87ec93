"""Hypothesis strategies for requests, derived from botocore's shapes; and what breaks them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from botocore.model import ListShape, MapShape, Shape, StringShape, StructureShape
from hypothesis import strategies as st

Strategy = st.SearchStrategy[Any]

NAMES = st.sampled_from(["a", "b", "color", "front"])
"""Few, so that resources of one example refer to each other."""

_BY_NAME: dict[str, Strategy] = {
    **dict.fromkeys(
        (
            *("virtualNodeName", "virtualServiceName", "virtualRouterName", "routeName"),
            *("virtualGatewayName", "gatewayRouteName", "virtualNode"),
        ),
        NAMES,
    ),
    # The names in specs mean something to Envoy; most of what is generated should get that far.
    "hostname": st.sampled_from(["a.local", "b.local"]),
    "regex": st.sampled_from(["a+", ".*", "(", "[a-z]"]),
    "httpRetryEvents": st.lists(
        st.sampled_from(["server-error", "gateway-error", "nonsense"]), min_size=1, max_size=3
    ),
    "prefix": st.sampled_from(["/", "/a", "x"]),
}
"""Values for members whose shape says less than their rules."""


def values(shape: Shape, name: str = "", *, by_name: Mapping[str, Strategy] = _BY_NAME) -> Strategy:
    """Values that fit a shape.

    Args:
        shape: The shape.
        name: The member that holds the value.
        by_name: Values for shapes that say less than their rules, by the name of the shape, or of
            the member that is no structure.
    """
    if shape.name in by_name:
        return by_name[shape.name]
    if name in by_name and not isinstance(shape, StructureShape):
        return by_name[name]

    def inner(shape: Shape, name: str = "") -> Strategy:
        return values(shape, name, by_name=by_name)

    match shape:
        case StructureShape() if shape.is_tagged_union:
            return st.one_of(
                [
                    inner(member, each).map(lambda value, each=each: {each: value})
                    for each, member in shape.members.items()
                ]
            )
        case StructureShape():
            members = {each: inner(member, each) for each, member in shape.members.items()}
            required = {each: members.pop(each) for each in shape.required_members}
            return st.fixed_dictionaries(required, optional=members)
        case ListShape():
            low = shape.metadata.get("min", 0)
            high = min(shape.metadata.get("max", 3), max(low, 3))
            return st.lists(inner(shape.member), min_size=low, max_size=high)
        case MapShape():
            return st.dictionaries(inner(shape.key), inner(shape.value), max_size=3)
        case StringShape():
            return st.sampled_from(shape.enum) if shape.enum else texts(shape)
        case _ if shape.type_name == "boolean":
            return st.booleans()
        case _:
            bits = 31 if shape.type_name == "integer" else 63
            low = shape.metadata.get("min", -(2**bits))
            high = shape.metadata.get("max", 2**bits - 1)
            near = st.integers(max(low, 0), min(high, max(low, 0) + 10))
            return near | st.integers(low, high)


def texts(shape: Shape) -> Strategy:
    """Texts within a shape's bounds, of its pattern where it has one."""
    low, high = shape.metadata.get("min", 0), shape.metadata.get("max", 40)
    if "pattern" in shape.metadata:
        pattern = st.from_regex(str(shape.metadata["pattern"]))
        return pattern.filter(lambda text: low <= len(text) <= high)
    characters = st.characters(exclude_categories=["Cs"])
    return st.sampled_from(["x" * max(low, 1)]) | st.text(
        characters, min_size=low, max_size=min(high, max(low, 20))
    )


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
"""Any JSON; most of it fits nowhere."""


@st.composite
def broken(draw: st.DrawFn, whole: Strategy) -> Any:
    """A value with one place in it replaced by any JSON, left out, or beside something foreign."""
    value = draw(whole)
    while True:
        if isinstance(value, dict) and value and draw(st.booleans()):
            return _broken_object(draw, value)
        if isinstance(value, list) and value and draw(st.booleans()):
            position = draw(st.integers(0, len(value) - 1))
            inside = draw(broken(st.just(value[position])))
            return [*value[:position], inside, *value[position + 1 :]]
        return draw(JSON)


def _broken_object(draw: st.DrawFn, value: dict[str, Any]) -> dict[str, Any]:
    name = draw(st.sampled_from(sorted(value)))
    how: Callable[[], dict[str, Any]] = draw(
        st.sampled_from(
            [
                lambda: {each: inside for each, inside in value.items() if each != name},
                lambda: value | {draw(st.text(max_size=8)): draw(JSON)},
                lambda: value | {name: draw(broken(st.just(value[name])))},
            ]
        )
    )
    return how()
