"""`python -m gpu_harness` becomes the program itself, so that signals reach it and its exit status is this one's."""

import os
import sys

from gpu_harness import program

if __name__ == "__main__":
    try:
        path = program()
    except FileNotFoundError as error:
        sys.exit(f"error: {error}")
    os.execv(path, [path, *sys.argv[1:]])
