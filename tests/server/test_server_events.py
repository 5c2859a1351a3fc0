"""The WebSocket: snapshots, deltas, gone, logs with back-pressure, and clients that do not behave."""

from __future__ import annotations

import asyncio
import json

import pytest
from server_specs import DOMAIN, PROJECT, as_json, integer, launch, register, run_to_end
from server_under_test import follow

from flyte_jupyter.server.settings import LimitSettings

WHERE = {"project": PROJECT, "domain": DOMAIN}


async def say(line, **request):
    await line.write_message(json.dumps(request))


async def hear(line):
    message = await line.read_message()
    assert message is not None, "the connection ended"
    return json.loads(message)


async def elsewhere(work):
    """The tests' HTTP client blocks."""
    return await asyncio.to_thread(work)


def phases(items, kind="execution"):
    return [i["value"]["closure"]["phase"] for i in items if i["kind"] == kind]


def start(server, name):
    server.ok("POST", "/api/v1/executions", as_json(launch(name, x=integer(1))))


def test_an_execution_is_followed_from_nothing_to_its_end(server):
    register(server)
    server.on_loop(server.attempts.go.clear)
    start(server, "seen")

    async def talk(line):
        await say(line, id=7, op="subscribe", topic="execution", name="seen", **WHERE)
        first = await hear(line)
        assert (first["id"], first["type"]) == (7, "snapshot")
        assert first["items"][0]["kind"] == "execution"
        await elsewhere(lambda: server.on_loop(server.attempts.go.set))
        cursor, kinds, last = first["cursor"], set(), {}
        while last.get("phase") != "SUCCEEDED":
            frame = await hear(line)
            assert frame["type"] == "delta"
            assert frame["cursor"] > cursor
            cursor = frame["cursor"]
            for item in frame["items"]:
                kinds.add(item["kind"])
                if item["kind"] == "execution":
                    last = item["value"]["closure"]
        assert kinds == {"execution", "node_execution", "task_execution"}

    follow(server, talk)


def test_a_cursor_brings_only_what_came_after(server):
    register(server)
    run_to_end(server, "one")

    async def talk(line):
        await say(line, id=1, op="subscribe", topic="executions", **WHERE)
        first = await hear(line)
        assert first["type"] == "snapshot"
        await elsewhere(lambda: run_to_end(server, "two"))
        await say(line, id=2, op="subscribe", topic="executions", since=first["cursor"], **WHERE)
        while True:
            frame = await hear(line)
            if frame["id"] != 2:
                continue
            assert frame["type"] == "delta"
            assert {i["value"]["id"]["name"] for i in frame["items"]} == {"two"}
            return

    follow(server, talk)


@pytest.mark.parametrize("topic", ["executions", "execution"])
def test_a_cursor_of_another_database_is_gone_and_a_snapshot_follows(server, topic):
    register(server)
    run_to_end(server, "one")

    async def talk(line):
        await say(line, id=1, op="subscribe", topic=topic, since=10_000_000, name="one", **WHERE)
        gone = await hear(line)
        assert (gone["type"], gone["cursor"]) == ("gone", 0)
        assert (await hear(line))["type"] == "snapshot"

    follow(server, talk)


def test_executions_are_filtered_by_phase_and_name(server):
    register(server)
    for name in ("alpha", "beta"):
        run_to_end(server, name)

    async def talk(line):
        await say(line, id=1, op="subscribe", topic="executions", phases=["RUNNING"], **WHERE)
        assert (await hear(line))["items"] == []
        await say(line, id=2, op="subscribe", topic="executions", name="lph", **WHERE)
        items = (await hear(line))["items"]
        assert [i["value"]["id"]["name"] for i in items] == ["alpha"]
        await say(line, id=3, op="subscribe", topic="executions", limit=1, **WHERE)
        items = (await hear(line))["items"]
        assert [i["value"]["id"]["name"] for i in items] == ["beta"]

    follow(server, talk)


