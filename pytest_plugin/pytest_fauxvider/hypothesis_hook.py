"""What Hypothesis calls when it is imported: our types, our profiles. It imports no strategy and no library."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["setup"]


def setup() -> None:
    """Register types (``st.from_type(Submission)``) and the profiles fauxvider-ci, -nightly and -debug."""
    from hypothesis import Verbosity, settings
    from hypothesis import strategies as st

    from fauxvider.scenario.model import Scenario
    from pytest_fauxvider.strategies.values import Delivery, Moment, Response, Submission, World

    names = ((Scenario, "scenarios"), (Submission, "submissions"), (World, "worlds"), (Response, "responses"),
             (Delivery, "callbacks"), (Moment, "moments"))  # fmt: skip
    for kind, name in names:
        st.register_type_strategy(kind, _of_any_provider(name))
    # On a CI machine Hypothesis loads its own "ci" profile, which draws the same examples every night.
    plain = settings.get_profile("default")
    settings.register_profile("fauxvider-ci", plain, derandomize=True, database=None, deadline=None, print_blob=True)
    settings.register_profile("fauxvider-nightly", plain, max_examples=2000, deadline=None, print_blob=True)
    settings.register_profile("fauxvider-debug", plain, max_examples=20, deadline=None, verbosity=Verbosity.verbose)


def _of_any_provider(name: str) -> Callable[[Any], Any]:
    """Give what makes a strategy when one is asked for: of every bundled provider that has such a thing."""

    def strategy(_kind: Any) -> Any:
        from hypothesis import strategies as st

        from fauxvider.contract.parse import load_contract
        from fauxvider_contracts import provider_names
        from pytest_fauxvider import strategies

        fitting = [one for one in provider_names() if name != "callbacks" or load_contract(one).callbacks is not None]
        return st.one_of(*(getattr(strategies, name)(one) for one in fitting))

    return strategy
