"""What it means that the API server refuses a pod."""

import json
from datetime import UTC, datetime

import pytest

from flyte_jupyter.engine.core.state import Blame, Failure, Stage
from flyte_jupyter.engine.pods.refusals import AlreadyThere, TryAgain, refusal

NOW = datetime(2024, 5, 1, 12, 0, 0, tzinfo=UTC)


def said(message, reason="", **details):
    return json.dumps({"kind": "Status", "message": message, "reason": reason, "details": details})


QUOTA = 'pods "x" is forbidden: exceeded quota: q, requested: cpu=1, used: cpu=4, limited: cpu=4'
ENDING = 'pods "x" is forbidden: unable to create new content in namespace p-d because it is being terminated'
RIGHTS = 'pods is forbidden: User "engine" cannot create resource "pods" in API group "" in the namespace "p-d"'
STANDARD = 'pods "x" is forbidden: violates PodSecurity "restricted:latest": privileged (container "task" ...)'
WEBHOOK = 'admission webhook "images.example.org" denied the request: only images of example.org'
POLICY = "pods \"x\" is forbidden: ValidatingAdmissionPolicy 'owners' with binding 'b' denied request: no owner"
RANGE = 'pods "x" is forbidden: maximum cpu usage per Container is 2, but limit is 4'
INVALID = (
    'Pod "x" is invalid: spec.containers[0].name: Invalid value: "A": a lowercase RFC 1123 label'
)


@pytest.mark.parametrize(
    ("status", "message", "stage"),
    [
        (403, QUOTA, Stage.RESOURCES),
        (403, ENDING, Stage.QUEUED),
        (429, "too many requests", Stage.QUEUED),
        (500, "etcdserver: leader changed", Stage.QUEUED),
        (500, 'failed calling webhook "w": connection refused', Stage.QUEUED),
        (503, "apiserver is shutting down", Stage.QUEUED),
        (504, "timeout", Stage.QUEUED),
        (0, "connection reset", Stage.QUEUED),
        (401, "Unauthorized", Stage.QUEUED),
        (
            409,
            'Operation cannot be fulfilled on resourcequotas "q": the object has been modified',
            Stage.QUEUED,
        ),
    ],
)
def test_what_may_pass_is_waited_for(status, message, stage):
    reason = "Conflict" if status == 409 else ""
    found = refusal(status, said(message, reason))
    assert isinstance(found, TryAgain)
    assert (found.stage, found.seconds) == (stage, None)
    assert message in found.reason


@pytest.mark.parametrize(
    ("status", "message", "code", "blame", "retryable"),
    [
        (403, STANDARD, "PodSecurityViolation", Blame.USER, False),
        (403, WEBHOOK, "AdmissionDenied", Blame.USER, False),
        (400, WEBHOOK, "AdmissionDenied", Blame.USER, False),
        (500, WEBHOOK, "AdmissionDenied", Blame.USER, False),
        (500, "etcdserver: request is too large", "PodTooLarge", Blame.USER, False),
        (422, POLICY, "AdmissionDenied", Blame.USER, False),
        (403, RANGE, "BadTaskFormat", Blame.USER, False),
        (403, RIGHTS, "RuntimeFailure", Blame.SYSTEM, True),
        (404, 'namespaces "p-d" not found', "NamespaceNotFound", Blame.SYSTEM, True),
        (422, INVALID, "BadTaskFormat", Blame.USER, False),
        (400, "Pod in version v1 cannot be handled", "BadTaskFormat", Blame.USER, False),
        (413, "Request entity too large", "BadTaskFormat", Blame.USER, False),
        (418, "what", "RuntimeFailure", Blame.SYSTEM, True),
    ],
)
def test_what_will_not_pass_is_a_failure_with_the_servers_words(
    status, message, code, blame, retryable
):
    found = refusal(status, said(message))
    assert isinstance(found, Failure)
    assert (found.code, found.blame, found.retryable) == (code, blame, retryable)
    assert message in found.message


OVER = 'pods "x" is forbidden: exceeded quota: q, requested: {}, used: limits.cpu=0,limits.memory=0, limited: {}'


@pytest.mark.parametrize(
    ("requested", "limited", "beyond"),
    [
        ("limits.cpu=8,limits.memory=1Gi", "limits.cpu=4500m,limits.memory=2Gi", "limits.cpu"),
        ("requests.memory=3000Mi", "requests.memory=2Gi", "requests.memory"),
        ("requests.nvidia.com/gpu=1", "requests.nvidia.com/gpu=0", "requests.nvidia.com/gpu"),
    ],
)
def test_what_a_quota_will_never_have_room_for_is_a_failure(requested, limited, beyond):
    message = OVER.format(requested, limited)
    found = refusal(403, said(message))
    assert isinstance(found, Failure)
    assert (found.code, found.retryable) == ("ResourceRequestsExceedLimits", False)
    assert f"more {beyond} than" in found.message
    assert message in found.message


@pytest.mark.parametrize(
    ("requested", "limited"),
    [("limits.cpu=4", "limits.cpu=4"), ("pods=1", "pods=0"), ("count/pods=1", "count/pods=0"), ("cpu=a", "cpu=b"), ("cpu=2", "memory=1")],
)  # fmt: skip
def test_what_a_quota_may_have_room_for_is_waited_for(requested, limited):
    assert isinstance(refusal(403, said(OVER.format(requested, limited))), TryAgain)


def test_a_name_that_is_taken_is_looked_at():
    found = refusal(409, said('pods "x" already exists', "AlreadyExists"))
    assert isinstance(found, AlreadyThere)
    assert (found.why.code, found.why.retryable) == ("PodConflict", False)


@pytest.mark.parametrize(
    ("header", "details", "seconds"),
    [
        ("7", {}, 7.0),
        (" 0 ", {}, 0.0),
        ("Wed, 01 May 2024 12:00:30 GMT", {}, 30.0),
        ("Wed, 01 May 2024 11:00:00 GMT", {}, 0.0),
        ("", {"retryAfterSeconds": 3}, 3.0),
        ("soon", {}, None),
        ("", {"retryAfterSeconds": "x"}, None),
    ],
)
def test_how_long_to_wait_is_what_the_server_says(header, details, seconds):
    found = refusal(429, said("slow down", **details), header, NOW)
    assert isinstance(found, TryAgain)
    assert found.seconds == seconds


@pytest.mark.parametrize("body", ["", b"<html>bad gateway</html>", "[1]", "null", b"\xff\xfe"])
def test_an_answer_that_is_no_status_is_understood_by_its_number(body):
    assert isinstance(refusal(502, body), TryAgain)
    found = refusal(422, body)
    assert isinstance(found, Failure)
    assert found.message


def test_a_message_is_not_kept_whatever_its_length():
    assert len(refusal(422, said("x" * 10**6)).message) < 5000
