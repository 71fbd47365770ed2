"""How the workers of pytest-xdist share the one session on the node.

The process that starts the workers has the session, and hands out at a socket what the node said of a test. Each worker
knows all tests, and says which of them are the node's; those run there from the first on, as without xdist. The worker that
xdist gives such a test to waits for what came of it, and reports it as its own.
"""

import collections
import json
import os
import socket
import tempfile
import threading

from .session import Session

# What is said of all tests that have none of their own.
_ALL = ("broken", "gone")
# What is said of a test last.
_LAST = ("done", "crashed", "unknown")
# A worker's `workerinput` has the socket under this name.
KEY = "gpu_harness_session"


class Desk:
    """The side that has the session."""

    def __init__(self, config):
        self._config = config
        self._folder = tempfile.TemporaryDirectory(prefix="gpu-harness-")
        self.path = os.path.join(self._folder.name, "s")
        self._changed = threading.Condition()
        self._items = None
        self._session = None
        self._node = None
        self._told = collections.defaultdict(list)
        self._whole = set()
        self._fate = None
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(self.path)
        self._socket.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=[connection], daemon=True).start()

    def _serve(self, connection):
        with connection, connection.makefile("rw", encoding="utf-8") as stream:
            for line in stream:
                asked = json.loads(line)
                answer = self._begin(asked["items"]) if "items" in asked else self._result(asked["item"])
                try:
                    stream.write(json.dumps(answer) + "\n")
                    stream.flush()
                except OSError:
                    return

    def _begin(self, items):
        """The first worker's word starts the session; whether this one's is the same."""
        with self._changed:
            if self._items is None and self._fate is None:
                self._items = items
                self._session = Session(self._config, items)
                threading.Thread(target=self._hear, args=[self._session.heard], daemon=True).start()
            return items == self._items

    def _hear(self, heard):
        while True:
            said = heard.get()
            with self._changed:
                if said["said"] == "node":
                    self._node = said
                elif said.get("item") is not None:
                    self._keep(said)
                elif said["said"] in (*_ALL, "exit"):
                    self._fate = self._fate or said
                self._changed.notify_all()
            if said["said"] == "gone":
                return

    def _keep(self, said):
        item = said["item"]
        # Where the node was replaced by another one, all are told again.
        if item in self._whole:
            return
        if said["said"] == "start":
            self._told[item].clear()
        self._told[item].append(said)
        if said["said"] in _LAST:
            self._whole.add(item)

    def _result(self, item):
        """All that was said of a test, once it is at its end."""
        with self._changed:
            self._changed.wait_for(lambda: item in self._whole or self._fate)
            node = [self._node] if self._node else []
            return [*node, *self._told[item], *([] if item in self._whole else [self._fate])]

    def stop(self):
        """Lets nobody wait any longer: no test is wanted any more."""
        with self._changed:
            self._fate = self._fate or {"said": "over"}
            self._changed.notify_all()

    def close(self, tell):
        """Ends the session."""
        has_all = self._fate is None and len(self._whole) == len(self._items or [])
        self.stop()
        self._socket.close()
        if self._session is not None:
            self._session.close(tell, has_all)
        self._folder.cleanup()


class Counter:
    """A worker's side."""

    def __init__(self, path, items):
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(path)
        self._stream = self._socket.makefile("rw", encoding="utf-8")
        self._is_same = self._ask(items=items)

    def result(self, index):
        """What the node said of a test, waited for."""
        if not self._is_same:
            return [
                {"said": "unknown", "item": index, "why": "this worker has collected other tests than the first one"}
            ]
        return self._ask(item=index)

    def _ask(self, **asked):
        self._stream.write(json.dumps(asked) + "\n")
        self._stream.flush()
        answer = self._stream.readline()
        if not answer:
            return [{"said": "gone", "why": "the pytest that started this worker has ended"}]
        return json.loads(answer)