def test_an_execution_that_stops_matching_is_sent_once_more(server):
    register(server)
    server.on_loop(server.attempts.go.clear)

    async def talk(line):
        await say(line, id=1, op="subscribe", topic="executions", phases=["RUNNING"], **WHERE)
        assert (await hear(line))["items"] == []
        await elsewhere(lambda: start(server, "short"))
        assert phases((await hear(line))["items"]) == ["RUNNING"]
        await elsewhere(lambda: server.on_loop(server.attempts.go.set))
        while phases((await hear(line))["items"]) != ["SUCCEEDED"]:
            pass

    follow(server, talk)


def test_a_subscription_that_was_given_up_says_nothing_more(server):
    register(server)

    async def talk(line):
        await say(line, id=1, op="subscribe", topic="executions", **WHERE)
        await hear(line)
        await say(line, id=1, op="unsubscribe")
        await say(line, id=2, op="subscribe", topic="executions", **WHERE)
        await hear(line)
        await elsewhere(lambda: run_to_end(server, "later"))
        assert (await hear(line))["id"] == 2

    follow(server, talk)


def test_a_log_is_followed_while_it_grows_and_ends(server):
    register(server)
    run_to_end(server, "logged")
    logs = server.attempts
    logs.logs["n0"], half = "first ½".encode()[:-1], "½".encode()
    # Past the end of its attempt in the store, a log is complete: follow one that is still going on.
    server.on_loop(logs.go.clear)
    start(server, "going")
    logs.log_open.add("n0")

    async def talk(line):
        await say(
            line, id=1, op="subscribe", topic="log", node="n0", attempt=0, name="going", **WHERE
        )
        frame = await hear(line)
        assert (frame["text"], frame["offset"], frame["next"]) == ("first ", 0, 6)
        assert not frame["complete"]
        logs.logs["n0"] += half[1:] + b" second"
        frame = await hear(line)
        assert (frame["text"], frame["offset"]) == ("½ second", 6)
        logs.log_open.clear()
        await elsewhere(lambda: server.on_loop(logs.go.set))
        frame = await hear(line)
        assert frame["complete"]
        assert frame["next"] == len(logs.logs["n0"])

    follow(server, talk)


def test_a_log_that_nobody_has_begun_to_write_is_not_complete(server):
    """An executor knows nothing of an attempt before it is told to begin, or before it has adopted it after a restart."""
    register(server)
    logs = server.attempts
    server.on_loop(logs.go.clear)
    start(server, "coming")

    async def talk(line):
        await say(line, id=1, op="subscribe", topic="log", node="n1", name="coming", **WHERE)
        await say(line, id=2, op="subscribe", topic="execution", name="coming", **WHERE)
        assert (await hear(line))["id"] == 2
        await elsewhere(lambda: logs.logs.update(n1=b"at last"))
        await elsewhere(lambda: server.on_loop(logs.go.set))
        text = ""
        while True:
            frame = await hear(line)
            text += frame.get("text", "")
            if frame.get("complete"):
                break
        assert text == "at last"

    follow(server, talk)


def test_a_log_waits_for_acknowledgement(make_server):
    limits = LimitSettings(log_unacked=1000, log_frame=400)
    server = make_server(limits=limits)
    register(server)
    run_to_end(server, "big")
    server.attempts.logs["n0"] = bytes(range(48, 58)) * 500

    async def talk(line):
        await say(line, id=1, op="subscribe", topic="log", node="n0", name="big", **WHERE)
        text, frames = "", 0
        while len(text) + 400 <= 1000:
            text += (await hear(line))["text"]
        assert len(text) == 800
        # Nothing more may come now: what is answered next is something else.
        await say(line, id=9, op="subscribe", topic="nothing")
        assert (await hear(line))["id"] == 9
        while True:
            await say(line, id=1, op="ack", offset=len(text))
            frame = await hear(line)
            assert frame["offset"] == len(text)
            text += frame["text"]
            frames += 1
            if frame["complete"]:
                break
        assert text.encode() == server.attempts.logs["n0"]

    follow(server, talk)


