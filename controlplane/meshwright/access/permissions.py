"""What a caller may do: read or write, on which meshes, in which account."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from meshwright.access.errors import AccessError
from meshwright.access.keys import AccessKey
from meshwright.model.resources import MeshKey, is_account_id, parse_resource_key

READING_VERBS = ("Describe", "List")


def is_read(operation: str) -> bool:
    """Whether an operation changes nothing, told by its name's verb."""
    return operation.startswith(READING_VERBS)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who makes a request.

    Attributes:
        account_id: The account that the caller acts for.
        key: The access key that signed it; None where no keys are configured, which permits all.
    """

    account_id: str
    key: AccessKey | None = None

    @property
    def facts(self) -> Mapping[str, str]:
        """What a log line tells of the caller."""
        if self.key is None:
            return {}
        return {"access_key_id": self.key.access_key_id, "account_id": self.account_id}

    def may_see(self, mesh: MeshKey, shared_with: Collection[str]) -> bool:
        """Whether the caller's key is for this mesh.

        Args:
            mesh: The mesh.
            shared_with: The accounts that its owner shares it with.
        """
        if self.key is None:
            return True
        return self.account_id in (mesh.owner, *shared_with) and self._covers(mesh)

    def needs_share(self, mesh: MeshKey) -> bool:
        """Whether the caller may see a mesh only if its owner shares it with their account."""
        return self.key is not None and mesh.owner != self.account_id and self._covers(mesh)

    def might_see(self, mesh: MeshKey) -> bool:
        """Whether it is worth a look whether the caller may see a mesh."""
        # Names that no mesh can have are not looked up.
        may_be_shared = self.needs_share(mesh) and is_account_id(mesh.owner)
        return may_be_shared or self.may_see(mesh, ())

    def _covers(self, mesh: MeshKey) -> bool:
        patterns = self.key.meshes if self.key else ("*",)
        return any(fnmatchcase(mesh.name, pattern) for pattern in patterns)

    def require(self, operation: str, mesh: MeshKey | None, shared_with: Collection[str]) -> None:
        """Check that the caller may carry out an operation.

        Args:
            operation: Its name in the model.
            mesh: The mesh that it is about, as `find_mesh` tells.
            shared_with: The accounts that the mesh is shared with.

        Raises:
            AccessError: AccessDeniedException, the same whether the mesh exists or not.
        """
        if mesh is not None:
            self.require_mesh(operation, mesh, shared_with)
        if not is_read(operation):
            self.require_write(operation)

    def require_write(self, doing: str) -> None:
        """Check that the caller may write at all.

        Raises:
            AccessError: AccessDeniedException.
        """
        if self.key is not None and self.key.access == "read":
            raise self._denied(doing, "has read access only")

    def require_everything(self, doing: str) -> None:
        """Check that the caller may write to every mesh.

        Raises:
            AccessError: AccessDeniedException.
        """
        self.require_write(doing)
        if self.key is not None and "*" not in self.key.meshes:
            raise self._denied(doing, "is not for all meshes")

    def require_mesh(self, doing: str, mesh: MeshKey, shared_with: Collection[str]) -> None:
        """Check that the caller's key is for a mesh.

        Raises:
            AccessError: AccessDeniedException.
        """
        if self.may_see(mesh, shared_with):
            return
        if self.account_id not in (mesh.owner, *shared_with):
            raise self._denied(
                doing,
                f"is for meshes of account {self.account_id} only, and for those that are shared "
                "with it",
            )
        raise self._denied(doing, f"is not for mesh {mesh.name!r}")

    def require_account(self, doing: str, account_id: str) -> None:
        """Check that the caller acts for an account.

        Raises:
            AccessError: AccessDeniedException.
        """
        if self.key is not None and self.account_id != account_id:
            raise self._denied(
                doing, f"acts for account {self.account_id} and not for {account_id}"
            )

    def _denied(self, doing: str, reason: str) -> AccessError:
        key_id = self.key.access_key_id if self.key else ""
        return AccessError(
            "AccessDeniedException",
            f"access key {key_id} is not authorized to perform appmesh:{doing}: it {reason}",
        )


def find_mesh(parameters: Mapping[str, Any], account_id: str) -> MeshKey | None:
    """The mesh that an operation is about; None for one about all, or about no resource at all.

    Args:
        parameters: The operation's parameters, which need not be valid yet.
        account_id: The caller's account, whose meshes need no owner.
    """
    if "resourceArn" in parameters:
        try:
            return parse_resource_key(str(parameters["resourceArn"]), account_id=account_id).mesh
        except ValueError:
            return None  # which the operation refuses
    if "meshName" in parameters:
        owner = parameters.get("meshOwner", account_id)
        return MeshKey(str(owner), str(parameters["meshName"]))
    return None
