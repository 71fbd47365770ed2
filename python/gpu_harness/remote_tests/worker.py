"""What runs on the node: pytest, whose reports go to standard output as lines of JSON.

This file is sent along and needs Python 3.8 and pytest 7, and nothing else. It is two processes. One keeps the other: it
passes on what that says, and where a test takes its process down, as a fault in a CUDA kernel does, it says which test that
was and starts another process for the rest. The other runs pytest.
"""

from __future__ import annotations

import collections
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import traceback

# How much of what a process printed is told when it crashes.
TAIL = 16 << 10
# How often it is looked whether a process that says nothing is still there, and how long one that is done may take to end.
LOOK = 0.5
LAST = 10
# Options of pytest that are for the pytest of the person who typed them.
FOR_HERE = {
    "basetemp": None,
    "cacheclear": False,
    "cacheshow": None,
    "collectonly": False,
    "continue_on_collection_errors": True,
    "cov_source": [],
    "debug": None,
    "dist": "no",
    "distload": False,
    "durations": None,
    "failedfirst": False,
    "help": False,
    "htmlpath": None,
    "json_report": False,
    "lf": False,
    "log_file": None,
    "looponfail": False,
    "maxprocesses": None,
    "newfirst": False,
    "numprocesses": None,
    "pastebin": None,
    "report_log": None,
    "setuponly": False,
    "setupplan": False,
    "setupshow": False,
    "stepwise": False,
    "stepwise_skip": False,
    "trace": False,
    "tx": [],
    "usepdb": False,
    "xmlpath": None,
}


class Saying:
    """A stream of lines, whole ones whoever writes."""

    def __init__(self, stream):
        self._stream = stream
        self._lock = threading.Lock()

    def __call__(self, said, **more):
        line = json.dumps({"said": said, **more}, default=_plain) + "\n"
        with self._lock:
            self._stream.write(line)
            self._stream.flush()


def _plain(value):
    """What JSON has no word for: a number of numpy as its number, anything else as its text."""
    try:
        return value.item()
    except Exception:
        return str(value)


# ---- the one that keeps the other ----


def keep(job_path):
    say = Saying(os.fdopen(os.dup(1), "w", encoding="utf-8"))
    # Whatever else is printed here is not for the one who reads the lines.
    os.dup2(2, 1)
    with open(job_path, encoding="utf-8") as file:
        job = json.load(file)
    # The processes of the command are asked to end all at once: the other one ends in good order, and then this one.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    left, found = list(range(len(job["items"]))), None
    while left or (found is None and job["files"]):
        child = Child(job_path, left, found, say, job["live"])
        why = child.follow()
        if found is None and child.found is not None:
            found = child.found
            left += range(len(job["items"]), len(job["items"]) + len(found))
        left = [item for item in left if item not in child.ended]
        if why is None:
            break
        if child.running is None:
            say("broken", text=f"pytest on the node {why} before it ran a test\n{child.tail()}".rstrip())
            break
        say("crashed", item=child.running, why=why, tail=child.tail())
        left.remove(child.running)
    say("end")


class Child:
    """One process that runs pytest."""

    def __init__(self, job_path, items, found, say, live):
        self.running = None
        self.ended = set()
        self.found = None
        self._say = say
        self._live = live
        self._printed = collections.deque()
        self._kept = 0
        # Two streams are printed, and what is kept of them is one.
        self._lock = threading.Lock()
        said, saying = os.pipe()
        self._said = os.fdopen(said, encoding="utf-8")
        # With the options of Python itself that this process has, as multiprocessing starts others.
        python = [sys.executable, *subprocess._args_from_interpreter_flags()]
        arguments = [*python, os.path.abspath(__file__), job_path, str(saying)]
        self._process = subprocess.Popen(
            arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, pass_fds=[saying]
        )
        os.close(saying)
        self._process.stdin.write(json.dumps([items, found]).encode())
        self._process.stdin.close()

    def follow(self):
        """Passes on what it says until it ends; why it ended before it was done, if so."""
        # What it leaves behind may hold its streams open: their end is not waited for.
        heard = queue.Queue()
        streams = [("out", self._process.stdout), ("err", self._process.stderr)]
        readers = [threading.Thread(target=self._read, args=stream, daemon=True) for stream in streams]
        for thread in [*readers, threading.Thread(target=self._hear, args=[heard], daemon=True)]:
            thread.start()
        is_done = any(self._pass_on(line) == "over" for line in self._lines(heard))
        try:
            status = self._process.wait(LAST)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = self._process.wait()
        for reader in readers:
            reader.join(1)
        if is_done:
            return None
        return f"was ended by {_signal(-status)}" if status < 0 else f"ended with exit status {status}"

    def _hear(self, heard):
        for line in self._said:
            heard.put(line)
        heard.put(None)

    def _lines(self, heard):
        while True:
            has_ended = self._process.poll() is not None
            try:
                line = heard.get(timeout=LOOK)
            except queue.Empty:
                if has_ended:
                    return
                continue
            if line is None:
                return
            yield line

    def _pass_on(self, line):
        said = json.loads(line)
        kind = said.pop("said")
        if kind == "over":
            return kind
        if kind == "start":
            self.running = said["item"]
        elif kind == "found":
            self.found = said["items"]
        elif kind in ("done", "unknown"):
            self.running = None
            self.ended.add(said["item"])
        self._say(kind, **said)
        return kind

    def _read(self, name, stream):
        while True:
            chunk = os.read(stream.fileno(), 64 << 10)
            if not chunk:
                return
            text = chunk.decode("utf-8", "replace")
            with self._lock:
                self._printed.append(text)
                self._kept += len(text)
                while self._kept - len(self._printed[0]) > TAIL:
                    self._kept -= len(self._printed.popleft())
            if self._live:
                self._say("output", stream=name, text=text)

    def tail(self):
        with self._lock:
            return "".join(self._printed)[-TAIL:]


