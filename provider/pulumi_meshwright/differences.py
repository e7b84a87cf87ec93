"""What would change: the paths at which new inputs mean something else than the state does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from botocore.model import ListShape, StructureShape
from pulumi.provider.experimental.provider import PropertyDiffKind

from pulumi_meshwright.meaning import meaning, same_meaning
from pulumi_meshwright.values import UNKNOWN, Plain, is_known

if TYPE_CHECKING:
    from collections.abc import Mapping

    from botocore.model import Shape

    from pulumi_meshwright.model import Kind

_REPLACING = {
    PropertyDiffKind.ADD: PropertyDiffKind.ADD_REPLACE,
    PropertyDiffKind.DELETE: PropertyDiffKind.DELETE_REPLACE,
    PropertyDiffKind.UPDATE: PropertyDiffKind.UPDATE_REPLACE,
}


@dataclass(frozen=True, slots=True)
class Difference:
    """One path that changes, and whether it is added, deleted or updated."""

    path: str
    kind: PropertyDiffKind

    @property
    def top(self) -> str:
        """The input that it belongs to, for instance `spec`."""
        return self.path.split(".", 1)[0].split("[", 1)[0]


def find_differences(
    kind: Kind,
    old: dict[str, Plain],
    new: dict[str, Plain],
    *,
    default_tags: Mapping[str, str] | None = None,
) -> list[Difference]:
    """The differences between a resource's state and new inputs.

    `old` may hold outputs too; of them only `tagsAll` is compared. An input that says whose mesh is
    meant and is left out means the caller's own, which the state can't contradict.
    """
    differences: list[Difference] = []
    for name in kind.identity:
        if name == "meshOwner" and name not in new:
            continue
        change = _change(old.get(name), new.get(name))
        if change is not None:
            differences.append(Difference(name, _REPLACING[change]))
    differences += _compare(kind.spec, old.get("spec"), new.get("spec"), "spec")
    own = _compare_tags("tags", old.get("tags"), new.get("tags"))
    tags = new.get("tags") or {}
    if isinstance(tags, dict):
        wanted: Plain = {**(default_tags or {}), **tags}
        had = old.get("tagsAll", old.get("tags"))
        told = {difference.path for difference in own}
        own += [
            difference
            for difference in _compare_tags("tagsAll", had, wanted)
            if difference.path.replace("tagsAll", "tags", 1) not in told
        ]
    return differences + own


def _change(old: Plain, new: Plain) -> PropertyDiffKind | None:
    if old == new and new is not UNKNOWN:
        return None
    if old is None:
        return PropertyDiffKind.ADD
    return PropertyDiffKind.DELETE if new is None else PropertyDiffKind.UPDATE


def _compare(shape: Shape, old: Plain, new: Plain, path: str) -> list[Difference]:
    """Descend to the smallest parts that mean something else."""
    if new is not UNKNOWN and same_meaning(shape, old, new):
        return []
    found: list[Difference] = []
    is_object = isinstance(shape, StructureShape) and shape.name != "Duration"
    if is_object and isinstance(old, dict) and isinstance(new, dict):
        said_before, said_after = meaning(shape, old), meaning(shape, new)
        assert isinstance(said_before, dict)
        assert isinstance(said_after, dict)
        for name, member in cast("StructureShape", shape).members.items():
            before, after = said_before.get(name), said_after.get(name)
            if before != after or not is_known(after):
                found += _compare(member, old.get(name), new.get(name), f"{path}.{name}")
    elif isinstance(shape, ListShape) and isinstance(old, list) and isinstance(new, list):
        for index in range(max(len(old), len(new))):
            before = old[index] if index < len(old) else None
            after = new[index] if index < len(new) else None
            if before is not None and after is not None:
                found += _compare(shape.member, before, after, f"{path}[{index}]")
            elif (change := _change(before, after)) is not None:
                found.append(Difference(f"{path}[{index}]", change))
    if found:
        return found
    change = _change(old, new)
    return [] if change is None else [Difference(path, change)]


def _compare_tags(path: str, old: Plain, new: Plain) -> list[Difference]:
    if new is UNKNOWN:
        return [Difference(path, PropertyDiffKind.UPDATE)]
    before, after = (tags if isinstance(tags, dict) else {} for tags in (old, new))
    found: list[Difference] = []
    for key in sorted(before.keys() | after.keys()):
        change = _change(before.get(key), after.get(key))
        if change is not None:
            found.append(Difference(f'{path}["{key}"]', change))
    return found
