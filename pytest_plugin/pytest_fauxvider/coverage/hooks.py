"""Contract coverage in a pytest run: counted in each process, added up where the run is reported."""

from __future__ import annotations

import json
import shutil
from importlib import metadata
from typing import TYPE_CHECKING, Any

import pytest

from pytest_fauxvider.coverage.model import Tally
from pytest_fauxvider.coverage.page import coverage_page
from pytest_fauxvider.coverage.table import json_text, table_lines
from pytest_fauxvider.options import Options

if TYPE_CHECKING:
    from pytest_fauxvider.coverage.collecting import Collector

__all__ = ["CoverageHooks"]

_KEY = "fauxvider_coverage"


class CoverageHooks:
    """Registered only when coverage is asked for. A worker of pytest-xdist hands its figures to the controller."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._tally = Tally()
        self._dropped = 0
        self._lost: list[str] = []  # workers that died with their figures
        self.collector: Collector | None = None

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        if session.config.getoption("collectonly") or _is_controller(session.config):
            return
        from pytest_fauxvider.coverage.collecting import Collector

        self.collector = Collector()
        self.collector.start()

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Add up when the session's server is down; fail the run when too little was faced."""
        if self.collector is not None:
            self.collector.stop()
            self._tally.add(self.collector.tally)
            self._dropped += self.collector.dropped
        output: dict[str, Any] | None = getattr(session.config, "workeroutput", None)
        if output is not None:
            output[_KEY] = json.dumps({"tally": self._tally.to_json(), "dropped": self._dropped})
        elif self._is_too_little and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        """Take what a worker counted."""
        del error
        text = getattr(node, "workeroutput", {}).get(_KEY)
        if text is None:
            self._lost.append(str(node.gateway.id))
            return
        tree = json.loads(text)
        self._tally.add(Tally.from_json(tree["tally"]))
        self._dropped += tree["dropped"]

    @property
    def _is_too_little(self) -> bool:
        percent = self._tally.whole(omit=self._options.omit).percent
        return percent < self._options.fail_under if self._tally.providers else self._options.fail_under > 0

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
        if config.getoption("collectonly"):
            return
        options, out = self._options, terminalreporter
        out.section("fauxvider: contract coverage")
        if not self._tally.providers:
            out.line("No test used a provider.")
        else:
            width = shutil.get_terminal_size((100, 24)).columns
            for line in table_lines(self._tally, width=width, omit=options.omit):
                out.line(line)
            out.line(f"\nwritten to {self._write()}")
        if self._lost:
            out.line(f"what these workers counted is missing: {', '.join(self._lost)}", yellow=True)
        if self._dropped:
            out.line(f"{self._dropped} journal entries were dropped by a cap and not counted", yellow=True)
        if self._is_too_little:
            percent = self._tally.whole(omit=options.omit).percent if self._tally.providers else 0
            out.line(f"FAILED: {percent:.1f} % was faced, less than {options.fail_under:g} %", red=True)

    def _write(self) -> str:
        folder, omit = self._options.coverage_dir, self._options.omit
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "coverage.json").write_text(json_text(self._tally, omit=omit), encoding="utf-8")
        page = coverage_page(self._tally, omit=omit, version=metadata.version("fauxvider"))
        (folder / "index.html").write_text(page, encoding="utf-8")
        return f"{folder / 'index.html'} and coverage.json"


def _is_controller(config: pytest.Config) -> bool:
    """Tell whether this process hands its tests to workers."""
    return config.pluginmanager.hasplugin("dsession")
