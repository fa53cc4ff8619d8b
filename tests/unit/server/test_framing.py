from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fauxvider.server.framing import Framing, HeadLimits, Refusal

GET = b"GET /a?b HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
CHUNKED = (
    b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"3;ext=1\r\nabc\r\n0A \t; x\r\n0123456789\r\n0\r\nTrailer: no\r\n\r\n"
)
CANONICAL = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\na\r\n0123456789\r\n0\r\n\r\n"
LIMITS = HeadLimits(target=64, headers=128, count=5)


def taken(*parts: bytes, limits: HeadLimits | None = None) -> tuple[bytes, Refusal | None]:
    framing = Framing(limits or HeadLimits())
    return b"".join(framing.take(part) for part in parts), framing.refusal


def test_good_requests_pass_as_they_are() -> None:
    assert taken(GET) == (GET, None)
    assert taken(GET + POST + GET) == (GET + POST + GET, None)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 50])
def test_any_cut_of_the_stream_reads_alike(size: int) -> None:
    stream = GET + b"\r\n\r\n" + POST + CHUNKED + GET
    parts = [stream[at : at + size] for at in range(0, len(stream), size)]
    assert taken(*parts) == (GET + POST + CANONICAL + GET, None)


@given(st.lists(st.sampled_from([GET, POST, CHUNKED, b"\r\n", b"GET / HTTP/1.1\r\n\r\n"]), max_size=4), st.data())
def test_cuts_do_not_matter(messages: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(messages)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(stream)), max_size=6)))
    parts = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert taken(*parts) == taken(stream)


@given(st.binary(max_size=300))
def test_any_bytes_are_taken_or_refused(data: bytes) -> None:
    out, refusal = taken(data)
    assert refusal is None or 400 <= refusal.status <= 505
    assert not out or out.startswith((b"GET ", b"HEAD ", b"POST ", b"PUT ", b"PATCH ", b"DELETE ", b"OPTIONS ", b"T"))


@pytest.mark.parametrize(
    ("stream", "status"),
    [
        (b"\x16\x03\x01\x02", 400),
        (b"GET / HTTP/1.1\nHost: x\n\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA: \x00", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA: b\rc", 400),
        (b"GET /" + b"a" * 200, 414),
        (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: " + b"a" * 200, 431),
        (b"GET /" + b"a" * 70 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 5 + b"\r\n", 431),
        (b"GET / HTTP/2.0\r\nHost: x\r\n\r\n", 505),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    ],
)
def test_refusals_do_not_wait_for_more(stream: bytes, status: int) -> None:
    assert taken(stream, limits=LIMITS)[1] is not None
    assert taken(*(bytes([byte]) for byte in stream), limits=LIMITS)[1] is not None
    refusal = taken(stream, limits=LIMITS)[1]
    assert refusal is not None
    assert refusal.status == status


def test_a_request_before_a_bad_one_still_passes() -> None:
    out, refusal = taken(GET + b"GET / HTTP/1.1\r\n\r\n" + GET)
    assert out == GET
    assert refusal is not None


def test_nothing_is_read_after_the_last_request() -> None:
    last = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Close\r\n\r\n"
    assert taken(last + GET, GET) == (last, None)
    assert taken(b"GET / HTTP/1.0\r\n\r\n" + GET) == (b"GET / HTTP/1.0\r\n\r\n", None)


def test_where_a_stream_stands() -> None:
    framing = Framing(HeadLimits())
    seen = []
    for part in (POST[:5], POST[5:-3], POST[-3:-1], POST[-1:], POST, b"x"):
        framing.take(part)
        seen.append((framing.open, framing.in_body, framing.received, framing.stage))
    assert seen == [
        (True, False, 0, 1),
        (True, True, 0, 2),
        (True, True, 2, 2),
        (False, False, 3, 2),
        (False, False, 3, 2),
        (True, False, 3, 3),
    ]


def test_a_refusal_in_a_body_says_so() -> None:
    framing = Framing(HeadLimits())
    framing.take(CHUNKED[: CHUNKED.index(b"abc")])
    framing.take(b"abcd\r\n")
    assert framing.refusal == Refusal(400, "a chunk is longer than its size")
    assert framing.in_body


@pytest.mark.parametrize("chunk", [b"1\r\na\r\n", b"1;" + b"e" * 400 + b"\r\na\r\n"])
def test_chunk_floods_end(chunk: bytes) -> None:
    head = CHUNKED[: CHUNKED.index(b"3;ext")]
    out, refusal = taken(head, *([chunk * 1000] * 40))
    assert refusal == Refusal(400, "more chunk framing than data")
    assert len(out) < 200_000


def test_many_small_pieces_cost_no_more_than_one() -> None:
    """10 MB of body in 1-kB chunks, given in 64-kB segments, is read in one pass."""
    body = (b"400\r\n" + b"a" * 1024 + b"\r\n") * 10_000 + b"0\r\n\r\n"
    stream = CHUNKED[: CHUNKED.index(b"3;ext")] + body
    out, refusal = taken(*(stream[at : at + 65_536] for at in range(0, len(stream), 65_536)))
    assert refusal is None
    assert out == stream
