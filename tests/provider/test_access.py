"""Settings through the real engine: a control plane with TLS and keys, as whom and how it is asked.

What a stack is told stands in its configuration, in the environment or in a `Provider` of the
program; each way is used here against a server that refuses everybody else.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pulumi
import pytest
import trustme
from pulumi import automation

import pulumi_meshwright as meshwright
from pytest_meshwright.pulumi_stack import PulumiStack
from pytest_meshwright.waiting import wait_until
from tests.controlplane.access.accounts import GUEST, OWNER, SECRETS, run, write_keys
from tests.controlplane.access.serving import Server, serving
from tests.controlplane.presence.reconnecting import ReconnectingProxy
from tests.provider.programs import changes, errors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

AUTHORITY = trustme.CA()
REGION = "eu-central-1"


@dataclass(frozen=True, slots=True)
class Secured:
    """A control plane with TLS and keys, and the files that its users have."""

    server: Server
    authorities: Path
    credentials: Path

    @property
    def url(self) -> str:
        """Its endpoint."""
        return self.server.url("https")

    def run(self, *arguments: str, key: str = "OWNER") -> str:
        """Run a command of the operator's; what it printed."""
        return run(
            self.server,
            *arguments,
            key=key,
            MESHWRIGHT_ENDPOINT=self.url,
            MESHWRIGHT_CA_BUNDLE=str(self.authorities),
        )

    def client(self, key: str = "OWNER") -> Any:
        """A boto3 client with the key of an account."""
        return self.server.client(
            key, SECRETS[key], endpoint_url=self.url, verify=str(self.authorities)
        )


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    """The control plane, and a profile of AWS's files for each key."""
    folder = tmp_path_factory.mktemp("secured")
    issued = AUTHORITY.issue_cert("127.0.0.1")
    issued.private_key_pem.write_to_path(folder / "tls.key")
    issued.cert_chain_pems[0].write_to_path(folder / "tls.pem")
    AUTHORITY.cert_pem.write_to_path(folder / "ca.pem")
    profiles = folder / "credentials"
    profiles.write_text(
        "\n".join(
            f"[{key.lower()}]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n"
            for key, secret in SECRETS.items()
        )
    )
    flags = ("--tls-certificate", folder / "tls.pem", "--tls-key", folder / "tls.key")
    keys = ("--account-id", OWNER, "--region", REGION, "--access-keys", write_keys(folder))
    with serving(folder, *flags, *keys) as server:
        yield Secured(server, folder / "ca.pem", profiles)


@dataclass
class Stacks:
    """Makes stacks that know nothing but what a test tells them."""

    folder: Path
    made: int = 0

    def __call__(
        self, program: Callable[[], None], config: dict[str, str], environment: dict[str, str]
    ) -> PulumiStack:
        """A stack with a configuration, and an engine with variables."""
        self.made += 1
        return PulumiStack(
            program,
            folder=self.folder / f"stack-{self.made}",
            config={f"meshwright:{name}": value for name, value in config.items()},
            environment={"HOME": str(self.folder), "AWS_EC2_METADATA_DISABLED": "true"}
            | environment,
        )


