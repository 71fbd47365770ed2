"""The session on the node, as it is seen from here: a process of gpu-harness that has the node for as long as it lives.

It is asked to end when the pytest here has had enough, and ends by itself when nobody reads what it says any more, as when
pytest is killed: it then ends the command on the node, and gives the node back.
"""

import collections
import json
import os
import queue
import subprocess
import tempfile
import threading
import time
from pathlib import Path

from .command import command
from .job import job

# How much of what gpu-harness itself says is told when it ends.
_LINES = 40
# How long it may take to end after it was asked to, before that is said.
_SILENT = 2
# How long it may take to end by itself when there is nothing more to be said.
_LAST = 15
_LOOK = 0.02

# What is read here, and by nothing that is forked: gpu-harness is to notice the end of this process, whatever that leaves.
_read_here = set()


def _leave_to_the_parent():
    for descriptor in _read_here:
        os.dup2(os.open(os.devnull, os.O_RDONLY), descriptor)


os.register_at_fork(after_in_child=_leave_to_the_parent)


class Session:
    """One pytest on the node. What it says comes out of `heard`; the last word is `gone`."""

    def __init__(self, config, items, files=()):
        self.heard = queue.Queue()
        self._config = config
        self._said = collections.deque(maxlen=_LINES)
        self._folder = tempfile.TemporaryDirectory(prefix="gpu-harness-pytest-")
        self._process = None
        # Whether it has said all and ends by itself.
        self._is_over = False
        try:
            path = Path(self._folder.name, "job.json")
            path.write_text(json.dumps(job(config, items, files)))
            self._process = self._start(command(config, path))
        except OSError as error:
            self.heard.put({"said": "gone", "why": str(error)})

    def _start(self, words):
        process = subprocess.Popen(
            words,
            cwd=self._config.rootpath,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            # Ctrl-C is for the pytest here, which asks it to end in its turn.
            start_new_session=True,
        )
        _read_here.add(process.stdout.fileno())
        says = threading.Thread(target=self._listen, args=[process.stderr], daemon=True)
        says.start()
        threading.Thread(target=self._hear, args=[process, says], daemon=True).start()
        return process

    def _hear(self, process, says):
        for line in process.stdout:
            said = _parsed(line)
            if said is None:
                self.heard.put({"said": "output", "stream": "out", "text": line.decode("utf-8", "replace")})
            else:
                self._is_over = said["said"] == "end"
                self.heard.put(said)
        status = process.wait()
        says.join(1)
        why = [f"gpu-harness exec ended with exit status {status}", *self._said]
        self.heard.put({"said": "gone", "why": "\n".join(why)})

    def _listen(self, stream):
        for line in stream:
            text = line.decode("utf-8", "replace").rstrip("\n")
            self._said.append(text)
            self.heard.put({"said": "harness", "text": text})

    def close(self, tell, has_all=False):
        """Ends it, and waits until it has given the node back; `tell` takes what a person who waits wants to know. `has_all`:
        every test has been told, so that it is about to end by itself."""
        if self._process is not None:
            end = time.monotonic() + _LAST
            while has_all and not self._is_over and self._process.poll() is None and time.monotonic() < end:
                time.sleep(_LOOK)
            if not self._is_over and self._process.poll() is None:
                self._process.terminate()
            try:
                self._process.wait(_SILENT)
            except subprocess.TimeoutExpired:
                tell("gpu-remote: giving the node back")
                self._process.wait()
            _read_here.discard(self._process.stdout.fileno())
            self._process = None
        self._folder.cleanup()


def _parsed(line):
    try:
        said = json.loads(line)
    except ValueError:
        return None
    return said if isinstance(said, dict) and "said" in said else None
