"""Which tests run where, and which run at all."""

import sys

import pytest

from gpu_harness.remote_tests import gpu

TWO = """
import os, pytest

def test_here():
    assert "PLACE" not in os.environ

@pytest.mark.gpu
def test_there():
    assert os.environ["PLACE"] == "node"
"""


def test_marked_tests_run_on_the_node_and_the_others_here(project):
    project.write("test_it.py", TWO)
    ended = project.pytest("--gpu-env=PLACE=node")
    assert ended.status == 0 and ended.junit == {"test_here": "passed", "test_there": "passed"}, ended.output


def test_without_the_flag_marked_tests_are_skipped_where_there_is_no_gpu(project):
    project.write("test_it.py", TWO)
    ended = project.pytest("-rs", "-p", "fake_driver", node=None)
    assert ended.junit == {"test_here": "passed", "test_there": "skipped"}, ended.output
    assert "needs a GPU, and this machine has none: --gpu-remote=NODE runs it on a node" in ended.output
    assert not project.runs(), "nothing is asked of a node"


def test_without_the_flag_marked_tests_run_here_where_there_is_a_gpu(project):
    project.write("test_it.py", TWO.replace('== "node"', '== "here"').replace('"PLACE" not in os.environ', "True"))
    project.environment.update(PLACE="here", FAKE_GPUS="1")
    ended = project.pytest("-p", "fake_driver", node=None)
    assert ended.junit == {"test_here": "passed", "test_there": "passed"}, ended.output


def test_a_driver_without_gpus_is_no_gpu(tmp_path):
    driver, door = tmp_path / "gpus", tmp_path / "door"
    assert not gpu.is_here(driver, door)
    door.touch()
    assert gpu.is_here(driver, door)
    driver.mkdir()
    assert not gpu.is_here(driver, door)
    (driver / "0000:01:00.0").mkdir()
    assert gpu.is_here(driver, door)


@pytest.fixture(autouse=True)
def fake_driver(project):
    """What the driver lists is this machine's: a test of both has to say which."""
    project.write(
        "fake_driver.py",
        "import os\nfrom gpu_harness.remote_tests import gpu\ngpu.is_here = lambda: bool(os.environ.get('FAKE_GPUS'))\n",
    )


def test_the_marker_has_the_name_that_the_ini_file_gives_it(project):
    project.write("pytest.ini", "[pytest]\ngpu_remote_marker = cuda\naddopts = --strict-markers --strict-config\n")
    project.write("test_it.py", TWO.replace("mark.gpu", "mark.cuda"))
    assert project.pytest("--gpu-env=PLACE=node").junit == {"test_here": "passed", "test_there": "passed"}


def test_a_marker_that_a_conftest_adds_counts(project):
    project.write("test_it.py", TWO.replace("@pytest.mark.gpu", ""))
    project.write(
        "conftest.py",
        "import pytest\ndef pytest_collection_modifyitems(items):\n"
        "    for item in items:\n        if 'there' in item.name: item.add_marker('gpu')\n",
    )
    assert project.pytest("--gpu-env=PLACE=node").status == 0


@pytest.mark.parametrize(
    "words", [["-k", "there"], ["-m", "gpu"], ["test_it.py::test_there"], ["--deselect", "test_it.py::test_here"]]
)
def test_a_choice_holds_there_too(project, words):
    project.write("test_it.py", TWO)
    ended = project.pytest("--gpu-env=PLACE=node", *words)
    assert ended.status == 0 and ended.junit == {"test_there": "passed"}, ended.output


def test_no_node_is_had_where_no_chosen_test_is_marked(project):
    project.write("test_it.py", TWO)
    ended = project.pytest("-k", "here and not there")
    assert ended.junit == {"test_here": "passed"} and not project.runs(), ended.output
    assert "no test that was chosen is marked `gpu`" in ended.output
    assert not project.pytest("--collect-only").status and not project.runs()


def test_the_last_failed_run_again_wherever_they_run(project):
    project.write(
        "test_it.py", TWO.replace('== "node"', '== "elsewhere"') + "\n@pytest.mark.gpu\ndef test_good(): pass\n"
    )
    first = project.pytest("--gpu-env=PLACE=node")
    assert first.junit == {"test_here": "passed", "test_there": "failure", "test_good": "passed"}, first.output
    again = project.pytest("--gpu-env=PLACE=node", "--lf")
    assert again.junit == {"test_there": "failure"}, again.output


@pytest.mark.parametrize("stop", [["-x"], ["--maxfail=1"]])
def test_a_failure_there_stops_the_session_where_that_is_asked_for(project, stop):
    project.write(
        "test_it.py", "import pytest\npytestmark = pytest.mark.gpu\ndef test_a(): assert 0\n" + "def test_b(): pass\n"
    )
    ended = project.pytest(*stop)
    assert ended.status == 1 and ended.junit == {"test_a": "failure"}, ended.output
    assert "stopping after 1 failures" in ended.output


def test_the_flag_takes_no_path_for_its_node(project):
    """As argparse has it, `--gpu-remote tests/` would name a node `tests/`."""
    project.write("gpu-harness.yaml", "default: here\nnodes:\n  here: {provider: local}\n")
    project.write("sub/conftest.py", "def pytest_addoption(parser): parser.addoption('--own')\n")
    project.write("sub/test_it.py", TWO)
    words = ["--gpu-env=PLACE=node", f"--gpu-python={sys.executable}", "--gpu-remote", "sub", "--own=x"]
    ended = project.pytest(*words, node=None)
    assert ended.junit == {"test_here": "passed", "test_there": "passed"}, ended.output


def test_options_of_the_project_s_own_reach_the_tests_there(project):
    project.write("conftest.py", "def pytest_addoption(parser): parser.addoption('--size', default='small')\n")
    project.write(
        "test_it.py",
        "import pytest\n@pytest.mark.gpu\ndef test_it(pytestconfig): assert pytestconfig.getoption('size') == 'big'\n",
    )
    ended = project.pytest("--size=big", "-W", "error::UserWarning", "--tb=short", "-o", "xfail_strict=true")
    assert ended.status == 0, ended.output


def test_pytest_runs_below_its_root_as_here(project):
    project.write("pkg/data.txt", "42")
    project.write("pkg/src/own/__init__.py", "x = 1\n")
    project.write(
        "pkg/tests/test_it.py",
        "import pytest\n@pytest.mark.gpu\ndef test_it():\n    import own\n    assert open('data.txt').read() == '42'\n",
    )
    project.environment["PYTHONPATH"] += f":{project.folder}/pkg/src"
    # On a node that is this machine it would name what is here.
    nowhere = "--gpu-env=PYTHONPATH=/nowhere"
    ended = project.pytest(nowhere, "--rootdir", str(project.folder), "pkg/tests")
    assert "FileNotFoundError" in ended.output, "the working folder is the one here"
    project.folder = project.folder / "pkg"
    ended = project.pytest(nowhere, "-c", "../pytest.ini", "--rootdir", "..", "tests")
    assert ended.status == 0 and ended.junit == {"test_it": "passed"}, ended.output
