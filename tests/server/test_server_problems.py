"""Every error has one place where it becomes an answer."""

from __future__ import annotations

from pathlib import Path

import pytest

from flyte_jupyter.engine.ports import BlobFailure, BlobNotFound, StoreFull
from flyte_jupyter.server.admin import errors
from flyte_jupyter.server.problems import problem_of
from flyte_jupyter.store import errors as store


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (errors.InvalidArgument("x"), 400, 3),
        (errors.TooLarge("x"), 413, 3),
        (errors.NotFound("x"), 404, 5),
        (errors.AlreadyExists("x"), 409, 6),
        (errors.PermissionDenied("x"), 403, 7),
        (errors.ResourceExhausted("x"), 429, 8),
        (errors.FailedPrecondition("x"), 400, 9),
        (errors.Unimplemented("x"), 501, 12),
        (errors.Internal("x"), 500, 13),
        (errors.Unavailable("x"), 503, 14),
        (errors.Unauthenticated("x"), 401, 16),
        (store.NotFound("x"), 404, 5),
        (store.AlreadyExistsIdentical("x"), 409, 6),
        (store.AlreadyTerminal("x"), 400, 9),
        (store.InvalidQuery("x"), 400, 3),
        (store.StoreClosed("x"), 503, 14),
        (store.DatabaseDamaged("x", Path("db")), 503, 14),
        (StoreFull("x"), 507, 8),
        (BlobFailure("x", no_space=True), 507, 8),
        (BlobFailure("x"), 500, 13),
        (BlobNotFound("x"), 404, 5),
    ],
)
def test_status_and_code(error, status, code):
    problem = problem_of(error)
    assert (problem.status, problem.code) == (status, code)


def test_what_nobody_foresaw_says_nothing_of_itself():
    problem = problem_of(ZeroDivisionError("password=hunter2"))
    assert (problem.status, problem.code) == (500, 13)
    assert "hunter2" not in problem.message
    assert "log" in problem.message


def test_every_admin_error_has_a_status():
    def below(kind):
        for sub in kind.__subclasses__():
            yield sub
            yield from below(sub)

    for kind in below(errors.AdminError):
        assert 400 <= problem_of(kind("x")).status < 600
