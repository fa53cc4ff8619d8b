from __future__ import annotations

from contextlib import suppress
from urllib.parse import parse_qsl, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fauxvider.gate import MultipartRefusedError, Part, parse_multipart, parse_query
from support.patience import patience

FORM = "multipart/form-data; boundary=frontier"


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        (b"", {}),
        (b"a=1&b=2", {"a": "1", "b": "2"}),
        (b"a=1&a=2", {"a": "1"}),
        (b"a", {"a": ""}),
        (b"a=", {"a": ""}),
        (b"=1", {"": "1"}),
        (b"&&a=1&", {"a": "1"}),
        (b"a=b=c", {"a": "b=c"}),
        (b"a+b=c+d%2Be", {"a b": "c d+e"}),
        (b"%61=%C3%A9", {"a": "é"}),
        (b"a=%zz%", {"a": "%zz%"}),
        (b"a=%ff", {"a": "\ufffd"}),
        (b"a=\xc3\xa9", {"a": "é"}),
        (b"a=\xff", {"a": "\ufffd"}),
        (b"a=1;b=2", {"a": "1;b=2"}),
    ],
)
def test_queries(query: bytes, fields: dict[str, str]) -> None:
    assert parse_query(query) == fields


@given(st.dictionaries(st.text(min_size=1, alphabet=st.characters(exclude_categories=["Cs"])), st.text("a =&+%é")))
def test_queries_round_trip(fields: dict[str, str]) -> None:
    assert parse_query(urlencode(fields).encode()) == fields


@given(st.text("ab=&+%41", max_size=30))
def test_queries_as_the_standard_library_reads_them(text: str) -> None:
    expected: dict[str, str] = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        expected.setdefault(name, value)
    assert parse_query(text.encode()) == expected


def test_long_queries_are_cut() -> None:
    assert len(parse_query(b"&".join(b"a%d=1" % number for number in range(100_000)))) == 256
    assert parse_query(b"&" * 255 + b"a=1") == {"a": "1"}
    assert parse_query(b"&" * 256 + b"a=1") == {}
    assert parse_query(b"&" * 10_000_000) == {}
    assert len(parse_query(b"a=" + b"%" * 10_000_000)["a"]) < 70_000


def form(*parts: tuple[str, bytes]) -> bytes:
    body = b"".join(b"--frontier\r\n" + head.encode() + b"\r\n\r\n" + data + b"\r\n" for head, data in parts)
    return body + b"--frontier--\r\n"


def read(body: bytes, content_type: str = FORM, *, max_parts: int = 16, max_part: int = 1_000_000) -> list[Part]:
    return parse_multipart(content_type, body, max_parts=max_parts, max_part=max_part)


def test_a_form() -> None:
    picture = bytes(range(256)) + b"\r\n--frontie\r\n-"
    parts = read(
        form(
            ('Content-Disposition: form-data; name="asset"; filename="cät.png"\r\nContent-Type: image/png', picture),
            ("content-disposition: form-data; name=note", b""),
            ('Content-Disposition: form-data; name="a\\"b"; filename=""', b"x"),
            ('Content-Disposition: form-data; name="t"\r\nContent-Type: Text/HTML; charset=x\r\nX-More: y', b"\r\n"),
        )
    )
    assert parts == [
        Part("asset", "cät.png", "image/png", picture),
        Part("note", None, "text/plain", b""),
        Part('a"b', "", "application/octet-stream", b"x"),
        Part("t", None, "text/html", b"\r\n"),
    ]


@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/form-data; boundary=frontier",
        'multipart/form-data; boundary="frontier"',
        "Multipart/Form-Data; charset=utf-8; BOUNDARY=frontier",
        "multipart/form-data;boundary=frontier",
    ],
)
def test_content_types(content_type: str) -> None:
    assert read(form(("Content-Disposition: form-data; name=a", b"1")), content_type)[0].data == b"1"


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "application/json",
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=" + "a" * 71,
        "multipart/form-data; boundary=" + "a" * 10_000,
        "multipart/form-data; boundary=b\u00e9",
        "multipart/form-data; boundary=\u20ac",
        'multipart/form-data; boundary="a\x00"',
        "multipart/mixed; boundary=frontier",
        "text/plain; boundary=frontier",
    ],
)
def test_bad_content_types(content_type: str) -> None:
    with pytest.raises(MultipartRefusedError):
        read(form(("Content-Disposition: form-data; name=a", b"1")), content_type)


