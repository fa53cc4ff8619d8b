"""Rules about results and secrets: links that die, pictures that are not there, keys sent to the wrong host."""

from __future__ import annotations

import re
from collections.abc import Iterator

from fauxvider.analysis.entries import shown
from fauxvider.analysis.history import History
from fauxvider.analysis.job_story import Asked, JobStory, Note
from fauxvider.analysis.verdict_rule import MINUTE, Case, Rule, asked_text, case, tried_text

__all__ = ["FILES"]

_DAMAGES = frozenset({"truncate", "short", "corrupt"})
_CUT = frozenset({"garble json"})
_GARBLED = _CUT | {"garble encoding"}
_FROM_START = re.compile(r"bytes=0+-")
_SPOILED = _DAMAGES | {"black", "resize", "reset"}
_SAYS = {
    "saved": "the client says that it saved the picture",
    "processed": "the client says that it is done with the job",
    "failed": "the client says that the job failed",
}


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


def _claims(job: JobStory, *said: str) -> Iterator[tuple[Note, list[Asked]]]:
    """Give what the client says of a picture of a job that succeeded, with the downloads before that."""
    for note in job.notes:
        end = job.end_before(note.at)
        if note.said in said and end is not None and end.state == "succeeded" and job.output is not None:
            yield note, [one for one in job.downloads if one.place < note.place]


def _claimed_unfetched(history: History) -> Iterator[tuple[JobStory, Note, tuple[JobStory, Asked] | None]]:
    """Give what the client says that it saved without a download, with the picture that it had in its hands then."""
    for job in history.jobs.values():
        for note, downloads in _claims(job, "saved"):
            if not downloads:
                yield job, note, next(_in_hand(history, job, note), None)
                break


def _in_hand(history: History, job: JobStory, note: Note) -> Iterator[tuple[JobStory, Asked]]:
    """Give other jobs' downloads that the client had not yet said to have saved."""
    for other in history.jobs.values():
        if other is job or other.provider != job.provider:
            continue
        got = [one for one in other.downloads if one.at >= job.accepted and one.place < note.place]
        if got and not any(said.said == "saved" and said.place < note.place for said in other.notes):
            yield other, got[-1]


def _saved_nothing(history: History) -> Iterator[Case]:
    for job, note, in_hand in _claimed_unfetched(history):
        if in_hand is None:
            empty = [(job.ends[-1].at, "its URL is empty")] if "empty_url" in job.faults else []
            tries = [(one.at, asked_text(one)) for one in job.files if one.at <= note.at]
            yield case(job.id, *empty, *tries, (note.at, _SAYS["saved"]))


def _mixed_up(history: History) -> Iterator[Case]:
    for job, note, in_hand in _claimed_unfetched(history):
        if in_hand is not None:
            other, got = in_hand
            tries = [(tried, one.id) for one in (other, job) for tried in one.tries if tried.at <= note.at]
            news = [(tried.at, f"{tried_text(tried)}, for {name}") for tried, name in tries]
            fetched = (got.at, f"{asked_text(got)}: the picture of {other.id}")
            yield case(job.id, *news, fetched, (note.at, f"{_SAYS['saved']} of {job.id}"))


def _took_whole(history: History) -> Iterator[Case]:
    for job in history.jobs.values():
        paths: dict[str, list[Asked]] = {}
        for asked in job.files:
            if asked.method == "GET" and asked.range:
                paths.setdefault(asked.path, []).append(asked)
        for asks in paths.values():
            whole = next((at for at, one in enumerate(asks) if one.status == 200 and one.is_seen), None)
            # From byte 0 on is a new beginning; any other part belongs to what came before.
            further = [] if whole is None else [one for one in asks[whole + 1 :] if not _FROM_START.match(one.range)]
            if whole is not None and further:
                first = (asks[whole].at, f"{asked_text(asks[whole])}: the whole file, not a part")
                yield case(job.id, first, *[(one.at, asked_text(one)) for one in further])
                break


def _kept(history: History, faults: frozenset[str], spoiled: frozenset[str] = frozenset()) -> Iterator[Case]:
    """Find jobs that are reported as done although every download was bad: by the job's faults, or a request's.

    Nobody is blamed where bytes were put into a file on the way: decoders make something of most such files.
    """
    for job in history.jobs.values():
        for note, downloads in _claims(job, "saved", "processed"):
            if any("garble encoding" in one.faults for one in downloads):
                continue
            found = [(one, sorted(job.faults & faults) + sorted(one.faults & spoiled)) for one in downloads]
            if found and all(names for _, names in found):
                bad = [(one.at, f"{asked_text(one)}, {', '.join(names)}") for one, names in found]
                yield case(job.id, *bad, (note.at, _SAYS[note.said]))
                break


def _kept_damaged(history: History) -> Iterator[Case]:
    yield from _kept(history, _DAMAGES, _CUT)


def _kept_black(history: History) -> Iterator[Case]:
    yield from _kept(history, frozenset({"black"}))


def _kept_other_size(history: History) -> Iterator[Case]:
    yield from _kept(history, frozenset({"resize"}))


