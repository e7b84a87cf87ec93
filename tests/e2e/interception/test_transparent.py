"""Traffic that iptables redirects, as App Mesh's proxy configuration asks, through real Envoys."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
import trustme
import yaml

from pytest_meshwright.redirection import ProxyConfiguration
from tests.e2e.behaviour.servers import LineClient, LineServer, ScriptedServer, ask_once
from tests.e2e.interception.conftest import AS_GROUP, AS_USER, PROXY_ID, Task, World, running_task

pytestmark = pytest.mark.meshwright_namespaces

DNS_HOST, BALANCER, HTTP, TCP, ONE, TWO, OWN = (f"10.99.0.{number}" for number in range(2, 9))
OUTSIDE, ELSEWHERE, IGNORED = "10.99.1.1", "10.99.1.2", "10.99.1.3"
HOSTS = (DNS_HOST, BALANCER, HTTP, TCP, ONE, TWO, OWN, OUTSIDE, ELSEWHERE, IGNORED)

NOWHERE = "10.10.10.10"
"""Where nobody is: that of a virtual service's name, as the user guide advises
(troubleshooting-connectivity.md, "Unable to resolve DNS name for a virtual service")."""

OWN_ADDRESS = "10.10.10.20"
NAMES = {
    "balancer.internal": BALANCER,
    "http.internal": HTTP,
    "tcp.internal": TCP,
    "one.internal": ONE,
    "two.internal": TWO,
    "own.internal": OWN,
}
WEB, DB, MIXED, SHARED, IGNORED_PORT = 8080, 5432, 9100, 9200, 2049

NODES = {
    "web": ("balancer", WEB, "http"),
    "db": ("balancer", DB, "tcp"),
    "http": ("http", MIXED, "http"),
    "tcp": ("tcp", MIXED, "tcp"),
    "one": ("one", SHARED, "tcp"),
    "two": ("two", SHARED, "tcp"),
    "own": ("own", DB, "tcp"),
}
"""Virtual nodes behind a virtual service NAME.local: host, port and protocol."""


def listener(port: int, protocol: str) -> dict[str, Any]:
    return {"portMapping": {"port": port, "protocol": protocol}}


def build_mesh(egress: str) -> str:
    """Front, with a listener of each protocol, calls a service for each of the nodes."""
    names = [f"{name}.local" for name in NODES]
    front = {
        "listeners": [listener(8080, "http"), listener(9000, "tcp")],
        "serviceDiscovery": {"dns": {"hostname": "front.internal"}},
        "backends": [{"virtualService": {"virtualServiceName": name}} for name in names],
    }
    documents: list[dict[str, Any]] = [
        {"spec": {"egressFilter": {"type": egress}}},
        {"virtualNodeName": "front", "spec": front},
    ]
    for name, (host, port, protocol) in NODES.items():
        node = {
            "listeners": [listener(port, protocol)],
            "serviceDiscovery": {"dns": {"hostname": f"{host}.internal"}},
        }
        provider = {"virtualNode": {"virtualNodeName": name}}
        documents += [
            {"virtualNodeName": name, "spec": node},
            {"virtualServiceName": f"{name}.local", "spec": {"provider": provider}},
        ]
    return yaml.safe_dump_all([{"meshName": "demo", **document} for document in documents])


@pytest.fixture(scope="module")
def trust() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """TLS as servers of all names speak it, and as clients that trust them do."""
    authority = trustme.CA()
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    names = ("one.local", "two.local", "outside.example", "s3.us-east-1.amazonaws.com")
    authority.issue_cert(*names).configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    return server, client


@pytest.fixture(scope="module")
def servers(world: World, trust: tuple[ssl.SSLContext, ssl.SSLContext]) -> Iterator[None]:
    """Everything that listens in the world."""
    tls, _ = trust
    with world.namespace.entered(), ExitStack() as stack:
        for server in (
            ScriptedServer("web", BALANCER, WEB),
            LineServer("db", BALANCER, DB, greets=True),
            ScriptedServer("http", HTTP, MIXED),
            LineServer("tcp", TCP, MIXED, greets=True),
            LineServer("one", ONE, SHARED, context=tls),
            LineServer("two", TWO, SHARED, context=tls),
            LineServer("own", OWN, DB),
            ScriptedServer("outside", OUTSIDE, 7777),
            ScriptedServer("outside", OUTSIDE, WEB),
            LineServer("outside", OUTSIDE, 2525, greets=True),
            LineServer("outside", OUTSIDE, 443, context=tls),
            LineServer("outside", ELSEWHERE, WEB, context=tls),
            LineServer("ignored", OUTSIDE, IGNORED_PORT),
            LineServer("ignored", IGNORED, 9999),
        ):
            stack.enter_context(server)
        yield


@pytest.fixture(scope="module")
def tasks(
    world: World, servers: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Task]]:
    """A task in a mesh with open egress, one in a closed one; an application listens in both."""
    del servers
    settings: dict[str, Any] = {
        "app_ports": (8080, 9000),
        "egress_ignored_ports": (IGNORED_PORT,),
        "egress_ignored_ips": (IGNORED, "fd00::1"),
    }
    kinds = {
        "open": ("ALLOW_ALL", ProxyConfiguration(ignored_uid=PROXY_ID, **settings), AS_USER),
        "closed": ("DROP_ALL", ProxyConfiguration(ignored_gid=PROXY_ID, **settings), AS_GROUP),
    }
    with ExitStack() as stack:
        tasks: dict[str, Task] = {}
        for number, (name, (egress, configuration, runner)) in enumerate(kinds.items(), 1):
            task = stack.enter_context(
                running_task(
                    world,
                    tmp_path_factory.mktemp(name),
                    name=name,
                    number=number,
                    mesh=build_mesh(egress),
                    configuration=configuration,
                    runner=runner,
                    service_addresses={"own.local": OWN_ADDRESS},
                )
            )
            with task.namespace.entered():
                for server in (
                    ScriptedServer("application", "127.0.0.1", 8080),
                    LineServer("application", "127.0.0.1", 9000),
                    LineServer("unlisted", task.address, 7070),
                ):
                    stack.enter_context(server)
            tasks[name] = task
        yield tasks


@pytest.fixture(params=["open", "closed"])
def task(tasks: dict[str, Task], request: pytest.FixtureRequest) -> Task:
    """Either of the tasks."""
    return tasks[request.param]


@pytest.fixture
def open_task(tasks: dict[str, Task]) -> Task:
    """The task of the mesh with ALLOW_ALL."""
    return tasks["open"]


@pytest.fixture
def closed_task(tasks: dict[str, Task]) -> Task:
    """The task of the mesh with DROP_ALL."""
    return tasks["closed"]


def service(answer: httpx.Response) -> str:
    return answer.json()["service"]


def test_http_goes_by_its_host_wherever_it_was_sent(task: Task):
    answers = [
        service(task.get(f"http://{NOWHERE}:{port}/", host))
        for port, host in ((WEB, f"web.local:{WEB}"), (80, "web.local"), (MIXED, "http.local:9100"))
    ]

    assert answers == ["web", "web", "http"]


def test_tcp_goes_by_its_port_and_a_server_may_speak_first(task: Task):
    with task.namespace.entered(), LineClient((NOWHERE, DB)) as client:
        assert client.read() == "db"


def test_tcp_and_http_share_a_port(task: Task):
    assert task.ask(NOWHERE, MIXED) == "tcp"
    assert service(task.get(f"http://{NOWHERE}:{MIXED}/", "http.local:9100")) == "http"


def test_where_http_shares_the_port_a_server_speaks_first_after_a_while(task: Task):
    with task.namespace.entered(), LineClient((NOWHERE, MIXED)) as client:
        assert client.read() == "tcp"


@pytest.mark.parametrize("name", ["one", "two"])
def test_tcp_services_on_one_port_are_told_apart_by_the_name_that_tls_asks_for(
    task: Task, trust: tuple[ssl.SSLContext, ssl.SSLContext], name: str
):
    _, client = trust
    assert task.ask(NOWHERE, SHARED, context=client, server_name=f"{name}.local") == name


def test_a_tcp_service_may_have_an_address_of_its_own(task: Task):
    assert task.ask(OWN_ADDRESS, DB) == "own"


def test_what_comes_to_an_application_port_goes_through_the_proxy(world: World, task: Task):
    before = task.count(r"^(http\.ingress\.downstream_rq|tcp\.ingress\.downstream_cx)_total$")
    with world.namespace.entered():
        answer = service(httpx.get(f"http://{task.address}:8080/", trust_env=False))
        line = ask_once((task.address, 9000))

    after = task.count(r"^(http\.ingress\.downstream_rq|tcp\.ingress\.downstream_cx)_total$")
    assert (answer, line, after - before) == ("application", "application", 2)


def test_what_comes_to_another_port_does_not(world: World, task: Task):
    with world.namespace.entered():
        assert ask_once((task.address, 7070)) == "unlisted"


@pytest.mark.parametrize(
    ("address", "port"), [(OUTSIDE, IGNORED_PORT), (IGNORED, 9999)], ids=["port", "address"]
)
def test_an_ignored_destination_is_reached_directly(task: Task, address: str, port: int):
    before = task.count(r"^listener\.0\.0\.0\.0_15001\.downstream_cx_total$")

    assert task.ask(address, port) == "ignored"
    assert task.count(r"^listener\.0\.0\.0\.0_15001\.downstream_cx_total$") == before


@pytest.mark.parametrize("port", [7777, WEB], ids=["a foreign port", "a port of backends"])
def test_open_egress_lets_requests_out(open_task: Task, port: int):
    assert service(open_task.get(f"http://{OUTSIDE}:{port}/", "outside.example")) == "outside"


def test_open_egress_lets_connections_out_at_once(open_task: Task):
    with open_task.namespace.entered(), LineClient((OUTSIDE, 2525)) as client:
        assert client.read() == "outside"


@pytest.mark.parametrize(
    ("address", "port"),
    [(OUTSIDE, 443), (ELSEWHERE, WEB)],
    ids=["a foreign port", "a port of backends"],
)
def test_open_egress_lets_tls_out(
    open_task: Task, trust: tuple[ssl.SSLContext, ssl.SSLContext], address: str, port: int
):
    _, client = trust
    answer = open_task.ask(address, port, context=client, server_name="outside.example")

    assert answer == "outside"


def test_open_egress_does_not_lead_the_proxy_to_itself(open_task: Task):
    with open_task.namespace.entered(), pytest.raises(httpx.TransportError):
        httpx.get("http://127.0.0.1:15001/", trust_env=False)


def test_closed_egress_names_the_backends_to_a_request(closed_task: Task):
    answer = closed_task.get(f"http://{OUTSIDE}:7777/", "outside.example")

    assert answer.status_code == 404
    assert "its backends are: db.local, http.local, one.local" in answer.text


def test_closed_egress_ends_connections(closed_task: Task):
    assert closed_task.ask(OUTSIDE, 2525) == ""


@pytest.mark.parametrize(
    ("name", "answer"),
    [("outside.example", ""), ("s3.us-east-1.amazonaws.com", "outside")],
    ids=["anywhere", "AWS"],
)
def test_closed_egress_lets_tls_out_to_aws_alone(
    closed_task: Task, trust: tuple[ssl.SSLContext, ssl.SSLContext], name: str, answer: str
):
    _, client = trust
    assert closed_task.ask(OUTSIDE, 443, context=client, server_name=name) == answer
