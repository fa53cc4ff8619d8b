"""The machine's clocks as numbers that a test moves."""

from __future__ import annotations

__all__ = ["Machine"]


class Machine:
    """Stands for the module `time` in `fauxvider.clock`: the wall's clock may be set, the monotonic one only runs."""

    def __init__(self) -> None:
        self.wall = 1_700_000_000.5
        self.ran = 5_000_000_000

    def time(self) -> float:
        return self.wall

    def time_ns(self) -> int:
        return int(self.wall * 1e9)

    def monotonic_ns(self) -> int:
        return self.ran

    def perf_counter(self) -> float:
        return self.ran / 1e9

    def run(self, seconds: float) -> None:
        self.ran += round(seconds * 1e9)
        self.wall += seconds
