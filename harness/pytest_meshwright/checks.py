"""What must hold after every end-to-end test, whatever the test itself looked at.

rejection  an Envoy refused a configuration (NACK)
error      the control plane logged an error, or something that is no log record
resend     a proxy was sent a resource that it had already, unchanged
leftover   a process still ran after everything had been stopped
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_meshwright.control_plane import LogRecord
    from pytest_meshwright.reaper import FoundProcess

KINDS = ("rejection", "error", "resend", "leftover")
MARKER = "meshwright_allow"

_ERROR_LEVELS = ("error", "critical")
# An updated cluster warms anew and needs its endpoints again, changed or not (xDS protocol,
# "Resource warming").
_RESENT_WITH_CLUSTERS = "ClusterLoadAssignment"


@dataclass(frozen=True, slots=True)
class Complaint:
    """Something that should not have happened."""

    kind: str
    """One of `KINDS`."""
    text: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.text}"


def find_complaints(records: Sequence["LogRecord"]) -> list[Complaint]:
    """What the control plane's log says that should not be."""
    complaints = [
        Complaint("rejection" if record.event == "proxy_rejected" else "error", str(record))
        for record in records
        if record.level in _ERROR_LEVELS
    ]
    return [*complaints, *_find_resends(records)]


def find_leftovers(killed: Iterable["FoundProcess"]) -> list[Complaint]:
    """A complaint for each process that had to be killed at the end."""
    return [Complaint("leftover", str(process)) for process in killed]


def render_complaints(complaints: Sequence[Complaint], allowed: Collection[str] = ()) -> str | None:
    """The text of a failure, or None where nothing is left to complain about.

    Args:
        complaints: what was found.
        allowed: the kinds that the test means to happen.
    """
    unexpected = [complaint for complaint in complaints if complaint.kind not in allowed]
    if not unexpected:
        return None
    kinds = ", ".join(
        f'"{kind}"' for kind in KINDS if any(each.kind == kind for each in unexpected)
    )
    lines = [
        "the mesh was not well after this test:",
        *(f"  {complaint}" for complaint in unexpected),
        "where the test means this to happen, mark it and say why:",
        f'  @pytest.mark.{MARKER}({kinds}, reason="...")',
    ]
    return "\n".join(lines)


def _find_resends(records: Sequence["LogRecord"]) -> Iterator[Complaint]:
    """Resources that went twice to the same proxy with the same version.

    A stream is known by the proxy's resource and peer.
    """
    held: dict[tuple[str, str, str, str], str] = {}
    for record in records:
        fields = record.fields
        resource, kind = str(fields.get("resource", "")), str(fields.get("type", ""))
        if record.event in ("proxy_connected", "proxy_disconnected", "serving"):
            # A new stream starts with nothing.
            held = {key: version for key, version in held.items() if key[0] != resource}
        if record.event != "push":
            continue
        for peer in fields["peers"]:
            for name in fields["removed"]:
                held.pop((resource, peer, kind, name), None)
            for name, version in fields["sent"].items():
                key = (resource, peer, kind, name)
                if held.get(key) == version and kind != _RESENT_WITH_CLUSTERS:
                    yield Complaint("resend", f"{name} ({kind}, {version}) to {resource}")
                held[key] = version