def _signal(number):
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


# ---- the one that runs pytest ----


def run(job_path, descriptor):
    os.set_inheritable(descriptor, False)
    say = Saying(os.fdopen(descriptor, "w", encoding="utf-8"))
    with open(job_path, encoding="utf-8") as file:
        job = json.load(file)
    items, found = json.load(sys.stdin)
    if found is not None:
        # An earlier process has looked.
        job["items"] += found
        job["files"] = []
    # Who asks the command to end wants its fixtures to be torn down.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        _run(job, items, say)
    except KeyboardInterrupt:
        pass
    except BaseException as error:
        say("broken", text=_told(error))
    say("over")


def _run(job, items, say):
    root = os.getcwd()
    _find_modules(job, root)
    try:
        import pytest
    except ImportError as error:
        where = f"{sys.executable} (Python {sys.version.split()[0]})"
        raise Broken(f"{where} on the node cannot import pytest: {error}; --gpu-python names another Python") from None
    from _pytest.config import Config

    version_info = list(sys.version_info[:3])
    say(
        "node",
        root=root,
        pytest=pytest.__version__,
        info={"version_info": version_info, "sysplatform": sys.platform, "executable": sys.executable},
    )
    options = there(job["options"], job["root"], root)
    options.update({name: value for name, value in FOR_HERE.items() if name in options})
    # The plugin that sent this has nothing to do here.
    plugins = [name for name in options["plugins"] if not name.startswith("gpu_harness")] + ["no:gpu_harness"]
    # What it prints is not read: the reports say everything. It is blocked last, since others ask for its options.
    options.update(rootdir=root, plugins=[*plugins, "no:terminal"])
    if job["inifile"]:
        options["inifilename"] = os.path.join(root, job["inifile"])
    os.chdir(os.path.join(root, job["folder"]))
    paths = [job["items"][item]["path"] for item in items] + job["files"]
    files = list(dict.fromkeys(os.path.join(root, path) for path in paths))
    arguments = [word for plugin in plugins for word in ("-p", plugin)]
    config = Config.fromdictargs(options, [*arguments, *(file for file in files if os.path.exists(file))])
    # What the plugin that sent this makes known there has to be known here.
    config._parser.addini("gpu_remote_marker", "the marker of tests that need a GPU", default="gpu")
    config.addinivalue_line("markers", f"{job['marker']}: needs a GPU")
    config.pluginmanager.register(Speaker(pytest, config, job, items, say), "gpu_harness_speaker")
    config.hook.pytest_cmdline_main(config=config)


class Broken(Exception):
    """Why no test can be run, in a sentence that says it all."""


def _find_modules(job, root):
    """Makes importable what is so where the job comes from, as far as it was sent along: a folder that `pip install -e`
    named, say."""
    own = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [path for path in sys.path if os.path.abspath(path) != own]
    for folder in reversed(job["sys_path"]):
        path = os.path.normpath(os.path.join(root, folder))
        if os.path.isdir(path) and path not in sys.path:
            sys.path.insert(0, path)


def there(value, old, new):
    """The same with every path below the folder `old` being below `new`."""
    if isinstance(value, str):
        is_below = value == old or value.startswith(old.rstrip("/") + "/")
        return new + value[len(old.rstrip("/")) :] if is_below else value
    if isinstance(value, list):
        return [there(one, old, new) for one in value]
    if isinstance(value, dict):
        return {name: there(one, old, new) for name, one in value.items()}
    return value


def _told(error):
    """An error in words: the user's frames of it, without those of pytest."""
    if isinstance(error, Broken):
        return str(error)
    if type(error).__name__ == "UsageError":
        return "\n".join(map(str, error.args))
    # What pytest raises for a conftest.py says what went wrong in it by its cause.
    shown = error.__cause__ if type(error).__name__ == "ConftestImportFailure" and error.__cause__ else error
    theirs = [
        frame
        for frame in traceback.extract_tb(shown.__traceback__)
        if not any(part in frame.filename for part in ("/_pytest/", "/pluggy/", "importlib", "/.gpu-harness/"))
    ]
    return "".join(traceback.format_list(theirs) + traceback.format_exception_only(type(shown), shown)).rstrip()


