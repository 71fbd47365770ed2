"""gpu-harness: tests what matters about your ML code on a GPU node, from a machine that has no GPU.

The work is done by programs in Rust, which the wheel carries beside this package; here is what Python needs to start them.
`cargo xtask dist` makes the wheel.
"""

import shutil
from importlib import metadata
from pathlib import Path

__all__ = ["program"]

_DISTRIBUTION = "gpu-harness"


def program(name: str = "gpu-harness") -> str:
    """The path of one of the programs that came with this package, else the one on PATH.

    Raises FileNotFoundError, which says where it was looked for.
    """
    looked_at = list(_beside_this_package(name))
    for path in looked_at:
        if path.is_file():
            return str(path)
    found = shutil.which(name)
    if found is None:
        places = ", ".join(map(str, looked_at)) or "this package has no programs of its own here"
        raise FileNotFoundError(f"{name} is neither where its wheel puts it ({places}) nor on PATH")
    return found


def _beside_this_package(name: str):
    try:
        files = metadata.files(_DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        files = []
    # What the installer wrote down, whichever folder it chose: an environment's, the user's, one of --prefix.
    for file in files:
        if file.name == name and file.parent.name in ("bin", "scripts"):
            yield Path(file.locate()).resolve()
    # `pip install --target` moves the folder afterwards, and leaves what it wrote down.
    yield Path(__file__).resolve().parent.parent / "bin" / name
