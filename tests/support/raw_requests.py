r"""Raw requests that parsers are known to read apart, or might. Written with \r\n as in Python, one per line."""

from __future__ import annotations

from collections.abc import Iterator

__all__ = ["raw_requests"]

HOST = b"Host: x\r\n"
POST = b"POST / HTTP/1.1\r\nHost: x\r\n"
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


def _lines(text: str) -> list[bytes]:
    return [line.encode("latin-1").decode("unicode_escape").encode("latin-1") for line in text.strip("\n").split("\n")]


REQUEST_LINES = _lines(r"""
GET / HTTP/1.1
HEAD / HTTP/1.1
PUT / HTTP/1.1
PATCH / HTTP/1.1
DELETE / HTTP/1.1
OPTIONS / HTTP/1.1
OPTIONS * HTTP/1.1
TRACE / HTTP/1.1
get / HTTP/1.1
CONNECT / HTTP/1.1
CONNECT x:80 HTTP/1.1
QUERY / HTTP/1.1
X / HTTP/1.1
GET * HTTP/1.1
GET http://evil/x?y HTTP/1.1
GET HTTP://evil HTTP/1.1
GET https://e:1/?q HTTP/1.1
GET http:///x HTTP/1.1
GET ftp://x/ HTTP/1.1
GET //evil/x HTTP/1.1
GET x HTTP/1.1
GET /#f HTTP/1.1
GET ?q HTTP/1.1
GET /%zz HTTP/1.1
GET /% HTTP/1.1
GET /%00 HTTP/1.1
GET /a%2Fb%2fc HTTP/1.1
GET /%ff%fe HTTP/1.1
GET /\xc3\xbc HTTP/1.1
GET /a\\b HTTP/1.1
GET /..%2f../x HTTP/1.1
GET /a/../b HTTP/1.1
GET /?a?b HTTP/1.1
GET /;p?a=b;c HTTP/1.1
GET /:80 HTTP/1.1
GET /@x HTTP/1.1
GET evil:80 HTTP/1.1
GET /? HTTP/1.1
GET /a b HTTP/1.1
GET / HTTP/1.0
GET / HTTP/0.9
GET / HTTP/1.2
GET / HTTP/2.0
GET / HTTP/1
GET / HTTP/11.1
GET / http/1.1
GET / HTTP/1.1\x20
GET / HTTP/1.1\r
GET /
GET /\x20
GET
GET  / HTTP/1.1
GET\t/ HTTP/1.1
 GET / HTTP/1.1
GET /\x00 HTTP/1.1
\x00GET / HTTP/1.1
\xffGET / HTTP/1.1
\xef\xbb\xbfGET / HTTP/1.1
""")

FIELDS = _lines(r"""
\x20
Host: x\r\nHost: x
Host: x\r\nhost: y
Host:
Host:\x20
Host: a b
Host: x\r\n folded
Host: x\r\nA: b\r\n c
Host: x\r\nA: b\r\n\tc
 Host: x
Host : x
Host: x\r\nA : b
Host: x\r\n: b
Host: x\r\nA
Host: x\r\nA\x00: b
Host: x\r\nA\xff: b
Host: x\r\nA(: b
Host: x\r\nA: b \t\x20
Host: x\r\nA:\t b
Host: x\r\nA:
Host: x\r\nA:\x20\x20
Host: x\nA: b
Host: x\r\nA: b\nB: c
Host: x\r\nA: b\rB: c
Host: x\r\nA: b\r\nA: c\r\na: d
Host: x\r\nX-Forwarded-Host: evil\r\nForwarded: host=evil
Host: x\r\nConnection: close
Host: x\r\nConnection: keep-alive, close
Host: x\r\nConnection: close-not
Host: x\r\nConnection: \xff
Host: x\r\nConnection: Upgrade\r\nUpgrade: websocket
Host: x\r\nConnection: Upgrade\r\nUpgrade: h2c
Host: x\r\nUpgrade: h2c
Host: x\r\nExpect: 100-continue
Host: x\r\nExpect: 100-Continue
Host: x\r\nExpect: more
Host: x\r\nExpect: 100-continue\r\nExpect: 100-continue
Host: x\r\nTE: trailers
Host: x\r\nProxy-Connection: keep-alive
Host: x\r\nKeep-Alive: 5
Host: x\r\nContent-Type:
Host: x\r\nContent-Length: 0
""")

