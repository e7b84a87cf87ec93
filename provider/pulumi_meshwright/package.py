"""What all generated resources and functions share: arguments, their version, and references.

A resource can be declared with an args object or with keywords; both end in the same properties.
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

import pulumi

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Result = TypeVar("Result")

DISTRIBUTION: Final = "pulumi-meshwright"


@cache
def package_version() -> str:
    """The version of this distribution, hence of the plugin that belongs to it."""
    return version(DISTRIBUTION)


def prepare(
    args_type: type[Any],
    resource_name: str,
    args: Sequence[Any],
    keywords: Mapping[str, Any],
    *,
    required: Sequence[str] = (),
    outputs: Sequence[str] = (),
    secrets: Sequence[str] = (),
    as_json: Sequence[str] = (),
) -> tuple[Any, pulumi.ResourceOptions]:
    """The properties and options of a resource from whatever form its constructor was called in.

    Args:
        args_type: The args class, for instance `RouteArgs`.
        resource_name: For messages.
        args: What was given after the resource's name: an args object and options, or only these.
        keywords: What was given by keyword.
        required: The inputs without which there is no resource (by their names in Python).
        outputs: The outputs that aren't inputs too.
        secrets: The inputs that are secrets.
        as_json: The inputs that are sent as JSON, as a provider's are that aren't strings.

    Raises:
        TypeError: A required input is missing, or an argument is unknown.
    """
    rest, given = list(args), dict(keywords)
    by_args: object = given.pop(
        "args", rest.pop(0) if rest and isinstance(rest[0], args_type) else None
    )
    options: object = given.pop("opts", rest.pop(0) if rest else None)
    if rest or not isinstance(options, pulumi.ResourceOptions | None):
        raise TypeError(f"{resource_name}: give {args_type.__name__} or keywords, then opts")
    inputs: dict[str, Any] = dict(vars(by_args)) if by_args is not None else given
    known = set(_input_names(args_type))
    if unknown := sorted(inputs.keys() - known):
        names = ", ".join(sorted(known))
        raise TypeError(f"{resource_name}: '{unknown[0]}' is not an argument; they are {names}")
    defaults = pulumi.ResourceOptions(version=package_version())
    opts = pulumi.ResourceOptions.merge(defaults, options)
    if not opts.id and not opts.urn:
        missing = [name for name in required if inputs.get(name) is None]
        if missing:
            raise TypeError(f"{resource_name}: '{missing[0]}' is required")
    for name in as_json:
        if inputs.get(name) is not None:
            inputs[name] = pulumi.Output.from_input(inputs[name]).apply(pulumi.runtime.to_json)
    for name in secrets:
        if inputs.get(name) is not None:
            inputs[name] = pulumi.Output.secret(inputs[name])
    properties: Any = object.__new__(args_type)
    # All outputs must be named for the engine's answers to find their place.
    properties.__dict__.update(dict.fromkeys((*known, *outputs)) | inputs)
    return properties, opts


def _input_names(args_type: type[Any]) -> list[str]:
    return [name for name, value in vars(args_type).items() if isinstance(value, property)]


def invoke(
    token: str,
    result_type: type[Result],
    arguments: Mapping[str, Any],
    *,
    required: Mapping[str, str],
    opts: pulumi.InvokeOptions | None,
) -> Result:
    """The result of a function, asked for at once.

    Args:
        token: The function's token.
        result_type: The class of its result.
        arguments: Its arguments by their names in Pulumi; None where it is left out.
        required: The arguments that must be given, with their names in Python.
        opts: Options for how the engine asks.

    Raises:
        TypeError: A required argument is missing.
        RuntimeError: A preview can't know the result yet.
        Exception: The function failed; the text says why.
    """
    _require(token, arguments, required)
    options = pulumi.InvokeOptions.merge(pulumi.InvokeOptions(), opts)
    options.version = options.version or package_version()
    result = pulumi.runtime.invoke(token, arguments, opts=options, typ=result_type).value
    if not _is_known(result):
        name = token.rpartition(":")[2]
        raise RuntimeError(f"{name}: a preview can't know this yet: use the function's output form")
    return result


def invoke_output(
    token: str,
    result_type: type[Result],
    arguments: Mapping[str, Any],
    *,
    required: Mapping[str, str],
    opts: pulumi.InvokeOptions | None,
) -> pulumi.Output[Result]:
    """The result of a function as an output, asked for when its arguments are known.

    Args:
        token: The function's token.
        result_type: The class of its result.
        arguments: Its arguments, or outputs of them.
        required: The arguments that must be given, with their names in Python.
        opts: Options for how the engine asks.

    Raises:
        TypeError: A required argument is missing.
    """
    _require(token, arguments, required)
    options = pulumi.InvokeOutputOptions.merge(pulumi.InvokeOutputOptions(), opts)
    options.version = options.version or package_version()
    found = pulumi.runtime.invoke_output(token, arguments, opts=options, typ=result_type)
    return found.apply(lambda result: result if _is_known(result) else cast("Any", pulumi.UNKNOWN))


def _is_known(result: object) -> bool:
    """Whether a function has answered; that a preview can't know it is told by an empty result."""
    if not pulumi.runtime.is_dry_run():
        return True
    return result is not None and any(value is not None for value in vars(result).values())


def _require(token: str, arguments: Mapping[str, Any], required: Mapping[str, str]) -> None:
    for wire, name in required.items():
        if arguments[wire] is None:
            raise TypeError(f"{token.rpartition(':')[2]}: '{name}' is required")


class References(pulumi.runtime.ResourceModule, pulumi.runtime.ResourcePackage):
    """Turns references to resources, as other plugins pass them, back into objects.

    Args:
        resources: The resource classes by token.
        provider: The provider's class.
    """

    def __init__(
        self,
        resources: Mapping[str, type[pulumi.CustomResource]],
        provider: type[pulumi.ProviderResource],
    ) -> None:
        self._resources = resources
        self._provider = provider

    def version(self) -> Any:
        """Any version: references are plain ids."""
        return None

    def construct(self, name: str, typ: str, urn: str) -> pulumi.Resource:
        """The resource that a URN refers to."""
        return self._resources[typ](name, opts=pulumi.ResourceOptions(urn=urn))  # pyright: ignore[reportCallIssue]

    def construct_provider(self, name: str, typ: str, urn: str) -> pulumi.ProviderResource:
        """The provider that a URN refers to."""
        return self._provider(name, opts=pulumi.ResourceOptions(urn=urn))  # pyright: ignore[reportCallIssue]


def register_references(
    resources: Mapping[str, type[pulumi.CustomResource]], provider: type[pulumi.ProviderResource]
) -> None:
    """Tell the SDK which classes stand for this package's types."""
    references = References(resources, provider)
    pulumi.runtime.register_resource_package("meshwright", references)
    pulumi.runtime.register_resource_module("meshwright", "index", references)
