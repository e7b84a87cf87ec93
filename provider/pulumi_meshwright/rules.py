"""The control plane's rules for a specification, which say more than the model does.

They are asked for when a program is checked, so that a preview tells what an update would run into.
A preview has to do without where the control plane can't be asked, and says so: the update tells.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pulumi_meshwright.api import Api, ApiError
from pulumi_meshwright.check import Failure
from pulumi_meshwright.redaction import find_secrets, redact
from pulumi_meshwright.values import is_known, plain

if TYPE_CHECKING:
    from collections.abc import Callable

    from pulumi_meshwright.model import Kind
    from pulumi_meshwright.resources import Properties


class Rules:
    """The rules of one control plane.

    Args:
        api: The control plane; None while it is not known yet.
        tell: Told once why it can't be asked, if it can't.
    """

    def __init__(self, api: Api | None, tell: Callable[[str], None] | None = None) -> None:
        self._api = api
        self._tell = tell

    async def find_broken(self, kind: Kind, inputs: Properties) -> list[Failure]:
        """The rules that a resource's specification breaks, as far as that can be told already.

        Args:
            kind: The resource's type.
            inputs: Its inputs, which are right by the model.
        """
        spec = plain(inputs.get("spec"))
        if self._api is None or spec is None or not is_known(spec):
            return []
        question = {"kind": kind.name[0].lower() + kind.name[1:], "spec": spec}
        try:
            answer = await self._api.ask_operator("check", question, patience=0)
        except ApiError as error:
            self._give_up(error)
            return []
        secrets = find_secrets(inputs)
        return [
            Failure(each["field"], redact(each["message"], secrets)) for each in answer["problems"]
        ]

    def _give_up(self, error: ApiError) -> None:
        """Ask no more in this run, since the others would have no answer either."""
        if self._api is not None and self._tell is not None:
            self._tell(f"the control plane's own rules are not checked now: {error}")
        self._api = None
