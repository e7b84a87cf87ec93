"""App Mesh's resources as native Pulumi resources, against any Meshwright."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .generated import *  # noqa: F403 - the generated names are the public ones
    from .generated import __all__ as __all__


def __getattr__(name: str) -> object:
    """The SDK, loaded when a program asks for it: the plugin starts without it."""
    try:
        return getattr(import_module("pulumi_meshwright.generated"), name)
    except AttributeError:
        message = f"module 'pulumi_meshwright' has no attribute '{name}'"
        raise AttributeError(message) from None
