"""The facts of the machine and of the software, without which a figure means nothing.

This module does not know what is measured.
"""

import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

__all__ = ["cores", "facts", "load", "peak_bytes"]

PACKAGES = ("variate", "torch", "numpy", "pyarrow")
FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")  # what decides fp32 and bf16 speed


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def load() -> list[float]:
    """The load average over one, five and fifteen minutes; above 0.1 somebody else is working."""
    return [round(value, 2) for value in os.getloadavg()]


def facts() -> dict[str, object]:
    """The machine and the versions, as JSON-able values."""
    cpu, flags = _cpu()
    return {
        "cpu": cpu,
        "cores": cores(),
        "flags": [flag for flag in FLAGS if flag in flags],
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "load_at_start": load(),
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in PACKAGES},
    }


def peak_bytes(pid: int) -> int:
    """The most memory that a running process has had resident so far (VmHWM), 0 if it is gone.

    Unlike `ru_maxrss`, which starts at the size of the process that forked, it counts from exec.
    """
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    peak = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")]
    return int(peak[0]) * 1024 if peak else 0


def _cpu() -> tuple[str, set[str]]:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor() or sys.platform, set()
    fields = dict(
        (part.strip() for part in line.split(":", 1)) for line in text.splitlines() if ":" in line
    )
    model = f"{fields.get('model name', platform.processor())}"
    model += f" (family {fields.get('cpu family', '?')}, model {fields.get('model', '?')})"
    return model, set(fields.get("flags", "").split())


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
