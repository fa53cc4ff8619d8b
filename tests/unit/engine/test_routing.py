"""Routes against a naive matcher: one regular expression a route, all of them tried."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from fauxvider.contract.model import Operation
from fauxvider.engine.routing import Router

FIXED = settings(derandomize=True, deadline=None, max_examples=300)


def operation(request: str, name: str = "") -> Operation:
    methods, _, path = request.partition(" ")
    return Operation(name or request, "view", tuple(methods.split("|")), path, "api")


def router(*requests: str) -> Router:
    return Router(operation(request) for request in requests)


def found(routes: Router, method: str, path: str) -> tuple[list[str], dict[str, str]] | None:
    match = routes.match(method, path)
    return None if match is None else ([one.name for one in match.operations], match.params)


RUNFLOW = router(
    "POST /v1/models/{name+}/runs",
    "GET /v1/models/{name+}",
    "GET /v1/models",
    "GET /v1/runs/statuses",
    "GET /v1/runs",
    "GET /v1/runs/{run_id}",
    "GET /v1/runs/{run_id}/callback",
    "POST /v1/runs/{run_id}/callback-redeliveries",
    "DELETE /v1/runs/{run_id}",
)


@pytest.mark.parametrize(
    ("method", "path", "name", "params"),
    [
        ("POST", "/v1/models/a/b/c/runs", "POST /v1/models/{name+}/runs", {"name": "a/b/c"}),
        ("POST", "/v1/models/a/runs", "POST /v1/models/{name+}/runs", {"name": "a"}),
        ("POST", "/v1/models/runs/runs/runs", "POST /v1/models/{name+}/runs", {"name": "runs/runs"}),
        ("GET", "/v1/models/a/b", "GET /v1/models/{name+}", {"name": "a/b"}),
        ("GET", "/v1/models", "GET /v1/models", {}),
        ("GET", "/v1/runs/statuses", "GET /v1/runs/statuses", {}),
        ("GET", "/v1/runs/other", "GET /v1/runs/{run_id}", {"run_id": "other"}),
        ("GET", "/v1/runs/statuses/callback", "GET /v1/runs/{run_id}/callback", {"run_id": "statuses"}),
        ("DELETE", "/v1/runs/statuses", "DELETE /v1/runs/{run_id}", {"run_id": "statuses"}),
        ("GET", "/v1/runs/a%2Fb", "GET /v1/runs/{run_id}", {"run_id": "a%2Fb"}),
        ("GET", "/v1/runs/..", "GET /v1/runs/{run_id}", {"run_id": ".."}),
    ],
)
def test_the_routes_of_a_provider(method: str, path: str, name: str, params: dict[str, str]) -> None:
    assert found(RUNFLOW, method, path) == ([name], params)


@pytest.mark.parametrize(
    "path",
    ["/", "", "/v1", "/v2/runs", "/v1/runs/a/b", "/v1/runs/a/callback/b", "/V1/runs", "/v1/run", "/v1/runs/a/", "x"],
)
def test_paths_that_no_route_has(path: str) -> None:
    if path == "/v1/runs/a/":  # a slash at the end is passed over
        assert RUNFLOW.match("GET", path) is not None
    else:
        assert RUNFLOW.match("GET", path) is None


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/v1/models", {"GET"}),
        ("/v1/runs/abc", {"GET", "DELETE"}),
        ("/v1/runs/abc/callback-redeliveries", {"POST"}),
        ("/v1/models/a/runs", {"GET", "POST"}),  # by two routes
    ],
)
def test_a_path_under_another_method(path: str, methods: set[str]) -> None:
    match = RUNFLOW.match("PATCH", path)
    assert match is not None
    assert match.operations == []
    assert set(match.methods) == methods


def test_operations_that_share_a_route_come_together_and_in_order() -> None:
    routes = Router([operation("POST /x", "first"), operation("GET|POST /x", "second")])
    assert found(routes, "POST", "/x") == (["first", "second"], {})
    assert found(routes, "GET", "/x") == (["second"], {})


def test_a_literal_wins_over_a_name_which_wins_over_names() -> None:
    routes = router("GET /a/{x+}", "GET /a/{x}", "GET /a/b")
    assert found(routes, "GET", "/a/b") == (["GET /a/b"], {})
    assert found(routes, "GET", "/a/c") == (["GET /a/{x}"], {"x": "c"})
    assert found(routes, "GET", "/a/c/d") == (["GET /a/{x+}"], {"x": "c/d"})


def test_a_dead_end_is_left_again() -> None:
    routes = router("GET /a/b/c", "GET /a/{x}/d", "GET /{y+}/e")
    assert found(routes, "GET", "/a/b/d") == (["GET /a/{x}/d"], {"x": "b"})
    assert found(routes, "GET", "/a/b/e") == (["GET /{y+}/e"], {"y": "a/b"})
    assert found(routes, "GET", "/a/b/f") is None


def test_no_parameter_is_left_from_a_dead_end() -> None:
    routes = router("GET /{a}/x/y", "GET /{b}/{c}")
    assert found(routes, "GET", "/1/x") == (["GET /{b}/{c}"], {"b": "1", "c": "x"})


def test_a_name_is_never_empty() -> None:
    routes = router("GET /a/{x}/b", "GET /c/{x+}")
    assert routes.match("GET", "/a//b") is None
    assert routes.match("GET", "/c/") is None


def test_a_long_path_is_no_burden() -> None:
    routes = router("GET /{a+}/x/{b+}/y/{c+}/z")
    assert routes.match("GET", "/" + "/".join(["x", "y"] * 40)) is None


# --- against regular expressions ----------------------------------------------------------------------

SEGMENTS = st.sampled_from(["a", "b", "runs", "{p}", "{q}", "{r+}", "{s+}"])
ROUTES = st.lists(st.lists(SEGMENTS, min_size=1, max_size=4), min_size=1, max_size=6)
PATHS = st.lists(st.sampled_from(["a", "b", "runs", "x", "..", "%2e"]), min_size=1, max_size=5).map("/".join)


def pattern(path: str) -> re.Pattern[str]:
    """Make the expression of a route: its names may stand more than once, so they are numbered."""
    parts = []
    for number, segment in enumerate(path.strip("/").split("/")):
        name = f"g{number}"
        if segment.endswith("+}"):
            parts.append(f"(?P<{name}>[^/]+(?:/[^/]+)*)")
        elif segment.startswith("{"):
            parts.append(f"(?P<{name}>[^/]+)")
        else:
            parts.append(re.escape(segment))
    return re.compile("/".join(parts))


def kinds(path: str) -> list[int]:
    """Give how specific a route is, segment by segment, up to the first that takes several."""
    ranks = []
    for segment in path.strip("/").split("/"):
        ranks.append(2 if segment.endswith("+}") else 1 if segment.startswith("{") else 0)
        if ranks[-1] == 2:
            break
    return ranks


@FIXED
@given(ROUTES, st.lists(st.sampled_from(["GET", "POST"]), min_size=6, max_size=6), PATHS)
@example([["a", "{p}"], ["{q}", "b"]], ["GET", "POST", "GET", "GET", "GET", "GET"], "a/b")
def test_the_tree_agrees_with_regular_expressions(
    routes: Sequence[Sequence[str]], methods: list[str], path: str
) -> None:
    for route in routes:
        names = [segment.strip("{+}") for segment in route if segment.startswith("{")]
        assume(len(names) == len(set(names)))
    requests = [f"{method} /{'/'.join(route)}" for method, route in zip(methods, routes, strict=False)]
    match = router(*requests).match("GET", f"/{path}")
    fitting = [one for one in requests if pattern(one.partition(" ")[2]).fullmatch(path)]
    direct = [one.partition(" ")[2] for one in fitting if one.startswith("GET")]
    if not fitting:
        assert match is None
    elif not direct:
        assert match is not None
        assert (match.operations, match.methods) == ([], ("POST",))
    else:
        assert match is not None
        chosen = match.operations[0].path
        assert chosen in direct
        assert all(kinds(chosen) <= kinds(other) for other in direct)
        filled = re.sub(r"\{(\w+)\+?\}", lambda hole: match.params[hole[1]], chosen)
        assert filled.strip("/") == path  # put back, the parameters make the path again
        assert set(match.params) == set(re.findall(r"\{(\w+)\+?\}", chosen))
