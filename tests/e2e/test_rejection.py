"""A real Envoy rejects a configuration (NACK) that the API can't know to be bad.

The file of its access log is in a folder that is not there: only Envoy, beside it, can see that.
"""

from __future__ import annotations

import copy
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, Final

import httpx
import pytest

from pytest_meshwright.control_plane import ProxyStatus
from pytest_meshwright.envoy import Envoy
from pytest_meshwright.lab import Lab, Service
from pytest_meshwright.waiting import wait_until
from tests.controlplane.access.serving import MESHWRIGHT

BAD_FILE: Final = "/no/such/folder/access.log"
URL: Final = "http://front.local/"
REJECTED: Final = "listener_manager.lds.update_rejected"

pytestmark = pytest.mark.meshwright_allow("rejection", reason="that is what is tested")


class Front:
    """A virtual node that calls itself, with its Envoy."""

    def __init__(self, lab: Lab, *, delta: bool) -> None:
        self.control_plane = lab.control_plane
        self._started = ExitStack()
        self.appmesh: Any = lab.control_plane.client()
        self._started.callback(self.appmesh.close)
        self.appmesh.create_mesh(meshName="demo")
        self.appmesh.create_virtual_node(
            meshName="demo", virtualNodeName="front", spec=self._spec("/dev/stdout")
        )
        for name in ("front", "other"):
            self.appmesh.create_virtual_service(
                meshName="demo",
                virtualServiceName=f"{name}.local",
                spec={"provider": {"virtualNode": {"virtualNodeName": "front"}}},
            )
        self.service: Service = lab.add_service(
            "front", mesh="demo", hostname="front.internal", delta=delta
        ).wait_ready()
        self.lab = lab
        self.control_plane.wait_acknowledged("demo", proxies=1)

    def _spec(self, log: str, *backends: str) -> dict[str, Any]:
        return {
            "listeners": [{"portMapping": {"port": 8080, "protocol": "http"}}],
            "serviceDiscovery": {"dns": {"hostname": "front.internal"}},
            "backends": [
                {"virtualService": {"virtualServiceName": name}}
                for name in ("front.local", *backends)
            ],
            "logging": {"accessLog": {"file": {"path": log}}},
        }

    def update(self, log: str, *backends: str) -> int:
        """Let it log to a file, and call further services; the mesh's revision."""
        answer = self.appmesh.update_virtual_node(
            meshName="demo", virtualNodeName="front", spec=self._spec(log, *backends)
        )
        return int(answer["ResponseMetadata"]["HTTPHeaders"]["x-meshwright-revision"])

    def proxies(self) -> tuple[ProxyStatus, ...]:
        """Its connected proxies."""
        return self.control_plane.status("demo").proxies

    def wait_rejected(self) -> ProxyStatus:
        """Wait until its proxy has rejected something."""
        return wait_until(
            lambda: next((each for each in self.proxies() if each.rejection), None),
            what="the rejection",
            timeout=60,
            seen=self.proxies,
        )

    def start_another(self) -> Envoy:
        """Another Envoy for it, which is like the first but for its admin page.

        Both bind the same ports: Envoy's listeners share them (SO_REUSEPORT).
        """
        bootstrap = copy.deepcopy(self.service.envoy.bootstrap)
        address = bootstrap["admin"]["address"]["socket_address"]
        address["address"] = self.lab.addresses.reserve_service().admin
        another = Envoy("another", bootstrap, folder=self.lab.folder, group=self.lab.group)
        self._started.callback(another.stop)
        return another.start().wait_ready()

    def close(self) -> None:
        """Stop what it has started beside the lab."""
        self._started.close()


@pytest.fixture(params=[True, False], ids=["delta", "state-of-the-world"])
def front(request: pytest.FixtureRequest, meshwright_lab: Lab) -> Iterator[Front]:
    """A node whose proxy has its configuration."""
    front = Front(meshwright_lab, delta=request.param)
    yield front
    front.close()


def count_rejections(envoy: Envoy) -> int:
    """How many updates of listeners an Envoy has rejected, by its own count."""
    return envoy.admin.read_stats(f"^{REJECTED}$")[REJECTED]


def log_files(envoy: Envoy) -> set[str]:
    """The files of access logs in an Envoy's active listeners."""
    dump = envoy.admin.read_config_dump()["configs"]
    listeners = next(part for part in dump if "ListenersConfigDump" in part["@type"])
    active = str([each["active_state"] for each in listeners["dynamic_listeners"]])
    return {path for path in ("/dev/stdout", BAD_FILE) if path in active}


def test_what_an_envoy_rejects_takes_nothing_down_and_is_told_everywhere(front: Front):
    front.service.application.start_probe(URL)

    revision = front.update(BAD_FILE)
    rejection = front.wait_rejected().rejection

    assert rejection is not None
    assert (rejection.type, rejection.revision) == ("Listener", revision)
    assert f"unable to open file '{BAD_FILE}'" in rejection.detail
    (record,) = front.control_plane.log_records("proxy_rejected")
    assert (record.fields["detail"], record.fields["revision"]) == (rejection.detail, revision)
    listener = front.service.addresses.listener
    refused = [f"lds_egress_{listener}_15001", f"lds_ingress_{listener}_8080"]
    assert record.fields["resources"] == refused
    assert f"revision {revision}, Listener {', '.join(refused)}: " in read_status(front)
    assert 'meshwright_rejections_total{type="Listener"} 1.0' in read_metrics(front)
    assert {each.status for each in front.service.application.stop_probe()} == {200}


def test_a_proxy_that_connects_later_gets_the_last_good_configuration(front: Front):
    front.update(BAD_FILE)
    front.wait_rejected()

    another = front.start_another()

    assert log_files(another) == {"/dev/stdout"}
    assert count_rejections(another) == 0


def test_after_a_restart_nobody_is_sent_what_was_rejected(front: Front):
    front.update(BAD_FILE)
    front.wait_rejected()

    front.control_plane.stop()
    front.control_plane.start()
    another = front.start_another()
    wait_until(lambda: len(front.proxies()) == 2, what="both to be connected", timeout=60)

    assert log_files(another) == {"/dev/stdout"}
    assert [count_rejections(each) for each in (front.service.envoy, another)] == [1, 0]
    assert [each.rejection is not None for each in front.proxies()] == [True, True]


def test_what_was_rejected_is_not_sent_again_until_an_edit_mends_it(front: Front):
    front.update(BAD_FILE)
    front.wait_rejected()
    another = front.start_another()

    front.update(BAD_FILE, "other.local")
    front.update("/dev/stdout", "other.local")

    front.control_plane.wait_acknowledged("demo", proxies=2, timeout=60)
    assert [each.rejection for each in front.proxies()] == [None, None]
    assert [count_rejections(each) for each in (front.service.envoy, another)] == [1, 0]
    assert front.service.call("http://other.local/", requests=1).failures == {}


def read_status(front: Front) -> str:
    """What `meshwright status` prints."""
    outcome = subprocess.run(
        [MESHWRIGHT, "status"],
        env={"MESHWRIGHT_ENDPOINT": front.control_plane.url},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return outcome.stdout


def read_metrics(front: Front) -> str:
    """The page of metrics."""
    return httpx.get(f"{front.control_plane.url}/metrics", trust_env=False).text
