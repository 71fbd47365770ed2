"""What the pytest on the node has to know: which tests it runs, and what the person who typed `pytest` wants of it."""

import json
import os
import sys

# Options that are about this machine's paths, or about what is chosen here; the tests that are to run are named one by one.
_CHOSEN_HERE = {"deselect", "file_or_dir", "keyword", "markexpr", "inifilename", "rootdir", "pyargs", "version"}
# What holds for tests that are found on the node too.
_CHOOSES = {"deselect", "keyword", "markexpr"}


def job(config, items, files=()) -> dict:
    """`files`: those whose tests are not known here."""
    root = str(config.rootpath)
    return {
        "root": root,
        "folder": _below(config.invocation_params.dir, root) or ".",
        "inifile": _below(config.inipath, root) if config.inipath else None,
        "options": options(vars(config.option), _CHOSEN_HERE - _CHOOSES if files else _CHOSEN_HERE),
        "sys_path": [
            path for path in map(lambda path: _below(path or os.getcwd(), root), sys.path) if _is_source(path)
        ],
        "marker": config.getini("gpu_remote_marker"),
        "live": config.option.capture == "no",
        "items": items,
        "files": list(files),
    }


def item(item) -> dict:
    """A test as the node knows it."""
    # pytest-xdist adds a group to the id of its worker; what it was made of is as it was.
    own = f"{item.parent.nodeid}::{item.name}" if item.parent is not None else item.nodeid
    return {
        "id": own if item.nodeid.startswith(own) else item.nodeid,
        "path": os.path.relpath(item.path, item.config.rootpath),
    }


def options(here: dict, stay=frozenset(_CHOSEN_HERE)) -> dict:
    """Those that can be said to another process."""
    goes = {name: value for name, value in here.items() if name not in stay and not name.startswith("gpu_")}
    return {name: value for name, value in goes.items() if _is_plain(value)}


def _is_plain(value) -> bool:
    try:
        json.dumps(value)
    except (TypeError, ValueError):
        return False
    return True


def _is_source(path) -> bool:
    """Whether a folder of `sys.path` is the project's own, not that of an environment that happens to lie in it."""
    return path is not None and not {"site-packages", "dist-packages"} & set(path.split(os.sep))


def _below(path, root: str):
    """A path relative to a folder, where it lies in it."""
    relative = os.path.relpath(path, root)
    return None if relative.split(os.sep)[0] == os.pardir else relative
