import httpx
import pytest

MODEL = "/v2/black-forest-labs-flux-1-dev"
RUN = {"input": {"prompt": "a lighthouse at dusk"}}

pytestmark = pytest.mark.fauxvider("runpod")  # for every test of this file; the nearest marker wins


@pytest.fixture
def api(fauxvider):
    with httpx.Client(base_url=fauxvider.base_url(), headers={"Authorization": "Bearer my-key"}) as client:
        yield client


@pytest.mark.fauxvider(ignore="used-expired-url")  # a dead link is used on purpose
def test_a_picture_and_its_bill(fauxvider, api):
    job = api.post(f"{MODEL}/run", json=RUN).json()
    fauxvider.advance("10s")  # takes no real time
    done = api.get(f"{MODEL}/status/{job['id']}").json()
    assert done["status"] == "COMPLETED"
    assert httpx.get(done["output"]["image_url"]).headers["content-type"] == "image/jpeg"
    fauxvider.assert_charged("0.02097152")
    fauxvider.advance("7d")
    assert httpx.get(done["output"]["image_url"]).status_code == 404  # the link has died


@pytest.mark.fauxvider(answers=[503, "reset", 200])  # what the receiver says, one after the other
def test_callbacks_are_retried(fauxvider, api, fauxvider_receiver, fauxvider_clock):
    began = fauxvider_clock.now()
    job = api.post(f"{MODEL}/run", json={**RUN, "webhook": f"{fauxvider_receiver.url}/hook"}).json()
    fauxvider.advance("1m")
    first, second, third = fauxvider_receiver.received
    assert first.body == second.body == third.body
    assert third.at - first.at == 20_000 < fauxvider_clock.now() - began
    fauxvider.assert_delivered(1, event="COMPLETED")
    assert job["id"] in third.body.decode()


@pytest.mark.fauxvider(keys=["another-key"])
def test_a_key_that_is_not_known(fauxvider, api):
    assert api.post(f"{MODEL}/run", json=RUN).status_code == 401
    assert fauxvider.jobs() == []
    assert fauxvider.requests(does="submit")[0]["cause"] == "auth_unknown"


@pytest.mark.fauxvider(readings={"kontext.cost": "legacy_per_mp_03"})  # the page says this, too
def test_another_reading_of_the_page(fauxvider, api):
    run = {"input": {"prompt": "the bluebird, now on a cloud", "image": "https://example.com/bluebird.png"}}
    api.post("/v2/black-forest-labs-flux-1-kontext-dev/run", json=run)
    fauxvider.advance("1m")
    fauxvider.assert_charged("0.03145728")
