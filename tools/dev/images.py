"""Container images: pulled where a registry answers, else made of Debian packages and imported."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from tools.dev.apt import find_debian_mirror, install_packages
from tools.dev.docker_engine import image_exists
from tools.dev.paths import find_executable
from tools.dev.processes import Patience, SetupError, run_logged

# The first word of a registry that answers comes within seconds, whatever the image's size.
PULL_PATIENCE = Patience(seconds=1200, first_output_seconds=30)

SCRIPTS = Path("/usr/share/debootstrap/scripts")

# debootstrap mounts /proc and more. In a mount namespace of its own nothing stays mounted when it
# is killed, so that removing its folder removes no more than that.
_IN_OWN_NAMESPACE = ("unshare", "--mount", "--")
_CHROOT = 'mount -t proc proc "$0/proc" && exec chroot "$0" "$@"'

# The import is named only when it is complete: a client killed half-way leaves no image behind.
_IMPORT = """
set -euo pipefail
folder=$1 name=$2 unfinished=$2-unfinished
shift 2
tar -C "$folder" --numeric-owner -c . | docker import "$@" - "$unfinished"
docker tag "$unfinished" "$name"
docker rmi --no-prune "$unfinished"
"""


def pull_image(name: str) -> None:
    """Pull an image, unless the engine has it.

    Raises:
        SetupError: no registry answered, or it has no such image.
    """
    if not image_exists(name):
        command = ["docker", "pull", name]
        run_logged(f"pulling the image {name}", command, log="docker-pull", patience=PULL_PATIENCE)


def make_debian_root(folder: Path, suite: str, packages: Sequence[str]) -> None:
    """Fill `folder` with a minimal Debian of that suite and the packages.

    Raises:
        SetupError: not root, or debootstrap failed.
    """
    if os.geteuid() != 0:
        raise SetupError("an image can't be pulled, and only root can make one of Debian packages")
    if find_executable("debootstrap") is None:
        needed = ["debootstrap", "debian-archive-keyring", "gpgv"]
        install_packages(needed, "images that can't be pulled")
    command = ["debootstrap", "--variant=minbase", f"--include={','.join(packages)}", suite, folder]
    mirror = find_debian_mirror()
    script = SCRIPTS / suite
    if mirror or not script.exists():
        command.append(mirror or "")
    if not script.exists():
        command.append(SCRIPTS / "sid")  # a debootstrap older than the suite: all since are alike
    run_logged(
        f"making a Debian {suite} of packages",
        [*_IN_OWN_NAMESPACE, *command],
        log=f"debootstrap-{suite}",
        hint="about 1 min, once",
    )


def run_in_root(
    title: str, folder: Path, command: Sequence[str], environment: Mapping[str, str], log: str
) -> None:
    """Run a command inside a Debian made by `make_debian_root`, with nothing mounted afterwards.

    Raises:
        SetupError: it failed.
    """
    whole = [*_IN_OWN_NAMESPACE, "sh", "-c", _CHROOT, folder, *command]
    run_logged(title, whole, log=log, env={**os.environ, **environment})


def import_image(folder: Path, name: str, changes: Sequence[str]) -> None:
    """Make a folder an image of that name; `changes` are lines of a Dockerfile (ENV, CMD, ...).

    Raises:
        SetupError: the engine refused it.
    """
    arguments = [word for change in changes for word in ("--change", change)]
    run_logged(
        f"importing the image {name}",
        ["bash", "-c", _IMPORT, "bash", folder, name, *arguments],
        log="docker-import",
    )
