"""The real pipelines behind the five documented endpoints, as a client meets them over HTTP.

Numbers in the names of sections are those of the acceptance tests of the design.
"""

from __future__ import annotations

import json
import os
import signal
import urllib.request
from collections.abc import Callable
from io import BytesIO
from typing import Any

import pytest
from PIL import Image

from fauxvider.renderers.diffusers.parameters import effective_steps
from fauxvider.renderers.diffusers.protocol import Failed, Progress, Rendered, RunEvent, Started
from fauxvider.renderers.synthetic import read_metadata
from support.documented import DOCUMENTED, Client, Endpoint, at, data_uri
from support.patience import until
from support.real import Site, memory, opened
from support.receiver import Receiver

EDIT, KLEIN = DOCUMENTED["flux-1-dev-edit"], DOCUMENTED["flux-2-klein-4b-edit"]
FLUX, KONTEXT, EDITOR = DOCUMENTED["flux-dev"], DOCUMENTED["kontext"], DOCUMENTED["flux-2-dev-editor"]


def is_end(event: RunEvent) -> bool:
    return isinstance(event, Rendered | Failed)


every_endpoint = pytest.mark.parametrize("endpoint", DOCUMENTED.values(), ids=DOCUMENTED)


# --- 2: a cold start is real, and the server answers meanwhile ---------------------------------------


def test_a_cold_start_shows_as_delay_and_the_server_answers_meanwhile(kit: Any) -> None:
    cold = Site(kit.options(), warm=False)
    try:
        run = cold.client.submit(FLUX, num_inference_steps=1, **FLUX.small)
        answered = 0
        while cold.client.look(FLUX, run)["status"] == "IN_QUEUE":
            urllib.request.urlopen(cold.server.url + "/").read()
            answered += 1
        cold.client.follow(FLUX, run)
        assert run.status == "COMPLETED"
        assert answered > 2
        assert run.last["delayTime"] > 500  # there was a process to start, and torch to load
        started = cold.renderer.workers["flux"].pid
        cold.client.finish(FLUX, num_inference_steps=1, **FLUX.small)
        assert cold.renderer.workers["flux"].pid == started
    finally:
        cold.close()


# --- 3: the documents' own requests ------------------------------------------------------------------


@every_endpoint
def test_the_documents_own_request_end_to_end(site: Site, client: Client, endpoint: Endpoint) -> None:
    with site.holding_back(is_end):  # until the client has seen it run
        run = client.follow(endpoint, client.submit(endpoint), lambda status: status == endpoint.running)
    client.follow(endpoint, run)
    assert run.status == endpoint.ends[0], run.last
    words = [*endpoint.queued, endpoint.running, endpoint.ends[0]]
    assert run.seen == [word for word in words if word in run.seen]
    assert endpoint.running in run.seen
    given = endpoint.stop["submit"]["json"][endpoint.input]
    form = (given.get("output_format") or given.get("image_format") or "jpeg").upper()
    data = client.picture(endpoint, run)
    image = opened(data)
    assert (image.size, image.format) == ((1024, 1024), form)
    made, fields = client.made(run), read_metadata(data)
    assert made["renderer"] == "diffusers"
    assert made["size"] == [1024, 1024]
    assert 0 < made["execution_ms"] <= run.wall_ms
    assert fields is not None
    assert (fields["run"], fields["model"], fields["weights"]) == (run.id, endpoint.name, "tiny")
    assert fields["steps"] == made["steps"] > 0
    assert client.picture(endpoint, run) == data


def test_times_that_a_client_sees_are_measured(client: Client) -> None:
    run = client.finish(FLUX, **FLUX.small)
    made = client.made(run)
    # The worker's own figures, or less of the run where the server was too busy to hear of its start at once.
    assert 0 < run.last["executionTime"] <= made["execution_ms"] + 1
    # Moments are whole milliseconds, so that what lies between two of them may show one less, or one more, than it took.
    assert run.last["delayTime"] >= int(made["queued_ms"]) - 1
    assert run.last["executionTime"] + run.last["delayTime"] <= run.wall_ms + 1
    edit = client.finish(KLEIN)
    assert 0 < at(edit.last, "/output/timing/inference_ms") <= client.made(edit)["execution_ms"] + 1


def test_cost_stays_the_contracts(client: Client) -> None:
    for endpoint in (EDIT, KLEIN, FLUX, KONTEXT):
        shown = endpoint.stop["cost"]
        assert str(at(client.finish(endpoint).last, shown["shown"])) == shown["documented"]


def test_what_a_model_cannot_apply_is_said(client: Client) -> None:
    assert client.made(client.finish(FLUX, **FLUX.small))["unapplied"] == ["negative"]
    assert client.made(client.finish(EDITOR, num_inference_steps=1))["unapplied"] == ["strength"]
    assert "unapplied" not in client.made(client.finish(EDIT))


