"""Causes: the code's own names for what can go wrong. A contract gives them a face.

A cause without a face of its own falls back to the next, so that a contract says only what its
provider tells apart. Section 10 of docs/contract-language.md is the same table.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

__all__ = ["FALLBACKS", "REQUIRED", "face_for"]

_Face = TypeVar("_Face")

REQUIRED = ("bad_request", "path_unknown", "internal")

# cause -> the cause whose face it takes when it has none; "" for none
FALLBACKS: dict[str, str] = {
    "auth_missing": "",
    "auth_unknown": "auth_missing",
    "auth_deleted": "auth_unknown",
    "auth_inactive": "auth_unknown",
    "scope_missing": "auth_unknown",
    "owner_only": "auth_unknown",
    "funds": "",
    "rate": "",
    "body_too_large": "bad_request",
    "body_malformed": "bad_request",
    "media_type": "bad_request",
    "bad_request": "",
    "model_unknown": "",
    "model_disabled": "model_unknown",
    "type_unknown": "model_unknown",
    "param_missing": "param_invalid",
    "param_type": "param_invalid",
    "param_range": "param_invalid",
    "param_enum": "param_range",
    "param_unknown": "param_invalid",
    "param_invalid": "bad_request",
    "job_unknown": "",
    "job_state": "",
    "asset_unknown": "param_invalid",
    "asset_pending": "",
    "asset_missing": "",
    "secret_unknown": "",
    "conflict": "",
    "delivery_state": "job_state",
    "path_unknown": "",
    "method_unknown": "path_unknown",
    "url_expired": "url_unknown",
    "url_forged": "url_expired",
    "url_unsigned": "url_forged",
    "url_unknown": "path_unknown",
    "url_method": "url_forged",
    "upstream": "",
    "moderated": "upstream",
    "origin_timeout": "",
    "unavailable": "",
    "internal": "",
}


def face_for(cause: str, faces: Mapping[str, _Face]) -> _Face | None:
    """Give the face of a cause or of the nearest cause that it falls back to; None if there is none."""
    while cause:
        if cause in faces:
            return faces[cause]
        cause = FALLBACKS.get(cause, "")
    return None
