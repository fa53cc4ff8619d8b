"""Settings of the whole suite: what Hypothesis draws repeats, and no case is timed by the wall."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("fauxvider", deadline=None, derandomize=True)
settings.load_profile("fauxvider")
