"""All cases of a contract."""

from __future__ import annotations

from collections.abc import Iterator

from fauxvider.toolkit.verify.case import Case
from fauxvider.toolkit.verify.cases_assets import asset_cases
from fauxvider.toolkit.verify.cases_callbacks import callback_cases
from fauxvider.toolkit.verify.cases_documented import documented_cases
from fauxvider.toolkit.verify.cases_files import file_cases
from fauxvider.toolkit.verify.cases_jobs import job_cases
from fauxvider.toolkit.verify.cases_limits import limit_cases
from fauxvider.toolkit.verify.cases_more import more_cases
from fauxvider.toolkit.verify.cases_requests import request_cases
from fauxvider.toolkit.verify.cases_secrets import secret_cases
from fauxvider.toolkit.verify.session import Session

__all__ = ["all_cases"]


def all_cases(session: Session) -> Iterator[Case]:
    yield from request_cases(session)
    yield from job_cases(session)
    yield from file_cases(session)
    yield from callback_cases(session)
    yield from secret_cases(session)
    yield from more_cases(session)
    yield from asset_cases(session)
    yield from limit_cases(session)
    yield from documented_cases(session)
