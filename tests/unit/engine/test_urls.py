from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fauxvider.contract.model import Url
from fauxvider.engine.minting import Mint
from fauxvider.engine.urls import FileRoutes, is_past, split_token, token_serial
from support.acme import changed_acme

ACME = changed_acme("Acme pictures", "Acme pictures").resolve({})
OUTPUT = ACME.urls["output"]
TOKEN = "0123456789abcdef0123456789abcdef"  # a shape, not a secret
FIXED = settings(derandomize=True, deadline=None, max_examples=300)


def route(path: str, name: str = "one", origin: str = "images") -> Url:
    return replace(OUTPUT, name=name, path=path, origin=origin)


def routes(*urls: Url) -> FileRoutes:
    return FileRoutes(replace(ACME, urls={url.name: url for url in urls}))


def found(path: str, at: str, origin: str = "images") -> dict[str, str] | None:
    hits = list(routes(route(path)).find(origin, at))
    return dict(hits[0][1]) if hits else None


@pytest.mark.parametrize(
    ("path", "at", "wanted"),
    [
        ("/{file.token}/output.{file.ext}", f"/{TOKEN}/output.jpg", {"token": TOKEN}),
        ("/{file.token}/output.{file.ext}", f"/{TOKEN}/output.", None),
        ("/{file.token}/output.{file.ext}", f"/{TOKEN}/outputXjpg", None),  # the dot is a dot
        ("/{file.token}/output.{file.ext}", f"/{TOKEN.upper()}/output.jpg", None),
        ("/{file.token}/output.{file.ext}", "/short/output.jpg", None),
        ("/{file.token}/output.{file.ext}", f"/{TOKEN}/output.jpg/more", None),
        ("/{file.token}/output.{file.ext}", f"/more/{TOKEN}/output.jpg", None),
        ("/{file.token}/output.{file.ext}", f"/{TOKEN}/output.jpg\n", None),
        ("/{file.token}/output.{file.ext}", f"/{TOKEN}/output.../../etc", None),
        ("/outputs/{job.id}/{file.number}.{file.ext}", "/outputs/ab-c/2.png", {"job": "ab-c", "number": "2"}),
        ("/outputs/{job.id}/{file.number}.{file.ext}", "/outputs/a/b/2.png", None),
        ("/outputs/{job.id}/{file.number}.{file.ext}", "/outputs/a/99999.png", None),
        ("/outputs/{job.id}/{file.number}.{file.ext}", "/outputs/a/-1.png", None),
        ("/bucket/{file.key}", "/bucket/images/2026_a.webp", {"file_key": "images/2026_a.webp"}),
        ("/bucket/{file.key}", "/bucket/", None),
        ("/assets/{asset.id}", "/assets/abc", {"asset": "abc"}),
        ("/assets/{asset.id}", "/assets/a/bc", None),
        ("/{asset.key}", "/images/cat.png", {"asset_key": "images/cat.png"}),
        ("/{other.name}/x", "/anything/x", {}),
        ("/{other.name}/x", "/any/thing/x", None),
    ],
)
def test_paths(path: str, at: str, wanted: dict[str, str] | None) -> None:
    assert found(path, at) == wanted


def test_every_origin_has_its_own_files() -> None:
    known = routes(route("/a/{asset.id}", "one", "images"), route("/b/{asset.id}", "two", "api"))
    assert known.serves("images")
    assert known.serves("api")
    assert not known.serves("elsewhere")
    assert [url.name for url, _ in known.find("api", "/b/x")] == ["two"]
    assert list(known.find("api", "/a/x")) == []
    assert list(known.find("elsewhere", "/a/x")) == []


def test_rules_that_share_a_path_come_in_the_contract_s_order() -> None:
    known = routes(route("/{asset.key}", "first"), route("/{file.key}", "second"), route("/x/{asset.id}", "third"))
    assert [url.name for url, _ in known.find("images", "/x/y")] == ["first", "second", "third"]


@pytest.mark.parametrize(
    ("lives", "moment", "dead"), [(1000, 6000, False), (1000, 6001, True), (0, 5000, False), (0, 5001, True)]
)
def test_a_url_is_alive_to_the_last_millisecond(lives: int, moment: int, dead: bool) -> None:
    assert is_past(replace(OUTPUT, lives=lives), since=5000, moment=moment) is dead


def test_a_url_without_an_end_is_never_past() -> None:
    assert not is_past(replace(OUTPUT, lives=None), since=0, moment=10**15)


@FIXED
@given(st.integers(1, 2**40), st.integers(1, 16))
def test_a_token_holds_the_job_and_the_picture(job: int, picture: int) -> None:
    assert split_token(token_serial(job, picture)) == (job, picture)


def test_no_two_pictures_share_a_token() -> None:
    serials = {token_serial(job, picture) for job in range(1, 200) for picture in range(1, 17)}
    assert len(serials) == 199 * 16


@FIXED
@given(st.integers(0, 2**20), st.integers(1, 16), st.integers(0, 2**32))
def test_a_minted_token_fits_its_path(job: int, picture: int, seed: int) -> None:
    token = Mint(seed).token(token_serial(job, picture))
    assert found("/{file.token}/output.{file.ext}", f"/{token}/output.webp") == {"token": token}
    assert split_token(Mint(seed).serial(token) or 0) == (job, picture)
    assert Mint(seed + 1).serial(token) is None


@FIXED
@given(st.text(max_size=60))
def test_no_text_breaks_the_look_up(path: str) -> None:
    for _, groups in routes(*ACME.urls.values()).find("images", f"/{path}"):
        assert all(re.fullmatch(r"[\w.\-/~%\W]*", value, re.DOTALL) for value in groups.values())
