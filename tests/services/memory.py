"""The memory of a process under test, as the kernel counts it."""

from pathlib import Path


def memory(pid: int, what: str = "VmRSS") -> int:
    """Returns a process's memory in bytes: now, or at most so far (VmHWM)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{what}:"))


def forget_peak(pid: int) -> None:
    """Lets VmHWM start again from what the process holds now."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")
