"""The provider's settings: where the control plane is, as whom to speak to it, and in what manner.

Each is taken from the Pulumi configuration, else from the environment, else it has a default; the
table `SETTINGS` says which. The engine passes everything but plain strings as JSON in a string.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import urlsplit

from pulumi_meshwright.check import Failure, check_tags
from pulumi_meshwright.values import UNKNOWN, Plain, plain, wrap

if TYPE_CHECKING:
    from pulumi.provider.experimental.property_value import PropertyValue

DEFAULT_ENDPOINT: Final = "http://127.0.0.1:4580"
"""Where `meshwright serve` listens unless it is told otherwise."""

DEFAULT_REGION: Final = "us-east-1"
"""The region in the ARNs of a control plane that is told nothing else."""

DEFAULT_CONVERGENCE_TIMEOUT: Final = 300.0
"""Seconds: time for a large mesh's proxies, and still an end when one of them never answers."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting.

    Attributes:
        name: Its name in Pulumi's configuration.
        type: Its type; a `map` holds strings.
        text: What it is, in Markdown.
        variables: The variables of the environment that are looked at for it, in this order.
        default: What holds where neither says anything, in words; empty: nothing.
        secret: Whether the engine keeps it encrypted and never shows it.
    """

    name: str
    type: str
    text: str
    variables: tuple[str, ...] = ()
    default: str = ""
    secret: bool = False

    @property
    def description(self) -> str:
        """The whole text: what it is, and where else it is taken from."""
        elsewhere = [self.default] if self.default else []
        if self.variables:
            looked_at = " or ".join(f"`{variable}`" for variable in self.variables)
            elsewhere.insert(0, f"{looked_at} from the environment")
        return f"{self.text} Else {', else '.join(elsewhere)}."


SETTINGS: Final = (
    Setting(
        "endpoint",
        "string",
        "The control plane's address, for instance `https://mesh.example.com`.",
        ("MESHWRIGHT_ENDPOINT",),
        f"`{DEFAULT_ENDPOINT}`",
    ),
    Setting(
        "region",
        "string",
        "The control plane's region, for which requests are signed.",
        ("MESHWRIGHT_REGION", "AWS_REGION", "AWS_DEFAULT_REGION"),
        f"`{DEFAULT_REGION}`",
    ),
    Setting(
        "accessKey",
        "string",
        "The access key that requests are signed with. A control plane on loopback needs none.",
        ("MESHWRIGHT_ACCESS_KEY_ID", "AWS_ACCESS_KEY_ID"),
        "the profile's",
        secret=True,
    ),
    Setting(
        "secretKey",
        "string",
        "The secret of the access key.",
        ("MESHWRIGHT_SECRET_ACCESS_KEY", "AWS_SECRET_ACCESS_KEY"),
        "the profile's",
        secret=True,
    ),
    Setting(
        "token",
        "string",
        "The session token of an access key that was lent.",
        ("MESHWRIGHT_SESSION_TOKEN", "AWS_SESSION_TOKEN"),
        secret=True,
    ),
    Setting(
        "profile",
        "string",
        "The profile of AWS's shared configuration files with the access key.",
        ("MESHWRIGHT_PROFILE", "AWS_PROFILE"),
        "`default`",
    ),
    Setting(
        "customCaBundle",
        "string",
        "A file of the authorities, in PEM, by which the control plane's certificate is checked.",
        ("MESHWRIGHT_CA_BUNDLE", "AWS_CA_BUNDLE"),
        "those that Python's certifi has",
    ),
    Setting(
        "meshOwner",
        "string",
        "The account that owns the meshes, for resources that don't name another.",
        ("MESHWRIGHT_MESH_OWNER",),
        "the caller's own",
    ),
    Setting(
        "defaultTags",
        "map",
        "Tags of all resources. A resource's own come before them.",
        ("MESHWRIGHT_DEFAULT_TAGS",),
        "none",
    ),
    Setting(
        "waitForConvergence",
        "boolean",
        "Whether an update ends only when all connected proxies have acknowledged it.",
        ("MESHWRIGHT_WAIT_FOR_CONVERGENCE",),
        "`false`",
    ),
    Setting(
        "convergenceTimeout",
        "number",
        "For how many seconds that is waited for at most.",
        ("MESHWRIGHT_CONVERGENCE_TIMEOUT",),
        f"{DEFAULT_CONVERGENCE_TIMEOUT:g}",
    ),
)
"""All settings, in the order of the documentation."""

_BY_NAME = {setting.name: setting for setting in SETTINGS}


@dataclass(frozen=True, slots=True)
class Settings:
    """What is needed to use one control plane.

    Attributes:
        endpoint: An http or https URL.
        region: The region of the signature.
        access_key: None: as the AWS SDKs find it.
        secret_key: None likewise.
        token: The key's session token, if it has one.
        profile: A profile of AWS's files; None: the default one.
        custom_ca_bundle: A file with the authorities in PEM; None: the usual ones.
        mesh_owner: The account of resources that name none; None: the caller's own.
        default_tags: Tags of all resources.
        wait_for_convergence: Whether to wait for the proxies after a change.
        convergence_timeout: Seconds.
    """

    endpoint: str = DEFAULT_ENDPOINT
    region: str = DEFAULT_REGION
    access_key: str | None = None
    secret_key: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    profile: str | None = None
    custom_ca_bundle: str | None = None
    mesh_owner: str | None = None
    default_tags: Mapping[str, str] = field(default_factory=dict[str, str])
    wait_for_convergence: bool = False
    convergence_timeout: float = DEFAULT_CONVERGENCE_TIMEOUT


def check_settings(values: Mapping[str, PropertyValue]) -> list[Failure]:
    """What is wrong with the settings, each by its name."""
    failures: list[Failure] = []
    for name, value in values.items():
        given = plain(value)
        if name not in _BY_NAME:
            # A project that is called meshwright too has its own settings among the provider's.
            close = difflib.get_close_matches(name, _BY_NAME, n=1, cutoff=0.8)
            if close:
                failures.append(Failure(name, f"is not a setting; did you mean '{close[0]}'?"))
        elif given is not None and given is not UNKNOWN:
            failures += _find_wrong(_BY_NAME[name], given)
    return failures


def parse_settings(values: Mapping[str, PropertyValue], environment: Mapping[str, str]) -> Settings:
    """The settings from what the engine passed, and from the environment where it passed nothing.

    Raises:
        ValueError: One of them is wrong; the text says which, and where it may be set.
    """
    found: dict[str, Any] = {}
    configured = {name for name, value in values.items() if plain(value) not in (None, "")}
    # A configuration that names a profile means its key, whatever key the environment has.
    keyed = "profile" not in configured or bool(configured & {"accessKey", "secretKey"})
    for setting in SETTINGS:
        given = plain(values[setting.name]) if setting.name in values else None
        if given in (None, "", UNKNOWN):
            names = _find_variables(setting, keyed=keyed)
            given = next((environment[name] for name in names if environment.get(name)), None)
        if given is None:
            continue
        for failure in _find_wrong(setting, given):
            places = " or ".join((f"meshwright:{setting.name}", *setting.variables))
            raise ValueError(f"{failure.path} {failure.reason}: set {places}")
        found[setting.name] = _read(setting, given)
    known = all(plain(values.get(name)) is not UNKNOWN for name in ("accessKey", "secretKey"))
    if known and ("accessKey" in found) != ("secretKey" in found):
        names = "meshwright:accessKey and meshwright:secretKey"
        raise ValueError(f"{names} belong together: set both of them, or neither")
    return Settings(**{re.sub("(?=[A-Z])", "_", name).lower(): found[name] for name in found})


def _find_variables(setting: Setting, *, keyed: bool) -> tuple[str, ...]:
    """The variables to look at for a setting; for those of a key only if one may be there."""
    if not setting.secret:
        return setting.variables
    # AWS's own variables for keys are left to the AWS SDK, which takes them together.
    return tuple(name for name in setting.variables if keyed and name.startswith("MESHWRIGHT_"))


def _find_wrong(setting: Setting, given: Plain) -> list[Failure]:
    """What is wrong with the value of one setting."""
    try:
        value = _read(setting, given)
    except ValueError as error:
        return [Failure(setting.name, str(error))]
    if setting.name == "defaultTags":
        return check_tags(wrap(value), setting.name)
    if setting.name == "endpoint" and not _is_url(value):
        return [Failure("endpoint", f"must be a URL such as {DEFAULT_ENDPOINT}, is '{value}'")]
    if setting.name == "convergenceTimeout" and value < 0:
        return [Failure(setting.name, f"must be at least 0, is {value:g}")]
    if setting.name == "customCaBundle" and not Path(value).is_file():
        return [Failure(setting.name, f"must be a file, there is none at '{value}'")]
    return []


def _read(setting: Setting, given: Plain) -> Any:
    """A setting's value in its own type, from the engine's or the environment's text.

    Raises:
        ValueError: It is of another type.
    """
    if setting.type == "string":
        if not isinstance(given, str):
            raise ValueError("must be a string")
        return given
    value: Any = given
    if isinstance(given, str):
        try:
            value = json.loads(given)
        except ValueError:
            value = _read_pairs(given) if setting.type == "map" else given
    if setting.type == "boolean" and not isinstance(value, bool):
        raise ValueError("must be true or false")
    if setting.type == "number":
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError("must be a number of seconds")
        return float(value)
    if setting.type == "map":
        if not isinstance(value, dict):
            raise ValueError("must be a map of strings")
        tags = cast("dict[str, Any]", value)
        # {"tags": {...}}, as pulumi_aws has them, or the tags alone.
        return tags["tags"] if isinstance(tags.get("tags"), dict) and len(tags) == 1 else tags
    return value


def _read_pairs(text: str) -> dict[str, str]:
    """Tags as a variable holds them: `team=paint,stage=test`."""
    pairs = [pair.strip().partition("=") for pair in text.split(",") if pair.strip()]
    if not all(equals for _, equals, _ in pairs):
        raise ValueError("must be a map of strings, such as team=paint,stage=test")
    return {key.strip(): value.strip() for key, _, value in pairs}


def _is_url(endpoint: str) -> bool:
    try:
        url = urlsplit(endpoint)
        return url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
    except ValueError:  # urlsplit's, about the port or an IPv6 address
        return False
