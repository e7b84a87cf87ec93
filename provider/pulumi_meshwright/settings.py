"""The provider's settings: where the control plane is and as whom to speak to it.

Each is taken from the Pulumi configuration, else from the environment, else a default:

    endpoint    meshwright:endpoint    MESHWRIGHT_ENDPOINT                http://127.0.0.1:4580
    region      meshwright:region      MESHWRIGHT_REGION, AWS_REGION      us-east-1
    accessKey   meshwright:accessKey   AWS's usual places                 meshwright
    secretKey   meshwright:secretKey   AWS's usual places                 meshwright
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast
from urllib.parse import urlsplit

from pulumi_meshwright.check import Failure
from pulumi_meshwright.values import UNKNOWN, plain

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pulumi.provider.experimental.property_value import PropertyValue

DEFAULT_ENDPOINT: Final = "http://127.0.0.1:4580"
"""Where `meshwright serve` listens unless it is told otherwise."""

DEFAULT_REGION: Final = "us-east-1"
"""The region in the ARNs of a control plane that is told nothing else."""

DESCRIPTIONS: Final = {
    "endpoint": "The control plane's address, for instance `https://mesh.example.com`. "
    f"Else `MESHWRIGHT_ENDPOINT` from the environment, else `{DEFAULT_ENDPOINT}`.",
    "region": "The region that requests are signed for. Else `MESHWRIGHT_REGION` or `AWS_REGION` "
    f"from the environment, else `{DEFAULT_REGION}`.",
    "accessKey": "The access key that requests are signed with. Else the one that the AWS SDKs "
    "find in the environment or in the profile. A control plane on loopback needs none.",
    "secretKey": "The secret of the access key.",
}
"""The settings, and what each of them is, in Markdown."""

SECRETS: Final = ("accessKey", "secretKey")
"""The settings that the engine keeps encrypted and never shows."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What is needed to reach one control plane.

    Attributes:
        endpoint: An http or https URL.
        region: The region of the signature.
        access_key: None: as the AWS SDKs find it.
        secret_key: None likewise.
    """

    endpoint: str = DEFAULT_ENDPOINT
    region: str = DEFAULT_REGION
    access_key: str | None = None
    secret_key: str | None = None


def check_settings(values: Mapping[str, PropertyValue]) -> list[Failure]:
    """What is wrong with the settings, each by its name."""
    failures: list[Failure] = []
    for name, value in values.items():
        text = plain(value)
        if name not in DESCRIPTIONS:
            # A project that is called meshwright too has its own settings among the provider's.
            close = difflib.get_close_matches(name, DESCRIPTIONS, n=1, cutoff=0.8)
            if close:
                failures.append(Failure(name, f"is not a setting; did you mean '{close[0]}'?"))
        elif text is None or text is UNKNOWN:
            continue
        elif not isinstance(text, str):
            failures.append(Failure(name, "must be a string"))
        elif name == "endpoint" and (wrong := _wrong_endpoint(text)):
            failures.append(Failure(name, wrong))
    return failures


def parse_settings(values: Mapping[str, PropertyValue], environment: Mapping[str, str]) -> Settings:
    """The settings from what the engine passed, and from the environment where it passed nothing.

    Raises:
        ValueError: The endpoint is no http or https URL.
    """

    def text(name: str, *variables: str) -> str | None:
        given = plain(values[name]) if name in values else None
        candidates = (given, *(environment.get(variable) for variable in variables))
        found = next((value for value in candidates if value and value is not UNKNOWN), None)
        return cast("str | None", found)

    endpoint = text("endpoint", "MESHWRIGHT_ENDPOINT") or DEFAULT_ENDPOINT
    if wrong := _wrong_endpoint(endpoint):
        raise ValueError(f"endpoint {wrong}: set meshwright:endpoint or MESHWRIGHT_ENDPOINT")
    return Settings(
        endpoint=endpoint,
        region=text("region", "MESHWRIGHT_REGION", "AWS_REGION") or DEFAULT_REGION,
        access_key=text("accessKey"),
        secret_key=text("secretKey"),
    )


def _wrong_endpoint(endpoint: str) -> str | None:
    try:
        url = urlsplit(endpoint)
        right = url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
    except ValueError:  # urlsplit's, about the port or an IPv6 address
        right = False
    return None if right else f"must be a URL such as {DEFAULT_ENDPOINT}, is '{endpoint}'"
