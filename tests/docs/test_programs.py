"""The Pulumi program on the provider's page: its `python` blocks, as one program, are run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_meshwright.control_plane import ControlPlane
    from pytest_meshwright.plugin import MakeStack

PAGE = Path(__file__).parent.parent.parent / "docs" / "provider.md"


def program_of(page: Path) -> str:
    """The program on a page."""
    return "\n".join(re.findall(r"^```python\n(.*?)^```", page.read_text(), re.M | re.S))


def test_the_provider_s_page_is_a_program_that_works(
    meshwright_pulumi_stack: MakeStack, meshwright_control_plane: ControlPlane
) -> None:
    client: Any = meshwright_control_plane.client()
    client.create_mesh(meshName="shared")
    code = compile(program_of(PAGE), str(PAGE), "exec")
    stack = meshwright_pulumi_stack(lambda: exec(code, {}))  # noqa: S102 - the page is ours

    assert stack.preview().change_summary == {"create": 5}
    outputs = {name: output.value for name, output in stack.up().outputs.items()}

    assert outputs["shared"].endswith(":mesh/shared")
    assert outputs["proxies"] == 0
    stack.destroy()
