"""A world for each of Hypothesis' examples: `@given_world(...)` between `@given` and the test."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pytest_fauxvider.asked import check_names
from pytest_fauxvider.reporting import is_reported, keep, trace_folder

if TYPE_CHECKING:
    from pytest_fauxvider.world import FauxServer, FauxWorld

__all__ = ["given_world"]

_SERVER = "fauxvider_server"
_WORLD = "world"


def given_world(*providers: str, **options: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give each example a world of its own as `world`, as the marker's arguments ask for it.

        @given(prompt=st.text(min_size=1))
        @given_world("acme", clock="manual")
        def test_prompts(world, prompt): ...

    It stands below `@given`. What is slept passes in the example's world; its end is checked as a test's is,
    so that Hypothesis shrinks those failures too; the story of a failing example is added to its error.
    Coroutines are fine. Raises ValueError for an argument that there is not.
    """
    check_names(options, "@given_world")

    def decorate(test: Callable[..., Any]) -> Callable[..., Any]:
        signature = inspect.signature(test)
        if _WORLD not in signature.parameters:
            raise ValueError(f"@given_world gives {test.__name__} a world: it needs a parameter named {_WORLD!r}")
        if hasattr(test, "hypothesis"):
            raise ValueError(f"@given_world stands below @given, next to {test.__name__}: each example gets a world")
        make = _coroutine if inspect.iscoroutinefunction(test) else _plain
        made = make(test, providers, options)
        made.__signature__ = _with_server(signature)  # type: ignore[attr-defined] # what Hypothesis and pytest read
        return made

    return decorate


def _plain(test: Callable[..., Any], providers: tuple[str, ...], options: dict[str, Any]) -> Callable[..., Any]:
    @functools.wraps(test)
    def call(*args: Any, **given: Any) -> Any:
        __tracebackhide__ = True
        server, rest = _bound(call, test, args, given)
        with _example(server, providers, options) as world:
            return test(**{_WORLD: world}, **rest)

    return call


def _coroutine(test: Callable[..., Any], providers: tuple[str, ...], options: dict[str, Any]) -> Callable[..., Any]:
    @functools.wraps(test)
    async def call(*args: Any, **given: Any) -> Any:
        __tracebackhide__ = True
        server, rest = _bound(call, test, args, given)
        with _example(server, providers, options) as world:
            return await test(**{_WORLD: world}, **rest)

    return call


@contextmanager
def _example(server: FauxServer, providers: tuple[str, ...], options: dict[str, Any]) -> Iterator[FauxWorld]:
    __tracebackhide__ = True
    with server.world(*providers, **options) as world:
        try:
            yield world
            world.check()
        except Exception as error:
            if is_reported() and server.traces is not None:
                world.tell(error, keep(world, trace_folder(server.traces, world.test)))
            raise


def _bound(
    call: Callable[..., Any], test: Callable[..., Any], args: tuple[Any, ...], given: dict[str, Any]
) -> tuple[FauxServer, dict[str, Any]]:
    """Give the server, and what the test takes beside its world, by name: Hypothesis passes some by position."""
    bound = dict(inspect.signature(call).bind(*args, **given).arguments)
    wanted = inspect.signature(test).parameters
    return bound[_SERVER], {name: value for name, value in bound.items() if name in wanted}


def _with_server(signature: inspect.Signature) -> inspect.Signature:
    """Ask for the session's server instead of a world: a fixture of that scope serves all examples."""
    kept = [one for name, one in signature.parameters.items() if name not in (_WORLD, _SERVER)]
    server = inspect.Parameter(_SERVER, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    # Hypothesis fills by position from the right: the server stands left of everything but a method's `self`.
    first = int(bool(kept) and kept[0].name == "self")
    return signature.replace(parameters=[*kept[:first], server, *kept[first:]])
