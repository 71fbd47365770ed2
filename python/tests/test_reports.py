"""What comes back from the node is what pytest would say of the same test here."""

OUTCOMES = """
import sys, warnings, pytest

def test_here():
    pass

pytestmark = []

@pytest.mark.gpu
class TestThere:
    def test_passes(self, record_property):
        record_property("throughput", 12.5)
        print("printed"); print("told", file=sys.stderr)

    def test_fails(self):
        print("printed before it failed")
        numbers = [1, 2]
        assert numbers == [1, 3]

    def test_is_skipped(self):
        pytest.skip("no luck")

    @pytest.mark.skip(reason="never")
    def test_is_never_run(self):
        raise SystemExit

    @pytest.mark.xfail(reason="known")
    def test_fails_as_expected(self):
        assert 0

    @pytest.mark.xfail
    def test_passes_unexpectedly(self):
        pass

    @pytest.mark.xfail(strict=True)
    def test_must_not_pass(self):
        pass

    def test_lacks_a_fixture(self, no_such_fixture):
        pass

    @pytest.fixture
    def breaks_at_its_end(self):
        yield
        raise RuntimeError("not torn down")

    def test_is_not_torn_down(self, breaks_at_its_end):
        pass

    def test_warns(self):
        warnings.warn("old", DeprecationWarning)
        warnings.warn("odd", UserWarning)
"""


def summary(ended):
    """The line of a run's end, without its time."""
    return ended.output.strip().splitlines()[-1].split(" in ")[0].strip("= ")


def test_every_outcome_is_the_one_that_it_has_without_a_node(project):
    project.write("test_it.py", OUTCOMES)
    there = project.pytest("-rA", "-p", "no:cacheprovider")
    outcomes, status = there.junit, there.status
    # The same file, its tests marked otherwise: they run here.
    project.write("test_it.py", OUTCOMES.replace("pytest.mark.gpu", "pytest.mark.skipif(False, reason='')"))
    here = project.pytest("-rA", "-p", "no:cacheprovider", node=None)
    assert (outcomes, status) == (here.junit, here.status)
    assert summary(there) == summary(here)
    assert "2 passed" not in summary(there) and "1 xfailed, 1 xpassed, 2 warnings" in summary(there), summary(there)
    # The short summary has the same lines, reasons included, in whatever order; but for an error that is no exception, which
    # is a text for whoever reads it from another process, as with pytest-xdist.
    lines = [sorted(line for line in run.output.splitlines() if line.startswith(KINDS)) for run in (there, here)]
    lines = [[line.split(" - file ")[0] for line in sorted(one)] for one in lines]
    assert lines[0] == lines[1] and len(lines[0]) >= 10


KINDS = ("PASSED", "FAILED", "ERROR ", "SKIPPED", "XFAIL", "XPASS")


def test_captured_output_and_properties_come_back_and_stand_in_junit(project):
    project.write("test_it.py", OUTCOMES)
    ended = project.pytest("-o", "junit_logging=all", "-o", "junit_log_passing_tests=true")
    assert "printed" in ended.text_of("test_passes") and "told" in ended.text_of("test_passes")
    assert "throughput" in ended.text_of("test_passes") and "12.5" in ended.text_of("test_passes")
    assert "Captured stdout call" in ended.output and "printed before it failed" in ended.output


def test_a_traceback_shows_the_paths_of_this_machine(project):
    project.write("src/lib.py", "def fails():\n    raise ValueError('in the library')\n")
    project.write(
        "test_it.py",
        "import sys, pytest\nsys.path.insert(0, 'src')\n"
        "@pytest.mark.gpu\ndef test_one():\n    import lib; lib.fails()\n"
        "@pytest.mark.gpu\ndef test_two(absent): pass\n",
    )
    ended = project.pytest("--tb=native")
    assert f'File "{project.folder}/src/lib.py", line 2, in fails' in ended.output, ended.output
    assert f"{project.folder}/test_it.py" in ended.text_of("test_two")
    assert "/cases/exec." not in ended.output, "where the tree is on the node says nothing to anybody here"


def test_ids_with_any_characters_are_the_same_here_and_there(project):
    values = ["a b", "ä/ö", "x::y", "[", "new\nline", "<&>\"'", "\0", "a@b", "-k", "$(x)", "*"]
    project.write(
        "test_it.py",
        "import pytest\n"
        f"@pytest.mark.parametrize('value', {values!r})\n@pytest.mark.gpu\ndef test_odd(value):\n    assert value in {values!r}\n",
    )
    ended = project.pytest("-v")
    assert ended.status == 0 and len(ended.junit) == len(values), ended.output
    assert f"{len(values)} passed" in ended.output


def test_durations_and_the_node_are_told(project):
    project.write(
        "test_it.py", "import time, pytest\n@pytest.mark.gpu\ndef test_slow(): time.sleep(0.3)\ndef test_here(): pass\n"
    )
    ended = project.pytest("--durations=1", "-v")
    assert "s call     test_it.py::test_slow" in ended.output, ended.output
    assert "] [100%] PASSED test_it.py::test_slow" in ended.output, (
        "with the node before it, as pytest-xdist has its workers"
    )
    assert "gpu-remote: 1 of 2 tests run on " in ended.output


def test_what_is_not_captured_is_seen(project):
    project.write(
        "test_it.py",
        "import os, pytest\n@pytest.mark.gpu\ndef test_it():\n    print('by print'); os.system('echo by a program')\n",
    )
    ended = project.pytest("-s")
    assert "by print" in ended.output and "by a program" in ended.output
    assert "by print" not in project.pytest().output


def test_a_warning_of_a_module_that_is_not_here_is_told_with_its_name(project):
    project.write(
        "test_it.py",
        "import warnings, pytest\n@pytest.mark.gpu\ndef test_it():\n"
        "    class Torchy(Warning): pass\n    Torchy.__module__ = 'torch'\n    warnings.warn('slow path', Torchy)\n",
    )
    ended = project.pytest()
    assert "Torchy: slow path" in ended.output and "1 passed, 1 warning" in ended.output


def test_a_property_that_json_has_no_word_for_comes_as_its_text(project):
    project.write(
        "test_it.py",
        "import pathlib, pytest\n@pytest.mark.gpu\ndef test_it(record_property): record_property('p', pathlib.Path('/x/y'))\n",
    )
    ended = project.pytest()
    assert ended.status == 0 and "/x/y" in ended.text_of("test_it"), ended.output
