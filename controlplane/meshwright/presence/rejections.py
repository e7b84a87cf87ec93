"""Keeps in the store what proxies have rejected, with what they go on with.

So a proxy that comes to another replica, or after a restart, gets the last good configuration too:

a proxy rejects --> written at once --> read every few seconds, and at the start --> a record there
it has accepted something later --> removed

Collection `rejections`: OWNER/MESH/DIGEST holds a record of one way in which proxies of a virtual
node or gateway are configured. Of secrets it has the names alone.
"""

from __future__ import annotations

import asyncio
import base64
import json
import time
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final, NamedTuple

import structlog

from meshwright.model.resources import Kind, MeshKey, ResourceKey
from meshwright.store import Store, StoreError
from meshwright.translate import Interception, Proxy
from meshwright.translate.packing import digest
from meshwright.xds.connection import Connection
from meshwright.xds.distribution import Distribution
from meshwright.xds.records import Contents, ProxyRecord
from meshwright.xds.resources import SECRET, PackedResource, Snapshot

REJECTIONS: Final = "rejections"
"""The collection."""

LOOK_SECONDS: Final = 1.0
"""How often it is looked whether other replicas have written something."""

_READ_SECONDS: Final = 60.0
"""How often that is read though nothing tells that there is something new."""

_MAX_CHARACTERS: Final = 350_000
"""What fits into an item of DynamoDB."""

_MOST_REJECTED: Final = 16
"""How many refusals of one proxy are kept, the latest ones."""

_FORGOTTEN_SECONDS: Final = 3600.0
"""After which time what is kept of a virtual node that is gone is removed."""

_log = structlog.get_logger("meshwright.presence")


class KeptRejection(NamedTuple):
    """What is kept of one way in which proxies are configured.

    Attributes:
        proxy: That way.
        rejection: The last rejection, as the status tells it.
        rejected: What was refused together, refusal by refusal.
        good: What the proxies go on with.
    """

    proxy: Proxy
    rejection: dict[str, Any]
    rejected: tuple[Contents, ...]
    good: Snapshot


class Rejections:
    """Writes and reads them. An observer of its distribution.

    Args:
        store: The store that the replicas share.
        distribution: Knows the proxies.
        clock: Seconds since the epoch.
    """

    def __init__(
        self, store: Store, distribution: Distribution, clock: Callable[[], float] = time.time
    ) -> None:
        self._store = store
        self._distribution = distribution
        self._clock = clock
        self._kept: dict[Proxy, dict[str, Any]] = {}
        self._stale: dict[Proxy, ProxyRecord] = {}
        self._read: dict[str, str] = {}
        self._stamp: str | None = None
        self._due_at = 0.0
        self._is_cut_off = False
        self._news = asyncio.Event()
        distribution.observe(self)

    # What it observes

    def arrived(self, connection: Connection) -> None:
        """A proxy has connected."""

    def changed(self, connection: Connection) -> None:
        """It may have rejected something, or have made up for it."""
        record = connection.record
        # Nearly always nobody has rejected anything, and this is called with each push.
        if (record.rejection is not None or self._kept) and (
            self._kept.get(connection.proxy) is not _find_rejection(record)
        ):
            self._stale[connection.proxy] = record
            self._news.set()

    def left(self, connection: Connection) -> None:
        """A proxy has disconnected."""

    def refused(self, mesh: MeshKey) -> None:
        """A proxy was not let in."""

    def advanced(self, mesh: MeshKey) -> None:
        """A mesh has another revision."""

    # What it does

    async def run(self) -> None:
        """Write what is new here and read what is new elsewhere, for ever."""
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), LOOK_SECONDS)
            self._news.clear()
            try:
                await self.write()
                await self.load()
            except StoreError as error:
                if not self._is_cut_off:
                    _log.warning("rejections_not_kept", error=str(error))
                self._is_cut_off = True
            except Exception:
                _log.exception("unexpected_error", doing="keeping what proxies have rejected")
            else:
                self._is_cut_off = False

    async def load(self) -> None:
        """Take over what other replicas, and processes before this one, have written.

        Whether there may be something new, the store tells by a stamp that costs nothing.

        Raises:
            StoreError: The store can't be read.
        """
        stamp, now = self._store.entries_stamp(), self._clock()
        if stamp is not None and stamp == self._stamp and now < self._due_at:
            return
        entries = await asyncio.to_thread(self._store.entries, REJECTIONS)
        for proxy in [each for each in self._kept if not self._distribution.knows(each.key)]:
            del self._kept[proxy]
            self._read.pop(name_of(proxy), None)
        known, self._read = self._read, dict(entries)
        gone: dict[str, str | None] = {}
        for name in [name for name, text in entries.items() if known.get(name) != text]:
            try:
                kept = parse_kept(entries[name])
            except Exception:
                # What can't be read here must not keep anybody from what can.
                _log.exception("unexpected_error", doing=f"reading what {name} has rejected")
                continue
            if self._distribution.knows(kept.proxy.key):
                self._kept.setdefault(kept.proxy, kept.rejection)
                self._distribution.recall(kept.proxy, kept.rejection, kept.rejected, kept.good)
                continue
            del self._read[name]  # it may be new, and not seen here yet
            if now - kept.rejection["at"] > _FORGOTTEN_SECONDS:
                gone[name] = None
        await asyncio.to_thread(self._put, gone)
        self._stamp, self._due_at = stamp, now + _READ_SECONDS

    async def write(self) -> None:
        """Write what is new here.

        Raises:
            StoreError: The store can't be written; it is still new then.
        """
        stale, self._stale = self._stale, {}
        contents: dict[str, str | None] = {}
        now: dict[Proxy, dict[str, Any] | None] = {}
        for proxy, record in stale.items():
            rejection = now[proxy] = _find_rejection(record)
            if rejection is None or record.last_good is None:
                contents[name_of(proxy)] = None
                continue
            rejected = tuple(record.rejected)[-_MOST_REJECTED:]
            text = render_kept(KeptRejection(proxy, rejection, rejected, record.last_good))
            is_too_large = len(text) > _MAX_CHARACTERS
            contents[name_of(proxy)] = None if is_too_large else text
            if is_too_large:
                _log.warning("rejection_too_large_to_keep", resource=proxy.key.path)
        try:
            await asyncio.to_thread(self._put, contents)
        except BaseException:
            self._stale = stale | self._stale
            raise
        self._read.update({name: text for name, text in contents.items() if text is not None})
        for proxy, rejection in now.items():
            if rejection is None:
                self._kept.pop(proxy, None)
            else:
                self._kept[proxy] = rejection

    def _put(self, contents: Mapping[str, str | None]) -> None:
        """Write texts under their names, and remove those that are None. In a thread."""
        for name, text in contents.items():
            if text is None:
                self._store.remove_entry(REJECTIONS, name)
            else:
                self._store.put_entry(REJECTIONS, name, text)


