"""How what the node said becomes reports of the pytest here, so that everything that reads reports works: the terminal,
JUnit, durations, the cache of failed tests, other plugins.

A test that the node did not run to its end, for a reason that is not the test's, is an error that says so. Why is told
whole once, and by the others in a line.
"""

import builtins
import sys
import types
import warnings

import pytest
from _pytest._code.code import ExceptionChainRepr, ReprEntryNative, ReprFileLocation, ReprTraceback

from .elsewhere import Found

INFRASTRUCTURE = "infrastructure, not the code under test"


class Node:
    """The node as reports name it: pytest shows it as it shows the workers of pytest-xdist."""

    def __init__(self, name, info):
        self.gateway = types.SimpleNamespace(id=name)
        self.workerinfo = {**info, "version_info": tuple(info["version_info"]), "id": name}


class Teller:
    """Tells the pytest here what becomes of these tests."""

    def __init__(self, config, items, name, session=None, elsewhere=None):
        self.left = dict(enumerate(items))
        self._known = len(items)
        # The files whose tests the node has not found yet.
        self.elsewhere = elsewhere if elsewhere and elsewhere.files else None
        # Whether the node has said that its part is over.
        self.has_ended = False
        self._session = session
        self._config = config
        self._name = name
        self._here = str(config.rootpath)
        # The folder on the node that the tests run in, and the Python that runs them, once they are known.
        self._there = None
        self._python = None
        self._node = None
        self._phases = set()
        self._has_told = False

    def tell(self, said):
        """Tells one thing that the node said. False: it says no more."""
        said = dict(said)
        kind = said.pop("said")
        item = said.pop("item", None)
        if item is not None and item in self.left:
            getattr(self, f"_{kind}")(item, self.left[item], **said)
        elif item is None:
            return getattr(self, f"_all_{kind}")(**said) is not False
        return True

    # ---- about all ----

    def _all_node(self, root, info, pytest):
        self._there = root
        self._python = "{}.{}.{}, {}".format(*info["version_info"], info["executable"])
        if not hasattr(self._config, "workerinput"):
            # A worker of pytest-xdist sends its reports on, and is their node.
            self._node = Node(self._name, info)

    def _all_harness(self, text):
        # Until the node is there, nothing else is told of it; then what it says is for whoever wants to know more.
        terminal = self._config.pluginmanager.get_plugin("terminalreporter")
        if terminal is not None and self._config.option.verbose >= (1 if self._there else 0):
            terminal.ensure_newline()
            terminal.write_line(text)

    def _all_output(self, stream, text):
        to = sys.stderr if stream == "err" else sys.stdout
        to.write(text)
        to.flush()

    def _all_found(self, items, of_files):
        """What the node has found in files that cannot be collected here."""
        if self.elsewhere is None:
            # Another node has begun again, and says the same.
            return
        self.left.update((self._known + n, Found(self._config, said)) for n, said in enumerate(items))
        # pytest reckons its progress, and whether there was anything to run, by them.
        self._session.testscollected += len(items)
        elsewhere, self.elsewhere = self.elsewhere, None
        for report in elsewhere.reports(of_files):
            self._config.hook.pytest_collectreport(report=report)

    def _all_exit(self, reason, returncode):
        pytest.exit(reason, returncode)

    def _all_broken(self, text):
        self._fail_all("the pytest on the node cannot run the tests", text)
        return False

    def _all_gone(self, why):
        self._fail_all(f"{INFRASTRUCTURE}: the node ran no more tests", why)
        return False

    def _all_end(self):
        self.has_ended = True

    def _all_over(self):
        """The session here has ended before: nobody wants to know."""

    def _fail_all(self, what, why):
        elsewhere, self.elsewhere = self.elsewhere, None
        for report in elsewhere.reports_without(f"{what}\n{why}") if elsewhere else ():
            self._config.hook.pytest_collectreport(report=report)
        for item in list(self.left.values()):
            said = f"{what}; why is told by the first of them" if self._has_told else f"{what}\n{why}"
            self._has_told = True
            self._close(item, self._error(item, what, said))
        self.left.clear()

    # ---- about one test ----

    def _start(self, index, item):
        self._open(item)

    def _report(self, index, item, data):
        data["longrepr"] = self._as_here(data.get("longrepr"))
        report = self._config.hook.pytest_report_from_serializable(config=self._config, data=data)
        report.nodeid, report.location = item.nodeid, item.location
        # Where a test is skipped is a tuple, which JSON does not know.
        if isinstance(report.longrepr, list):
            report.longrepr = tuple(report.longrepr)
        self._phases.add(report.when)
        self._log(item, report)

    def _warning(self, index, item, text, category, filename, lineno, location):
        warning = _warning(text, category, self._as_here(filename), lineno)
        location = location and (self._as_here(location[0]), *location[1:])
        told = {"warning_message": warning, "when": "runtest", "nodeid": item.nodeid, "location": location}
        item.ihook.pytest_warning_recorded.call_historic(kwargs=told)

    def _done(self, index, item):
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        self._forget(index)

    def _crashed(self, index, item, why, tail):
        what = f"the test took its process on the node down: it {why}"
        when = "teardown" if "call" in self._phases else "call"
        self._close(item, self._error(item, what, f"{what}\n{tail}".rstrip(), when))
        self._forget(index)

    def _unknown(self, index, item, why=None, text="", skipped=None):
        self._open(item)
        if skipped:
            report = self._made(item, "skipped", tuple(self._as_here(skipped)), "setup")
        else:
            report = self._error(item, why, f"{why}\n{text}".rstrip())
        self._close(item, report)
        self._forget(index)

    def _forget(self, index):
        del self.left[index]
        self._phases.clear()

    def _open(self, item):
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)

    def _close(self, item, report):
        self._log(item, report)
        if report.when != "teardown":
            self._log(item, self._made(item, "passed", None, "teardown"))
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)

    def _as_here(self, value):
        """The same with the paths of this machine."""
        if isinstance(value, str):
            return value.replace(self._there + "/", self._here + "/") if self._there else value
        if isinstance(value, list):
            return [self._as_here(one) for one in value]
        if isinstance(value, dict):
            return {name: self._as_here(one) for name, one in value.items()}
        return value

    def _log(self, item, report):
        if self._node is not None:
            report.node = self._node
        elif self._there and report.failed:
            report.sections.append(("gpu-remote", f"it ran on {self._name}: Python {self._python}"))
        item.ihook.pytest_runtest_logreport(report=report)

    def _error(self, item, what, told, when="setup"):
        # As long as it is, pytest's summary has a line of it.
        place = ReprFileLocation(str(item.path), (item.location[1] or 0) + 1, what)
        entry = ReprTraceback([ReprEntryNative([self._as_here(told) + "\n"])], None, style="native")
        return self._made(item, "failed", ExceptionChainRepr([(entry, place, None)]), when)

    def _made(self, item, outcome, longrepr, when):
        keywords = {name: 1 for name in item.keywords}
        return pytest.TestReport(item.nodeid, item.location, keywords, outcome, longrepr, when)


def _warning(text, category, filename, lineno):
    """The warning as it was, where its category is known here without importing anything for it."""
    module, name = category
    found = getattr(builtins if module == "builtins" else sys.modules.get(module), name, None)
    if not (isinstance(found, type) and issubclass(found, Warning)):
        found, text = UserWarning, f"{module}.{name}: {text}"
    return warnings.WarningMessage(text, found, filename, lineno)
