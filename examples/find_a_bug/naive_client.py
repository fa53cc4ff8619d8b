"""A polling client as it is often written first. It works, as long as nothing goes wrong."""

from __future__ import annotations

import httpx

RUN, STATUS = "/v2/black-forest-labs-flux-1-dev/run", "/v2/black-forest-labs-flux-1-dev/status"


class NaiveClient:
    """Orders pictures, and polls for them."""

    def __init__(self, http: httpx.Client) -> None:
        self.http = http
        self.pictures: list[tuple[str, bytes]] = []

    def order(self, prompt: str) -> str:
        while True:
            try:
                answer = self.http.post(RUN, json={"input": {"prompt": prompt}}).raise_for_status()
            except httpx.HTTPError:
                continue  # the network is bad today: try again
            return str(answer.json()["id"])

    def poll(self, job: str) -> None:
        if any(known == job for known, _ in self.pictures):
            return
        answer = self.http.get(f"{STATUS}/{job}").raise_for_status().json()
        if answer["status"] == "COMPLETED":
            picture = self.http.get(answer["output"]["image_url"]).raise_for_status()
            self.pictures.append((job, picture.content))
