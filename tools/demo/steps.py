"""The six steps of the demo, in their order; each says whether what it showed was right."""

import contextlib
import shutil
import sys
import time
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path

from pytest_meshwright.errors import WaitTimeoutError
from pytest_meshwright.lab import Service
from pytest_meshwright.pulumi_stack import PulumiStack
from pytest_meshwright.shares import DEFAULT_FALSE_ALARM, judge_shares
from pytest_meshwright.waiting import wait_until
from tools.demo.measures import (
    LogAccount,
    account_for,
    add_counts,
    find_answered_at,
    find_first_followed,
    render_delay,
    split_evenly,
)
from tools.demo.screen import Screen
from tools.demo.stage import COLOR_URL, LOG_GROUP, MESH, SERVICES, Stage

BLUE, GREEN = SERVICES[1:]

_PARTS = 20
_PROBE_RATE = 200.0
_CONCURRENCY = 8


def start_everything(screen: Screen, stage: Stage) -> None:
    """Step 1: start all processes, and show what runs where."""
    screen.step(1, "a control plane, an AWS emulator, three Envoys, three applications")
    began = time.monotonic()
    with screen.working("starting"):
        stage.start()
    control_plane, dns = stage.lab.control_plane, stage.lab.dns
    screen.table(
        ("what", "where"),
        [
            ("control plane", f"API {control_plane.url}, xDS {control_plane.xds}"),
            ("AWS emulator", f"{stage.aws.kind}, {stage.aws.endpoint}"),
            ("DNS server", f"{dns.address}:{dns.port}"),
        ],
    )
    screen.table(
        ("service", "ingress", "egress", "application", "Envoy's admin page"),
        [
            (
                service.name,
                str(service.ingress),
                str(service.egress),
                str(service.application.endpoint),
                service.envoy.admin.url,
            )
            for service in stage.lab.services.values()
        ],
    )
    screen.say(f"all started in {time.monotonic() - began:.1f} s; the Envoys wait for their mesh")


def create_mesh(screen: Screen, stage: Stage) -> PulumiStack:
    """Step 2: `pulumi up`, until every proxy has what it needs."""
    screen.step(2, "pulumi up: the mesh from stacks/demo.py, 80 % blue and 20 % green")
    shipping = stage.start_shipping()
    with screen.working("pulumi up"):
        stack = stage.make_stack()
        stack.set_config("blueWeight", "80")
        stack.up(on_output=screen.quote)
    with screen.working("waiting for the proxies"):
        stage.lab.wait_ready()
        status = stage.lab.control_plane.wait_acknowledged(MESH, proxies=len(SERVICES))
        shipping.result()
    screen.say(
        f"every proxy has acknowledged revision {status.revision} of mesh {MESH}, "
        f"{len(status.findings)} findings"
    )
    return stack


def send_requests(
    screen: Screen, stage: Stage, requests: int, weights: Mapping[str, float]
) -> bool:
    """Step 3, and the end of step 4: traffic, and whether its shares are what the route says."""
    began = time.monotonic()
    parts = split_evenly(requests, _PARTS)
    tallies = [
        stage.front.call(COLOR_URL, requests=part, concurrency=_CONCURRENCY)
        for part in screen.track("requests", parts)
    ]
    answers = add_counts(tally.answers for tally in tallies)
    failures = add_counts(tally.failures for tally in tallies)
    verdicts = judge_shares(weights, answers)
    screen.table(
        ("target", "wanted", "seen", "requests", "accepted", "verdict"),
        [
            (
                verdict.target,
                f"{verdict.wanted:.1%}",
                f"{verdict.share:.1%}",
                str(verdict.seen),
                f"{verdict.lowest} to {verdict.highest}",
                verdict.ok,
            )
            for verdict in verdicts
        ],
    )
    seconds, failed = time.monotonic() - began, sum(failures.values())
    screen.say(
        f"{requests} requests in {seconds:.1f} s, {failed} failed; "
        f"one run in {1 / DEFAULT_FALSE_ALARM:,.0f} with right shares is called wrong"
    )
    for failure, count in failures.items():
        screen.verdict(f"{count} times: {failure}", ok=False)
    return not failures and all(verdict.ok for verdict in verdicts)


def send_first_requests(screen: Screen, stage: Stage, requests: int) -> bool:
    """Step 3: traffic from front's application through its Envoy."""
    screen.step(3, f"{requests} requests from {stage.front.name} to {COLOR_URL}")
    return send_requests(screen, stage, requests, {BLUE: 80, GREEN: 20})


