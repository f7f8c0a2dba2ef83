"""NVIDIA GPUs, as NVML tells of them. Without nvidia-ml-py, a driver or a GPU there is nothing to tell: None, not zero."""
from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

__all__ = ["Gpus", "Reading", "opened"]


@dataclass(frozen=True)
class Reading:
    """What the GPUs do now."""

    busy: float  # GPUs: 1.5 is one that works all the time and one that does half of it
    memory: int  # bytes
    of: str  # "process": only GPUs that these processes use, and their memory; "machine": all GPUs, where NVML doesn't know the processes


def opened() -> Gpus | None:
    """The machine's GPUs, or None."""
    try:
        import pynvml
    except ImportError:
        return None
    try:
        pynvml.nvmlInit()
        devices = [pynvml.nvmlDeviceGetHandleByIndex(number) for number in range(pynvml.nvmlDeviceGetCount())]
    except pynvml.NVMLError:
        return None
    return Gpus(pynvml, devices) if devices else None


class Gpus:
    def __init__(self, nvml: Any, devices: list[Any]) -> None:
        self.nvml = nvml
        self.devices = devices

    def read(self, pids: Collection[int]) -> Reading | None:
        """What these processes use; of all GPUs where none of them is known, as in a container. None if NVML fails."""
        try:
            return self._read(pids)
        except self.nvml.NVMLError:
            return None

    def _read(self, pids: Collection[int]) -> Reading:
        busy, memory = 0.0, 0
        all_busy, all_memory = 0.0, 0
        is_known = False
        for device in self.devices:
            share = self.nvml.nvmlDeviceGetUtilizationRates(device).gpu / 100
            all_busy += share
            all_memory += self.nvml.nvmlDeviceGetMemoryInfo(device).used
            ours = [process for process in self.nvml.nvmlDeviceGetComputeRunningProcesses(device) if process.pid in pids]
            if ours:
                is_known = True
                busy += share
                memory += sum(process.usedGpuMemory or 0 for process in ours)
        return Reading(busy, memory, "process") if is_known else Reading(all_busy, all_memory, "machine")
