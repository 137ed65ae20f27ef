"""A headless Chromium, and the page that it visits."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.helpers.runs import CONF

_NAMES = ("chromium", "chromium-browser", "google-chrome")


@contextmanager
def chromium() -> Iterator[Browser]:
    """The system's Chromium. A test without it fails: it would check nothing."""
    path = next(filter(None, map(shutil.which, _NAMES)), None)
    if path is None:
        pytest.fail("this test needs Chromium: install it, on Debian with `sudo apt-get install chromium`")
    root = hasattr(os, "geteuid") and os.geteuid() == 0  # who may not use Chromium's sandbox
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"] if root else [])
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def served(folder: Path, *options: str) -> Iterator[str]:
    """Runs `colorize-app` in a process of its own, and gives its address. Ctrl-C has to end it without complaints.

    Args:
        folder: for temporary files.
        options: of the command.
    """
    command = [sys.executable, "-m", "colorization", "app", "port=0", "device=cpu", *options]
    environment = {**os.environ, "TMPDIR": str(folder)}
    with subprocess.Popen(
        command, cwd=CONF.parent, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        try:
            line = server.stdout.readline()
            found = re.match(r"(http://127\.0\.0\.1:\d+) ", line)
            assert found is not None, line
            yield found[1]
        finally:
            server.send_signal(signal.SIGINT)
            _, complaints = server.communicate(timeout=300)
        assert (server.returncode, complaints) == (130, "Stopped\n")
