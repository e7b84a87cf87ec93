"""Stacks of programs against a control plane of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.provider.event_loops import EventLoops
from tests.provider.programs import Colors

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from pytest_meshwright.plugin import MakeStack
    from pytest_meshwright.pulumi_stack import PulumiStack


@pytest.fixture
def make_stack(
    meshwright_pulumi_stack: MakeStack,
) -> Generator[Callable[[Callable[[], None]], PulumiStack]]:
    """Makes a stack of a program; what an engine that fails leaves behind is cleared up."""
    loops = EventLoops()
    yield lambda program: meshwright_pulumi_stack(loops.watch(program))
    loops.close()


@pytest.fixture
def colors() -> Colors:
    """The program's knobs; see `Colors`."""
    return Colors()


@pytest.fixture
def stack(colors: Colors, make_stack: Callable[[Callable[[], None]], PulumiStack]) -> PulumiStack:
    """A stack of `colors` against the test's control plane."""
    return make_stack(colors)