def _find_rejection(record: ProxyRecord) -> dict[str, Any] | None:
    """The rejection that is worth keeping; without a good configuration none is."""
    return None if record.last_good is None else record.rejection


def name_of(proxy: Proxy) -> str:
    """The name of the entry for a way in which proxies are configured."""
    owner, mesh = proxy.key.mesh
    return f"{owner}/{mesh}/{digest(json.dumps(_render_proxy(proxy)).encode())}"


def render_kept(kept: KeptRejection) -> str:
    """A text for the store; compressed, since configurations are long and repeat themselves."""
    good = kept.good
    secrets = [(SECRET, name) for name in good.of_type(SECRET)]
    content = {
        "proxy": _render_proxy(kept.proxy),
        "rejection": kept.rejection,
        "rejected": [sorted(each) for each in kept.rejected],
        "revision": good.revision,
        "pending": sorted([*good.pending, *secrets]),
        "resources": {
            type_url: {
                name: (each.version, base64.b64encode(each.any_bytes).decode())
                for name, each in resources.items()
            }
            for type_url, resources in good.resources.items()
            if type_url != SECRET
        },
    }
    return base64.b64encode(zlib.compress(json.dumps(content).encode())).decode()


def parse_kept(text: str) -> KeptRejection:
    """What `render_kept` has rendered."""
    content: dict[str, Any] = json.loads(zlib.decompress(base64.b64decode(text)))
    resources = {
        type_url: {
            name: PackedResource.from_any(name, version, base64.b64decode(data))
            for name, (version, data) in of_type.items()
        }
        for type_url, of_type in content["resources"].items()
    }
    pending = frozenset((type_url, name) for type_url, name in content["pending"])
    return KeptRejection(
        _parse_proxy(content["proxy"]),
        content["rejection"],
        tuple(frozenset((t, n, v) for t, n, v in each) for each in content["rejected"]),
        Snapshot(content["revision"], resources, pending),
    )


def _render_proxy(proxy: Proxy) -> list[Any]:
    (owner, mesh), kind, name, _ = proxy.key
    return [
        *(owner, mesh, kind.value, name, proxy.interception.value),
        *(proxy.listener_address, proxy.application_address, proxy.service_addresses),
    ]


def _parse_proxy(rendered: list[Any]) -> Proxy:
    owner, mesh, kind, name, interception, listener, application, services = rendered
    return Proxy(
        ResourceKey(MeshKey(owner, mesh), Kind(kind), name),
        Interception(interception),
        listener,
        application,
        tuple((service, address) for service, address in services),
    )