@pytest.fixture
def stacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stacks:
    """Makes stacks; nothing that this machine's user has set reaches them."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    return Stacks(tmp_path)


def one_mesh(name: str) -> Callable[[], None]:
    """A program with a mesh, which tells whose it is and where."""

    def program() -> None:
        mesh = meshwright.Mesh(name, region=REGION)
        pulumi.export("owner", mesh.mesh_owner)

    return program


def expand(texts: dict[str, str], secured: Secured) -> dict[str, str]:
    """Values with what is known only once the server runs."""
    known = {"URL": secured.url, "CA": secured.authorities, "PROFILES": secured.credentials}
    return {name: text.format(**known) for name, text in texts.items()}


@pytest.mark.parametrize(
    ("config", "environment", "account"),
    [
        pytest.param(
            {
                "endpoint": "{URL}",
                "region": REGION,
                "customCaBundle": "{CA}",
                "accessKey": "GUEST",
                "secretKey": SECRETS["GUEST"],
            },
            {},
            GUEST,
            id="configuration",
        ),
        pytest.param(
            {},
            {
                "MESHWRIGHT_ENDPOINT": "{URL}",
                "MESHWRIGHT_REGION": REGION,
                "MESHWRIGHT_CA_BUNDLE": "{CA}",
                "MESHWRIGHT_ACCESS_KEY_ID": "GUEST",
                "MESHWRIGHT_SECRET_ACCESS_KEY": SECRETS["GUEST"],
            },
            GUEST,
            id="our-variables",
        ),
        pytest.param(
            {"endpoint": "{URL}"},
            {
                "AWS_REGION": REGION,
                "AWS_CA_BUNDLE": "{CA}",
                "AWS_ACCESS_KEY_ID": "OWNER",
                "AWS_SECRET_ACCESS_KEY": SECRETS["OWNER"],
                "AWS_SESSION_TOKEN": "lent",
            },
            OWNER,
            id="aws-variables",
        ),
        pytest.param(
            {"endpoint": "{URL}", "profile": "guest", "customCaBundle": "{CA}"},
            {"AWS_DEFAULT_REGION": REGION, "AWS_SHARED_CREDENTIALS_FILE": "{PROFILES}"},
            GUEST,
            id="profile",
        ),
        pytest.param(
            {"endpoint": "{URL}", "region": REGION, "customCaBundle": "{CA}"},
            {"MESHWRIGHT_PROFILE": "guest", "AWS_SHARED_CREDENTIALS_FILE": "{PROFILES}"},
            GUEST,
            id="our-profile-variable",
        ),
        pytest.param(
            {"endpoint": "{URL}", "region": REGION, "customCaBundle": "{CA}"},
            {"AWS_PROFILE": "owner", "AWS_SHARED_CREDENTIALS_FILE": "{PROFILES}"},
            OWNER,
            id="aws-profile-variable",
        ),
        pytest.param(
            {"endpoint": "{URL}", "region": REGION, "customCaBundle": "{CA}", "profile": "guest"},
            {
                "AWS_SHARED_CREDENTIALS_FILE": "{PROFILES}",
                "AWS_ACCESS_KEY_ID": "OWNER",
                "AWS_SECRET_ACCESS_KEY": SECRETS["OWNER"],
            },
            GUEST,
            id="the-profile-of-the-configuration-before-a-key-of-the-environment",
        ),
    ],
)
def test_a_stack_acts_for_the_account_of_its_key(
    secured: Secured,
    stacks: Stacks,
    config: dict[str, str],
    environment: dict[str, str],
    account: str,
) -> None:
    program = one_mesh(f"mesh-{stacks.folder.name[-40:]}")

    result = stacks(program, expand(config, secured), expand(environment, secured)).up()

    assert result.outputs["owner"].value == account


def test_one_program_acts_for_two_accounts(secured: Secured, stacks: Stacks) -> None:
    def program() -> None:
        for key, account in (("OWNER", OWNER), ("GUEST", GUEST)):
            provider = meshwright.Provider(
                key.lower(),
                endpoint=secured.url,
                region=REGION,
                custom_ca_bundle=str(secured.authorities),
                access_key=key,
                secret_key=SECRETS[key],
            )
            mesh = meshwright.Mesh(f"of-{account}", opts=pulumi.ResourceOptions(provider=provider))
            pulumi.export(key, mesh.mesh_owner)

    result = stacks(program, {}, {}).up()

    assert {key: output.value for key, output in result.outputs.items()} == {
        "OWNER": OWNER,
        "GUEST": GUEST,
    }


def test_a_stack_without_a_key_is_told_where_to_set_one(secured: Secured, stacks: Stacks) -> None:
    config = {"endpoint": secured.url, "customCaBundle": str(secured.authorities)}

    with pytest.raises(automation.CommandError) as caught:
        stacks(lambda: one_mesh("nobodys")(), config | {"region": REGION}, {}).up()

    [error] = [each for each in errors(str(caught.value)) if "nobodys" in each]
    assert "set meshwright:accessKey and meshwright:secretKey, or meshwright:profile" in error


def test_a_certificate_of_unknown_authorities_is_refused_at_once_with_the_remedy(
    secured: Secured, stacks: Stacks
) -> None:
    with pytest.raises(automation.CommandError) as caught:
        stacks(one_mesh("unsure"), {"endpoint": secured.url, "region": REGION}, {}).up()

    [error] = [each for each in errors(str(caught.value)) if "unsure" in each]
    assert "certificate" in error
    assert "set meshwright:customCaBundle or MESHWRIGHT_CA_BUNDLE" in error
    assert "again" not in str(caught.value)


@pytest.fixture(scope="module")
def shared(secured: Secured) -> Secured:
    """The control plane with the owner's mesh `demo`, shared with the guest."""
    owner = secured.client()
    owner.create_mesh(meshName="demo")
    owner.close()
    secured.run("mesh", "share", "demo", GUEST)
    return secured


