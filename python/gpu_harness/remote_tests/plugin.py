"""What pytest calls where there is a node: one plugin for each kind of process that takes part in a session."""

import pytest
from _pytest.runner import CallInfo

from .elsewhere import Elsewhere
from .job import item as named
from .loop import loop
from .session import Session
from .shared import KEY, Counter, Desk
from .telling import Teller


def plugin(session, marker):
    """The one of this process: of a worker of pytest-xdist, of what starts such workers, or of a pytest that is alone."""
    config = session.config
    if hasattr(config, "workerinput"):
        return Worker(config, marker)
    return Starter(config, session) if config.pluginmanager.has_plugin("dsession") else Alone(config, marker)


def _name(config):
    return config.option.gpu_remote or "gpu"


class Alone:
    """It has the session, and runs the tests of this machine meanwhile."""

    def __init__(self, config, marker):
        self._config = config
        self._marker = marker
        self._session = None
        self._elsewhere = Elsewhere(marker)
        config.pluginmanager.register(self._elsewhere, "gpu_harness_elsewhere")

    def pytest_report_collectionfinish(self, items):
        node = self._config.option.gpu_remote or "the default node"
        count = sum(1 for item in items if item.get_closest_marker(self._marker))
        lines = [f"gpu-remote: {count} of {len(items)} tests run on {node}"] if count else []
        # As pytest names a file of tests.
        lines += [f"gpu-remote: what is in {file} is found on {node}" for file in self._elsewhere.files]
        return lines or f"gpu-remote: no test that was chosen is marked `{self._marker}`"

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session):
        there = [item for item in session.items if item.get_closest_marker(self._marker)]
        if not (there or self._elsewhere.files) or (
            session.testsfailed and not session.config.option.continue_on_collection_errors
        ):
            return None
        here = [item for item in session.items if not item.get_closest_marker(self._marker)]
        self._session = Session(self._config, [named(item) for item in there], self._elsewhere.files)
        teller = Teller(self._config, there, _name(self._config), session, self._elsewhere)
        loop(session, here, self._session.heard, teller)
        return True

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self):
        if self._session is not None:
            self._session.close(_telling(self._config))


class Starter:
    """It starts the workers of pytest-xdist, and has the session for them."""

    def __init__(self, config, session):
        self._config = config
        self._session = session
        self._desk = Desk(config)

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node):
        node.workerinput[KEY] = self._desk.path

    # After a failure that is one too many, xdist waits for its workers, and these for the node.
    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self):
        if self._session.shouldfail or self._session.shouldstop:
            self._desk.stop()

    # Before xdist ends its workers.
    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self):
        self._desk.close(_telling(self._config))


class Worker:
    """A worker of pytest-xdist: a test of the node's, it asks for."""

    def __init__(self, config, marker):
        self._config = config
        self._marker = marker
        self._counter = None
        self._index = {}
        self._teller = None

    def pytest_collection_finish(self, session):
        there = [item for item in session.items if item.get_closest_marker(self._marker)]
        if there:
            self._index = {item: index for index, item in enumerate(there)}
            self._teller = Teller(self._config, there, _name(self._config))
            self._counter = Counter(self._config.workerinput[KEY], [named(item) for item in there])

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item, nextitem):
        index = self._index.get(item)
        if index is None:
            return None
        self._teller.left = {index: item}
        for said in self._counter.result(index):
            self._teller.tell(said)
        # What fixtures of tests before it are not needed after it.
        call = CallInfo.from_call(lambda: item.session._setupstate.teardown_exact(nextitem), when="teardown")
        if call.excinfo is not None:
            item.ihook.pytest_runtest_logreport(report=item.ihook.pytest_runtest_makereport(item=item, call=call))
        return True


def _telling(config):
    terminal = config.pluginmanager.get_plugin("terminalreporter")

    def tell(line):
        if terminal is not None:
            terminal.ensure_newline()
            terminal.write_line(line)

    return tell
