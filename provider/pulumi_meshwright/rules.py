"""The control plane's rules for a specification, which say more than the model does.

They are asked for when a program is checked, so that a preview tells what an update would run into:
about what of a specification is known and right by the model. A preview has to do without where the
control plane can't be asked, and says so: the update tells.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from botocore.model import ListShape, StructureShape

from pulumi_meshwright.api import Api, ApiError
from pulumi_meshwright.check import Failure
from pulumi_meshwright.redaction import find_secrets, redact
from pulumi_meshwright.values import UNKNOWN, Plain, plain

if TYPE_CHECKING:
    from collections.abc import Callable

    from botocore.model import Shape

    from pulumi_meshwright.model import Kind
    from pulumi_meshwright.resources import Properties


@dataclass(slots=True)
class Remainder:
    """What is left of a specification without what is wrong by the model or not known yet.

    Attributes:
        wrong: The paths that are wrong.
        left_out: The paths of the parts that were left out.
    """

    wrong: frozenset[str]
    left_out: set[str] = field(default_factory=set[str])

    def take(self, shape: Shape, value: Plain, path: str) -> Plain:
        """What is left of a value, which is right by the model; None where nothing can be."""
        left = None if path in self.wrong else self._take(shape, value, path)
        if left is None:
            self.left_out.add(path)
        return left

    def explains(self, path: str) -> bool:
        """Whether a broken rule at a path may be so for the lack of what was left out."""
        return any(
            path == each or path.startswith((f"{each}.", f"{each}[")) or path == _parent(each)
            for each in self.left_out
        )

    def _take(self, shape: Shape, value: Plain, path: str) -> Plain:
        if isinstance(shape, StructureShape) and isinstance(value, dict):
            kept: dict[str, Plain] = {}
            for name, member in value.items():
                at = f"{path}.{name}"
                if name not in shape.members:
                    self.left_out.add(at)
                elif (left := self.take(shape.members[name], member, at)) is not None:
                    kept[name] = left
            lacking = any(name not in kept for name in shape.required_members)
            return None if lacking or (shape.is_tagged_union and not kept) else kept
        if isinstance(shape, ListShape) and isinstance(value, list):
            items = [
                self.take(shape.member, item, f"{path}[{at}]") for at, item in enumerate(value)
            ]
            return None if None in items else items
        return None if value is UNKNOWN else value


def _parent(path: str) -> str:
    return re.sub(r"(\.\w+|\[\d+\])$", "", path)


class Rules:
    """The rules of one control plane.

    Args:
        api: The control plane; None while it is not known yet.
        tell: Told once why it can't be asked, if it can't.
    """

    def __init__(self, api: Api | None, tell: Callable[[str], None] | None = None) -> None:
        self._api = api
        self._tell = tell

    async def find_broken(
        self, kind: Kind, inputs: Properties, wrong: list[Failure]
    ) -> list[Failure]:
        """The rules that a resource's specification breaks, as far as that can be told already.

        Args:
            kind: The resource's type.
            inputs: Its inputs.
            wrong: What is wrong with them by the model.
        """
        remainder = Remainder(frozenset(each.path for each in wrong))
        spec = remainder.take(kind.spec, plain(inputs.get("spec")), "spec")
        if self._api is None or spec is None:
            return []
        question = {"kind": kind.name[0].lower() + kind.name[1:], "spec": spec}
        try:
            answer = await self._api.ask_operator("check", question, patience=0)
        except ApiError as error:
            self._give_up(error)
            return []
        secrets = find_secrets(inputs)
        return [
            Failure(each["field"], redact(each["message"], secrets))
            for each in answer["problems"]
            if not remainder.explains(each["field"])
        ]

    def _give_up(self, error: ApiError) -> None:
        """Ask no more in this run, since the others would have no answer either."""
        if self._api is not None and self._tell is not None:
            self._tell(f"the control plane's own rules are not checked now: {error}")
        self._api = None
