"""Tests of the lab's DNS server, asked over real sockets."""

from collections.abc import Iterator

import dnslib
import pytest

from pytest_meshwright.addresses import AddressBlock
from pytest_meshwright.dns import DnsServer


@pytest.fixture
def dns(block: AddressBlock) -> Iterator[DnsServer]:
    """A DNS server that knows color-blue.demo.local."""
    with DnsServer(block.address(2)) as server:
        server.set_record("color-blue.demo.local", ["127.61.7.11"])
        yield server


def ask(server: DnsServer, name: str, kind: str = "A", *, tcp: bool = False) -> dnslib.DNSRecord:
    question = dnslib.DNSRecord.question(name, kind)
    return dnslib.DNSRecord.parse(question.send(server.address, server.port, tcp=tcp, timeout=5))


def addresses(answer: dnslib.DNSRecord) -> list[str]:
    return [str(record.rdata) for record in answer.rr]


def test_a_known_name_resolves_whatever_its_case(dns: DnsServer):
    assert addresses(ask(dns, "Color-Blue.demo.LOCAL.")) == ["127.61.7.11"]


def test_answers_may_not_be_kept(dns: DnsServer):
    assert [record.ttl for record in ask(dns, "color-blue.demo.local").rr] == [0]


def test_a_known_name_has_no_ipv6_address_but_exists(dns: DnsServer):
    answer = ask(dns, "color-blue.demo.local", "AAAA")

    assert (dnslib.RCODE[answer.header.rcode], answer.rr) == ("NOERROR", [])


def test_a_name_may_have_addresses_of_both_versions(dns: DnsServer):
    dns.set_record("both.demo.local", ["127.0.0.9", "fd00::9"])

    answers = [ask(dns, "both.demo.local", kind).rr for kind in ("A", "AAAA")]
    assert [[str(record.rdata) for record in each] for each in answers] == [
        ["127.0.0.9"],
        ["fd00::9"],
    ]


def test_an_unknown_name_does_not_exist(dns: DnsServer):
    assert dnslib.RCODE[ask(dns, "color-red.demo.local").header.rcode] == "NXDOMAIN"


def test_a_changed_record_shows_in_the_next_answer(dns: DnsServer):
    dns.set_record("color-blue.demo.local", ["127.61.7.12", "127.61.7.13"])

    assert addresses(ask(dns, "color-blue.demo.local")) == ["127.61.7.12", "127.61.7.13"]


def test_a_removed_record_does_not_exist(dns: DnsServer):
    dns.remove_record("color-blue.demo.local")

    assert dnslib.RCODE[ask(dns, "color-blue.demo.local").header.rcode] == "NXDOMAIN"


def test_questions_are_counted_by_name(dns: DnsServer):
    ask(dns, "color-blue.demo.local")
    ask(dns, "color-blue.demo.local", "AAAA")
    ask(dns, "color-green.demo.local")

    assert dns.count_questions("color-blue.demo.local") == 2


def test_an_answer_too_long_for_udp_is_truncated_and_complete_over_tcp(dns: DnsServer):
    many = [f"127.61.8.{number}" for number in range(100)]
    dns.set_record("many.demo.local", many)

    over_udp, over_tcp = ask(dns, "many.demo.local"), ask(dns, "many.demo.local", tcp=True)

    assert over_udp.header.tc == 1
    assert addresses(over_tcp) == many


def test_noise_is_ignored(dns: DnsServer):
    import socket

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"\x00\x01", (dns.address, dns.port))

    assert addresses(ask(dns, "color-blue.demo.local")) == ["127.61.7.11"]
