"""Reading the machine's own Debian mirror out of apt's two kinds of source files."""

from pathlib import Path

import pytest

from tools.dev.apt import find_debian_mirror, parse_debian_mirrors

DEB822 = """\
# the archive
Types: deb deb-src
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main
"""


@pytest.mark.parametrize(
    ("text", "mirrors"),
    [
        pytest.param(DEB822, ["http://mirror.example/debian"], id="deb822"),
        pytest.param(
            "deb http://mirror.example/debian/ trixie main contrib\n",
            ["http://mirror.example/debian"],
            id="one line",
        ),
        pytest.param(
            "deb [arch=amd64 signed-by=/a.gpg] https://mirror.example/debian stable main # why\n",
            ["https://mirror.example/debian"],
            id="one line with options",
        ),
        pytest.param("# deb http://mirror.example/debian trixie main\n", [], id="commented out"),
        pytest.param(
            DEB822.replace("Types: deb deb-src", "Types: deb\nEnabled: no"), [], id="disabled"
        ),
        pytest.param("deb-src http://mirror.example/debian trixie main\n", [], id="sources only"),
        pytest.param("deb http://mirror.example/ubuntu noble main universe\n", [], id="Ubuntu"),
        pytest.param("deb cdrom:[Debian]/ trixie main\n", [], id="not over http"),
        pytest.param("deb https://vendor.example/apt trixie stable\n", [], id="third party"),
        pytest.param(
            "Types: deb\nURIs:\n http://a.example/debian\nSuites: sid\nComponents: main\n",
            ["http://a.example/debian"],
            id="a value on its own line",
        ),
    ],
)
def test_mirrors_are_those_of_debians_main_archive(text: str, mirrors: list[str]) -> None:
    assert list(parse_debian_mirrors(text)) == mirrors


def test_mirror_is_found_in_any_source_file(tmp_path: Path) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list").write_text("# nothing here\n")
    (tmp_path / "sources.list.d" / "debian.list").write_text(
        "deb http://mirror.example/debian trixie main\n"
    )
    assert find_debian_mirror(tmp_path) == "http://mirror.example/debian"


def test_no_mirror_where_apt_is_absent(tmp_path: Path) -> None:
    assert find_debian_mirror(tmp_path / "absent") is None
