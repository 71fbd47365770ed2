"""What gpu-harness is asked to do: a command on a node, with the working tree and what the command needs beside."""

import os
import shlex
from pathlib import Path

from gpu_harness import program

# Names the program, as it does for cargo's tests; the second is for whoever knows it so.
_VARIABLES = ("GPU_HARNESS_BIN", "GPU_HARNESS")
# Where its own files are on the node, below the working folder.
_FOLDER = ".gpu-harness/pytest"
_WORKER = Path(__file__).with_name("worker.py")


def command(config, job: Path) -> list:
    """The command line that runs the job on the node; FileNotFoundError where there is no such program."""
    option = config.option
    there = {_WORKER: f"{_FOLDER}/worker.py", job: f"{_FOLDER}/job.json"}
    words = [_program(), "exec", "--sync"]
    if option.gpu_remote:
        words += ["--node", option.gpu_remote]
    if option.gpu_timeout:
        words += ["--timeout", option.gpu_timeout]
    words += [word for name in option.gpu_env for word in ("--env", name)]
    words += [word for here, name in there.items() for word in ("--send", f"{here}={name}")]
    return [*words, "--", *shlex.split(option.gpu_python), *there.values()]


def _program() -> str:
    named = next((os.environ[name] for name in _VARIABLES if os.environ.get(name)), None)
    return named or program()
