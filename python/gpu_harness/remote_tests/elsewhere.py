"""Which files of tests can be imported on the node alone, and what becomes of them.

A machine without a GPU often has no torch either. A file that says the marker and cannot be imported here for want of a
module, or that skips itself, is collected on the node; its marked tests are found there, and run. What else is in it can
run nowhere, and then the file is told as it would be without a node.
"""

import re

import pytest


class Elsewhere:
    """A plugin that keeps what pytest says of such files, until the node has said what is in them."""

    def __init__(self, marker):
        self._marks = re.compile(rf"\bmark\.{re.escape(marker)}\b")
        self._kept = {}

    @property
    def files(self):
        """Their ids."""
        return list(self._kept)

    @pytest.hookimpl(hookwrapper=True)
    def pytest_make_collect_report(self, collector):
        outcome = yield
        report = outcome.get_result()
        if isinstance(collector, pytest.Module) and _lacks_a_module(report) and self._is_marked(collector.path):
            report.__dict__.pop("call", None)
            self._kept[collector.nodeid] = report
            outcome.force_result(pytest.CollectReport(collector.nodeid, "passed", None, []))

    def _is_marked(self, path):
        return bool(self._marks.search(path.read_text(encoding="utf-8", errors="replace")))

    def reports(self, found):
        """The reports that still are to be told, when the node has said what it found in which file."""
        for file, report in self._kept.items():
            of_file = found.get(file, {})
            if not of_file.get("marked") or of_file.get("others"):
                yield _told(report, of_file)
        self._kept.clear()

    def reports_without(self, why):
        """The reports of all, where the node has said nothing."""
        for file, report in self._kept.items():
            yield pytest.CollectReport(file, "failed", f"{why}\n\non this machine: {report.longreprtext}", [])
        self._kept.clear()


def _lacks_a_module(report):
    if report.skipped:
        return True
    call = getattr(report, "call", None)
    error = call.excinfo.value if report.failed and call and call.excinfo else None
    return isinstance(error, ImportError) or isinstance(getattr(error, "__cause__", None), ImportError)


def _told(report, of_file):
    """What is told of a file: what both sides say of it, where it can be collected on neither."""
    if report.failed and of_file.get("text"):
        text = f"on this machine: {report.longreprtext}\n\non the node: {of_file['text']}"
        return pytest.CollectReport(report.nodeid, "failed", text, [])
    return report


class Found:
    """A test that is known by what the node says of it: as much of an item as reports are made of."""

    def __init__(self, config, said):
        self.config = config
        self.ihook = config.hook
        self.nodeid = said["id"]
        self.location = tuple(said["location"])
        self.path = config.rootpath / said["path"]
        self.keywords = said["keywords"]