def change_weights(screen: Screen, stage: Stage, stack: PulumiStack, requests: int) -> bool:
    """Step 4: another `pulumi up` under traffic; how fast it takes effect, and the new shares."""
    screen.step(4, "pulumi up again: 50 % blue and 50 % green, under traffic")
    front, control_plane = stage.front, stage.lab.control_plane
    front.application.start_probe(COLOR_URL, rate=_PROBE_RATE)
    with screen.working("pulumi up"):
        stack.set_config("blueWeight", "50")
        outputs = stack.up(on_output=screen.quote).outputs
    route_version = int(outputs["routeVersion"].value)
    with screen.working("waiting for the proxies"):
        followed = wait_until(
            lambda: find_first_followed(_read_lines(front), route_version),
            what=f"a request that followed version {route_version} of the route",
        )
        status = control_plane.wait_acknowledged(MESH, proxies=len(SERVICES))
    records = front.application.stop_probe()
    answered = wait_until(
        lambda: find_answered_at(control_plane.log_records(), "UpdateRoute"),
        what="the control plane to log the API's answer",
    )
    acknowledged = max(proxy.acknowledged_at or answered for proxy in status.proxies)
    failed = sum(record.status != HTTPStatus.OK for record in records)
    screen.table(
        ("measured from the API's answer to UpdateRoute", "when"),
        [
            ("first request that followed the new weights", render_delay(answered, followed)),
            ("every proxy had acknowledged them", render_delay(answered, acknowledged)),
        ],
    )
    screen.verdict(f"{len(records)} requests during the change, {failed} failed", ok=failed == 0)
    shares_ok = send_requests(screen, stage, requests, {BLUE: 50, GREEN: 50})
    return failed == 0 and shares_ok


def read_logs_back(screen: Screen, stage: Stage) -> bool:
    """Step 5: the access logs in CloudWatch Logs against what the proxies counted."""
    screen.step(5, f"the access logs, read back from CloudWatch Logs ({stage.aws.kind})")
    with screen.working("shipping the last lines"):
        accounts = [
            _account(stage, service, service.count_requests())
            for service in stage.lab.services.values()
        ]
    screen.table(
        ("log stream", "requests served", "lines", "lost", "twice", "verdict"),
        [
            (
                f"{LOG_GROUP}:{account.proxy}",
                str(account.served),
                str(account.lines),
                str(account.lost),
                str(account.twice),
                account.ok,
            )
            for account in accounts
        ],
    )
    return all(account.ok for account in accounts)


def destroy_mesh(screen: Screen, stage: Stage, stack: PulumiStack) -> bool:
    """Step 6: `pulumi destroy`, and what the API says is left."""
    screen.step(6, "pulumi destroy")
    with screen.working("pulumi destroy"):
        stack.destroy(on_output=screen.quote)
    client = stage.lab.control_plane.client()
    meshes = [mesh["meshName"] for mesh in client.list_meshes()["meshes"]]
    client.close()
    screen.verdict(f"meshes that the API lists: {', '.join(meshes) or 'none'}", ok=not meshes)
    return not meshes


def show_how_to_poke(screen: Screen, stage: Stage) -> None:
    """What `--keep` prints: the ways into the running mesh."""
    aws = Path(sys.executable).with_name("aws")
    command = aws if aws.exists() else shutil.which("aws") or "aws"
    screen.say("")
    screen.say("everything runs until Ctrl-C; ways in:", style="bold")
    for service in stage.lab.services.values():
        screen.say(f"{service.name}'s Envoy: {service.envoy.admin.url}")
    screen.say(f"through the mesh:  curl --proxy http://{stage.front.egress} {COLOR_URL}")
    screen.say(
        "the API:  AWS_ACCESS_KEY_ID=meshwright AWS_SECRET_ACCESS_KEY=meshwright "
        f"{command} appmesh list-virtual-nodes --mesh-name {MESH} --region us-east-1 "
        f"--endpoint-url {stage.lab.control_plane.url}"
    )
    screen.say(
        f"the proxies:  curl {stage.lab.control_plane.url}/meshwright/v1/meshes/{MESH}/status"
    )
    screen.say(f"state and logs: {stage.folder}")


def _account(stage: Stage, service: Service, served: int) -> LogAccount:
    shipper = next(shipper for shipper in stage.lab.shippers if shipper.stream.name == service.name)
    # Where lines do not come, the account shows how many.
    with contextlib.suppress(WaitTimeoutError):
        wait_until(lambda: shipper.shipped >= served, what="the last lines of the access log")
    return account_for(service.name, served, shipper.stream.read())


def _read_lines(service: Service) -> list[str]:
    return service.envoy.stdout.read_text().splitlines()