# --- 4: seeds and parameters --------------------------------------------------------------------------


@every_endpoint
def test_one_seed_is_one_picture_and_every_parameter_counts(site: Site, endpoint: Endpoint, kit: Any) -> None:
    def data(**changes: Any) -> bytes:
        run = site.client.finish(endpoint, **{endpoint.steps: 6, "seed": 11, **endpoint.small, **changes})
        return site.client.picture(endpoint, run)

    first = data()
    assert kit.same_pixels(first, data())
    changes: list[dict[str, Any]] = [{"seed": 12}, {"prompt": "a blue whale under the moon"}, {endpoint.steps: 20}]
    if endpoint.guidance is not None:
        changes.append({endpoint.guidance: 9})
    for change in changes:
        assert kit.distance(first, data(**change)) > 0.1, change


def test_a_seed_survives_a_cancellation_and_a_new_worker(site: Site, client: Client) -> None:
    before = site.resting_pixels
    run = client.follow(FLUX, client.submit(FLUX, num_inference_steps=50), lambda status: status == "IN_PROGRESS")
    client.cancel(FLUX, run)
    assert site.resting_pixels == before
    os.kill(site.renderer.workers["flux"].pid, signal.SIGKILL)
    assert site.resting_pixels == before


# --- 5, 6: strength, steps ----------------------------------------------------------------------------


def test_strength_leads_away_from_the_source(client: Client, kit: Any) -> None:
    source = kit.source().data
    away = []
    for strength in (0.1, 0.5, 0.9):
        run = client.finish(EDIT, image_b64=data_uri(source), strength=strength, steps=20)
        assert client.made(run)["steps"] == effective_steps(20, strength) == 20 - int(20 - 20 * strength)
        away.append(kit.distance(source, client.picture(EDIT, run)))
    assert away[0] < away[1] < away[2]


def test_strength_zero_is_the_source(client: Client, kit: Any) -> None:
    run = client.finish(EDIT, image_b64=data_uri(kit.source().data), strength=0)
    assert client.made(run).get("steps") == 0
    assert kit.distance(kit.source().data, client.picture(EDIT, run)) < 2  # a JPEG of it


@pytest.mark.parametrize("steps", [4, 50])
def test_as_many_steps_are_made_as_were_asked_for(client: Client, steps: int) -> None:
    assert client.made(client.finish(FLUX, num_inference_steps=steps, **FLUX.small))["steps"] == steps


# --- 7: progress --------------------------------------------------------------------------------------


def is_beyond(step: int) -> Callable[[RunEvent], bool]:
    return lambda event: isinstance(event, Progress) and event.step > step


def test_progress_grows_to_the_end(site: Site, client: Client) -> None:
    seen = [0.0]

    def watch(share: float) -> None:
        until(lambda: seen.append(site.progress(run)) or seen[-1] >= share)

    with site.holding_back(is_beyond(10)):
        run = client.submit(KONTEXT, num_inference_steps=50)
        watch(10 / 50)
        assert client.look(KONTEXT, run)["status"] == "IN_PROGRESS"
        site.hold_back(is_beyond(30))
        watch(30 / 50)
    watch(1)
    assert seen == sorted(seen)
    assert {10 / 50, 30 / 50} < set(seen)
    client.follow(KONTEXT, run)
    assert run.seen[-2:] == ["IN_PROGRESS", "COMPLETED"]


# --- 8: cancelling ------------------------------------------------------------------------------------


@pytest.mark.parametrize("endpoint", [EDIT, KONTEXT], ids=lambda endpoint: endpoint.provider)
def test_cancelling_in_mid_run_frees_the_worker(site: Site, client: Client, endpoint: Endpoint) -> None:
    before = site.resting_pixels
    with Receiver() as receiver, site.holding_back(is_end):  # it is not over before it is cancelled
        run = client.submit(endpoint, outside={endpoint.callback: receiver.url}, **{endpoint.steps: 50})
        client.follow(endpoint, run, lambda status: status == endpoint.running)
        client.cancel(endpoint, run)
        client.follow(endpoint, run)
        assert run.status == endpoint.cancelled
        if endpoint.provider == "runflow":
            (hit,) = receiver.wait(1)
            assert json.loads(hit.body)["event"] == "run.cancelled"
    assert client.finish(FLUX, num_inference_steps=1, **FLUX.small).status == "COMPLETED"
    assert not [one for one in site.world.journal()["entries"] if one["kind"] == "rendered" and one["job"] == run.id]
    assert site.resting_pixels == before


