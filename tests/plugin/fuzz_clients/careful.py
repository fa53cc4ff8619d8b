"""A client that comes through: patient, and honest about what it could not get. Exits with 3 when it got nothing."""

import io
import json
import os
import sys
import time
import urllib.error
import urllib.request

from PIL import Image

BASE = os.environ["FAUXVIDER_BASE_URL"] + "/v2/black-forest-labs-flux-1-dev"
KEY = {"Authorization": f"Bearer {os.environ['FAUXVIDER_KEY']}", "Content-Type": "application/json"}


def fetch(url: str, body: object = None, headers: dict[str, str] | None = None) -> tuple[int, bytes, float]:
    """Give status (0 without an answer), bytes, and the seconds that one is asked to wait."""
    data = None if body is None else json.dumps(body).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data, headers or {}), timeout=5) as answer:
            return answer.status, answer.read(), 0
    except urllib.error.HTTPError as error:
        return error.code, error.read(), float(error.headers.get("Retry-After") or 0)
    except Exception:
        return 0, b"", 0


def tree(data: bytes) -> dict:
    try:
        found = json.loads(data)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def is_picture(data: bytes) -> bool:
    try:
        Image.open(io.BytesIO(data)).load()
    except Exception:
        return False
    return True


def submit() -> str:
    for number in range(8):
        status, data, _ = fetch(BASE + "/run", {"input": {"prompt": "a fox", "width": 256, "height": 256}}, KEY)
        if status != 429:
            return str(tree(data).get("id") or "") if status == 200 else ""
        time.sleep(0.01 * 2**number)
    return ""


def main() -> int:
    job = submit()
    was_seen, tries = False, 0
    for number in range(1_500 if job else 0):
        status, data, _ = fetch(f"{BASE}/status/{job}", None, KEY)
        state = tree(data)
        was_seen = was_seen or "status" in state
        if status == 200 and state.get("status") == "COMPLETED":
            link = (state.get("output") or {}).get("image_url")
            code, picture, _ = fetch(link) if link else (0, b"", 0)
            if code == 200 and is_picture(picture):
                return 0
            tries += 1
        gone = status == 404 and (was_seen or number > 30)
        if (
            gone
            or tries > 400
            or status in (401, 402, 403)
            or state.get("status") in ("FAILED", "CANCELLED", "TIMED_OUT")
        ):
            return 3
        time.sleep(0.002)
    return 3


sys.exit(main())
