"""Journals that break, or just keep, the rules about results and secrets: what it is, the tale, now in seconds."""

from __future__ import annotations

from typing import Any

from support.tales import DAY, HOUR, MINUTE, Cases, Tale, called, called_back, done, ended, submitted, told

__all__ = ["BROKEN", "KEPT"]


def _parts(*spans: str, status: int = 200, path: str = "/0123456789abcdef/output.jpg") -> Tale:
    """A job whose picture is asked for in parts, from second 5 on."""
    tale = told()
    for at, span in enumerate(spans, 5):
        tale.request(at, "file", path, job="J1", operation="file", key="", status=status, range=span)
    return tale


def _two() -> Tale:
    """Two jobs that succeeded, and the picture of the second."""
    tale = told().submit(6, "J2", fingerprint="f2").end(7, job="J2").poll(7.5, "succeeded", "J2")
    return tale.request(8, "file", "/fedcba9876543210/output.jpg", job="J2", operation="file", key="")


def _got(spoiled: str, **facts: Any) -> Tale:
    """A job whose picture has a fault, and was downloaded."""
    return submitted().fault(0, spoiled).end(4).poll(5, "succeeded").file(5, **facts)


BROKEN: Cases = {
    "used-expired-url": [
        ("eight days later", told().dead_file(8 * DAY), 8 * DAY + 9),
        ("dead before its time, and tried again", told().dead_file(9).dead_file(19), 20),
        ("it looked afterwards", told().dead_file(8 * DAY).poll(8 * DAY + 5, "succeeded"), 8 * DAY + 9),
        ("it asked something else before", told().ask(8 * DAY - 5, "deliveries").dead_file(8 * DAY), 8 * DAY + 9),
    ],
    "never-downloaded": [
        ("eight days later", told(), 8 * DAY),
        ("the download came too late", told().dead_file(8 * DAY), 8 * DAY),
        (
            "it was busy when the link died",
            told().request(7 * DAY - 9, "list", "/v2/runs", ended=7 * DAY + 99),
            7 * DAY + 200,
        ),
    ],
    "download-not-retried": [
        ("the link was not ready", told().file(5, status=404, cause="url_unknown"), HOUR),
        ("a 502", told().file(5, status=502), HOUR),
        ("the connection was cut", submitted().fault(0, "reset").end(4).poll(5, "succeeded").file(5), HOUR),
        ("three times in three seconds", told().all_missing([5, 6, 7]), HOUR),
        ("the answer was lost", told().file(5, fault="lose reset"), HOUR),
        ("a 500, ten minutes ago", told().file(5, status=500), 605),
    ],
    "saved-nothing": [
        ("a link in place of a picture", told().note(6, "saved"), 10),
        ("an empty link", submitted().fault(0, "empty_url").end(4).poll(5, "succeeded").note(6, "saved"), 10),
        ("an error page", told().file(5, status=404, cause="url_unknown").note(6, "saved"), 10),
        ("a HEAD is no download", told().file(5, method="HEAD").note(6, "saved"), 10),
        ("the answer was lost", told().file(5, fault="lose reset").note(6, "saved"), 10),
        ("the connection died", _got("reset").note(6, "saved"), 10),
    ],
    "mixed-up-jobs": [
        ("the second one's picture for the first one", _two().note(8, "saved"), 10),
        ("and the other way round", _two().note(8, "saved").file(8).note(8, "saved", job="J2"), 10),
        (
            "the other one is not saved, for all that is done",
            _two().note(8, "processed", job="J2").note(8, "saved"),
            10,
        ),
    ],
    "took-whole-for-part": [
        ("two parts", _parts("bytes=0-59", "bytes=60-119"), 10),
        ("an open end", _parts("bytes=60-", "bytes=180-"), 10),
        ("the last bytes", _parts("bytes=0-59", "bytes=-20"), 10),
    ],
    "kept-damaged-picture": [
        ("half of it", submitted().fault(0, "short").end(4).poll(5, "succeeded").file(5).note(6, "saved"), 10),
        ("it does not open", _got("corrupt").note(6, "saved"), 10),
        ("it is done with the job", _got("truncate").note(6, "processed"), 10),
        ("cut on this one way", told().file(5, fault="garble json").note(6, "saved"), 10),
    ],
    "kept-black-picture": [("and says so", _got("black").note(6, "saved"), 10)],
    "kept-other-size": [("and is done with the job", _got("resize").note(6, "processed"), 10)],
    "believed-content-type": [
        ("a good picture is thrown away", _got("content_type").note(6, "failed"), 10),
        ("it is kept as a page", _got("content_type").note(6, "saved", "text/html"), 10),
    ],
    "leaked-key-to-file-host": [("with a download", ended().file(5, leaks="key"), 10)],
    "leaked-key-to-callback": [("in the address", Tale().submit(address="http://h/", leaks="key").poll(1), 10)],
}

