"""What is kept of a lab when a test failed: enough to find out why without running it again."""

import contextlib
import shutil
from pathlib import Path

import httpx

from pytest_meshwright.lab import Lab

_PAGES = {
    "config_dump.json": "/config_dump?include_eds",
    "clusters.txt": "/clusters",
    "listeners.txt": "/listeners",
    "stats.txt": "/stats",
}


def keep_artifacts(lab: Lab, folder: Path) -> Path:
    """Copy every log, and ask the Envoys that still run for their state.

    Args:
        lab: running or stopped.
        folder: where the files go; it is created.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for file in sorted(lab.folder.glob("*")):
        if file.is_file():
            shutil.copy2(file, folder / file.name)
    for service in lab.services.values():
        for name, page in _PAGES.items():
            # An Envoy that ended, or never started, has no pages; its log says why.
            with contextlib.suppress(httpx.HTTPError):
                text = service.envoy.admin.get_text(page)
                (folder / f"envoy-{service.name}.{name}").write_text(text)
    return folder