LENGTHS = _lines(r"""
Content-Length: 3
Content-Length: 003
Content-Length: +3
Content-Length: -3
Content-Length: 3\x20
Content-Length:3
Content-Length:\t3
Content-Length: 3, 3
Content-Length: 3\r\nContent-Length: 3
Content-Length: 3\r\nContent-Length: 4
Content-Length: 0x3
Content-Length: 1e1
Content-Length:
Content-Length: 3 3
Content-Length: \xb3
Content-Length: 99999999999999999999
Content-Length : 3
Content_Length: 3
content-length: 3
Content-Length: 3\r\nTransfer-Encoding: chunked
Transfer-Encoding: chunked\r\nContent-Length: 3
Transfer-Encoding: identity\r\nContent-Length: 3
Content-Length: 3\r\nConnection: Upgrade\r\nUpgrade: h2c
Content-Length: 3\r\nExpect: 100-continue
""")

CODINGS = _lines(r"""
chunked
Chunked
 chunked\x20
gzip, chunked
chunked, gzip
chunked, chunked
identity
gzip
xchunked
chunked\x00
\x0bchunked
"chunked"
chunked;q=1
chunked\r\nTransfer-Encoding: chunked
chunked\r\nTransfer-Encoding: identity
chunked\r\n folded
""")

CHUNKS = _lines(r"""
0\r\n\r\n
3\r\nabc\r\n0\r\n\r\n
03\r\nabc\r\n0\r\n\r\n
3;a=b\r\nabc\r\n0;c\r\n\r\n
3 \r\nabc\r\n0\r\n\r\n
3\t;x\r\nabc\r\n0\r\n\r\n
 3\r\nabc\r\n0\r\n\r\n
0x3\r\nabc\r\n0\r\n\r\n
-3\r\nabc\r\n0\r\n\r\n
+3\r\nabc\r\n0\r\n\r\n
3\nabc\n0\n\n
3\r\nabc0\r\n\r\n
3\r\nabcd\r\n0\r\n\r\n
G\r\n
\r\n
1_0\r\n
3,\r\nabc\r\n
3\r\nab
ffffffffffffffffffff\r\n
100000000\r\n
3\r\nabc\r\n0\r\nA: b\r\n\r\n
3\r\nabc\r\n0\r\nHost: evil\r\nContent-Length: 9\r\n\r\n
3\r\nabc\r\n0\r\n\rX
0\r\nbad trailer\r\n\r\n
0\r\n folded: x\r\n\r\n
3;a="\r\nabc\r\n0\r\n\r\n
3;\x00\r\nabc\r\n0\r\n\r\n
A\r\n0123456789\r\na\r\n0123456789\r\n00\r\n\r\n
""")

STREAMS = _lines(r"""
\r\n
\n
PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n
HTTP/1.1 200 OK\r\n\r\n
\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03
\x00\x00\x00\x00\x00
GET / HTTP/1.1\nHost: x\n\n
""")


def _made() -> Iterator[bytes]:
    yield from (line + b"\r\n" + HOST + b"\r\n" for line in REQUEST_LINES)
    for fields in (*FIELDS, *_large_fields()):
        yield b"GET / HTTP/1.1\r\n" + fields + b"\r\n\r\n"
        yield b"GET / HTTP/1.0\r\n" + fields + b"\r\n\r\n"
    yield from (POST + lengths + b"\r\n\r\nabc" for lengths in LENGTHS)
    for coding in CODINGS:
        yield POST + b"Transfer-Encoding: " + coding + b"\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    yield b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    yield b"POST / HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc"
    for chunks in (*CHUNKS, b"3;" + b"e" * 600 + b"\r\nabc", b"0\r\nA: " + b"b" * 9000 + b"\r\n\r\n",
                   b"0\r\n" + b"A: b\r\n" * 3000 + b"\r\n"):  # fmt: skip
        yield POST + b"Transfer-Encoding: chunked\r\n\r\n" + chunks
    yield from (before + GET for before in (b"\r\n", b"\r\n\r\n", b"\n", b"\r", b" \r\n"))
    yield from (GET[:size] for size in (1, 5, 16, len(GET) - 1))
    yield from (b"", b"a" * 9000, *STREAMS)
    yield GET + GET
    yield GET + b"GET / HTTP/1.1\r\n\r\n"
    yield POST + b"Content-Length: 3\r\n\r\nabc" + POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n" + GET
    yield from (b"GET /" + b"a" * size + b" HTTP/1.1\r\nHost: x\r\n\r\n" for size in (8190, 8191, 8192, 70_000))
    # Each byte in each place; the connection ends with the answer, so that the sweep is quick.
    for byte in (bytes([number]) for number in range(256)):
        yield b"GET /a" + byte + b"b?c HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        yield b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nA" + byte + b"B: c" + byte + b"d\r\n\r\n"


def _large_fields() -> Iterator[bytes]:
    for count in (99, 100, 5000):
        yield HOST + b"\r\n".join(b"A%d: b" % number for number in range(count))
    for size in (16_000, 16_500, 70_000):
        yield HOST + b"A: " + b"a" * size


def raw_requests() -> list[bytes]:
    """Give all requests, each once."""
    return list(dict.fromkeys(_made()))
