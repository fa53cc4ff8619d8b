"""A client in two halves: what it asks, and how it reads what comes."""

from dataclasses import dataclass

import httpx

RUNNING, DONE, LOST = "running", "done", "lost"
_WORDS = {"IN_QUEUE": RUNNING, "IN_PROGRESS": RUNNING, "RUNNING": RUNNING, "COMPLETED": DONE}


@dataclass
class Progress:
    state: str
    picture: str = ""
    why: str = ""


def read_status(answer: httpx.Response) -> Progress:
    """Read any answer to a poll: of 401, 404 and 429, too."""
    body = answer.json()
    word = body.get("status")
    if answer.status_code == 429:
        return Progress(RUNNING, why="asked too often")
    if answer.status_code != 200 or word not in _WORDS:
        return Progress(LOST, why=str(body.get("error") or body.get("detail") or body.get("title") or word))
    output = body.get("output") or {}
    return Progress(_WORDS[word], picture=output.get("image_url", ""))


def order(prompt: str, width: int = 1024) -> str:
    answer = httpx.post(
        "https://api.runpod.ai/v2/black-forest-labs-flux-1-dev/run",
        headers={"Authorization": "Bearer my-key"},
        json={"input": {"prompt": prompt, "width": width}},
    )
    return answer.raise_for_status().json()["id"]