def as_guest(secured: Secured) -> dict[str, str]:
    """The configuration of the guest's stacks."""
    return {
        "endpoint": secured.url,
        "region": REGION,
        "customCaBundle": str(secured.authorities),
        "accessKey": "GUEST",
        "secretKey": SECRETS["GUEST"],
    }


@pytest.mark.parametrize(
    ("config", "environment", "argument"),
    [
        pytest.param({"meshOwner": OWNER}, {}, None, id="configuration"),
        pytest.param({}, {"MESHWRIGHT_MESH_OWNER": OWNER}, None, id="variable"),
        pytest.param({"meshOwner": "999999999999"}, {}, OWNER, id="argument"),
    ],
)
def test_a_guest_s_stack_has_its_part_in_the_owner_s_mesh(
    shared: Secured,
    stacks: Stacks,
    config: dict[str, str],
    environment: dict[str, str],
    argument: str | None,
) -> None:
    def program() -> None:
        node = meshwright.VirtualNode(
            f"node-{stacks.folder.name[-40:]}", mesh_name="demo", mesh_owner=argument, spec={}
        )
        pulumi.export("owners", pulumi.Output.all(node.mesh_owner, node.resource_owner))

    stack = stacks(program, as_guest(shared) | config, environment)

    assert stack.up().outputs["owners"].value == [OWNER, GUEST]
    assert changes(stack.refresh()) == {}
    assert stack.preview().change_summary == {"same": 2}
    assert changes(stack.destroy()) == {"delete": 2}


@pytest.mark.parametrize(
    ("config", "argument"),
    [
        pytest.param({"meshOwner": OWNER}, None, id="configuration"),
        pytest.param({"meshOwner": "999999999999"}, OWNER, id="argument"),
    ],
)
def test_a_guest_s_functions_ask_about_the_owner_s_mesh(
    shared: Secured, stacks: Stacks, config: dict[str, str], argument: str | None
) -> None:
    name = f"asking-{stacks.folder.name[-40:]}"

    def program() -> None:
        node = meshwright.VirtualNode(name, mesh_name="demo", mesh_owner=argument, spec={})
        mesh = meshwright.get_mesh(name="demo", mesh_owner=argument)
        got = meshwright.get_virtual_node_output(
            mesh_name="demo", name=node.name, mesh_owner=argument
        )
        answer = meshwright.explain_route_output(
            mesh_name="demo", mesh_owner=argument, from_=node.name, url="http://color.local/"
        )
        reached = meshwright.wait_for_convergence(mesh_name="demo", mesh_owner=argument)
        pulumi.export("owners", [mesh.mesh_owner, got.mesh_owner, got.resource_owner])
        pulumi.export("answers", [answer.mesh_name, answer.routed, reached.mesh_name])

    outputs = stacks(program, as_guest(shared) | config, {}).up().outputs

    assert outputs["owners"].value == [OWNER, OWNER, GUEST]
    assert outputs["answers"].value == ["demo", False, "demo"]


def add_a_service() -> None:
    """A program that changes the owner's mesh."""
    meshwright.VirtualService("waited.local", mesh_name="demo", mesh_owner=OWNER, spec={})


def test_proxies_in_another_account_s_mesh_are_waited_for(shared: Secured, stacks: Stacks) -> None:
    waiting = {"waitForConvergence": "true", "convergenceTimeout": "1"}
    stack = stacks(add_a_service, as_guest(shared) | waiting, {})
    guest = shared.client("GUEST")
    guest.create_virtual_node(meshName="demo", meshOwner=OWNER, virtualNodeName="late", spec={})
    guest.close()
    address = str(shared.server.records("serving")[0].fields["xds"])

    with ReconnectingProxy(address, f"mesh/demo@{OWNER}/virtualNode/late", mood="hold") as proxy:
        wait_until(lambda: proxy.received, what="the proxy's first configuration")
        with pytest.raises(automation.CommandError) as caught:
            stack.up()
        assert f"mesh 'demo@{OWNER}': revision" in str(caught.value)
        assert "is missing at virtualNode/late" in str(caught.value)

        proxy.acknowledge_now()
        result = stack.up()

    assert changes(result) == {"update": 1}
