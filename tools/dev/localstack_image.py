"""LocalStack's image: pulled, else made of Debian and PyPI packages under a name of our own.

4.14.0 is the last release that starts without an account.
"""

import os
import shutil
from pathlib import Path

from tools.dev.caches import find_or_make
from tools.dev.console import say
from tools.dev.docker_engine import image_exists
from tools.dev.images import import_image, make_debian_root, pull_image, run_in_root
from tools.dev.paths import SCRIPTS
from tools.dev.processes import SetupError

LOCALSTACK_VERSION = "4.14.0"
PULLED = f"localstack/localstack:{LOCALSTACK_VERSION}"
BUILT = f"meshwright/localstack:{LOCALSTACK_VERSION}"

# It needs Python 3.13, which trixie has. Its own bounds on what it uses are open, hence the day:
# packages of after its release are not considered, and these two had broken it before.
SUITE = "trixie"
NEWEST_DAY = "2026-03-15"
REQUIREMENTS = (
    f"localstack-core[base-runtime,runtime]=={LOCALSTACK_VERSION}",
    f"localstack=={LOCALSTACK_VERSION}",
    "pyopenssl<25",
    "cbor2<5.8",
)

HOME = "/opt/localstack"
VISITORS = "/meshwright-visitors"
CHANGES = (
    f"ENV PATH={HOME}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "ENV GATEWAY_LISTEN=0.0.0.0:4566",
    "ENV DISABLE_EVENTS=1",
    "EXPOSE 4566",
    'CMD ["localstack-supervisor"]',
)


def find_localstack_image() -> str | None:
    """The LocalStack image that the engine has, if any."""
    return next((name for name in (PULLED, BUILT) if image_exists(name)), None)


def prepare_localstack_image() -> str:
    """The name of a LocalStack image that the engine has, pulled or made if there is none.

    Raises:
        SetupError: neither way led to one.
    """
    return find_or_make("localstack", find_localstack_image, _pull_or_make)


def _pull_or_make(root: Path) -> None:
    try:
        pull_image(PULLED)
    except SetupError as error:
        say(str(error))
        _make(root)
        import_image(root, BUILT, CHANGES)
        say(f"LocalStack {LOCALSTACK_VERSION} is the image {BUILT}")


def _make(root: Path) -> None:
    make_debian_root(root, SUITE, ["python3", "python3-venv", "ca-certificates"])
    # uv and the machine's trusted certificates are needed inside only while packages are installed.
    visitors = root / VISITORS.lstrip("/")
    visitors.mkdir()
    shutil.copy(SCRIPTS / "uv", visitors / "uv")
    environment = {
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/root",
        "UV_NO_CACHE": "1",
        "UV_PYTHON_DOWNLOADS": "never",
        **_lend_certificates(visitors),
    }
    uv = f"{VISITORS}/uv"
    install = f'{uv} venv {HOME}; exec {uv} pip install --python {HOME}/bin/python "$@"'
    run_in_root(
        f"installing LocalStack {LOCALSTACK_VERSION} from PyPI",
        root,
        ["sh", "-ec", install, "sh", "--exclude-newer", NEWEST_DAY, *REQUIREMENTS],
        environment,
        log="localstack",
    )
    shutil.rmtree(visitors)
    for leftover in ("var/cache/apt/archives", "var/lib/apt/lists"):
        shutil.rmtree(root / leftover, ignore_errors=True)


def _lend_certificates(folder: Path) -> dict[str, str]:
    """Copy the bundle that SSL_CERT_FILE names into that folder of a new root.

    Returns the variables to set there: a machine behind a proxy trusts what a plain Debian
    does not.
    """
    bundle = os.environ.get("SSL_CERT_FILE")
    if not bundle or not Path(bundle).is_file():
        return {}
    shutil.copy(bundle, folder / "certificates.pem")
    return {"SSL_CERT_FILE": f"{VISITORS}/certificates.pem", "SSL_CERT_DIR": ""}
