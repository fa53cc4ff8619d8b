"""`fauxvider calibrate` on a machine of paper, whose law is known: the fit finds it, and a server keeps to it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from fauxvider.cli import calibrate as command
from fauxvider.cli.calibrate_contract import flow, with_timings, write_contracts
from fauxvider.contract.parse import ContractFile
from fauxvider.contract.strict import load_text
from fauxvider.engine.recipe import Recipe
from fauxvider.errors import RenderError, UsageError
from fauxvider.ports import Failed, Rendered, Report
from fauxvider.renderers.diffusers.calibrate import Fit, Sample
from fauxvider.renderers.diffusers.parameters import effective_steps
from support.acme import ACME_TEXT
from support.documented import DOCUMENTED
from support.inprocess import InProcess

LAW = Fit((20.0, 300.0, 0.0), (3.0, 0.0, 250.0))
REPORT = Report(
    pipeline="flux", model="paper", device="cpu", dtype="float32", seed=1, steps=28, size=(64, 64), rendered=(64, 64),
    queued_ms=0, execution_ms=0, encode_ms=1,
)  # fmt: skip


class Paper:
    """A machine that takes the time of its law, and now and then half as much again."""

    def __init__(self, fails: str = "", most: int = 4096) -> None:
        self.fails, self.most, self.runs, self.is_open = fails, most, 0, False

    async def start(self, *, warm: bool = True) -> None:
        self.is_open = True
        if self.fails == "start":
            raise RenderError("no such device")

    async def run(self, recipe: Recipe) -> Rendered | Failed:
        self.runs += 1
        if self.fails == "run":
            return Failed("1", "oom", "out of memory", 0, 0, 0)
        steps = effective_steps(recipe.steps or 28, 1.0 if recipe.strength is None else recipe.strength)
        spent = LAW.at(Sample(recipe.width, recipe.height, steps, recipe.strength, 0.0))
        size = (min(recipe.width, self.most), min(recipe.height, self.most))
        busy = 1.5 if self.runs % 7 == 0 else 1.0
        return Rendered("1", b"", replace(REPORT, steps=steps, rendered=size, execution_ms=spent * busy))

    async def close(self) -> None:
        self.is_open = False


def calibrated(monkeypatch: pytest.MonkeyPatch, machine: Paper, *options: str) -> Result:
    monkeypatch.setattr(command, "open_renderer", lambda given: machine)
    result = CliRunner().invoke(command.calibrate, options)
    assert not machine.is_open
    return result


def test_a_law_is_found_and_a_server_keeps_to_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    done = calibrated(monkeypatch, Paper(), "--write", str(tmp_path / "fitted"))
    assert done.exit_code == 0, done.output
    assert done.output.count("fit: 20 + 300 M + steps x (3 + 250 M^2) ms") == 5
    assert done.output.count("error: 0.0% typical") == 5
    files = sorted((tmp_path / "fitted").iterdir())
    for file in files:
        assert f"--contract {file}" in done.output
    # Sizes, steps and strength that were not measured.
    asked: dict[str, tuple[dict[str, Any], Sample]] = {
        "flux-dev": ({"width": 1024, "height": 640, "num_inference_steps": 20}, Sample(1024, 640, 20, None, 0)),
        "kontext": ({"size": "1280*640", "num_inference_steps": 7}, Sample(1280, 640, 7, None, 0)),
        "flux-1-dev-edit": ({"steps": 20, "strength": 0.52}, Sample(1024, 1024, 11, None, 0)),
        "flux-2-klein-4b-edit": ({"steps": 9, "image_size": "square"}, Sample(512, 512, 9, None, 0)),
        "flux-2-dev-editor": ({"num_inference_steps": 33}, Sample(1024, 1024, 33, None, 0)),
    }
    with InProcess(files=files) as site:
        for name, (changes, sample) in asked.items():
            assert run_ms(site, name, changes) == pytest.approx(LAW.at(sample), rel=0.011, abs=2)


def run_ms(site: InProcess, name: str, changes: dict[str, Any]) -> int:
    """Submit the document's request with changes, and give how long the job is to run."""
    endpoint, world = DOCUMENTED[name], site.world()
    submit = endpoint.stop["submit"]
    body = {**submit["json"], endpoint.input: {**submit["json"][endpoint.input], **changes}}
    url = site.base(world, endpoint.provider) + submit["path"]
    assert site.request("POST", url, headers=dict(submit["headers"]), json_body=body).status < 300
    (shown,) = site.run(site.emulator.jobs(world.name))
    provider = world.provider(endpoint.provider)
    plan = site.run(provider.store.record(shown["id"])).job.plan
    phases = zip(provider.contract.phases, plan.phases, strict=True)
    return sum(lasts for phase, lasts in phases if phase.state.canonical == "running")


