import httpx
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_fauxvider import given_world

MODEL = "/v2/black-forest-labs-flux-1-dev"


@settings(deadline=None, max_examples=25)  # over a socket no two examples take the same time
@given(prompt=st.text(min_size=1, max_size=200), seed=st.integers(0, 2**31 - 1))
@given_world("runpod")
def test_every_prompt_is_taken(world, prompt, seed):
    run = {"input": {"prompt": prompt, "seed": seed}}
    answer = httpx.post(f"{world.base_url()}{MODEL}/run", json=run, headers={"Authorization": "Bearer my-key"})
    assert answer.status_code == 200
    assert len(world.jobs()) == 1
