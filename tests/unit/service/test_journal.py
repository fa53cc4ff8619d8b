from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fauxvider.service.journal import Journal, address_shown, fingerprint

FIXED = settings(derandomize=True, deadline=None, max_examples=200)


def test_entries_come_back_in_order_as_mappings() -> None:
    journal = Journal()
    journal.add(5, "ended", ("job", "state"), ("a", "succeeded"))
    journal.add(5, "charged", ("job", "amount"), ("a", "0.02"))
    assert list(journal.entries()) == [
        {"at": 5, "kind": "ended", "job": "a", "state": "succeeded"},
        {"at": 5, "kind": "charged", "job": "a", "amount": "0.02"},
    ]
    assert (journal.total, journal.dropped) == (2, 0)


def test_what_is_empty_is_left_out_and_what_is_zero_is_not() -> None:
    journal = Journal()
    journal.add(5, "request", ("job", "cause", "status", "flag"), ("", None, 0, False))
    assert list(journal.entries()) == [{"at": 5, "kind": "request", "status": 0, "flag": False}]


@FIXED
@given(st.integers(1, 12), st.integers(0, 40))
def test_the_ring_counts_what_it_drops(capacity: int, added: int) -> None:
    journal = Journal(capacity)
    for number in range(added):
        journal.add(number, "n", ("number",), (number + 1,))
    kept = [entry["number"] for entry in journal.entries()]
    assert kept == list(range(max(0, added - capacity) + 1, added + 1))  # the newest stay
    assert journal.dropped == added - len(kept)
    assert journal.total == added


@FIXED
@given(st.integers(1, 12), st.integers(0, 20), st.integers(0, 20))
def test_the_latest_entries(capacity: int, added: int, count: int) -> None:
    journal = Journal(capacity)
    for number in range(added):
        journal.add(number, "n", (), ())
    entries = list(journal.entries())
    assert journal.latest(count) == entries[max(0, len(entries) - count) :]


def test_a_fingerprint_tells_secrets_apart_without_telling_them() -> None:
    one = fingerprint("sk-first-secret", b"world")
    assert one == fingerprint("sk-first-secret", b"world")
    assert one != fingerprint("sk-other-secret", b"world")
    assert one != fingerprint("sk-first-secret", b"elsewhere")  # of no use outside its world
    assert len(one) == 16
    assert set(one) <= set("0123456789abcdef")
    assert fingerprint("", b"world") == ""


@FIXED
@given(st.text(min_size=1, max_size=200).filter(lambda text: not any("\ud800" <= c <= "\udfff" for c in text)))
def test_no_secret_shines_through(secret: str) -> None:
    assert len(secret) < 4 or secret not in fingerprint(secret, b"w")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://127.0.0.1:8000/hook", "http://127.0.0.1:8000/hook"),
        ("https://u:p@host.test/hook", "https://host.test/hook"),
        ("https://u@host.test:99/hook?token=s3cret#frag", "https://host.test:99/hook"),
        ("http://[::1]:80/x", "http://[::1]:80/x"),
        ("http://HOST.test/X", "http://host.test/X"),
        ("http://[::1", "(unreadable)"),
        ("http://host:notaport/", "(unreadable)"),
        ("http://host:99999/", "(unreadable)"),
    ],
)
def test_addresses(url: str, shown: str) -> None:
    assert address_shown(url) == shown


@FIXED
@given(
    st.tuples(st.text("abc%:", max_size=8), st.text("abc%:@", max_size=8)),
    st.text(st.characters(exclude_characters="#", exclude_categories=["Cs"]), max_size=20),
)
def test_userinfo_and_query_never_show(userinfo: tuple[str, str], query: str) -> None:
    user, password = (f"CANARY{part}" for part in userinfo)
    shown = address_shown(f"http://{user}:{password}@host.test/hook?key=CANARY{query}#CANARY")
    assert "CANARY" not in shown


@FIXED
@given(st.text(max_size=60))
def test_any_text_can_be_shown(url: str) -> None:
    assert isinstance(address_shown(url), str)
