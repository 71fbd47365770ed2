"""Whether this machine has a GPU: by the driver's own list, so that nothing has to be imported, and no CUDA is initialised
in a process that may fork."""

from pathlib import Path

# Where the driver lists the GPUs that it has.
_DRIVER = Path("/proc/driver/nvidia/gpus")
# The driver's door; in a container it may be there without the list.
_DOOR = Path("/dev/nvidiactl")


def is_here(driver: Path = _DRIVER, door: Path = _DOOR) -> bool:
    try:
        return any(driver.iterdir())
    except OSError:
        return door.exists()
