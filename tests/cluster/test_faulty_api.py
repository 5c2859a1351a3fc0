"""The faulty door in front of the API server: without a fault it changes nothing, with one it does what was said."""

from __future__ import annotations

import contextlib
import http.client
import json
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator

import api_faults
import pytest
from api_faults import Answer, Cut, Fault, Hold, Rewrite
from faulty_api import FaultyApi
from kubernetes_cluster import Cluster
from processes import eventually

CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"


@pytest.fixture
def door(control_plane_cluster: Cluster, tmp_path) -> Iterator[FaultyApi]:
    with FaultyApi.start(control_plane_cluster, tmp_path) as made:
        yield made


@pytest.fixture
def name(request, control_plane_cluster: Cluster) -> Iterator[str]:
    made = request.node.name.replace("_", "-")
    yield made
    control_plane_cluster.kubectl("delete", "configmap", made, "--ignore-not-found")


def config_map(name: str, text: str = "") -> bytes:
    return json.dumps({"metadata": {"name": name}, "data": {"text": text}}).encode()


def ask(door: FaultyApi, method: str, path: str, body: bytes | None = None) -> dict:
    trust = ssl.create_default_context(cafile=str(door.cluster.authority.pair.certificate))
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(door.url + path, body, headers, method=method)
    with urllib.request.urlopen(request, timeout=60, context=trust) as answer:
        return json.loads(answer.read())


def watch(door: FaultyApi, name: str, more: str = "") -> Iterator[dict]:
    """The events of one config map's watch, from its present state on."""
    trust = ssl.create_default_context(cafile=str(door.cluster.authority.pair.certificate))
    path = f"{CONFIG_MAPS}?watch=1&fieldSelector=metadata.name={name}{more}"
    with urllib.request.urlopen(door.url + path, timeout=60, context=trust) as answer:
        yield from map(json.loads, answer)


def change(door: FaultyApi, name: str, text: str) -> None:
    ask(door, "PUT", f"{CONFIG_MAPS}/{name}", config_map(name, text))


def told(event: dict) -> tuple[str, str]:
    return event["type"], event["object"]["data"]["text"]


def test_without_a_fault_the_door_changes_nothing(door, name):
    large = "x" * 300_000
    ask(door, "POST", CONFIG_MAPS, config_map(name, large))
    assert door.cluster.get("configmap", name)["data"]["text"] == large
    assert ask(door, "GET", f"{CONFIG_MAPS}/{name}")["data"]["text"] == large
    assert name in door.cluster.kubectl("get", "configmap", kubeconfig=door.kubeconfig)
    assert door.seen[0].status == 201


def test_an_answer_of_its_own_with_retry_after(door, name):
    with (
        door.fault(Fault(Answer(429, retry_after=3), method="POST", path="configmaps")) as fault,
        pytest.raises(urllib.error.HTTPError) as refused,
    ):
        ask(door, "POST", CONFIG_MAPS, config_map(name))
    with refused.value as error:
        assert (error.code, error.headers["Retry-After"]) == (429, "3")
        assert json.loads(error.read())["reason"] == "TooManyRequests"
    assert fault.met == 1
    ask(door, "POST", CONFIG_MAPS, config_map(name))
    assert door.count("POST", "configmaps") == 2


def test_a_fault_meets_as_often_as_said(door):
    with door.fault(Fault(Answer(500), path="configmaps", times=2)):
        for _ in range(2):
            with pytest.raises(urllib.error.HTTPError) as refused:
                ask(door, "GET", CONFIG_MAPS)
            refused.value.close()
        assert ask(door, "GET", CONFIG_MAPS)["kind"] == "ConfigMapList"


@pytest.mark.parametrize("committed", [False, True])
def test_a_cut_before_or_after_the_server_did_it(door, committed, name):
    name = name.strip("[]").replace("[", "-").lower()
    with (
        door.fault(Fault(Cut(committed=committed), method="POST")),
        pytest.raises((http.client.RemoteDisconnected, ConnectionError, ssl.SSLError)),
    ):
        ask(door, "POST", CONFIG_MAPS, config_map(name))
    there = door.cluster.kubectl("get", "configmap", name, "--ignore-not-found", "-o", "name")
    assert bool(there) is committed
    door.cluster.kubectl("delete", "configmap", name, "--ignore-not-found")


