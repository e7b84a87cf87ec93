"""Tests of running a real Envoy, with a static configuration instead of a control plane."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from pytest_meshwright.addresses import AddressBlock, ServiceAddresses
from pytest_meshwright.applications import Application
from pytest_meshwright.envoy import BINARY_VARIABLE, Envoy, get_envoy_binary
from pytest_meshwright.envoy_bootstrap import Endpoint, ProxySettings, build_bootstrap
from pytest_meshwright.errors import HarnessError, WaitTimeoutError
from pytest_meshwright.processes import ProcessGroup

TYPES = "type.googleapis.com/envoy.extensions"
HTTP_MANAGER = f"{TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager"


def build_static_bootstrap(addresses: ServiceAddresses) -> dict[str, Any]:
    """A bootstrap whose listener forwards to the application and logs a line for each request."""
    log = {
        "name": "stdout",
        "typed_config": {
            "@type": f"{TYPES}.access_loggers.file.v3.FileAccessLog",
            "path": "/dev/stdout",
            "log_format": {"text_format_source": {"inline_string": "%REQ(:PATH)%\n"}},
        },
    }
    manager = {
        "@type": HTTP_MANAGER,
        "stat_prefix": "ingress",
        "access_log": [log],
        "http_filters": [
            {
                "name": "router",
                "typed_config": {"@type": f"{TYPES}.filters.http.router.v3.Router"},
            }
        ],
        "route_config": {
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "application"}}],
                }
            ]
        },
    }
    settings = ProxySettings("mesh/demo/virtualNode/x", "x", addresses, Endpoint("127.0.0.1", 1))
    bootstrap = build_bootstrap(settings)
    del bootstrap["dynamic_resources"]
    bootstrap["static_resources"] = {
        "listeners": [
            {
                "name": "ingress",
                "address": _build_address(addresses.listener),
                "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
            }
        ],
        "clusters": [
            {
                "name": "application",
                "type": "STATIC",
                "load_assignment": {
                    "cluster_name": "application",
                    "endpoints": [
                        {
                            "lb_endpoints": [
                                {"endpoint": {"address": _build_address(addresses.application)}}
                            ]
                        }
                    ],
                },
            }
        ],
    }
    return bootstrap


def _build_address(address: str) -> dict[str, Any]:
    return {"socket_address": {"address": address, "port_value": 8080}}


@pytest.fixture
def addresses(block: AddressBlock) -> ServiceAddresses:
    """The addresses of the one service."""
    return block.reserve_service()


@pytest.fixture
def application(addresses: ServiceAddresses, group: ProcessGroup, folder: Path) -> Application:
    """A running application behind the Envoy."""
    endpoint = Endpoint(addresses.application, 8080)
    return Application("x", endpoint, folder=folder, group=group).start().wait_ready()


@pytest.fixture
def envoy(addresses: ServiceAddresses, group: ProcessGroup, folder: Path) -> Envoy:
    """A running Envoy in front of the application."""
    bootstrap = build_static_bootstrap(addresses)
    return Envoy("x", bootstrap, folder=folder, group=group).start().wait_ready("ingress")


def test_the_named_binary_comes_first(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(BINARY_VARIABLE, "/bin/true")

    assert get_envoy_binary() == Path("/bin/true")


def test_a_named_binary_that_cannot_be_run_is_an_error(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(BINARY_VARIABLE, "/no/envoy")

    with pytest.raises(HarnessError, match="MESHWRIGHT_ENVOY names /no/envoy"):
        get_envoy_binary()


def test_the_wheels_binary_is_found_where_path_has_none(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv(BINARY_VARIABLE, raising=False)
    monkeypatch.setenv("PATH", "/nowhere")

    assert get_envoy_binary().parts[-3:] == ("envoy", "_bin", "envoy")


def test_admin_tells_listeners_clusters_and_stats(
    envoy: Envoy, application: Application, addresses: ServiceAddresses
):
    httpx.get(f"http://{addresses.listener}:8080/")

    assert envoy.admin.read_listeners() == {"ingress": Endpoint(addresses.listener, 8080)}
    assert envoy.admin.read_clusters() == {"application": [application.endpoint]}
    assert envoy.admin.read_stats(r"^http\.ingress\.downstream_rq_total$") == {
        "http.ingress.downstream_rq_total": 1
    }


def test_config_dump_holds_the_node(envoy: Envoy):
    dump = envoy.admin.read_config_dump()

    bootstrap = next(part for part in dump["configs"] if "bootstrap" in part)["bootstrap"]
    assert bootstrap["node"]["metadata"]["meshwright"]["interception"] == "explicit"


def test_stopping_writes_every_line_of_the_access_log(
    envoy: Envoy,
    application: Application,
    addresses: ServiceAddresses,
    group: ProcessGroup,
    folder: Path,
    block: AddressBlock,
):
    del application
    caller = Application("y", Endpoint(block.address(90), 8080), folder=folder, group=group)
    with caller:
        tally = caller.call(f"http://{addresses.listener}:8080/here", requests=500)

    envoy.stop()

    assert tally.answers == {"x": 500}
    assert envoy.stdout.read_text() == "/here\n" * 500


def test_an_envoy_that_refuses_its_configuration_is_told_with_its_own_words(
    addresses: ServiceAddresses, group: ProcessGroup, folder: Path
):
    bootstrap = {**build_static_bootstrap(addresses), "no_such_field": 1}
    envoy = Envoy("x", bootstrap, folder=folder, group=group).start()

    with pytest.raises(HarnessError, match=r"envoy-x ended with code 1[\s\S]*no_such_field"):
        envoy.wait_ready()


def test_a_listener_that_does_not_come_is_named(envoy: Envoy):
    with pytest.raises(WaitTimeoutError, match=r"ready with egress; last seen: LIVE.*ingress"):
        envoy.wait_ready("egress", timeout=0)


def test_a_killed_envoy_stays_dead(envoy: Envoy):
    envoy.kill()

    with pytest.raises(HarnessError, match="ended with code -9"):
        envoy.process.require_running()


@pytest.mark.parametrize("delta", [True, False])
def test_bootstraps_are_accepted_by_envoy(
    delta: bool, addresses: ServiceAddresses, group: ProcessGroup, folder: Path
):
    settings = ProxySettings(
        node_id="mesh/demo/virtualNode/x",
        cluster="x",
        addresses=addresses,
        control_plane=Endpoint("127.0.0.1", 18000),
        dns=Endpoint("127.0.0.1", 5300),
        delta=delta,
    )
    envoy = Envoy("x", build_bootstrap(settings), folder=folder, group=group)

    # Without its control plane it waits for its first configuration.
    assert envoy.start().wait_admin().admin.read_state() == "PRE_INITIALIZING"
