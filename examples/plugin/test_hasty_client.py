import pytest
from hasty_client import generate


@pytest.mark.fauxvider("runpod", scenario="answer-lost-after-billing")
def test_a_hiccup(fauxvider):
    picture = generate(fauxvider.base_url(), "a lighthouse at dusk")
    assert picture.startswith(b"\xff\xd8")  # a JPEG
