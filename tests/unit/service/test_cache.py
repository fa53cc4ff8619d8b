from __future__ import annotations

from collections import OrderedDict

from hypothesis import given, settings
from hypothesis import strategies as st

from fauxvider.service.cache import ByteCache


def test_what_was_put_comes_back() -> None:
    cache = ByteCache(10)
    cache.put("a", b"12345")
    assert cache.get("a") == b"12345"
    assert cache.get("b") is None
    cache.put("empty", b"")
    assert cache.get("empty") == b""


def test_the_least_recently_used_goes_first() -> None:
    cache = ByteCache(10)
    cache.put("a", b"12345")
    cache.put("b", b"12345")
    cache.get("a")
    cache.put("c", b"1")
    assert cache.get("b") is None
    assert cache.get("a") == b"12345"


def test_what_is_larger_than_everything_is_not_kept() -> None:
    cache = ByteCache(10)
    cache.put("a", b"1234567890")
    cache.put("b", b"12345678901")
    assert cache.get("b") is None
    assert cache.get("a") == b"1234567890"


@settings(derandomize=True, deadline=None, max_examples=300)
@given(
    st.integers(1, 20),
    st.lists(st.tuples(st.sampled_from(["get", "put"]), st.integers(0, 5), st.integers(0, 12)), max_size=40),
)
def test_it_is_a_bounded_ordered_dict(capacity: int, steps: list[tuple[str, int, int]]) -> None:
    cache, naive = ByteCache(capacity), OrderedDict[int, bytes]()
    for kind, key, size in steps:
        if kind == "put" and size <= capacity:
            naive.pop(key, None)
            naive[key] = b"x" * size
            while sum(map(len, naive.values())) > capacity:
                naive.popitem(last=False)
        elif kind == "get" and key in naive:
            naive.move_to_end(key)
        if kind == "put":
            cache.put(key, b"x" * size)
        else:
            assert cache.get(key) == naive.get(key)
    held = [(key, cache.get(key)) for key in list(naive)]
    assert held == list(naive.items())
