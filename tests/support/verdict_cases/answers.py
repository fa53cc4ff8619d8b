"""Journals that break, or just keep, the rules about what answers mean: what it is, the tale, now in seconds."""

from __future__ import annotations

from support.tales import Cases, Tale, done, submitted

__all__ = ["BROKEN", "KEPT"]

BROKEN: Cases = {
    "retried-refusal": [
        ("a wrong field", Tale().repeated("param_range", 422, [0, 1, 2]), 9),
        (
            "a wrong key on polls",
            submitted()
            .denied(1, status=401, cause="auth_unknown")
            .denied(2, status=401, cause="auth_unknown")
            .denied(3, status=401, cause="auth_unknown"),
            9,
        ),
    ],
    "forbidden-request": [
        ("a width that is not divisible", Tale().refused(0, "param_range", 422), 1),
        ("a path that is none", Tale().request(0, "unknown", "/v3/runs", status=404, cause="path_unknown"), 1),
        ("taken, and failed for it", submitted().end(1, "failed", failure="no_input").poll(2, "failed"), 3),
    ],
    "took-failure-for-success": [
        ("processed", submitted().end(4, "failed").poll(5, "failed").note(6, "processed"), 10),
        ("believed", submitted().end(4, "timed_out").poll(5, "timed_out").note(6, "believes", "COMPLETED"), 10),
        (
            "a download was tried",
            submitted().end(4, "failed").poll(5, "failed").file(6, status=404, cause="url_unknown"),
            10,
        ),
    ],
}

KEPT: Cases = {
    "retried-refusal": [
        ("twice", Tale().repeated("param_range", 422, [0, 1]), 9),
        (
            "changed each time",
            Tale()
            .refused(0, "param_range", 422)
            .refused(1, "param_range", 422, fingerprint="f2")
            .refused(2, "param_range", 422, fingerprint="f3"),
            9,
        ),
        ("the server's own trouble", Tale().repeated("unavailable", 503, [0, 1, 2, 3]), 9),
        ("bodies that cannot be told apart", Tale().repeated("param_range", 422, [0, 1, 2], fingerprint=""), 9),
        ("throttled, and no cause", Tale().repeated("", 429, [0, 1, 2]), 9),
        ("an upload that is not there yet", Tale().repeated("asset_pending", 409, [0, 1, 2]), 9),
        ("nobody knew", Tale().repeated("param_range", 422, [0, 1, 2], fault="lose reset"), 9),
        ("a job that is not known yet", submitted().all_denied([1, 2, 3], cause=""), 9),
        ("a dead link is another matter", done().dead_file(6).dead_file(7).dead_file(8), 9),
    ],
    "forbidden-request": [
        ("refused by a scenario", Tale().refused(0, "param_range", 422, fault="refuse param_range"), 1),
        ("no money", Tale().refused(0, "funds", 402), 1),
        ("it failed by itself", submitted().end(4, "failed", failure="handler_error").poll(5, "failed"), 9),
        (
            "a scenario let it fail",
            submitted().fault(0, "fail").end(1, "failed", failure="no_input").poll(2, "failed"),
            3,
        ),
    ],
    "took-failure-for-success": [
        ("it says that it failed", submitted().end(4, "failed").poll(5, "failed").note(6, "failed"), 10),
        ("a success", done().note(6, "processed").note(6, "saved"), 10),
        (
            "it succeeded the second time",
            submitted()
            .end(4, "failed")
            .poll(5, "failed")
            .ask(6, "retry", state="queued", word="IN_QUEUE")
            .end(9)
            .poll(9, "succeeded")
            .file(9)
            .note(10, "processed"),
            12,
        ),
        ("it believes the failure", submitted().end(4, "failed").poll(5, "failed").note(6, "believes", "FAILED"), 10),
        ("it says something else", submitted().end(4, "failed").poll(5, "failed").note(6, "failed", "COMPLETED"), 10),
        ("before the end", submitted().note(2, "processed").end(4, "failed"), 10),
        ("a download before the end", submitted().file(2, status=404, cause="url_unknown").end(4, "failed"), 10),
    ],
}
