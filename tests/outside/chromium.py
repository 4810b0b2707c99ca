"""`python -m tests.outside.chromium`: prints the Chromium that the browser tests take; else 1."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import sync_playwright

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MACOS = Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def find() -> Path | None:
    """The system's own, else the one that Playwright has installed; one that runs."""
    return next(filter(_runs, _candidates()), None)


def _candidates() -> Iterator[Path]:
    yield from (Path(found) for name in PROGRAMS if (found := shutil.which(name)))
    yield MACOS
    with sync_playwright() as playwright:
        own = Path(playwright.chromium.executable_path)
    yield own
    yield from own.parents[2].glob("chromium_headless_shell-*/*/*headless*shell")


def _runs(program: Path) -> bool:
    """Whether it is there, with the libraries that it needs."""
    try:
        said = subprocess.run([program, "--version"], capture_output=True, check=False)
    except OSError:
        return False
    return said.returncode == 0


if __name__ == "__main__":
    browser = find()
    if browser is None:
        sys.exit(1)
    print(browser)
