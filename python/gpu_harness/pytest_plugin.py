"""The plugin for pytest: `pytest --gpu-remote[=NODE]` runs the tests marked `gpu` on a node and the others here.

It does nothing else but skip the marked tests where there is no GPU. What it is made of is in `remote_tests`.
"""

import copy

import pytest

from gpu_harness.remote_tests import gpu

_MARKER = "gpu_remote_marker"


def pytest_addoption(parser):
    group = parser.getgroup("gpu-remote", "tests on a GPU node (gpu-harness)")
    group.addoption(
        "--gpu-remote",
        nargs="?",
        const="",
        metavar="NODE",
        help="run the tests marked `gpu` on NODE (local, ssh://[user@]host[:port], or a name in gpu-harness.yaml; "
        "default: its `default:`), and the others here",
    )
    group.addoption(
        "--gpu-python",
        default="python3",
        metavar="PROGRAM",
        help="the Python on the node that has pytest, with arguments where it needs some [default: python3]",
    )
    group.addoption(
        "--gpu-env",
        action="append",
        default=[],
        metavar="NAME[=VALUE]",
        help="set a variable for the tests on the node: NAME, with the value that it has here, or NAME=VALUE; may be repeated",
    )
    group.addoption(
        "--gpu-timeout", metavar="D", help="limit of all tests on the node together, e.g. 30m [default: 1h]"
    )
    parser.addini(_MARKER, "the marker of tests that need a GPU", default="gpu")


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config, parser, args):
    # NODE is what stands behind `=`: in `pytest --gpu-remote tests/`, the next word is of tests, as it was without.
    bare = [index for index, word in enumerate(args) if word == "--gpu-remote"]
    if bare:
        for index in bare:
            args[index] = "--gpu-remote="
        known = parser.parse_known_args(args, namespace=copy.copy(early_config.option))
        early_config.known_args_namespace.__dict__.update(file_or_dir=known.file_or_dir, gpu_remote=known.gpu_remote)


def pytest_configure(config):
    marker = config.getini(_MARKER)
    config.addinivalue_line("markers", f"{marker}: needs a GPU; runs on a node with --gpu-remote (gpu-harness)")
    if config.option.gpu_remote is None:
        config.pluginmanager.register(Here(marker), "gpu_harness_here")


# pytest-xdist is known to distribute the session from its own `pytest_configure` on, and starts its workers last.
@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session):
    config = session.config
    if config.option.gpu_remote is not None and not config.option.collectonly:
        from gpu_harness.remote_tests.plugin import plugin

        config.pluginmanager.register(plugin(session, config.getini(_MARKER)), "gpu_harness_remote")


class Here:
    """Without a node: what needs a GPU is skipped where there is none."""

    def __init__(self, marker):
        self._marker = marker

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items):
        marked = [item for item in items if item.get_closest_marker(self._marker)]
        if marked and not gpu.is_here():
            reason = "needs a GPU, and this machine has none: --gpu-remote=NODE runs it on a node"
            for item in marked:
                item.add_marker(pytest.mark.skip(reason=reason))
