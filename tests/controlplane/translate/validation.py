"""What `envoy --mode validate` says of a configuration that a test has made."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import trustme
import yaml

from meshwright.model.mounts import AUTHORITIES_FILE, CHAIN_FILE, KEY_FILE
from meshwright.offline import mount_credential
from meshwright.translate import ProxyResources
from meshwright.translate.lookups import SecretLookup
from meshwright.translate.static import StaticSettings, render_static
from tests.controlplane.spec_strategies import CERTIFICATES

ACCEPTED: Final = "accepted"


@dataclass(frozen=True, slots=True)
class Judge:
    """An Envoy that looks at configurations without serving them.

    Attributes:
        envoy: The Envoy.
        folder: A folder for what it looks at, with certificates of every kind in it.
    """

    envoy: Path
    folder: Path

    def judge(self, resources: ProxyResources) -> str:
        """`accepted`, or else what Envoy says against a proxy's resources."""
        static = render_static(resources, self._mount_all(resources))
        config = self.folder / "envoy.yaml"
        text = yaml.safe_dump(static, sort_keys=False)
        config.write_text(text.replace(f"{CERTIFICATES}/", f"{self.folder}/"))
        outcome = subprocess.run(
            [self.envoy, "--mode", "validate", "-c", config, "-l", "error"],
            capture_output=True,
            text=True,
            check=False,
        )
        return ACCEPTED if outcome.returncode == 0 else outcome.stderr

    def _mount_all(self, resources: ProxyResources) -> StaticSettings:
        """One certificate, with its authority, for every ARN."""
        arns = {
            arn
            for lookup in resources.lookups
            if isinstance(lookup, SecretLookup)
            for arn in lookup.arns
        }
        return StaticSettings(credentials=dict.fromkeys(arns, mount_credential(self.folder)))


def write_certificates(folder: Path) -> None:
    """Put a certificate and its authority into a folder, under all names that they go by."""
    authority = trustme.CA()
    issued = authority.issue_cert("api.internal")
    for name in ("key.pem", KEY_FILE):
        issued.private_key_pem.write_to_path(folder / name)
    for name in ("chain.pem", CHAIN_FILE):
        issued.cert_chain_pems[0].write_to_path(folder / name)
    for name in ("authority.pem", AUTHORITIES_FILE):
        authority.cert_pem.write_to_path(folder / name)
