"""App Mesh's resources as native Pulumi resources, against any Meshwright.

Each class has two names: the App Mesh model's, `PortMappingArgs`, and `pulumi_aws.appmesh`'s,
`VirtualNodeSpecListenerPortMappingArgs`; see the module `appmesh`.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from . import appmesh as appmesh
    from .appmesh import *  # noqa: F403 - the generated names are the public ones
    from .appmesh import __all__ as __all__


def __getattr__(name: str) -> object:
    """The SDK, loaded when a program asks for it: the plugin starts without it."""
    sdk = import_module("pulumi_meshwright.appmesh")
    if name == "appmesh":
        return sdk
    try:
        return getattr(sdk, name)
    except AttributeError:
        message = f"module 'pulumi_meshwright' has no attribute '{name}'"
        raise AttributeError(message) from None


def __dir__() -> list[str]:
    """The SDK's names, for whoever explores the module by hand."""
    sdk = import_module("pulumi_meshwright.appmesh")
    return sorted({*globals(), *sdk.__all__, "appmesh"})
