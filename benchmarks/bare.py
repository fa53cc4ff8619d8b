"""The yardstick: a bare Starlette application that parses and answers the same JSON."""

from __future__ import annotations

import json
import sys

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

ANSWER = {"id": "bce42ef8-a228-4d36-925e-cd58360e3dcb-u2", "status": "IN_QUEUE"}
DONE = {
    "delayTime": 21,
    "executionTime": 3933,
    "id": "bce42ef8-a228-4d36-925e-cd58360e3dcb-u2",
    "output": {
        "cost": 0.02097152,
        "image_url": "http://127.0.0.1:8900/acme/~images/c1d2c3caa535e336cbe2adc2f7085d96/output.jpeg",
    },
    "status": "COMPLETED",
    "workerId": "0ueqh0pm8kwkza",
}
PICTURE = bytes(int(sys.argv[2])) if len(sys.argv) > 2 else bytes(102_400)


async def submit(request: Request) -> JSONResponse:
    body = json.loads(await request.body())
    return JSONResponse({**ANSWER, "status": "IN_QUEUE" if body["input"] else ""})


async def poll(_request: Request) -> JSONResponse:
    return JSONResponse(DONE)


async def picture(_request: Request) -> Response:
    return Response(PICTURE, media_type="image/jpeg")


app = Starlette(
    routes=[
        Route("/v2/{slug}/run", submit, methods=["POST"]),
        Route("/v2/{slug}/status/{job}", poll),
        Route("/images/{key}/output.jpeg", picture),
    ]
)

if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), access_log=False, log_level="error")