KEPT: Cases = {
    "used-expired-url": [
        ("the record was read again", told().poll(8 * DAY, "succeeded").dead_file(8 * DAY), 8 * DAY),
        (
            "the record did not answer in time",
            told().dead_file(9).poll(10, "succeeded", fault="slow", ended=55).dead_file(41),
            60,
        ),
        (
            "the first answer was lost, whatever else was done to it",
            told().dead_file(9, fault="lose reset, garble json").dead_file(19),
            20,
        ),
        ("dead before its time", told().dead_file(9).poll(9, "succeeded").dead_file(10), 20),
        ("alive", done().file(6 * DAY), 8 * DAY),
        ("not there yet is another matter", called().attempt(4).all_missing([9, 19]), 20),
        ("dead before its time, by a callback", called().attempt(4).dead_file(9), 20),
        ("in the last moment", called().attempt(4).dead_file(4 + 7 * DAY), 8 * DAY),
    ],
    "never-downloaded": [
        ("on the last day", told().file(7 * DAY), 8 * DAY),
        ("there is time yet", told(), 6 * DAY),
        ("it failed", submitted().end(4, "failed").poll(5, "failed"), 8 * DAY),
        ("it never knew", Tale().submit(fault="lose reset").end(4), 8 * DAY),
        ("there was no link", submitted().fault(0, "empty_url").end(4).poll(5, "succeeded"), 8 * DAY),
        (
            "it was cancelled, and cost something",
            submitted().end(4, "cancelled", billed=True).poll(5, "cancelled"),
            8 * DAY,
        ),
        ("it cost nothing", submitted().end(4, billed=False).poll(5, "succeeded"), 8 * DAY),
        ("in the last moment", told(), 4 + 7 * DAY),
        (
            "another answer was held back when it died",
            told().request(7 * DAY - 9, "list", "/v2/runs", fault="slow", ended=7 * DAY + 99),
            7 * DAY + 200,
        ),
    ],
    "download-not-retried": [
        ("tried again", told().file(5, status=404, cause="url_unknown").file(9), HOUR),
        ("for two minutes", told().all_missing([5, 9, 17, 33, 65, 129]), HOUR),
        ("asked the record again", told().file(5, status=502).poll(9, "succeeded"), HOUR),
        ("there is time yet", told().file(5, status=502), MINUTE),
        ("an expired link is another matter", told().dead_file(9), HOUR),
        ("of a failed job", submitted().end(4, "failed").poll(5, "failed").file(6, status=500), HOUR),
        ("for a minute", told().all_missing([5, 65]), HOUR),
    ],
    "saved-nothing": [
        ("fetched first", done().note(6, "saved"), 10),
        ("of a failed job", submitted().end(4, "failed").poll(5, "failed").note(6, "saved"), 10),
        ("of a job that goes on", submitted().note(2, "saved").end(4), 10),
    ],
    "mixed-up-jobs": [
        ("each its own", _two().note(8, "saved", job="J2").file(9).note(9, "saved"), 10),
        ("nothing was fetched, then the other one", told().note(6, "saved").submit(7, "J2").end(8, job="J2"), 10),
        ("the other one was saved already", _two().note(8, "saved", job="J2").note(9, "saved"), 10),
        ("the other one came later", _two().note(7, "saved"), 10),
        ("the other one was there before", done().submit(6, "J2").end(7, job="J2").note(8, "saved", job="J2"), 10),
    ],
    "took-whole-for-part": [
        ("the parts came", _parts("bytes=0-59", "bytes=60-119", status=206), 10),
        ("once", _parts("bytes=60-"), 10),
        ("from the start again", _parts("bytes=0-59", "bytes=0-", "bytes=00-59"), 10),
        ("without ranges", done().file(6), 10),
        (
            "the end of another file",
            _parts("bytes=0-59").request(9, "file", "/else.jpg", job="J1", range="bytes=9-"),
            10,
        ),
        (
            "the whole did not come",
            told()
            .file(5, range="bytes=9-", fault="lose reset")
            .file(6, range="bytes=9-", fault="drip 40s")
            .file(7, range="bytes=9-", status=206),
            10,
        ),
        (
            "a HEAD, then the part",
            told().file(5, method="HEAD", range="bytes=9-").file(6, range="bytes=9-", status=206),
            10,
        ),
    ],
    "kept-damaged-picture": [
        ("a whole one", done().note(6, "saved"), 10),
        ("thrown away", submitted().fault(0, "short").end(4).poll(5, "succeeded").file(5).note(6, "failed"), 10),
        ("fetched again", told().file(5, fault="garble json").file(7).note(8, "saved"), 10),
        ("strange bytes in it: it may open", told().file(5, fault="garble encoding").note(6, "saved"), 10),
    ],
    "kept-black-picture": [
        ("thrown away", _got("black").note(6, "failed"), 10),
        ("a good one", done().note(6, "saved"), 10),
        ("not black any more: bytes were put into it", _got("black", fault="garble encoding").note(6, "saved"), 10),
    ],
    "kept-other-size": [("thrown away", _got("resize").note(6, "failed"), 10)],
    "believed-content-type": [
        ("kept", _got("content_type").note(6, "saved"), 10),
        ("kept as what it is", _got("content_type").note(6, "saved", "image/png"), 10),
        ("it was damaged, too", _got("content_type").fault(0, "short").note(6, "failed"), 10),
        ("it did not come in time", _got("content_type", fault="slow", ended=55).note(36, "failed"), 60),
        ("the label was right", done().note(6, "failed"), 10),
        ("a part is no picture", _got("content_type", status=206).note(6, "failed"), 10),
        ("it was cut on the way", _got("content_type", fault="garble json").note(6, "failed"), 10),
    ],
    "leaked-key-to-file-host": [("without", done(), 10)],
    "leaked-key-to-callback": [("a token", called_back().poll(1), 10)],
}
