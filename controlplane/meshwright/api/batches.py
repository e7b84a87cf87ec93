"""Many resources of one mesh at once: planned on the final state, committed as one revision.

documents --> keys and model --> steps on the mesh as it is --> rules on the mesh as it would be
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from meshwright.api.audit import Author
from meshwright.api.decisions import (
    Origin,
    check_tag_keys,
    create_resource,
    find_refusal,
    no_such,
    read_tags,
    require_effective,
    require_parents,
    require_unused,
    require_within_quotas,
    update_resource,
)
from meshwright.api.errors import ApiError
from meshwright.api.ownership import require_admitted, require_ownership
from meshwright.api.parsing import without_nulls
from meshwright.api.validation import find_problems
from meshwright.api.writing import Decision, Writer
from meshwright.graph.graph import Graph
from meshwright.model.documents import CREATION_ORDER, Document, DocumentError, parse_document
from meshwright.model.resources import (
    Kind,
    MeshKey,
    Resource,
    ResourceKey,
    key_from_names,
    mesh_resource_key,
)
from meshwright.model.service import load_service_model
from meshwright.store import Change

Action = Literal["create", "update", "delete"]


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a batch can't be applied.

    Attributes:
        message: What is wrong, beginning with the path of the field.
        document: The position of the document at fault, from 1; None where it is no document's.
        resource: The path of the resource at fault, such as `mesh/demo/virtualNode/front`.
    """

    message: str
    document: int | None = None
    resource: str | None = None


class BatchError(Exception):
    """A batch is refused, for every reason there is at once; nothing was changed."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("; ".join(problem.message for problem in problems))
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class Step:
    """What becomes of one resource: made (no `before`), changed, or deleted (no `after`)."""

    key: ResourceKey
    before: Resource | None
    after: Resource | None

    @property
    def action(self) -> Action:
        """What is done, in a word."""
        if self.before is None:
            return "create"
        return "delete" if self.after is None else "update"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a batch did, or would do.

    Attributes:
        mesh: The mesh.
        revision: Its revision with the batch in it; of a dry run, its revision as it is.
        steps: What changed, in the order of dependency; empty where everything was so already.
        unchanged: How many documents the mesh agreed with.
    """

    mesh: MeshKey
    revision: int
    steps: tuple[Step, ...]
    unchanged: int = 0


class Batches:
    """Applies documents to meshes and deletes meshes, each in one commit.

    Args:
        writer: Carries out what they write.
        author: Who asks; meshes without an owner in their documents are of the author's account.
    """

    def __init__(self, writer: Writer, author: Author) -> None:
        self._writer = writer
        self._author = author
        self._account_id = author.account_id

    def apply(
        self, documents: Sequence[object], *, prune: bool = False, dry_run: bool = False
    ) -> Outcome:
        """Make a mesh hold what documents declare, all of it or nothing.

        Args:
            documents: Parameters of create operations, all of one mesh, in any order.
            prune: Whether to delete what the documents do not hold, the mesh itself excepted.
            dry_run: Whether to leave it at the plan.

        Raises:
            BatchError: Documents, or the mesh that they would make, break rules.
            ApiError: Others write to the mesh faster than it can be planned.
        """
        mesh, declared = self._parse(documents)

        def plan(graph: Graph, now: float) -> tuple[Step, ...]:
            origin = Origin(self._account_id, self._writer.region, now)
            return plan_apply(graph, declared, origin, self._author, prune=prune)

        outcome = self._carry_out("Apply", mesh, plan, dry_run=dry_run)
        changed = sum(step.after is not None for step in outcome.steps)
        return replace(outcome, unchanged=len(declared) - changed)

    def delete(self, mesh: MeshKey, *, recursive: bool = False, dry_run: bool = False) -> Outcome:
        """Delete a mesh, with everything in it if `recursive`.

        Raises:
            BatchError: The mesh is not empty, and `recursive` was not asked for.
            ApiError: There is no such mesh, or others write to it all the time.
        """

        def plan(graph: Graph, _: float) -> tuple[Step, ...]:
            if graph.mesh is None:
                raise no_such(mesh_resource_key(mesh))
            gone = graph.resources if recursive else [graph.mesh.key]
            steps = [Step(key, graph.resources[key], None) for key in gone]
            return _checked(graph, steps, {}, self._author)

        return self._carry_out("DeleteWholeMesh", mesh, plan, dry_run=dry_run)

    def _carry_out(
        self,
        operation: str,
        mesh: MeshKey,
        plan: Callable[[Graph, float], tuple[Step, ...]],
        *,
        dry_run: bool,
    ) -> Outcome:
        def decide(graph: Graph, now: float) -> Decision[tuple[Step, ...]]:
            require_admitted(graph, self._author)
            steps = plan(graph, now)
            self._require_within_quotas(graph, steps)
            return Decision(steps, [] if dry_run else _changes(steps))

        written = self._writer.write(self._author, operation, mesh, decide)
        return Outcome(mesh, written.revision, written.result)

    def _require_within_quotas(self, graph: Graph, steps: Sequence[Step]) -> None:
        final = graph.with_changes(graph.head, _changes(steps))
        quotas, meshes = self._writer.quotas, self._writer.meshes
        for step in steps:
            if step.after is not None:
                require_within_quotas(quotas, graph, final, step.after, meshes)

    def _parse(
        self, documents: Sequence[object]
    ) -> tuple[MeshKey, Mapping[ResourceKey, tuple[int, Mapping[str, Any]]]]:
        """The mesh, and each resource's document by its key: position and parameters."""
        problems: list[Problem] = []
        declared: dict[ResourceKey, tuple[int, Mapping[str, Any]]] = {}
        for position, each in enumerate(documents, start=1):
            try:
                document = parse_document(without_nulls(each))
            except DocumentError as error:
                problems.append(Problem(str(error), position))
                continue
            found = [Problem(message, position) for message in _model_problems(document)]
            try:
                require_effective(document.parameters)
            except ApiError as error:
                found = found or [Problem(error.message, position)]
            problems += found
            if found:
                continue
            key = self._key(document)
            if key in declared:
                problems.append(
                    Problem(f"{key} is declared by document {declared[key][0]} already", position)
                )
            else:
                declared[key] = (position, document.parameters)
        meshes = sorted({key.mesh for key in declared})
        if len(meshes) > 1:
            names = ", ".join(mesh.name for mesh in meshes)
            problems.append(
                Problem(
                    f"meshName: the documents are of several meshes ({names}); apply them one "
                    "mesh at a time, since only one mesh can change as a whole"
                )
            )
        if not documents:
            problems.append(Problem("there is no document"))
        if problems:
            raise BatchError(problems)
        return meshes[0], declared

    def _key(self, document: Document) -> ResourceKey:
        parameters = document.parameters
        mesh = MeshKey(parameters.get("meshOwner", self._account_id), parameters["meshName"])
        return key_from_names(mesh, document.kind, parameters)