class Speaker:
    """A plugin that lets the wanted tests run in the wanted order, and says what becomes of each."""

    def __init__(self, pytest, config, job, items, say):
        self._config = config
        self._root = str(config.rootpath)
        self._job = job
        self._items = items
        self._say = say
        self._running = None
        self._not_collected = []
        # hookimpl is called here, since pytest cannot be imported where this file is only read.
        impl = pytest.hookimpl
        for hook in (Speaker.pytest_collection_modifyitems, Speaker.pytest_runtest_protocol):
            impl(hookwrapper=True, tryfirst=True)(hook)

    def pytest_collectreport(self, report):
        if not report.passed:
            self._not_collected.append(report)

    def pytest_collection_modifyitems(self, items):
        yield
        found = collections.defaultdict(collections.deque)
        for item in items:
            found[item.nodeid].append(item)
        chosen = []
        for index in self._items:
            wanted = self._job["items"][index]
            if found[wanted["id"]]:
                item = found[wanted["id"]].popleft()
                item.gpu_harness_index = index
                chosen.append(item)
            else:
                self._say("unknown", item=index, **self._why_unknown(wanted, items))
        if self._job["files"]:
            chosen += self._find(items)
        items[:] = chosen

    def _find(self, items):
        """Chooses the marked tests of files that could not be collected where the job comes from, and says which they are."""
        chosen, said, of_files = [], [], {}
        for file in self._job["files"]:
            ours = [item for item in items if _is_of(item.nodeid, file) and not hasattr(item, "gpu_harness_index")]
            marked = [item for item in ours if item.get_closest_marker(self._job["marker"])]
            text = next((report.longreprtext for report in self._not_collected if report.nodeid == file), "")
            of_files[file] = {"marked": len(marked), "others": len(ours) - len(marked), "text": text}
            for item in marked:
                item.gpu_harness_index = len(self._job["items"]) + len(said)
                keywords = {name: 1 for name in item.keywords}
                said.append({"id": item.nodeid, "location": item.location, "path": file, "keywords": keywords})
            chosen += marked
        self._say("found", items=said, of_files=of_files)
        return chosen

    def _why_unknown(self, wanted, items):
        for report in self._not_collected:
            if not _is_of(wanted["id"], report.nodeid):
                continue
            if report.skipped:
                return {"skipped": list(report.longrepr)}
            return {"why": f"{report.nodeid} cannot be collected on the node", "text": report.longreprtext}
        path, file = wanted["path"], wanted["id"].split("::")[0]
        if not os.path.exists(os.path.join(self._root, path)):
            return {"why": f"{path} is not on the node: git ignores it, or it lies outside of the tree that was sent"}
        beside = [item.nodeid for item in items if _is_of(item.nodeid, file)]
        some = ", ".join(beside[:5]) + (", …" if len(beside) > 5 else "")
        known = f"the pytest there finds {some} in that file" if beside else "the pytest there finds none in that file"
        return {"why": f"there is no test of this id on the node; {known}"}

    def pytest_runtest_protocol(self, item):
        self._running = getattr(item, "gpu_harness_index", None)
        if self._running is None:
            # Some other plugin's own.
            yield
            return
        self._say("start", item=self._running)
        ended = yield
        # What ends the session is not the end of the test.
        if ended.excinfo is None:
            self._say("done", item=self._running)
        self._running = None

    def pytest_runtest_logreport(self, report):
        if self._running is not None:
            data = self._config.hook.pytest_report_to_serializable(config=self._config, report=report)
            self._say("report", item=self._running, data=data)

    def pytest_warning_recorded(self, warning_message, when, nodeid, location):
        if when == "runtest":
            category = warning_message.category
            self._say(
                "warning",
                item=self._running,
                text=str(warning_message.message),
                category=[category.__module__, category.__qualname__],
                filename=warning_message.filename,
                lineno=warning_message.lineno,
                location=location,
            )

    def pytest_internalerror(self, excrepr):
        self._say("broken", text=str(excrepr))

    def pytest_keyboard_interrupt(self, excinfo):
        # pytest.exit() in a test ends the session; a signal is the end of the command.
        if not excinfo.errisinstance(KeyboardInterrupt):
            returncode = getattr(excinfo.value, "returncode", None)
            self._say("exit", reason=str(excinfo.value), returncode=returncode)


def _is_of(test, place):
    """Whether a test's id is of that file, folder or class."""
    return bool(place) and test.startswith(place) and test[len(place) :][:1] in ("", ":", "/")


if __name__ == "__main__":
    if len(sys.argv) == 2:
        keep(sys.argv[1])
    else:
        run(sys.argv[1], int(sys.argv[2]))
