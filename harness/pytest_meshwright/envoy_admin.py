"""A client for the pages of Envoy's admin server that tests ask for."""

import json
from dataclasses import dataclass
from typing import Any

import httpx

from pytest_meshwright.envoy_bootstrap import Endpoint

_TIMEOUT = 5.0


@dataclass(frozen=True, slots=True)
class EnvoyAdmin:
    """Reads and steers one Envoy; every method raises `httpx.HTTPError` when it does not answer."""

    endpoint: Endpoint

    @property
    def url(self) -> str:
        """Where a browser finds the admin pages."""
        return f"http://{self.endpoint}"

    def get_text(self, path: str) -> str:
        """A page as text.

        Args:
            path: with a slash in front, for instance `/stats/prometheus`.
        """
        return _exchange("GET", self.url + path).text

    def get_json(self, path: str) -> Any:
        """A page as the value of its JSON."""
        return json.loads(self.get_text(path))

    def read_state(self) -> str:
        """`LIVE`, `PRE_INITIALIZING`, `INITIALIZING` or `DRAINING`."""
        # The page answers 503 for everything but LIVE.
        return _exchange("GET", f"{self.url}/ready", check=False).text.strip()

    def read_stats(self, pattern: str = "") -> dict[str, int]:
        """The counters and gauges whose name matches a regular expression, by name."""
        query = str(httpx.QueryParams(format="json", filter=pattern))
        content = self.get_json(f"/stats?{query}")
        # Histograms come as one entry without a name.
        return {
            stat["name"]: stat["value"]
            for stat in content["stats"]
            if isinstance(stat.get("value"), int)
        }

    def read_listeners(self) -> dict[str, Endpoint]:
        """The address of each listener, by its name."""
        content = self.get_json("/listeners?format=json")
        listeners: dict[str, Endpoint] = {}
        for status in content.get("listener_statuses", []):
            address = status["local_address"].get("socket_address")
            if address is not None:
                listeners[status["name"]] = Endpoint(address["address"], address["port_value"])
        return listeners

    def read_clusters(self) -> dict[str, list[Endpoint]]:
        """The hosts of each cluster, by the cluster's name."""
        content = self.get_json("/clusters?format=json")
        clusters: dict[str, list[Endpoint]] = {}
        for status in content.get("cluster_statuses", []):
            addresses = [
                host["address"]["socket_address"]
                for host in status.get("host_statuses", [])
                if "socket_address" in host["address"]
            ]
            clusters[status["name"]] = [
                Endpoint(address["address"], address["port_value"]) for address in addresses
            ]
        return clusters

    def read_config_dump(self) -> dict[str, Any]:
        """Everything that Envoy was configured with, endpoints included."""
        return self.get_json("/config_dump?include_eds")

    def drain_listeners(self) -> None:
        """Let Envoy accept no more connections."""
        _exchange("POST", f"{self.url}/drain_listeners")


def _exchange(method: str, url: str, *, check: bool = True) -> httpx.Response:
    # A proxy in the environment must not come between; certificates are not used and slow to load.
    with httpx.Client(trust_env=False, verify=False, timeout=_TIMEOUT) as client:  # noqa: S501
        response = client.request(method, url)
    if check:
        response.raise_for_status()
    return response