def test_cancelling_in_the_queue_and_after_the_end(site: Site, client: Client) -> None:
    first = client.submit(KONTEXT, num_inference_steps=50)
    with site.holding_back(lambda event: isinstance(event, Started) and not event.job_id.startswith(first.id)):
        second = client.submit(FLUX, **FLUX.small)
        assert client.cancel(FLUX, second)["status"] == "CANCELLED"
    assert client.follow(KONTEXT, first).status == "COMPLETED"
    assert client.follow(FLUX, second).seen == ["IN_QUEUE", "CANCELLED"]
    assert "executionTime" not in second.last
    client.cancel(KONTEXT, first)  # nothing happens
    assert client.look(KONTEXT, first)["status"] == "COMPLETED"
    assert client.finish(FLUX, **FLUX.small).status == "COMPLETED"


# --- 10: one after the other, in each model folder ----------------------------------------------------


def test_two_jobs_of_one_folder_run_one_after_the_other(site: Site, client: Client) -> None:
    changes = {"num_inference_steps": 28, **FLUX.small}
    alone = [site.pixels(FLUX, seed=seed, **changes) for seed in (1, 2)]
    runs = [client.submit(FLUX, seed=seed, **changes) for seed in (1, 2)]
    for run in runs:
        client.follow(FLUX, run)
    assert [opened(client.picture(FLUX, run)).tobytes() for run in runs] == alone
    told = [(job.partition("#")[0], kind) for job, kind in site.renderer.told if kind in (Started, Rendered)]
    assert [one for one in told if one[0] in (runs[0].id, runs[1].id)] == [
        (run.id, kind) for run in runs for kind in (Started, Rendered)
    ]


def test_a_job_of_another_folder_does_not_wait(site: Site, client: Client) -> None:
    before = site.resting_pixels
    site.renderer.orders.append("hang")
    stuck = client.follow(KONTEXT, client.submit(KONTEXT, **KONTEXT.small), lambda status: status == "IN_PROGRESS")
    for endpoint in (KLEIN, EDITOR):
        client.finish(endpoint, **{endpoint.steps: 1, **endpoint.small})
    behind = client.submit(FLUX, **FLUX.small)
    assert client.look(KONTEXT, stuck)["status"] == "IN_PROGRESS"
    assert client.look(FLUX, behind)["status"] == "IN_QUEUE"
    client.cancel(KONTEXT, stuck)
    client.follow(FLUX, behind)
    assert behind.status == "COMPLETED"
    assert site.resting_pixels == before


# --- 11: references and sizes -------------------------------------------------------------------------


def test_one_to_four_references_are_taken_and_bad_ones_are_the_clients_fault(client: Client, kit: Any) -> None:
    good = data_uri(kit.source().data)
    for count in (1, 4):
        client.finish(KLEIN, image_urls=[good] * count, **KLEIN.small)
    for sources in ([good] * 5, [data_uri(kit.source(63, 200).data)], [data_uri(kit.source(64 * 9, 64).data)]):
        status, text = client.refusal(KLEIN, image_urls=sources)
        assert status in (400, 422), text
    wide = client.upload(EDITOR, kit.source(64 * 9, 64).data)
    status, text = client.refusal(EDITOR, imageUrl=wide)
    assert status in (400, 422), text
    assert "8:1" in text


def test_an_uploaded_reference_reaches_the_model(client: Client, kit: Any) -> None:
    turned = opened(kit.source().data).transpose(Image.Transpose.ROTATE_90)
    out = BytesIO()
    turned.save(out, "PNG")
    pictures = [
        client.picture(EDITOR, client.finish(EDITOR, imageUrl=client.upload(EDITOR, data), seed=5, **EDITOR.small))
        for data in (kit.source().data, out.getvalue())
    ]
    assert kit.distance(*pictures) > 0.1


@pytest.mark.parametrize("size", [(250, 130), (1023, 511)])
def test_a_size_that_no_model_makes_comes_exactly(client: Client, size: tuple[int, int]) -> None:
    run = client.finish(KONTEXT, size=f"{size[0]}*{size[1]}", num_inference_steps=1)
    assert opened(client.picture(KONTEXT, run)).size == size
    assert all(side % 16 == 0 for side in client.made(run)["rendered"])


# --- 12: true size, memory ----------------------------------------------------------------------------


def test_a_hundred_pictures_do_not_make_the_worker_grow(site: Site, client: Client) -> None:
    def render(count: int) -> None:
        for seed in range(count):
            client.finish(FLUX, seed=seed, num_inference_steps=1, **FLUX.small)

    render(10)
    pid = site.renderer.workers["flux"].pid
    before = memory(pid)
    render(100)
    assert memory(pid) - before < 50e6


def test_a_true_1024_square_through_the_door(kit: Any) -> None:
    large = Site(kit.options(render_max_side=1024), warm=False)
    try:
        run = large.client.finish(FLUX, num_inference_steps=4)
        assert large.client.made(run)["rendered"] == [1024, 1024]
        assert memory(large.renderer.workers["flux"].pid) < 1.2e9
    finally:
        large.close()
