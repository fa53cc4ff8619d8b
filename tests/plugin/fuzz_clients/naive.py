"""A client that believes in a world where nothing goes wrong."""

import json
import os
import time
import urllib.request

BASE = os.environ["FAUXVIDER_BASE_URL"] + "/v2/black-forest-labs-flux-1-dev"


def ask(path: str, body: object = None) -> dict:
    data = None if body is None else json.dumps(body).encode()
    headers = {"Authorization": f"Bearer {os.environ['FAUXVIDER_KEY']}", "Content-Type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(BASE + path, data, headers), timeout=10) as answer:
        return json.load(answer)


job = ask("/run", {"input": {"prompt": "a fox", "width": 256, "height": 256}})["id"]
while (state := ask(f"/status/{job}"))["status"] in ("IN_QUEUE", "IN_PROGRESS"):
    time.sleep(0.01)
print(state["status"])
with urllib.request.urlopen(state["output"]["image_url"], timeout=10) as picture:
    print(len(picture.read()), "bytes")
