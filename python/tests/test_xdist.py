"""Beside pytest-xdist: its workers share the one node."""

import pytest

TESTS = """
import os, pytest

@pytest.fixture(scope="session")
def session_there():
    return os.getpid()

@pytest.mark.parametrize("n", range(4))
def test_here(n): assert "PLACE" not in os.environ

@pytest.mark.gpu
@pytest.mark.parametrize("n", range(4))
def test_there(n, session_there, record_property):
    assert os.environ["PLACE"] == "node"
    record_property("process", f"p{session_there}")

@pytest.mark.gpu
def test_fails(): assert 0
"""


@pytest.mark.parametrize("dist", ["load", "loadfile", "loadscope", "loadgroup", "worksteal"])
def test_workers_share_one_session_on_the_node(project, dist):
    project.write(
        "test_it.py", TESTS.replace("@pytest.mark.gpu\ndef", "@pytest.mark.xdist_group('g')\n@pytest.mark.gpu\ndef")
    )
    ended = project.pytest("-n2", f"--dist={dist}", "--gpu-env=PLACE=node")
    assert ended.status == 1 and "1 failed, 8 passed" in ended.output, ended.output
    processes = {word for n in range(4) for word in ended.text_of(f"test_there[{n}]").split() if word.startswith("p")}
    assert len(project.runs()) == 1 and len(processes - {"process", "property"}) == 1, (processes, ended.output)
    assert project.ended_well(), "what has said all is not interrupted"
    assert "it ran on " in ended.output, "a worker's name says nothing of the node"


def test_fixtures_of_a_worker_are_torn_down_in_order_around_the_node_s_tests(project):
    here = "import pytest\n@pytest.fixture(scope='module', autouse=True)\ndef m(): yield\n"
    for name in "ab":
        project.write(
            f"{name}/test_{name}.py",
            here + f"def test_{name}1(): pass\ndef test_{name}2(): pass\n@pytest.mark.gpu\ndef test_{name}3(): pass\n",
        )
    ended = project.pytest("-n1")
    assert ended.status == 0 and len(ended.junit) == 6, ended.output


def test_the_first_failure_stops_workers_that_wait_for_the_node(project):
    project.write(
        "test_it.py",
        "import time, pytest\n@pytest.mark.gpu\ndef test_long(): time.sleep(300)\n@pytest.mark.gpu\ndef test_after(): pass\n"
        "def test_fails():\n    time.sleep(1)\n    assert 0\ndef test_more(): pass\n",
    )
    # Without an answer, a worker waits for as long as the test there sleeps.
    ended = project.pytest("-n2", "-x", "--dist=load", "--maxschedchunk=1")
    assert ended.status in (1, 2), ended.output
    assert (
        "stopping after 1 failures" in ended.output
        and "1 failed" in ended.output
        and "error" not in ended.output.splitlines()[-1]
    )


def test_a_node_that_cannot_be_had_is_an_error_of_each_test_of_its_own(project):
    project.write("test_it.py", TESTS)
    ended = project.pytest("-n2", node="ssh://127.0.0.1:1")
    assert "4 passed, 5 errors" in ended.output, ended.output
    assert "infrastructure, not the code under test" in ended.output
