"""The pytest plugin: options, marker, fixtures, and what is looked at and told around each test.

pytest loads this module in every run of every project that has fauxvider installed. So it imports the
standard library and pytest, and everything else only when a test uses it.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest

from pytest_fauxvider import sleeping
from pytest_fauxvider.asked import MARKER, asked_by
from pytest_fauxvider.doors.fixtures import (
    GUARD,
    fauxvider_aiohttp,
    fauxvider_hosts,
    fauxvider_https,
    fauxvider_httpx,
    fauxvider_no_egress,
    fauxvider_requests,
    guarded,
    swallowed,
)
from pytest_fauxvider.fixtures import (
    COVERAGE,
    WORLD,
    fauxvider,
    fauxvider_clock,
    fauxvider_contracts,
    fauxvider_receiver,
    fauxvider_server,
    fauxvider_settings,
)
from pytest_fauxvider.header import header_lines
from pytest_fauxvider.options import OPTIONS, add_options, read_options

__all__ = [
    "fauxvider",
    "fauxvider_aiohttp",
    "fauxvider_clock",
    "fauxvider_contracts",
    "fauxvider_hosts",
    "fauxvider_https",
    "fauxvider_httpx",
    "fauxvider_no_egress",
    "fauxvider_receiver",
    "fauxvider_requests",
    "fauxvider_server",
    "fauxvider_settings",
]

# Before the first module of a client is imported, which may keep `time.sleep` as a default argument.
sleeping.install()


def pytest_addoption(parser: pytest.Parser) -> None:
    add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", MARKER)
    options = config.stash[OPTIONS] = read_options(config)
    sleeping.begin_run(is_virtual=options.sleep == "virtual")
    if options.coverage or options.fail_under:
        from pytest_fauxvider.coverage.hooks import CoverageHooks

        config.pluginmanager.register(CoverageHooks(options), COVERAGE)


def pytest_unconfigure(config: pytest.Config) -> None:
    if OPTIONS in config.stash:  # else they were wrong, and no run began
        sleeping.end_run()


def pytest_report_header(config: pytest.Config) -> list[str]:
    return header_lines(config.stash[OPTIONS])


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Give a worker of pytest-xdist the seed, so that all have the same."""
    node.workerinput["fauxvider_seed"] = node.config.stash[OPTIONS].seed


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Fail a test whose markers ask for what there is not, whether or not it comes to using them."""
    try:
        asked_by(item)
    except ValueError as error:
        raise pytest.fail.Exception(f"fauxvider: {error}", pytrace=False) from None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Keep a test's connections on this machine, where the option says so."""
    block = item.config.stash[OPTIONS].no_egress
    if block == "off":
        return (yield)
    with guarded(item, block, item.config.stash[OPTIONS].contracts):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Check the test's world when the test has passed: what is wrong there fails the test, not its teardown."""
    result = yield
    world = item.stash.get(WORLD, None)
    if world is not None:
        from pytest_fauxvider.strict import problems, told

        if found := problems(world):
            pytest.fail(told(found, where="@pytest.mark.fauxvider(...)"), pytrace=False)
    if GUARD in item.stash and (stopped := swallowed(item)):
        pytest.fail(stopped, pytrace=False)
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    world = item.stash.get(WORLD, None)
    if world is not None:
        from pytest_fauxvider.reporting import add_to

        add_to(report, item, call, world)
    return report
