import pytest
from parsing_client import DONE, LOST, order, read_status

from pytest_fauxvider import assert_valid_request, assert_valid_response, fauxvider_contract_cases

respx = pytest.importorskip("respx")


@fauxvider_contract_cases("runpod", operation="status", model="flux-dev")
def test_every_state_is_understood(case):
    progress = read_status(case.httpx())
    assert (progress.state == DONE) == (case.state == "succeeded") == bool(progress.picture), case
    assert progress.state != LOST or progress.why, case


@pytest.mark.parametrize(
    "case", fauxvider_contract_cases("runpod", status=(400, 401, 402, 404), kind=("submit", "read"))
)
def test_a_refusal_is_never_a_job(case):
    progress = read_status(case.httpx())
    assert progress.state == LOST, case
    assert progress.why, case


QUEUED = {"id": "2939a510-3916-484a-9600-98b507f9c929-u1", "status": "IN_QUEUE"}


@pytest.fixture
def mocked():
    with respx.mock() as router:  # any mock will do: responses, aioresponses, one of your own
        yield router.post(url__startswith="https://api.runpod.ai/").respond(json=QUEUED)


def test_what_it_sends_would_be_taken(mocked):
    order("a lighthouse at dusk")
    sent = mocked.calls.last
    assert assert_valid_request("runpod", sent).model == "flux-dev"
    assert_valid_response("runpod", sent.response)  # and the mock answers as the provider could


def test_what_it_should_not_send(mocked):
    order("a lighthouse at dusk", width=1000)
    with pytest.raises(AssertionError, match=r"1000 is not divisible by 64 .*; nearest 960, 1024"):
        assert_valid_request("runpod", mocked.calls.last.request)