def _model_problems(document: Document) -> Iterable[str]:
    name = document.kind.value
    operation = load_service_model().operation_model(f"Create{name[0].upper()}{name[1:]}")
    if operation.input_shape is None:
        return ()
    parameters = dict(document.parameters)
    if document.kind is Kind.MESH:
        parameters.pop("meshOwner", None)  # as an export of another account's mesh has it
    return [str(each) for each in find_problems(operation.input_shape, parameters, "")]


def plan_apply(
    graph: Graph,
    declared: Mapping[ResourceKey, tuple[int, Mapping[str, Any]]],
    origin: Origin,
    author: Author,
    *,
    prune: bool = False,
) -> tuple[Step, ...]:
    """The steps from a mesh as it is to what documents declare, in the order of dependency.

    A document without `tags` leaves a resource's tags as they are. Pruned is what the author's
    account has made, so that those who share a mesh leave each other's resources alone.

    Raises:
        BatchError: The mesh would break rules.
    """
    problems: list[Problem] = []
    steps: list[Step] = []
    for key, (position, parameters) in declared.items():
        before = graph.resources.get(key)
        try:
            after = _declare(key, before, parameters, origin)
        except ApiError as error:
            problems.append(Problem(error.message, position, key.path))
            continue
        if after is not before:
            steps.append(Step(key, before, after))
    if prune:
        steps += [
            Step(key, resource, None)
            for key, resource in graph.resources.items()
            if key not in declared
            and key.kind is not Kind.MESH
            and (resource.resource_owner == author.account_id or not author.is_known)
        ]
    positions = {key: position for key, (position, _) in declared.items()}
    if problems:
        raise BatchError(problems)
    return _checked(graph, steps, positions, author)


def _declare(
    key: ResourceKey, before: Resource | None, parameters: Mapping[str, Any], origin: Origin
) -> Resource:
    if before is None:
        return create_resource(key, parameters, origin)
    after = update_resource(before, parameters.get("spec", {}), origin.now)
    tags = read_tags(parameters)
    if "tags" in parameters and sorted(tags) != sorted(before.tags):
        check_tag_keys([name for name, _ in tags])
        after = replace(after, tags=tags)
    return after


def _checked(
    graph: Graph, steps: Sequence[Step], positions: Mapping[ResourceKey, int], author: Author
) -> tuple[Step, ...]:
    """Steps in the order of dependency, where the mesh after all of them breaks no rule."""
    final = graph.with_changes(graph.head, _changes(steps))
    problems: list[Problem] = []
    ordered = sorted(steps, key=_by_dependency)
    for step in ordered:
        try:
            # A new router is its author's own, and so may its routes be.
            base = final if step.action == "create" else graph
            require_ownership(base, author, step.action, step.key)
            if step.after is None:
                require_unused(final, step.key)
            else:
                require_parents(final, step.key)
                refusal = find_refusal(final, step.after)
                if refusal is not None:
                    raise refusal
        except ApiError as error:
            problems.append(Problem(error.message, positions.get(step.key), step.key.path))
    if problems:
        raise BatchError(problems)
    return tuple(ordered)


def _by_dependency(step: Step) -> tuple[bool, int, ResourceKey]:
    """What is made or changed comes first, what others need before them; deletes the other way."""
    order = CREATION_ORDER.index(step.key.kind)
    return (step.after is None, order if step.after is not None else -order, step.key)


def _changes(steps: Iterable[Step]) -> list[Change]:
    return [Change(step.key, step.after) for step in steps]
