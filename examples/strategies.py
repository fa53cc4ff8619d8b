"""Hypothesis against a client's own reading of answers: two bugs found from the contract alone."""

from hypothesis import find, given, settings

from pytest_fauxvider.strategies import Delivery, Response, Submission, callbacks, responses, submissions

FINISHED = {"COMPLETED", "FAILED", "CANCELLED"}


def is_finished(response: Response) -> bool:
    """A client's rule. It has not heard of every end that the provider has."""
    return response.status == 200 and response.json()["status"] in FINISHED


missed = find(
    responses("runpod", "status"),
    lambda response: response.state not in ("", "queued", "running") and not is_finished(response),
)
print("polls for ever at:", missed.json()["status"])


def picture_of(callback: Delivery) -> str:
    """Another rule of the client: every callback brings a picture."""
    return str(callback.json()["output"]["image_url"])


def breaks(callback: Delivery) -> bool:
    try:
        picture_of(callback)
    except (KeyError, TypeError):
        return True
    return False


print("dies of a callback with:", find(callbacks("runpod", "flux-dev"), breaks).event)


@settings(max_examples=50, database=None, derandomize=True, deadline=None)
@given(submissions("runpod", "flux-dev", operation="run"))
def sizes_are_multiples_of_64(submission: Submission) -> None:
    given_input = submission.json["input"]
    assert given_input.get("width", 1024) % 64 == given_input.get("height", 1024) % 64 == 0


sizes_are_multiples_of_64()
print("every size is a multiple of 64")
