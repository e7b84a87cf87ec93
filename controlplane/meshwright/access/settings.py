"""What the operator says about access, and the objects that come of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from meshwright.access.certificates import Certificate
from meshwright.access.errors import AccessSettingsError
from meshwright.access.keys import FixedKeys, KeyFile, Keys, build_pair


@dataclass(frozen=True, slots=True)
class AccessSettings:
    """Who may call the API, and over what.

    Attributes:
        keys_file: The file of access keys.
        access_key_id: The public half of a single key, from the environment.
        secret_access_key: Its secret half.
        tls_certificate: The API's certificate with its chain.
        tls_key: The certificate's private key.
        insecure_http: Whether addresses beyond loopback are served without TLS.
    """

    keys_file: Path | None = None
    access_key_id: str | None = None
    secret_access_key: str | None = field(default=None, repr=False)
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    insecure_http: bool = False

    def open_keys(self, account_id: str) -> Keys | None:
        """The configured keys, or None without any.

        Args:
            account_id: The account of keys that name none.

        Raises:
            AccessSettingsError: They can't be used.
        """
        pair = (self.access_key_id, self.secret_access_key)
        if self.keys_file is not None:
            if any(pair):
                raise AccessSettingsError(
                    "give access keys by --access-keys or by MESHWRIGHT_ACCESS_KEY_ID and "
                    "MESHWRIGHT_SECRET_ACCESS_KEY, not by both"
                )
            return KeyFile(self.keys_file, account_id=account_id)
        match pair:
            case (str(key_id), str(secret)) if key_id and secret:
                try:
                    return FixedKeys([build_pair(key_id, secret, account_id=account_id)])
                except AccessSettingsError as error:
                    raise AccessSettingsError(f"the key of the environment: {error}") from None
            case _ if any(pair):
                raise AccessSettingsError(
                    "MESHWRIGHT_ACCESS_KEY_ID and MESHWRIGHT_SECRET_ACCESS_KEY belong together: "
                    "set both or neither"
                )
            case _:
                return None

    def open_certificate(self) -> Certificate | None:
        """The configured certificate, or None without TLS.

        Raises:
            AccessSettingsError: It can't be used.
        """
        if self.tls_certificate is None and self.tls_key is None:
            return None
        if self.tls_certificate is None or self.tls_key is None:
            raise AccessSettingsError(
                "--tls-certificate and --tls-key belong together: give both or neither"
            )
        return Certificate("--tls-certificate", self.tls_certificate, self.tls_key)

    def require_safe(self, address: str, *, is_loopback: bool) -> None:
        """Check that nobody can do harm from the address that the API is to be served at.

        Args:
            address: `HOST:PORT`, for the message.
            is_loopback: Whether only this machine can reach it.

        Raises:
            AccessSettingsError: Keys or TLS are missing.
        """
        if is_loopback:
            return
        if self.keys_file is None and not self.access_key_id:
            raise AccessSettingsError(
                f"--api {address!r}: without access keys only loopback addresses are served; give "
                "--access-keys FILE, or use 127.0.0.1"
            )
        if self.tls_certificate is None and not self.insecure_http:
            raise AccessSettingsError(
                f"--api {address!r}: without TLS only loopback addresses are served; give "
                "--tls-certificate and --tls-key, or --insecure-http where a load balancer "
                "terminates TLS"
            )
