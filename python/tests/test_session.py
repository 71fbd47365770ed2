"""One session on one node: fixtures, crashes, and whatever goes wrong with either side."""

import os
import signal
import sys
import time

from conftest import Ended, eventually, lives

FIXTURES = """
import os, pytest

@pytest.fixture(scope="session")
def model(tmp_path_factory):
    with open(os.environ["LOG"], "a") as log: log.write("made\\n")
    yield os.getpid()
    with open(os.environ["LOG"], "a") as log: log.write("torn down\\n")
"""


def logged(project):
    path = project.folder / "log.ignored"
    return path.read_text().split("\n")[:-1] if path.exists() else []


def with_log(project, tests):
    project.write(".gitignore", "*.ignored\njunit.xml\n")
    project.write("conftest.py", FIXTURES)
    project.write("test_it.py", tests)
    return f"--gpu-env=LOG={project.folder}/log.ignored"


def test_fixtures_of_a_session_are_made_once_there_and_torn_down(project):
    env = with_log(
        project,
        "import pytest\n@pytest.mark.gpu\ndef test_a(model): pass\ndef test_here(): pass\n"
        "@pytest.mark.gpu\ndef test_b(model): pass\n",
    )
    project.write("test_other.py", "import pytest\n@pytest.mark.gpu\ndef test_c(model): pass\n")
    assert project.pytest(env).status == 0
    assert logged(project) == ["made", "torn down"]
    assert len(project.runs()) == 1 and project.ended_well(), "one node for all of them"


def test_fixtures_of_this_machine_are_torn_down_with_its_last_test(project):
    project.write(
        "test_it.py",
        "import pytest\n@pytest.fixture(scope='module')\ndef server():\n    yield\n    raise RuntimeError('server')\n"
        "def test_here(server): pass\n@pytest.mark.gpu\ndef test_there(): pass\n",
    )
    ended = project.pytest()
    assert ended.junit == {"test_here": "error", "test_there": "passed"}, ended.output


def test_a_test_that_takes_its_process_down_is_a_failure_and_the_others_run(project):
    env = with_log(
        project,
        "import os, pytest, sys\npytestmark = pytest.mark.gpu\ndef test_a(model): pass\n"
        "def test_crash():\n    os.write(2, b'CUDA error\\n'); os.abort()\n"
        "def test_quits(): os._exit(0)\ndef test_b(model): pass\n",
    )
    ended = project.pytest(env)
    assert ended.junit == {"test_a": "passed", "test_crash": "failure", "test_quits": "failure", "test_b": "passed"}, (
        ended.output
    )
    assert "it was ended by SIGABRT" in ended.text_of("test_crash")
    assert "ended with exit status 0" in ended.text_of("test_quits")
    assert len(project.runs()) == 1, "on the same node"


def test_a_node_that_cannot_be_had_is_infrastructure_and_the_tests_here_run(project):
    project.write(
        "test_it.py",
        "import pytest\n@pytest.mark.gpu\ndef test_a(): pass\n@pytest.mark.gpu\ndef test_b(): pass\ndef test_here(): pass\n",
    )
    ended = project.pytest(node="ssh://127.0.0.1:1")
    assert ended.status == 1 and ended.junit == {"test_a": "error", "test_b": "error", "test_here": "passed"}, (
        ended.output
    )
    assert "infrastructure, not the code under test" in ended.text_of("test_a")
    assert "127.0.0.1 port 1" in ended.text_of("test_a")
    assert "why is told by the first of them" in ended.text_of("test_b")


def test_a_node_that_is_lost_midway_fails_no_test(project):
    project.write(
        "test_it.py",
        "import os, pytest, signal, time\npytestmark = pytest.mark.gpu\ndef test_a(): pass\n"
        f"def test_b(): open({str(project.folder / 'begun')!r}, 'w').close(); time.sleep(60)\ndef test_c(): pass\n",
    )
    process = project.start()
    assert eventually((project.folder / "begun").exists)
    # What test_a said is on its way.
    time.sleep(1)
    children = [pid for pid in _children(process.pid) if b"exec" in _command(pid)]
    os.kill(children[0], signal.SIGKILL)
    output = process.communicate(timeout=60)[0].decode()
    assert process.returncode == 1
    ended = Ended(project.folder, process.returncode, output)
    assert ended.junit == {"test_a": "passed", "test_b": "error", "test_c": "error"}, output
    assert "infrastructure, not the code under test" in ended.text_of("test_b")


def _children(pid):
    return [
        int(child)
        for task in os.listdir(f"/proc/{pid}/task")
        for child in open(f"/proc/{pid}/task/{task}/children").read().split()
    ]


def _command(pid):
    with open(f"/proc/{pid}/cmdline", "rb") as file:
        return file.read()


def _long(project):
    """A test that says its process id and then sleeps, with a fixture that says when it is torn down."""
    env = with_log(
        project,
        f"import os, pytest, time\n@pytest.mark.gpu\ndef test_long(model):\n"
        f"    open({str(project.folder / 'pid.ignored')!r}, 'w').write(str(os.getpid()) + '\\n')\n    time.sleep(100)\n",
    )
    process = project.start(env)
    file = project.folder / "pid.ignored"
    assert eventually(lambda: file.exists() and file.read_text().endswith("\n")), process.kill()
    return process, int(file.read_text())


def test_ctrl_c_ends_the_tests_there_in_good_order(project):
    process, there = _long(project)
    process.send_signal(signal.SIGINT)
    output = process.communicate(timeout=60)[0].decode()
    assert process.returncode == 2 and "KeyboardInterrupt" in output, output
    assert not lives(there) and logged(project) == ["made", "torn down"], output
    assert _is_given_back(project)