def test_json_says_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Paper()
    grid = ("--for", "runpod/flux-dev", "--sizes", "256x256,1024x512", "--steps", "2,9", "--repeats", "2")
    done = calibrated(monkeypatch, machine, *grid, "--json")
    (one,) = json.loads(done.stdout)["models"]
    assert machine.runs == 8
    assert (one["model"], one["pipeline"]) == ("runpod/flux-dev", "flux")
    assert one["machine"].startswith("paper on cpu (float32; ")
    assert [sample["size"] for sample in one["samples"]] == [[256, 256], [256, 256], [1024, 512], [1024, 512]]
    assert one["timing"]["IN_PROGRESS"] == one["timing"]["RUNNING"]
    assert one["timing"]["IN_PROGRESS"]["work"]["steps"] == "{param.num_inference_steps}"


def test_sizes_that_are_not_rendered_are_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    grid = ("--for", "runpod/flux-dev", "--steps", "2,9")
    assert "--render-max-side" in calibrated(monkeypatch, Paper(most=256), *grid).output
    assert "--render-max-side" not in calibrated(monkeypatch, Paper(), *grid).output


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--for", "runpod"), "write PROVIDER/MODEL"),
        (("--for", "runpod/flux-9"), "has no model 'flux-9'"),
        (("--for", "nobody/x"), "no provider 'nobody'"),
        (("--for", "runpod/my-endpoint"), "its contract names none"),
        (("--sizes", "big"), "--sizes big"),
        (("--sizes", "0x4"), "--sizes 0x4"),
        (("--steps", "4,"), "--steps 4,"),
        (("--strengths", "0"), "--strengths 0"),
        (("--steps", "4", "--sizes", "64x64"), "different amounts of work"),
    ],
)
def test_what_cannot_be_measured_is_told_in_one_line(
    monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], says: str
) -> None:
    error = calibrated(monkeypatch, Paper(), *options).exception
    assert isinstance(error, UsageError)
    assert says in str(error)
    assert "\n" not in str(error)


@pytest.mark.parametrize(("fails", "says"), [("start", "no such device"), ("run", "oom: out of memory")])
def test_a_machine_that_fails_says_so(monkeypatch: pytest.MonkeyPatch, fails: str, says: str) -> None:
    error = calibrated(monkeypatch, Paper(fails)).exception
    assert isinstance(error, UsageError)
    assert says in str(error)


# --- the contract file ---------------------------------------------------------------------------------

TIMING = {
    "IN_PROGRESS": {"work": {"base": "1.5ms", "per_step": ["2ms", "3ms"]}, "spread": 0.02},
    "evidence": "assumed - x",
}


def acme(text: str) -> ContractFile:
    return ContractFile(text, file="acme.yaml")


@pytest.fixture
def written(tmp_path: Path) -> Path:
    path = tmp_path / "acme.yaml"
    path.write_text(ACME_TEXT)
    return path


def test_only_the_timing_changes(written: Path) -> None:
    text = with_timings(ContractFile.read(written), {"dev": TIMING})
    gone = set(ACME_TEXT.split("\n")) - set(text.split("\n"))
    come = set(text.split("\n")) - set(ACME_TEXT.split("\n"))
    assert come == {"    timing: " + flow(TIMING)}
    assert gone
    assert all("timing" in line or "IN_PROGRESS" in line or "evidence" in line for line in gone), gone
    span = acme(text).resolve({}).models["dev"].timing["IN_PROGRESS"]
    assert (span.base_law, span.step_law) == ((1500,), (2000, 3000))


def test_a_model_without_a_timing_is_given_one(written: Path) -> None:
    lines = ACME_TEXT.split("\n")
    at = next(number for number, line in enumerate(lines) if line.startswith("    timing:"))
    end = next(number for number in range(at + 1, len(lines)) if not lines[number].startswith("     "))
    written.write_text("\n".join(lines[:at] + lines[end:]))
    assert not ContractFile.read(written).resolve({}).models["dev"].timing
    text = with_timings(ContractFile.read(written), {"dev": TIMING})
    assert acme(text).resolve({}).models["dev"].timing["IN_PROGRESS"].base_law == (1500,)


def test_a_model_that_takes_no_line_is_refused(written: Path) -> None:
    tree = load_text(ACME_TEXT, file="acme.yaml")
    written.write_text(json.dumps(tree, default=str))  # one line
    with pytest.raises(UsageError, match="no block"):
        with_timings(ContractFile.read(written), {"dev": TIMING})


def test_a_timing_that_means_nothing_is_refused(written: Path) -> None:
    with pytest.raises(UsageError, match="does not take the timing"):
        with_timings(ContractFile.read(written), {"dev": {**TIMING, "DREAMING": "1s"}})


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(UsageError, match="--write"):
        write_contracts(tmp_path / "taken", {"runpod/flux-dev": TIMING})


@pytest.mark.parametrize(
    "value", [{"a": [1, "b c", {"d": "{e}"}], "f": True, "g": None, "h": "1.5ms"}, [], "x", "a: b", "#no", "yes"]
)
def test_a_tree_in_one_line_reads_as_it_was(value: Any) -> None:
    assert load_text(flow(value), file="x") == value
