"""Settings of the whole suite: what Hypothesis draws repeats, and no case is timed by the wall."""

from __future__ import annotations

from hypothesis import Phase, settings

pytest_plugins = ["pytester"]

# What fails is not explained: that takes as long as finding it, and many tests here fail on purpose.
PHASES = tuple(phase for phase in Phase if phase is not Phase.explain)
settings.register_profile("fauxvider", deadline=None, derandomize=True, phases=PHASES)
# For a long look, now and then: `pytest --hypothesis-profile=long TEST` draws anew, thirty times as much.
settings.register_profile("long", settings.get_profile("default"), deadline=None, max_examples=3000, print_blob=True)
settings.load_profile("fauxvider")
