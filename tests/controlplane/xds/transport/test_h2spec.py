"""The transport's HTTP/2 as h2spec judges it, case by case.

https://github.com/summerwind/h2spec sends what RFC 7540 and RFC 7541 allow and forbid, and expects
a server that reads whole requests. ADS answers what is no call at once, which some cases take for
an answer to something else; so a server of plain answers stands upon the transport here.
"""

from __future__ import annotations

import asyncio
import ssl
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest
import trustme

from meshwright.xds.transport.http2 import Http2Stream, Request
from meshwright.xds.transport.sockets import CallServer, Connection, Upkeep
from tools.dev.go_programs import H2SPEC, find_go_program
from tools.dev.paths import is_ci

MESSAGE: Final = b"hello, this is an answer"
CASES: Final = 146
TIMEOUT_SECONDS: Final = "10"
"""How long it waits for what must come; it waits so long only for what does not."""


class PlainAnswer:
    """Answers a request once it is whole."""

    def __init__(self, stream: Http2Stream) -> None:
        self._stream = stream

    def receive(self, data: bytes) -> None:
        """Take data, which means nothing."""

    def end(self) -> None:
        """Answer."""
        self._stream.send_headers([(":status", "200")])
        self._stream.send(MESSAGE)
        self._stream.finish([("trailer", "end")])

    def lose(self) -> None:
        """Do without."""

    def drain(self) -> None:
        """Do nothing: there is no more to send."""


class PlainConnection(Connection):
    """A connection whose streams are plain requests, not calls."""

    def _open(self, stream: Http2Stream, request: Request) -> PlainAnswer:
        return PlainAnswer(stream)


@pytest.fixture(scope="module")
def h2spec() -> Path:
    """The program."""
    executable = find_go_program(H2SPEC)
    if executable is None:
        text = "h2spec is not built; ./dev setup --only go builds it"
        pytest.fail(text) if is_ci() else pytest.skip(text)
    return executable


@pytest.mark.parametrize("is_secure", [False, True], ids=["plain", "TLS"])
def test_every_case_of_h2spec_passes(is_secure: bool, h2spec: Path, tmp_path: Path):
    context = None
    if is_secure:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.set_alpn_protocols(["h2"])
        trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    report = tmp_path / "report.xml"
    printed = asyncio.run(judge(h2spec, report, context))

    verdicts = read_verdicts(report)
    bad = {case for case, verdict in verdicts.items() if verdict != "passed"}
    assert bad == set(), printed
    assert len(verdicts) >= CASES


async def judge(h2spec: Path, report: Path, context: ssl.SSLContext | None) -> str:
    """Run all its cases, strict ones too, against a server, with TLS or without; what it prints."""
    server = CallServer(lambda call, peer: None, Upkeep())
    loop = asyncio.get_running_loop()
    choose = None if context is None else lambda: context
    listening = await loop.create_server(lambda: PlainConnection(server, choose), "127.0.0.1", 0)
    async with listening:
        port = listening.sockets[0].getsockname()[1]
        process = await asyncio.create_subprocess_exec(
            *(h2spec, "--port", str(port), "--strict", "--timeout", TIMEOUT_SECONDS),
            *("--junit-report", report, *(() if context is None else ("--tls", "--insecure"))),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        printed, _ = await process.communicate()
        await server.close()
    return printed.decode()


def read_verdicts(report: Path) -> Mapping[str, str]:
    """What became of each case, by section and title."""
    verdicts: dict[str, str] = {}
    for case in ET.parse(report).getroot().iter("testcase"):
        kinds = {each.tag for each in case}
        verdict = "skipped" if "skipped" in kinds else "failed" if kinds else "passed"
        verdicts[f"{case.get('package')}: {case.get('classname')}"] = verdict
    return verdicts
