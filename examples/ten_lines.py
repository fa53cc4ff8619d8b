import httpx

from fauxvider import Server

with Server() as server, server.world(clock="manual") as world, httpx.Client() as client:
    api = world.base_url("runpod") + "/v2/black-forest-labs-flux-1-dev"
    client.headers["Authorization"] = "Bearer any"
    job = client.post(f"{api}/run", json={"input": {"prompt": "a lighthouse at dusk"}}).json()
    world.advance("10s")  # takes no real time
    done = client.get(f"{api}/status/{job['id']}").json()
    print(job["status"], "->", done["status"], done["output"]["cost"], "USD")
    picture = client.get(done["output"]["image_url"])
    world.advance("7d")
    print(picture.headers["Content-Type"], "->", client.get(picture.url).status_code)
