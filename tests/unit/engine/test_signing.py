from __future__ import annotations

import base64
import hashlib
import hmac
import json
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fauxvider.contract.model import Signature
from fauxvider.contract.templates import compile_template
from fauxvider.engine.signing import ALGORITHMS, ENCODINGS, KEYS, sign
from fauxvider.errors import UsageError

FIXTURE = Path(__file__).parents[3] / "fixtures" / "signatures" / "hmac_sha256_hex.json"
VECTORS = json.loads(FIXTURE.read_text(encoding="utf-8"))


def signature(
    text: str = "{payload}",
    key: Literal["raw", "base64_after_prefix"] = "raw",
    encoding: Literal["hex", "base64"] = "hex",
) -> Signature:
    return Signature("current", key, compile_template(text, views={}), "hmac_sha256", encoding)


@pytest.mark.parametrize("vector", VECTORS["vectors"], ids=lambda vector: vector["name"])
def test_vectors(vector: dict[str, Any]) -> None:
    rule = signature(key=VECTORS["key"]["read"], encoding=VECTORS["encoding"])
    payload = vector["payload"]
    assert len(payload.encode()) == vector["bytes"]
    for value in (payload, payload.encode()):
        got = sign(rule, VECTORS["key"]["text"], {"payload": value})
        assert (got == vector["signature"]) is vector["valid"]


def test_the_standard_webhooks_way() -> None:
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # of the specification's own example
    scope = {
        "payload": '{"test": 2432232314}',
        "delivery": {"id": "msg_p5jXN8AQM9LWM0D4loKWxJek"},
        "timestamp": 1614265330,
    }
    rule = signature("{delivery.id}.{timestamp}.{payload}", "base64_after_prefix", "base64")
    assert sign(rule, secret, scope) == "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize(("secret", "key"), [("whsec_AAAA", b"\0\0\0"), ("AAAA", b"\0\0\0"), ("a_b_AA", b"\0")])
def test_keys_in_base64(secret: str, key: bytes) -> None:
    wanted = hmac.new(key, b"x", hashlib.sha256).hexdigest()
    assert sign(signature("x", "base64_after_prefix"), secret, {}) == wanted


@pytest.mark.parametrize("secret", ["whsec_A", "whsec_A!AA", "whsec_é", "whsec_AA A"])
def test_secrets_that_are_no_base64(secret: str) -> None:
    with pytest.raises(UsageError):
        sign(signature(key="base64_after_prefix"), secret, {"payload": "{}"})


@given(st.binary(), st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_it_is_hmac_sha256(payload: bytes, secret: str) -> None:
    wanted = hmac.new(secret.encode(), payload, hashlib.sha256).digest()
    assert sign(signature(), secret, {"payload": payload}) == wanted.hex()
    assert sign(signature(encoding="base64"), secret, {"payload": payload}) == base64.b64encode(wanted).decode()


def test_the_kinds_of_the_language() -> None:
    assert set(ALGORITHMS) == {"hmac_sha256", "ed25519"}
    assert set(KEYS) == {"raw", "base64_after_prefix", "hex"}
    assert set(ENCODINGS) == {"hex", "base64"}