def test_a_log_goes_on_from_an_offset(server):
    register(server)
    run_to_end(server, "resumed")
    server.attempts.logs["n0"] = b"0123456789"

    async def talk(line):
        await say(
            line, id=1, op="subscribe", topic="log", node="n0", name="resumed", offset=4, **WHERE
        )
        frame = await hear(line)
        assert (frame["text"], frame["offset"], frame["next"]) == ("456789", 4, 10)

    follow(server, talk)


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        ("nonsense", 3),
        ("[]", 3),
        ("[" * 50_000, 3),
        ('{"id": "one", "op": "subscribe"}', 3),
        ('{"id": 1, "op": "dance"}', 3),
        ('{"id": 1, "op": "subscribe", "topic": "all"}', 3),
        ('{"id": 1, "op": "subscribe", "topic": "execution"}', 3),
        ('{"id": 1, "op": "subscribe", "topic": "executions", "project": "p", "domain": "d", "phases": ["X"]}', 3),
        ('{"id": 1, "op": "subscribe", "topic": "execution", "project": "p", "domain": "d", "name": "no"}', 5),
        ('{"id": 1, "op": "subscribe", "topic": "log", "project": "p", "domain": "d", "name": "no", "node": "n"}', 5),
        ('{"id": 1, "op": "subscribe", "topic": "log", "project": "p", "domain": "d", "name": "n", "node": "n", "offset": -1}', 3),
        ('{"id": 1, "op": "subscribe", "topic": "executions", "project": "\\ud800", "domain": "d"}', 3),
        ('{"id": 1, "op": "subscribe", "topic": "execution", "project": "p", "domain": "d", "name": "\\udfff"}', 3),
        ('{"id": 1, "op": "subscribe", "topic": "executions", "project": "p", "domain": "d", "name": "%s"}' % ("x" * 60_000), 3),
    ],
)  # fmt: skip
def test_a_bad_request_is_told_and_the_connection_goes_on(server, request_, code):
    async def talk(line):
        await line.write_message(request_)
        frame = await hear(line)
        assert (frame["type"], frame["code"]) == ("error", code), frame
        await say(line, id=2, op="subscribe", topic="executions", **WHERE)
        assert (await hear(line))["type"] == "snapshot"

    follow(server, talk)


def test_subscriptions_are_bounded(make_server):
    server = make_server(limits=LimitSettings(subscriptions=2))

    async def talk(line):
        for number in (1, 2):
            await say(line, id=number, op="subscribe", topic="executions", **WHERE)
            await hear(line)
        await say(line, id=3, op="subscribe", topic="executions", **WHERE)
        frame = await hear(line)
        assert (frame["id"], frame["type"], frame["code"]) == (3, "error", 8)

    follow(server, talk)


def test_a_client_that_never_reads_hurts_nobody(server):
    register(server)

    async def talk(slow):
        for number in range(20):
            await say(slow, id=number, op="subscribe", topic="executions", **WHERE)
        for number in range(5):
            await elsewhere(lambda number=number: run_to_end(server, f"meanwhile-{number}"))

    follow(server, talk)


def test_names_with_markup_stay_inert_in_frames(server):
    async def talk(line):
        await say(line, id=1, op="subscribe", topic="execution", name="<script>", **WHERE)
        message = await line.read_message()
        assert "<" not in message
        assert "\\u003cscript" in message

    follow(server, talk)


def test_a_foreign_origin_is_refused(server):
    """F43: a page of another site cannot open it."""
    got = server.raw(
        "GET",
        "/x/v1/events",
        Upgrade="websocket",
        Connection="Upgrade",
        Sec_WebSocket_Key="x3JJHMbDL1EzLkh9GBhXDw==",
        Sec_WebSocket_Version="13",
        Origin="http://evil.example",
    )
    assert got.status == 403
