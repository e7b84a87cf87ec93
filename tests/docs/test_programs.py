"""The Pulumi programs on the pages: a page's `python` blocks, as one program, are run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stacks.demo import demo_program
from tests.provider.programs import exported

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_meshwright.control_plane import ControlPlane
    from pytest_meshwright.plugin import MakeStack

ROOT = Path(__file__).parent.parent.parent


def program_of(page: str) -> Callable[[], None]:
    """The program on a page."""
    blocks = re.findall(r"^```python\n(.*?)^```", (ROOT / page).read_text(), re.M | re.S)
    code = compile("\n".join(blocks), page, "exec")
    return lambda: exec(code, {})


def test_the_readme_s_program_watches_over_the_demo(meshwright_pulumi_stack: MakeStack) -> None:
    demo = meshwright_pulumi_stack(demo_program)
    demo.up()

    stack = meshwright_pulumi_stack(program_of("README.md"))

    assert exported(stack.up()) == {"shares": {"color-blue": 0.8, "color-green": 0.2}}


def test_the_provider_s_page_is_a_program_that_works(
    meshwright_pulumi_stack: MakeStack, meshwright_control_plane: ControlPlane
) -> None:
    client: Any = meshwright_control_plane.client()
    client.create_mesh(meshName="shared")
    stack = meshwright_pulumi_stack(program_of("docs/provider.md"))

    assert stack.preview().change_summary == {"create": 5}
    outputs = exported(stack.up())

    assert outputs["shared"].endswith(":mesh/shared")
    assert outputs["proxies"] == 0
    stack.destroy()