def _believed_type(history: History) -> Iterator[Case]:
    for job in history.jobs.values():
        if "content_type" not in job.faults or job.faults & _SPOILED:
            continue
        for note, downloads in _claims(job, "saved", "failed"):
            whole = [one for one in downloads if one.is_seen and one.status == 200 and not one.faults & _GARBLED]
            is_label = "/" in note.text and not note.text.startswith("image/")
            if whole and (note.said == "failed" or is_label):
                came = [(one.at, f"{asked_text(one)}, a whole picture under another content-type") for one in whole]
                kept = f" as {shown(note.text, 60)}" if note.said == "saved" else ""
                yield case(job.id, *came, (note.at, _SAYS[note.said] + kept))
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
        source="incidents.md C7: wandb/weave PR #1524, lyuai/agentok#64; devlikeapro/waha#1884",
        find=_expired_url,
    ),
    Rule(
        name="never-downloaded",
        severity="harm",
        about="the links of a charged result died before it was downloaded",
        harm="it was paid for, and it is gone",
        fix="download on success and keep the bytes; a link is good for its documented time and no longer",
        source="incidents.md C7: premieroctet/photoshot#54, UllrAI/HeadShots.fun#2, banodoco/Dough#2",
        find=_never_downloaded,
    ),
    Rule(
        name="download-not-retried",
        severity="harm",
        about="a download failed for the moment and was not tried again",
        harm="the picture comes a little later, or on the next connection; the client has given it up",
        fix="retry a fresh link's 404, a 5xx and a cut connection with growing pauses for some minutes",
        source="incidents.md C7: reapit/foundations#10700 (link not ready yet)",
        find=_not_retried,
    ),
    Rule(
        name="saved-nothing",
        severity="harm",
        about="the client says that it saved a picture which it has not downloaded",
        harm="an empty link, or a link kept in place of the picture, is all that there is",
        fix="success is a downloaded file: check that the link is not empty, fetch it, and only then say so",
        source="incidents.md C7: TannerMidd/minimal-chat#15 (an empty URL with success)",
        find=_saved_nothing,
    ),
    Rule(
        name="mixed-up-jobs",
        severity="harm",
        about="the client saved the picture of one job as that of another one",
        harm="whoever ordered the one is handed the other: a stranger sees what was private",
        fix="match by the job's id, which the POST's answer and the callback both name, never by the order of arrival",
        source="incidents.md C5 (events out of order): paypal/mirakl-hyperwallet-connector#35, google/go-github#2706",
        find=_mixed_up,
    ),
    Rule(
        name="took-whole-for-part",
        severity="harm",
        about="the whole file came where a part of it was asked for, and the client went on asking for parts",
        harm="whole files put together as if they were parts are no picture, and each of them is sent in full",
        fix="look at the status: 206 is the part, 200 is the whole file from its start, and there is no more",
        source="incidents.md row 47: byoutline/MockServer#4; C7",
        find=_took_whole,
    ),
    Rule(
        name="kept-damaged-picture",
        severity="harm",
        about="the client kept a picture that is cut or does not open",
        harm="half a picture, or none, is stored as the result, and the link to the whole one dies",
        fix="compare the length, open and decode the picture before it is stored, and fetch it again if that fails",
        source="incidents.md C12 (green tests, dead feature), 2.3 row 47",
        find=_kept_damaged,
    ),
    Rule(
        name="kept-black-picture",
        severity="harm",
        about="the client kept an all-black picture",
        harm="a safety checker's blank is handed out, and paid for, as the picture that was asked for",
        fix="look at the decoded pixels: where darkest and brightest are the same, treat the job as refused",
        source="incidents.md C12 (green tests, dead feature); dossiers: a filtered picture that succeeds",
        find=_kept_black,
    ),
    Rule(
        name="kept-other-size",
        severity="harm",
        about="the client kept a picture of another size than it had asked for",
        harm="layouts break, and the price of the larger picture was paid",
        fix="compare the opened picture's size with the one that was asked for, not with what the record says",
        source="incidents.md C12 (green tests, dead feature), C10 (priced by the megapixel)",
        find=_kept_other_size,
    ),
    Rule(
        name="believed-content-type",
        severity="harm",
        about="the client took a whole picture for what its content-type says",
        harm="a good picture is thrown away, or is served on as a page that browsers run",
        fix="tell the kind of a picture by its first bytes, and serve it under that",
        source="incidents.md C12 (green tests, dead feature), 2.3 row 47",
        find=_believed_type,
    ),
    Rule(
        name="leaked-key-to-file-host",
        severity="harm",
        about="the API key was sent to a host that serves files",
        harm="the file host is somebody else's: it has the key now, in its logs too",
        fix="set the key per request to the API's origin, never as a default header of a shared session",
        source="incidents.md appendix 1; dossiers: the output host is not the provider's",
        find=_key_to_files,
    ),
    Rule(
        name="leaked-key-to-callback",
        severity="harm",
        about="the API key stands in the callback address",
        harm="addresses are logged everywhere; whoever reads one can spend the account",
        fix="use a token made for that address alone, or the provider's signature",
        source="incidents.md appendix 1 (auth by URL parameters)",
        find=_key_to_callback,
    ),
)
