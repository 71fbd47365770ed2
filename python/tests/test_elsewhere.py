"""Files of tests that can be imported on the node alone, as where only the node has torch."""

import pytest

TORCH = "import os\nif 'THERE' not in os.environ: raise ImportError('no torch on this machine')\ndef ones(): return 1\n"
TESTS = """
import pytest
{head}

@pytest.mark.gpu
@pytest.mark.parametrize("n", [1, 2])
def test_there(n): assert torch.ones() == 1

@pytest.mark.gpu
def test_fails(): assert torch.ones() == 2
"""
HEADS = {"import": "import torch", "importorskip": "torch = pytest.importorskip('torch', exc_type=ImportError)"}


def with_torch(project, head="import torch"):
    project.write("torch.py", TORCH)
    project.write("test_it.py", TESTS.format(head=head))
    project.write("test_here.py", "def test_here(): pass\n")


@pytest.mark.parametrize("way", HEADS)
def test_a_file_that_lacks_a_module_here_is_collected_on_the_node(project, way):
    if way == "importorskip" and not pytest.version_tuple >= (8, 2):
        HEADS[way] = "torch = pytest.importorskip('torch')"
    with_torch(project, HEADS[way])
    ended = project.pytest("--gpu-env=THERE=1", "-v")
    expected = {"test_here": "passed", "test_there[1]": "passed", "test_there[2]": "passed", "test_fails": "failure"}
    assert ended.status == 1 and ended.junit == expected, ended.output
    assert "1 failed, 3 passed" in ended.output and "[100%]" in ended.output
    assert "gpu-remote: what is in test_it.py is found on " in ended.output
    again = project.pytest("--gpu-env=THERE=1", "-k", "there and 2")
    assert again.junit == {"test_there[2]": "passed"}, again.output


def test_a_crash_among_them_costs_no_other(project):
    with_torch(project)
    project.write(
        "test_it.py",
        TESTS.format(head="import torch, os")
        + "\n@pytest.mark.gpu\ndef test_aborts(): os.abort()\n@pytest.mark.gpu\ndef test_last(): pass\n",
    )
    ended = project.pytest("--gpu-env=THERE=1")
    assert ended.junit["test_aborts"] == "failure" and ended.junit["test_last"] == "passed", ended.output
    assert "2 failed, 4 passed" in ended.output


def test_what_is_not_marked_in_it_makes_the_file_an_error(project):
    with_torch(project)
    project.write("test_it.py", TESTS.format(head="import torch") + "\ndef test_not_marked(): pass\n")
    ended = project.pytest("--gpu-env=THERE=1")
    assert ended.status == 1 and "ERROR test_it.py" in ended.output and "no torch on this machine" in ended.output
    assert "1 failed, 3 passed, 1 error" in ended.output, ended.output


def test_a_file_that_lacks_it_on_the_node_too_is_an_error_that_tells_both(project):
    with_torch(project)
    ended = project.pytest()
    assert ended.status == 1 and "1 passed, 1 error" in ended.output, ended.output
    assert "on this machine: ImportError" in ended.output and "on the node: ImportError" in ended.output


def test_a_file_without_the_marker_is_an_error_at_once(project):
    project.write("test_it.py", "import no_such_module\ndef test_a(): pass\n")
    project.write("test_there.py", "import pytest\n@pytest.mark.gpu\ndef test_b(): pass\n")
    ended = project.pytest()
    assert ended.status == 2 and not project.runs(), ended.output


def test_a_node_that_cannot_be_had_is_told_of_such_a_file_too(project):
    with_torch(project)
    ended = project.pytest(node="ssh://127.0.0.1:1")
    assert ended.status == 1 and "1 passed, 1 error" in ended.output, ended.output
    assert "infrastructure, not the code under test" in ended.output and "127.0.0.1 port 1" in ended.output
