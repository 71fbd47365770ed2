"""A user's project, and pytest run in it as the user would, against a node.

`GPU_HARNESS_NODE` names the node (default: local), `GPU_HARNESS_BIN` the program. tests/integration/pytest.rs runs these
files with two versions of pytest against an ssh server of its own.
"""

import os
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as tree
from pathlib import Path

import pytest

# The package of this checkout, for what is tested without a project too.
PACKAGE = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PACKAGE))
NODE = os.environ.get("GPU_HARNESS_NODE", "local")


class Ended:
    """What came of one run of pytest."""

    def __init__(self, folder, status, output):
        self.folder = folder
        self.status = status
        self.output = output

    @property
    def junit(self):
        """What came of each test, by a strict parser: `passed`, `failure`, `error`, `skipped`."""
        found = {}
        for case in tree.parse(self.folder / "junit.xml").iter("testcase"):
            kinds = [child.tag for child in case if child.tag in ("failure", "error", "skipped")]
            found[case.get("name")] = kinds[0] if kinds else "passed"
        return found

    def text_of(self, name):
        """All that JUnit has of a test."""
        cases = [case for case in tree.parse(self.folder / "junit.xml").iter("testcase") if case.get("name") == name]
        return "\n".join(
            text for case in cases for part in case.iter() for text in [part.text or "", *part.attrib.values()]
        )


class Project:
    def __init__(self, folder):
        self.folder = folder
        self.environment = {
            **{
                name: value
                for name, value in os.environ.items()
                if not name.startswith(("PYTEST", "GITHUB", "BITBUCKET"))
            },
            "PYTHONPATH": str(PACKAGE),
            "COLUMNS": "200",
        }
        self.environment.pop("GPU_HARNESS_NODE", None)
        self.write("gpu-harness.yaml", "{}\n")
        self.write("pytest.ini", "[pytest]\n")
        self.write(".gitignore", "junit.xml\n.pytest_cache/\n__pycache__/\n")
        self.git("init", "-q")

    def git(self, *words):
        subprocess.run(["git", *words], cwd=self.folder, check=True, stdout=subprocess.DEVNULL)

    def write(self, name, text):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def command(self, *words, node=NODE, python=sys.executable):
        remote = [] if node is None else [f"--gpu-remote={node}", f"--gpu-python={python}"]
        plugin = ["-p", "gpu_harness.pytest_plugin"]
        return [
            sys.executable,
            "-m",
            "pytest",
            *plugin,
            *remote,
            "--junitxml=junit.xml",
            "-o",
            "junit_family=xunit1",
            *words,
        ]

    def pytest(self, *words, **more):
        """Runs it to its end."""
        done = subprocess.run(
            self.command(*words, **more),
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            timeout=120,
        )
        return Ended(self.folder, done.returncode, done.stdout.decode())

    def start(self, *words):
        """Starts it, as a shell does that waits for it."""
        return subprocess.Popen(
            self.command(*words),
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            # A shell that does not wait for it ignores SIGINT, and so would whatever it starts.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )

    def runs(self):
        """The folders that gpu-harness left, one for each node that was had."""
        return [path for path in (self.folder / "gpu-harness-runs").glob("2*") if path.is_dir()]

    def ended_well(self):
        """Whether the latest run on the node came to its end by itself."""
        events = self.folder / "gpu-harness-runs" / "latest" / "events.ndjson"
        return '"kind":"run-closed","exit":0' in events.read_text()


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


def eventually(what, seconds=30):
    """Waits until something is so."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if what():
            return True
        time.sleep(0.05)
    return False


def lives(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False
