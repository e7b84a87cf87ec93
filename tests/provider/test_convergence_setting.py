"""The setting `waitForConvergence`, with proxies that lag behind or reject, on the real engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

import pytest
from pulumi import automation

from tests.provider.programs import (
    MISSING,
    Late,
    changes,
    declare_backend,
    initialization_errors,
)

if TYPE_CHECKING:
    from pytest_meshwright.pulumi_stack import PulumiStack
    from tests.controlplane.presence.reconnecting import ReconnectingProxy

MakeStack: TypeAlias = "Callable[[Callable[[], object]], PulumiStack]"


@pytest.fixture
def stack(make_stack: MakeStack, mesh_with_front: None) -> PulumiStack:
    """A stack that adds a cluster to the proxies of `front`, and waits for them."""
    made = make_stack(declare_backend)
    made.set_config("meshwright:waitForConvergence", "true")
    return made


def test_an_update_ends_when_a_late_proxy_has_acknowledged(
    stack: PulumiStack, proxy: ReconnectingProxy
) -> None:
    late = Late(proxy)

    assert changes(stack.up(on_output=late)) == {"create": 3}

    assert late.missed


def test_a_silent_proxy_fails_the_update_and_the_resource_stays_in_the_state(
    stack: PulumiStack, proxy: ReconnectingProxy
) -> None:
    stack.set_config("meshwright:convergenceTimeout", "1")
    proxy.mood = "hold"
    with pytest.raises(automation.CommandError) as caught:
        stack.up()

    told = "VirtualService 'demo/back.local' is at the control plane, but mesh 'demo': after 1 s"
    assert told in str(caught.value)
    [kept] = initialization_errors(stack).items()
    assert kept[0] == "back.local"
    assert MISSING in kept[1][0]

    # The next update looks at it again, and then it is as it shall be.
    proxy.acknowledge_now()
    assert changes(stack.up()) == {"update": 1}
    assert initialization_errors(stack) == {}
    assert stack.preview().change_summary == {"same": 3}


@pytest.mark.meshwright_allow("rejection", reason="the proxy is told to reject")
def test_a_proxy_that_rejects_fails_the_update_with_its_reason(
    stack: PulumiStack, proxy: ReconnectingProxy
) -> None:
    proxy.mood = "refuse once"
    with pytest.raises(automation.CommandError) as caught:
        stack.up()

    [(name, [told])] = initialization_errors(stack).items()
    assert told in str(caught.value)
    assert name == "back.local"
    assert "mesh 'demo': rejected by virtualNode/front (" in told
    assert told.endswith("): no such thing")