BROKEN = [
    b"",
    b"nothing",
    b"--frontier",
    b"--frontier\r\n",
    b"--frontier\r\nContent-Disposition: form-data; name=a\r\n\r\n",
    b"--frontier\r\nContent-Disposition: form-data; name=a\r\n\r\ncut",
    b"--frontier\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--frontier\r\n",
    b"--other\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--other--\r\n",
    b"--frontier\r\nContent-Disposition: form-data\r\n\r\n1\r\n--frontier--\r\n",
    b"--frontier\r\nContent-Disposition: attachment; name=a\r\n\r\n1\r\n--frontier--\r\n",
    b"--frontier\r\n\r\n1\r\n--frontier--\r\n",
    b"--frontier\r\nno colon\r\n\r\n1\r\n--frontier--\r\n",
    b"--frontier\r\n: x\r\n\r\n1\r\n--frontier--\r\n",
    b"--frontier\r\nA\x00: x\r\n\r\n1\r\n--frontier--\r\n",
    b"--frontierX\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--frontier--\r\n",
    b"--frontier\r\n" + b"A: b\r\n" * 9 + b"\r\n1\r\n--frontier--\r\n",
    b"--frontier\r\nA: " + b"b" * 5000 + b"\r\n\r\n1\r\n--frontier--\r\n",
]


@pytest.mark.parametrize("number", range(len(BROKEN)))
def test_broken_forms(number: int, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(MultipartRefusedError) as caught:
        read(BROKEN[number])
    assert str(caught.value).isprintable()
    assert caplog.text == ""


def test_limits() -> None:
    part = ("Content-Disposition: form-data; name=a", b"12345")
    assert len(read(form(*[part] * 3), max_parts=3, max_part=5)) == 3
    with pytest.raises(MultipartRefusedError, match="more than 2 parts"):
        read(form(*[part] * 3), max_parts=2)
    with pytest.raises(MultipartRefusedError, match="larger than 4 bytes"):
        read(form(part), max_part=4)


def test_file_names_hold_no_control_characters() -> None:
    head = 'Content-Disposition: form-data; name="a"; filename="../\x1b[31m\x00evil\x7f.png"'
    assert read(form((head, b"1")))[0].filename == "../[31mevil.png"


PART = b"--frontier\r\nContent-Disposition: form-data; name=a\r\n\r\n"
# 10 MB or 100,000 pieces, and what comes of it: the size of the one part that is read, or why there is none.
HOSTILE: dict[str, tuple[bytes, int | str]] = {
    "preamble of CR LF": (b"\r\n" * 5_000_000 + PART + b"1\r\n--frontier--\r\n", 1),
    "preamble of hyphens": (b"\r\n" + b"-\r\n" * 3_000_000, "cannot be read"),
    "epilogue": (PART + b"1\r\n--frontier--\r\n" + b"x" * 10_000_000, 1),
    "epilogue of CR LF": (PART + b"1\r\n--frontier--" + b"\r\n" * 5_000_000, 1),
    "part headers": (b"--frontier\r\n" + b"A: b\r\n" * 100_000 + b"\r\n1\r\n--frontier--\r\n", "header count"),
    "one long header": (b"--frontier\r\nA: " + b"b" * 10_000_000, "header size"),
    "one long name": (b"--frontier\r\n" + b"b" * 10_000_000, "header size"),
    "nearly boundaries": (PART + b"\r\n--frontie" * 1_000_000 + b"\r\n--frontier--\r\n", 11_000_000),
    "nearly ends": (PART + b"\r\n--frontier-" * 800_000 + b"\r\n--frontier--\r\n", "more than 16 parts"),
    "carriage returns": (PART + b"\r" * 10_000_000 + b"\r\n--frontier--\r\n", 10_000_000),
    "many parts": (form(*[("Content-Disposition: form-data; name=a", b"")] * 100_000), "more than 16 parts"),
    "options": (PART.replace(b"name=a", b'name=a; x="' + b"\\" * 4000 + b'"') + b"1\r\n--frontier--\r\n", 1),
    "semicolons": (PART.replace(b"name=a", b";" * 4000) + b"1\r\n--frontier--\r\n", "no name"),
    "no end": (PART + b"x" * 10_000_000, "no end"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_forms_are_read_or_refused(kind: str) -> None:
    body, wanted = HOSTILE[kind]
    with patience():
        try:
            got: int | str = sum(len(part.data) for part in read(body, max_part=20_000_000))
        except MultipartRefusedError as refused:
            got = str(refused)
    assert got == wanted if isinstance(wanted, int) else wanted in str(got)


@given(st.lists(st.tuples(st.text("abc é", min_size=1), st.binary()), max_size=5))
def test_forms_round_trip(fields: list[tuple[str, bytes]]) -> None:
    parts = [(f'Content-Disposition: form-data; name="{name}"', data) for name, data in fields]
    if any(b"--frontier" in data for _, data in fields) or not parts:
        return
    assert [(part.name, part.data) for part in read(form(*parts))] == fields


@given(st.lists(st.sampled_from([b"--frontier", b"\r\n", b"--", b"A: b", b"x", PART]), max_size=12).map(b"".join))
def test_any_pieces_are_read_or_refused(body: bytes) -> None:
    with suppress(MultipartRefusedError):
        read(body)
