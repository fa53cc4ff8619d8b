"""Runs of pytest inside the tests: small suites with the plugin, against the made-up provider."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

# A run in this process forgets the modules that it was the first to load. Half a package that is forgotten and half
# that is not is two packages, so all of it is loaded before.
for _name in (
    "fauxvider.local",
    "fauxvider.receiver",
    "fauxvider.renderers.synthetic",
    "pytest_fauxvider.coverage.collecting",
    "pytest_fauxvider.coverage.hooks",
    "pytest_fauxvider.examples_world",
    "pytest_fauxvider.reporting",
    "pytest_fauxvider.serving",
    "pytest_fauxvider.sleeping_loops",
):
    import_module(_name)

ACME = Path(__file__).parents[1] / "data" / "acme.yaml"
CONFTEST = '''
import json
import urllib.error
import urllib.request

import pytest


class Client:
    """A client of the made-up provider. It knows nothing of fauxvider."""

    def __init__(self, base):
        self.base = base

    def ask(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": "Bearer key", "Content-Type": "application/json"}
        request = urllib.request.Request(self.base + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as refused:
            return refused.code, refused.read().decode()

    def submit(self, **more):
        status, job = self.ask("POST", "/v2/acme-dev/run", {"input": {"prompt": "a lighthouse"}, **more})
        assert status == 201, job
        return job["id"]

    def status(self, job):
        return self.ask("GET", f"/v2/acme-dev/status/{job}")[1]

    def download(self, job):
        with urllib.request.urlopen(self.status(job)["output"]["image_url"], timeout=60) as answer:
            return answer.read()


@pytest.fixture
def client(fauxvider):
    return Client(fauxvider.base_url())
'''


class Suite:
    """A folder with a test suite in it, and how to run it."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self.pytester = pytester
        self.path = pytester.path
        pytester.makeconftest(CONFTEST)
        self.ini()

    def ini(self, *lines: str) -> None:
        self.pytester.makeini("\n".join(["[pytest]", f"fauxvider_contracts = {ACME}", *lines]))

    def toml(self, *lines: str) -> None:
        (self.path / "tox.ini").unlink()
        text = "\n".join(["[tool.pytest]", f"fauxvider_contracts = ['{ACME}']", *lines])
        self.pytester.makepyprojecttoml(text)

    def tests(self, text: str) -> None:
        self.pytester.makepyfile(f'import pytest\nacme = pytest.mark.fauxvider("acme")\n{text}')

    def run(self, *args: str, text: str = "") -> pytest.RunResult:
        """Run it in this process, where everything is loaded already; warnings are errors."""
        if text:
            self.tests(text)
        return self.pytester.runpytest_inprocess("-W", "error", *_QUIET, *args)

    def run_apart(self, *args: str) -> pytest.RunResult:
        """Run it in a process of its own."""
        return self.pytester.runpytest_subprocess("-W", "error", *_QUIET, *args)


# Plugins that a development machine may have and that say something at each start.
_QUIET = ("-p", "no:asyncio")


@pytest.fixture
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Suite:
    for name in ("PYTEST_ADDOPTS", "CI", "BUILD_NUMBER"):  # on a CI machine pytest writes a longer summary
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "160")
    return Suite(pytester)


def shown(result: pytest.RunResult) -> str:
    return result.stdout.str()