@pytest.mark.parametrize("committed", [False, True])
def test_a_request_is_held_until_released(door, committed, name):
    name = name.strip("[]").replace("[", "-").lower()
    with door.fault(Fault(Hold(committed=committed), method="POST")) as fault:
        caller = threading.Thread(target=ask, args=(door, "POST", CONFIG_MAPS, config_map(name)))
        caller.start()
        assert fault.do.held.wait(30)
        there = door.cluster.kubectl("get", "configmap", name, "--ignore-not-found", "-o", "name")
        assert bool(there) is committed
        assert caller.is_alive()
        fault.do.release()
        caller.join(30)
    assert door.cluster.get("configmap", name)["metadata"]["name"] == name
    door.cluster.kubectl("delete", "configmap", name)


def test_a_watch_flows_and_ends_with_a_cut(door, name):
    ask(door, "POST", CONFIG_MAPS, config_map(name, "a"))
    events = watch(door, name)
    assert told(next(events)) == ("ADDED", "a")
    change(door, name, "b")
    assert told(next(events)) == ("MODIFIED", "b")
    door.cut_all()
    with contextlib.suppress(http.client.IncompleteRead, ConnectionError, ssl.SSLError):
        assert list(events) == []


def test_a_watch_tells_twice_and_stale(door, name):
    ask(door, "POST", CONFIG_MAPS, config_map(name, "a"))
    with door.fault(Fault(api_faults.twice())):
        events = watch(door, name)
        assert [told(next(events)), told(next(events))] == [("ADDED", "a"), ("ADDED", "a")]
        events.close()
    with door.fault(Fault(api_faults.stale())):
        events = watch(door, name)
        assert told(next(events)) == ("ADDED", "a")
        change(door, name, "b")
        assert [told(next(events)), told(next(events))] == [("MODIFIED", "b"), ("MODIFIED", "a")]
        events.close()


def test_a_watch_expires_and_ends(door, name):
    ask(door, "POST", CONFIG_MAPS, config_map(name, "a"))
    with door.fault(Fault(api_faults.expired(after=1))):
        events = watch(door, name)
        assert told(next(events)) == ("ADDED", "a")
        change(door, name, "b")
        change(door, name, "c")
        ended = next(events)
        assert (ended["type"], ended["object"]["code"]) == ("ERROR", 410)
        assert list(events) == []
    with door.fault(Fault(api_faults.ends(after=0))):
        assert list(watch(door, name)) == []


def test_a_watch_is_muted_and_loses_its_bookmarks(door, name):
    ask(door, "POST", CONFIG_MAPS, config_map(name, "a"))
    heard: list[dict] = []
    with door.fault(Fault(Rewrite(lambda event: heard.append(event) or []))):
        muted = threading.Thread(target=lambda: list(watch(door, name, "&timeoutSeconds=1")))
        muted.start()
        muted.join(30)
        assert heard
    bookmarks = "&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&timeoutSeconds=1"
    assert "BOOKMARK" in {event["type"] for event in watch(door, name, bookmarks)}
    with door.fault(Fault(api_faults.without_bookmarks())):
        assert {event["type"] for event in watch(door, name, bookmarks)} == {"ADDED"}
    with door.fault(Fault(api_faults.muted())):
        assert list(watch(door, name, bookmarks)) == []


def test_a_closed_door_refuses_and_opens_again(door):
    door.close_door()
    with pytest.raises(urllib.error.URLError):
        ask(door, "GET", CONFIG_MAPS)
    door.open_door()
    assert ask(door, "GET", CONFIG_MAPS)["kind"] == "ConfigMapList"


def test_a_frozen_api_server_answers_when_it_thaws(door):
    answers: list[dict] = []
    door.cluster.api_server.pause()
    try:
        caller = threading.Thread(target=lambda: answers.append(ask(door, "GET", CONFIG_MAPS)))
        caller.start()
        eventually(lambda: door.seen, what="the request at the door")
        assert caller.is_alive()
        assert not answers
    finally:
        door.cluster.api_server.resume()
    caller.join(60)
    assert answers
