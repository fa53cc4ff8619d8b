"""Rules about results and secrets: links that die, pictures that are not there, keys sent to the wrong host."""

from __future__ import annotations

from collections.abc import Iterator

from fauxvider.analysis.history import History
from fauxvider.analysis.job_story import Asked, JobStory
from fauxvider.analysis.verdict_rule import MINUTE, Case, Rule, asked_text, case

__all__ = ["FILES"]

_DAMAGES = frozenset({"truncate", "short"})


def _expired_url(history: History) -> Iterator[Case]:
    for job in history.jobs.values():
        death, refused = job.url_death(), 0
        for asked in job.files:
            if asked.cause != "url_expired" or not asked.is_seen:
                continue
            # A link may die before its time; the second try without a new look at the record is the client's own.
            since = refused or (death if death is not None and asked.at > death else 0)
            refused = asked.ended
            looks = [one for one in job.asks if one.ended >= since and one.at <= asked.at and one.is_poll]
            if since and not looks:
                dead = [(death, "the last link died")] if death is not None and asked.at > death else []
                yield case(job.id, *dead, (asked.at, asked_text(asked)))
                break


def _never_downloaded(history: History) -> Iterator[Case]:
    for job in history.jobs.values():
        death, told = job.url_death(), job.told_end()
        if not (job.succeeds and job.charged) or death is None or told is None or "empty_url" in job.faults:
            continue
        is_past = history.now > death and not history.is_held_at(job.provider, death)
        if is_past and not history.may_have_tried(job, death):
            bill = [(at, f"charged {amount}") for at, amount in job.charged]
            yield case(job.id, *bill, (told, "the client was told of the success"), (death, "the last link died"))


def _failed_download(job: JobStory, asked: Asked) -> bool:
    if asked.method != "GET":
        return False
    is_cut = asked.is_lost or bool(job.faults & {"truncate", "reset"})
    return is_cut or asked.cause == "url_unknown" or asked.status >= 500


def _not_retried(history: History) -> Iterator[Case]:
    for job in history.jobs.values():
        end = job.end
        tries = [one for one in job.files if end is not None and one.at >= end.at]
        if not tries or not job.succeeds or not all(_failed_download(job, one) for one in tries):
            continue
        first, last = tries[0], tries[-1]
        later = [one for one in job.asks if one.at > last.at]
        if last.at - first.at < MINUTE and not later and history.now - last.at >= 10 * MINUTE:
            yield case(job.id, *[(one.at, asked_text(one)) for one in tries], (history.now, "not tried again"))


def _saved(job: JobStory) -> Iterator[tuple[int, list[Asked]]]:
    """Give the moments at which the client says that it saved a picture, with the downloads before them."""
    for note in job.notes:
        end = job.end_before(note.at)
        if note.said == "saved" and end is not None and end.state == "succeeded" and job.output is not None:
            yield note.at, [one for one in job.downloads if one.at <= note.at]


def _saved_nothing(history: History) -> Iterator[Case]:
    for job in history.jobs.values():
        for at, downloads in _saved(job):
            if not downloads:
                empty = [(job.ends[-1].at, "its URL is empty")] if "empty_url" in job.faults else []
                tries = [(one.at, asked_text(one)) for one in job.files if one.at <= at]
                yield case(job.id, *empty, *tries, (at, "the client says that it saved the picture"))
                break


def _kept_damaged(history: History) -> Iterator[Case]:
    for job in history.jobs.values():
        for at, downloads in _saved(job):
            damages = sorted(job.faults & _DAMAGES)
            if downloads and damages:
                cut = [(one.at, f"{asked_text(one)}, {', '.join(damages)}") for one in downloads]
                yield case(job.id, *cut, (at, "the client says that it saved the picture"))
                break


def _key_to_files(history: History) -> Iterator[Case]:
    found: dict[str, list[tuple[int, str]]] = {}
    for asked in history.requests:
        if "key" in asked.leaks:
            found.setdefault(asked.provider, []).append((asked.at, asked_text(asked)))
    for evidence in found.values():
        yield case("", *evidence)


def _key_to_callback(history: History) -> Iterator[Case]:
    for job in history.jobs.values():
        if "key" in job.leaks:
            yield case(job.id, (job.accepted, f"the callback address {job.address} holds the API key"))


FILES: tuple[Rule, ...] = (
    Rule(
        name="used-expired-url",
        severity="harm",
        about="a dead link was used without a new look at the record",
        harm="the file is refused although the record may still give a live link",
        fix="store pictures, not links; before a late download read the record again and take the link from there",
        source="users.md C7: wandb/weave PR #1524, lyuai/agentok#64; devlikeapro/waha#1884 (a backlog made it late)",
        find=_expired_url,
    ),
    Rule(
        name="never-downloaded",
        severity="harm",
        about="the links of a charged result died before it was downloaded",
        harm="it was paid for, and it is gone",
        fix="download on success and keep the bytes; a link is good for its documented time and no longer",
        source="users.md C7: premieroctet/photoshot#54, UllrAI/HeadShots.fun#2, banodoco/Dough#2",
        find=_never_downloaded,
    ),
    Rule(
        name="download-not-retried",
        severity="harm",
        about="a download failed for the moment and was not tried again",
        harm="the picture comes a little later, or on the next connection; the client has given it up",
        fix="retry a fresh link's 404, a 5xx and a cut connection with growing pauses for some minutes",
        source="users.md C7: reapit/foundations#10700 (link not ready yet)",
        find=_not_retried,
    ),
    Rule(
        name="saved-nothing",
        severity="harm",
        about="the client says that it saved a picture which it has not downloaded",
        harm="an empty link, or a link kept in place of the picture, is all that there is",
        fix="success is a downloaded file: check that the link is not empty, fetch it, and only then say so",
        source="users.md C7: TannerMidd/minimal-chat#15; issue 3 (outputs: empty URL with success)",
        find=_saved_nothing,
    ),
    Rule(
        name="kept-damaged-picture",
        severity="harm",
        about="the client saved a picture of which a part is missing",
        harm="half a picture is stored as the result, and the link to the whole one dies",
        fix="compare the length, open the picture before it is stored, and fetch it again when it does not open",
        source="users.md C12 (green tests, dead feature), 2.3 row 47; issue 3 (outputs: truncated, wrong size)",
        find=_kept_damaged,
    ),
    Rule(
        name="leaked-key-to-file-host",
        severity="harm",
        about="the API key was sent to a host that serves files",
        harm="the file host is somebody else's: it has the key now, in its logs too",
        fix="set the key per request to the API's origin, never as a default header of a shared session",
        source="issue 3 (leaked the API key to the output host); design/reliability.md R17",
        find=_key_to_files,
    ),
    Rule(
        name="leaked-key-to-callback",
        severity="harm",
        about="the API key stands in the callback address",
        harm="addresses are logged everywhere; whoever reads one can spend the account",
        fix="use a token made for that address alone, or the provider's signature",
        source="users.md appendix 1 (auth by URL parameters); issue 3 (leaked the key to the callback)",
        find=_key_to_callback,
    ),
)
