"""App Mesh's proxy configuration as iptables commands."""

from __future__ import annotations

import pytest

from pytest_meshwright.redirection import ProxyConfiguration, build_redirection


def commands(program: str, configuration: ProxyConfiguration) -> list[str]:
    """The ends of the commands of one program, without what they all begin with."""
    begin = f"{program} -w -t nat -A "
    lines = [" ".join(command) for command in build_redirection(configuration)]
    return [line.removeprefix(begin) for line in lines if line.startswith(begin)]


def test_each_property_becomes_a_rule():
    configuration = ProxyConfiguration(
        app_ports=(80,),
        ignored_uid=1337,
        ignored_gid=1338,
        egress_ignored_ports=(22,),
        egress_ignored_ips=("169.254.170.2", "fd00::1"),
    )

    assert commands("iptables", configuration) == [
        "PREROUTING -p tcp --dport 80 -m addrtype ! --src-type LOCAL -j REDIRECT --to-ports 15000",
        "OUTPUT -p tcp -m owner --uid-owner 1337 -j RETURN",
        "OUTPUT -p tcp -m owner --gid-owner 1338 -j RETURN",
        "OUTPUT -p tcp --dport 22 -j RETURN",
        "OUTPUT -p tcp -d 169.254.170.2 -j RETURN",
        "OUTPUT -p tcp -m addrtype ! --dst-type LOCAL -j REDIRECT --to-ports 15001",
    ]
    assert "OUTPUT -p tcp -d fd00::1 -j RETURN" in commands("ip6tables", configuration)


def test_a_proxy_that_nobody_leaves_alone_is_refused():
    with pytest.raises(ValueError, match="ignored_uid or ignored_gid must say who the proxy is"):
        list(build_redirection(ProxyConfiguration(app_ports=())))