def test_a_pytest_that_is_killed_leaves_nothing_on_the_node(project):
    process, there = _long(project)
    process.kill()
    process.communicate(timeout=60)
    assert eventually(lambda: not lives(there)), "the test goes on"
    assert eventually(lambda: _is_given_back(project)), "the node is not given back"


def test_a_child_that_outlives_pytest_does_not_keep_the_node(project):
    over = project.folder / "over.ignored"
    project.write(
        "test_here.py",
        "import os, time\ndef test_forks():\n    if os.fork() == 0:\n        os.close(1); os.close(2)\n"
        f"        while not os.path.exists({str(over)!r}): time.sleep(0.1)\n        os._exit(0)\n",
    )
    process, there = _long(project)
    try:
        process.kill()
        assert eventually(lambda: not lives(there)), "the test goes on"
    finally:
        over.touch()


def _is_given_back(project):
    events = project.folder / "gpu-harness-runs" / "latest" / "events.ndjson"
    return '"kind":"run-closed"' in events.read_text()


def test_a_limit_of_time_is_told_as_what_it_is(project):
    project.write(
        "test_it.py",
        "import pytest, time\n@pytest.mark.gpu\ndef test_long(): time.sleep(60)\n@pytest.mark.gpu\ndef test_b(): pass\n",
    )
    ended = project.pytest("--gpu-timeout=2s")
    assert ended.junit == {"test_long": "error", "test_b": "error"}, ended.output
    assert "exit status 124" in ended.text_of("test_long") + ended.text_of("test_b"), ended.output


def test_pytest_exit_in_a_test_there_ends_the_session(project):
    project.write(
        "test_it.py",
        "import pytest\n@pytest.mark.gpu\ndef test_a(): pytest.exit('enough', returncode=7)\n@pytest.mark.gpu\ndef test_b(): pass\n",
    )
    ended = project.pytest()
    assert ended.status == 7 and "enough" in ended.output and "test_b" not in ended.junit, ended.output


def test_a_conftest_that_is_broken_there_is_told_once_with_its_traceback(project):
    project.write("conftest.py", "import os\nif 'THERE' in os.environ:\n    import no_such_module\n")
    project.write("test_it.py", "import pytest\npytestmark = pytest.mark.gpu\ndef test_a(): pass\ndef test_b(): pass\n")
    ended = project.pytest("--gpu-env=THERE=1")
    assert ended.junit == {"test_a": "error", "test_b": "error"}, ended.output
    assert ended.output.count("ModuleNotFoundError: No module named 'no_such_module'") == 1, ended.output
    assert f'{project.folder}/conftest.py", line 3' in ended.output, ended.output


def test_what_is_collected_otherwise_there_is_an_error_that_says_so(project):
    project.write(
        "test_it.py",
        "import os, pytest\npytestmark = pytest.mark.gpu\n"
        "@pytest.mark.parametrize('n', [1, 2] if 'THERE' in os.environ else [1, 2, 3])\ndef test_n(n): pass\n",
    )
    project.write(
        "test_broken.py",
        "import os, pytest\npytestmark = pytest.mark.gpu\nif 'THERE' in os.environ: 1 / 0\ndef test_x(): pass\n",
    )
    project.write(
        "test_absent.py",
        "import os, pytest\npytestmark = pytest.mark.gpu\n"
        "if 'THERE' in os.environ: pytest.skip('no bf16', allow_module_level=True)\ndef test_y(): pass\n",
    )
    project.write(".gitignore", "junit.xml\ntest_ignored.py\n")
    project.write("test_ignored.py", "import pytest\n@pytest.mark.gpu\ndef test_z(): pass\n")
    ended = project.pytest("--gpu-env=THERE=1", "-rs")
    assert ended.junit == {
        "test_n[1]": "passed",
        "test_n[2]": "passed",
        "test_n[3]": "error",
        "test_x": "error",
        "test_y": "skipped",
        "test_z": "error",
    }, ended.output
    assert "there is no test of this id on the node; the pytest there finds test_it.py::test_n[1]" in ended.text_of(
        "test_n[3]"
    )
    assert "ZeroDivisionError" in ended.text_of("test_x")
    assert "no bf16" in ended.text_of("test_y")
    assert "git ignores it" in ended.text_of("test_z")


def test_a_python_without_pytest_is_told_as_what_it_is(project):
    project.write("test_it.py", "import pytest\n@pytest.mark.gpu\ndef test_a(): pass\n")
    ended = project.pytest(python=f"{sys.executable} -S")
    assert "cannot import pytest" in ended.text_of("test_a") and "--gpu-python names another" in ended.text_of("test_a")
    ended = project.pytest(python="no-such-python")
    assert ended.junit == {"test_a": "error"} and "no-such-python" in ended.text_of("test_a"), ended.output


def test_a_thread_that_a_test_left_behind_keeps_nobody(project):
    project.write(
        "test_it.py",
        "import threading, time, pytest\n@pytest.mark.gpu\ndef test_a(): threading.Thread(target=time.sleep, args=[300]).start()\n",
    )
    assert project.pytest().status == 0


def test_the_program_that_is_missing_is_named(project):
    project.write("test_it.py", "import pytest\n@pytest.mark.gpu\ndef test_a(): pass\n")
    project.environment["GPU_HARNESS_BIN"] = "/no/gpu-harness"
    ended = project.pytest()
    assert ended.junit == {"test_a": "error"} and "/no/gpu-harness" in ended.text_of("test_a"), ended.output
