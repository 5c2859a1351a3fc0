"""An API server in memory: versions, watches, selectors, finalizers, quotas, preconditions, and faults on request.

It plays what the adapter relies on and nothing else. `FakeKubelet`-like moves (`run`, `finish`, ...) are methods that tests call.
"""

from __future__ import annotations

import asyncio
import copy
import itertools
import json
import re
from asyncio.subprocess import Process
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from flyte_jupyter.engine.adapters.kubernetes.api import Answer, Call, Refused, Silent, Unreachable

PATH = re.compile(
    r"^/(?:api/v1|apis/(?P<group>[^/]+/[^/]+))(?:/namespaces/(?P<namespace>[^/]+)(?=/))?/(?P<plural>[a-z]+)"
    r"(?:/(?P<name>[^/]+))?(?:/(?P<sub>status|log|exec))?$"
)
DELETE_OPTIONS = {"Orphan", "Background", "Foreground"}


@dataclass
class Place:
    """What a path names."""

    plural: str
    namespace: str
    name: str
    sub: str


def place_of(path: str) -> Place:
    found = PATH.match(path)
    assert found, f"no such path: {path}"
    return Place(found["plural"], found["namespace"] or "", found["name"] or "", found["sub"] or "")


def refuse(status: int, reason: str, message: str, retry_after: str = "") -> Answer:
    said = {
        "kind": "Status",
        "status": "Failure",
        "reason": reason,
        "message": message,
        "code": status,
    }
    return Answer(status, json.dumps(said).encode(), retry_after)


@dataclass
class Fault:
    """What happens to the next `times` calls that `to` picks: an answer of its own, or a break before or after the deed."""

    to: Callable[[Call], bool]
    times: int = 1
    answer: Answer | None = None
    after: bool = False
    """The deed is done, and only its answer is lost."""


@dataclass
class WatchFaults:
    """What watches suffer, each of them until it is set back."""

    close_after: int | None = None
    """End each watch after so many events."""
    repeat: int = 0
    """Tell each event so many times more, and an older one of the same object after it."""
    silent: bool = False
    """Tell nothing any more."""
    bookmarks: bool = True
    bookmark_every: float | None = None
    """Seconds after which a bookmark comes although nothing happened."""


@dataclass
class Event:
    version: int
    plural: str
    kind: str
    before: dict | None
    after: dict


class Program:
    """A program that runs for a pod, with its streams."""

    def __init__(self, process: Process) -> None:
        self.process = process

    async def send(self, data: bytes) -> None:
        try:
            self.process.stdin.write(data)
            await self.process.stdin.drain()
        except (ConnectionError, RuntimeError) as error:
            raise Unreachable("the program has ended") from error

    async def receive(self) -> bytes:
        data = await self.process.stdout.read(65536)
        if not data:
            raise Unreachable("the program has ended")
        return data

    async def close(self) -> None:
        self.process.stdin.close()
        await self.process.wait()


class FakeCluster:
    def __init__(self, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.now = now
        self.version = 100
        self.objects: dict[tuple[str, str, str], dict] = {}
        self.history: list[Event] = []
        self.compacted = 0
        self.calls: list[Call] = []
        self.faults: list[Fault] = []
        self.watch_faults = WatchFaults()
        self.quota: dict[str, int] = {}
        """Most pods by namespace."""
        self.logs: dict[tuple[str, str], bytes] = {}
        self.ghosts = False
        """Whether a deleted pod stays until `let_go`, as on a node that does not answer."""
        self.kubelet: Callable[[dict], None] = lambda _: None
        """Hears of each new pod."""
        self.start_program: Callable[[str, Sequence[str]], Awaitable[Process]]
        self.programs: list[Program] = []
        self.watching = 0
        self.following = 0
        """How many logs are followed."""
        self.logs_break_off = False
        """Whether a followed log ends, as if it were all, although its container goes on."""
        self._uids = itertools.count(1)
        self._pages: dict[str, tuple[int, list[dict]]] = {}
        self._more = asyncio.Event()
        self.add_namespace("p-d")

    # -- moves of the cluster --

    def add_namespace(self, name: str, **metadata: str) -> None:
        self._put("namespaces", {"metadata": {"name": name, **metadata}}, "ADDED")

    def pods(self, *, alive: bool = False) -> list[dict]:
        found = [o for (plural, _, _), o in sorted(self.objects.items()) if plural == "pods"]
        if alive:
            found = [p for p in found if p["status"].get("phase") not in ("Succeeded", "Failed")]
        return found

    def pod(self, name: str) -> dict:
        return next(p for p in self.pods() if p["metadata"]["name"] == name)

    def set_status(self, pod: dict, **status: object) -> None:
        metadata = pod["metadata"]
        key = ("pods", metadata["namespace"], metadata["name"])
        now = self.objects.get(key)
        if now is None or now["metadata"]["uid"] != metadata["uid"]:
            return
        self._put("pods", {**now, "status": {**now["status"], **status}}, "MODIFIED")

    def run(self, pod: dict) -> None:
        started = self.stamp()
        self.set_status(
            pod,
            phase="Running",
            containerStatuses=[self._container(pod, {"running": {"startedAt": started}})],
        )

    def say(self, pod: dict, text: bytes) -> None:
        """It writes to its log."""
        key = pod["metadata"]["namespace"], pod["metadata"]["name"]
        self.logs[key] = self.logs.get(key, b"") + text
        self._wake()

    def finish(self, pod: dict, code: int = 0, reason: str = "") -> None:
        now = self.stamp()
        ended = {
            "exitCode": code,
            "reason": reason or ("Completed" if code == 0 else "Error"),
            "startedAt": now,
            "finishedAt": now,
        }
        self.set_status(
            pod,
            phase="Succeeded" if code == 0 else "Failed",
            containerStatuses=[self._container(pod, {"terminated": ended})],
        )

    def wait_for(self, pod: dict, reason: str, message: str = "") -> None:
        state = {"waiting": {"reason": reason, "message": message}}
        condition = {"type": "PodScheduled", "status": "True", "lastTransitionTime": self.stamp()}
        self.set_status(
            pod,
            phase="Pending",
            conditions=[condition],
            containerStatuses=[self._container(pod, state)],
        )

    def _container(self, pod: dict, state: dict) -> dict:
        name = pod["spec"]["containers"][0]["name"]
        return {"name": name, "state": state, "ready": "running" in state, "restartCount": 0}

    def stamp(self) -> str:
        return self.now().strftime("%Y-%m-%dT%H:%M:%SZ")

    def remove(self, plural: str, namespace: str, name: str) -> None:
        """Away with it, finalizers or not, as by force."""
        found = self.objects.pop((plural, namespace, name), None)
        if found is not None:
            self._tell(plural, "DELETED", found, self._stamped(found))

    def remove_pod(self, pod: dict) -> None:
        self.remove("pods", pod["metadata"]["namespace"], pod["metadata"]["name"])

    def let_go(self) -> None:
        """The nodes answer again: what was deleted goes."""
        self.ghosts = False
        for pod in self.pods():
            if pod["metadata"].get("deletionTimestamp"):
                self._leave("pods", pod)

    def compact(self) -> None:
        self.compacted = self.version
        self.history.clear()
        self._wake()

    def end_watches(self) -> None:
        self._wake()

    def add_template(
        self, namespace: str, name: str, spec: dict, metadata: dict | None = None
    ) -> None:
        template = {"metadata": metadata or {}, "spec": spec}
        made = {"metadata": {"name": name, "namespace": namespace}, "template": template}
        self._put("podtemplates", made, "ADDED")

    def warn(self, pod: dict, reason: str, message: str, when: str, **more: object) -> None:
        """Something goes wrong with a pod."""
        about, name = pod["metadata"], f"{pod['metadata']['name']}.{next(self._uids)}"
        event = {
            "metadata": {"name": name, "namespace": about["namespace"]},
            "involvedObject": {"uid": about["uid"]},
            "type": "Warning",
            "reason": reason,
            "message": message,
            "lastTimestamp": when,
        }
        self._put("events", event | more, "ADDED")

    # -- the API --

    async def call(self, call: Call) -> Answer:
        self.calls.append(call)
        await asyncio.sleep(0)
        fault = next((f for f in self.faults if f.times > 0 and f.to(call)), None)
        if fault is not None:
            fault.times -= 1
            if fault.after:
                self.do(call)
            if fault.answer is not None:
                return fault.answer
            raise Unreachable(f"{call.method} {call.path}: the connection broke")
        return self.do(call)

    def do(self, call: Call) -> Answer:
        place = place_of(call.path)
        match call.method:
            case "GET" if place.sub == "log":
                return self._log(place, call)
            case "GET" if place.name:
                found = self._find(place)
                return self._missing(place) if found is None else ok(found)
            case "GET":
                return self._list(place, call)
            case "POST":
                return self._create(place, copy.deepcopy(call.body))
            case "DELETE":
                return self._delete(place, call.body or {})
            case "PATCH":
                return self._patch(place, call.body)
        raise AssertionError(call.method)

    def _find(self, place: Place) -> dict | None:
        return self.objects.get((place.plural, place.namespace, place.name))

    def _missing(self, place: Place) -> Answer:
        return refuse(404, "NotFound", f'{place.plural} "{place.name}" not found')

    def _log(self, place: Place, call: Call) -> Answer:
        if self._find(Place("pods", place.namespace, place.name, "")) is None:
            return self._missing(place)
        limit = int(call.query.get("limitBytes", 1 << 40))
        lines = self.logs.get((place.namespace, place.name), b"").splitlines(keepends=True)
        last = int(call.query.get("tailLines", len(lines)))
        return Answer(200, b"".join(lines[len(lines) - min(last, len(lines)) :])[:limit])

    def _list(self, place: Place, call: Call) -> Answer:
        matches = matcher(call.query.get("labelSelector", ""))
        token = call.query.get("continue", "")
        version, found = self._pages.pop(token) if token else (self.version, [
            o
            for (plural, namespace, _), o in sorted(self.objects.items())
            if plural == place.plural and place.namespace in ("", namespace) and matches(o)
            and has_fields(o, call.query.get("fieldSelector", ""))
        ])  # fmt: skip
        stop = int(call.query.get("limit", "100000"))
        metadata = {"resourceVersion": str(version)}
        if stop < len(found):  # of the state at the first page, as etcd's snapshots are
            metadata["continue"] = f"page-{next(self._uids)}"
            self._pages[metadata["continue"]] = version, found[stop:]
        return ok({"metadata": metadata, "items": found[:stop]})

    def _create(self, place: Place, made: dict) -> Answer:
        metadata = made["metadata"]
        if place.namespace:
            metadata.setdefault("namespace", place.namespace)
            home = self.objects.get(("namespaces", "", place.namespace))
            if home is None:
                return refuse(404, "NotFound", f'namespaces "{place.namespace}" not found')
            if home["metadata"].get("deletionTimestamp"):
                message = f"unable to create new content in namespace {place.namespace} because it is being terminated"
                return refuse(403, "Forbidden", message)
        if (place.plural, place.namespace, metadata["name"]) in self.objects:
            message = f'{place.plural} "{metadata["name"]}" already exists'
            return refuse(409, "AlreadyExists", message)
        if place.plural == "pods":
            used = sum(
                1 for p in self.pods(alive=True) if p["metadata"]["namespace"] == place.namespace
            )
            most = self.quota.get(place.namespace)
            if most is not None and used >= most:
                message = (
                    f'pods "{metadata["name"]}" is forbidden: exceeded quota: most, requested: pods=1,'
                    f" used: pods={used}, limited: pods={most}"
                )
                return refuse(403, "Forbidden", message)
            made["status"] = {"phase": "Pending"}
        if place.plural == "flyteworkflows":
            metadata["generation"] = 1
        made = self._put(place.plural, made, "ADDED")
        if place.plural == "pods":
            asyncio.get_running_loop().call_soon(self.kubelet, made)
        return ok(made, 201)

    def _delete(self, place: Place, options: dict) -> Answer:
        found = self._find(place)
        if found is None:
            return self._missing(place)
        wanted = (options.get("preconditions") or {}).get("uid")
        if wanted and wanted != found["metadata"]["uid"]:
            return refuse(409, "Conflict", f"the UID in the precondition ({wanted}) does not match")
        phase = (found.get("status") or {}).get("phase")
        running = place.plural == "pods" and phase not in ("Succeeded", "Failed")
        metadata = {**found["metadata"], "deletionTimestamp": self.stamp()}
        if metadata.get("finalizers") or (running and self.ghosts):
            if "deletionTimestamp" in found["metadata"]:
                return ok(found)
            return ok(self._put(place.plural, {**found, "metadata": metadata}, "MODIFIED"))
        if running and phase == "Running":
            found = self._put(place.plural, {**found, "metadata": metadata}, "MODIFIED")
        self._leave(place.plural, found)
        return ok(found)

    def _leave(self, plural: str, found: dict) -> None:
        if not found["metadata"].get("finalizers"):
            self.remove(plural, found["metadata"].get("namespace", ""), found["metadata"]["name"])

    def _patch(self, place: Place, change: dict) -> Answer:
        found = self._find(place)
        if found is None:
            return self._missing(place)
        wanted = (change.get("metadata") or {}).get("resourceVersion")
        if wanted and wanted != found["metadata"]["resourceVersion"]:
            return refuse(409, "Conflict", "the object has been modified")
        has_status = place.plural in ("pods", "flyteworkflows")
        if place.sub == "status":
            change = {"status": change.get("status")}
        elif has_status:
            change = {k: v for k, v in change.items() if k != "status"}
        changed = merged(found, change)
        if changed == found:
            return ok(found)
        if place.plural == "flyteworkflows" and changed.get("spec") != found.get("spec"):
            generation = found["metadata"]["generation"] + 1
            changed["metadata"] = {**changed["metadata"], "generation": generation}
        changed = self._put(place.plural, changed, "MODIFIED")
        if changed["metadata"].get("deletionTimestamp"):
            self._leave(place.plural, changed)
        return ok(changed)

    # -- watches --

    async def stream(self, call: Call) -> AsyncGenerator[bytes, None]:
        self.calls.append(call)
        await asyncio.sleep(0)
        fault = next((f for f in self.faults if f.times > 0 and f.to(call)), None)
        if fault is not None:
            fault.times -= 1
            if fault.answer is not None:
                raise Refused(call, fault.answer)
            raise Unreachable(f"{call.path}: the connection broke")
        place = place_of(call.path)
        if place.sub == "log":
            async for piece in self._said(place, call):
                yield piece
            return
        version = int(call.query["resourceVersion"])
        yield b""  # the head of the answer
        if version < self.compacted:
            gone = {
                "kind": "Status",
                "code": 410,
                "reason": "Expired",
                "message": "too old resource version",
            }
            yield line("ERROR", gone)
            return
        self.watching += 1
        try:
            async for piece in self._events(place, call, version):
                yield piece
        finally:
            self.watching -= 1

    async def _said(self, place: Place, call: Call) -> AsyncGenerator[bytes, None]:
        """What a pod says, until it ends."""
        told, pod = 0, Place("pods", place.namespace, place.name, "")
        self.following += 1
        try:
            while (found := self._find(pod)) is not None:
                more = self._more
                data = self._log(place, call).body
                if len(data) > told:
                    yield data[told:]
                    told = len(data)
                over = found["status"].get("phase") in ("Succeeded", "Failed")
                if over or self.logs_break_off or told >= int(call.query["limitBytes"]):
                    return
                await more.wait()
        finally:
            self.following -= 1

    async def _events(self, place: Place, call: Call, version: int) -> AsyncGenerator[bytes, None]:
        matches = matcher(call.query.get("labelSelector", ""))
        told = 0
        while True:
            faults = self.watch_faults
            news = [e for e in self.history if e.version > version] if not faults.silent else []
            for event in news:
                version = event.version
                if event.plural != place.plural:
                    continue
                if place.namespace not in ("", event.after["metadata"].get("namespace", "")):
                    continue
                kind = event.kind
                was = event.before is not None and matches(event.before)
                if not matches(event.after):
                    if not was:
                        continue
                    kind = "DELETED"
                elif kind == "MODIFIED" and not was:
                    kind = "ADDED"
                yield line(kind, event.after)
                for _ in range(faults.repeat):
                    yield line(kind, event.after)
                    if event.before is not None and kind != "ADDED":
                        yield line("MODIFIED", event.before)
                told += 1
                if faults.close_after is not None and told >= faults.close_after:
                    return
            if news and faults.bookmarks:
                yield line("BOOKMARK", {"metadata": {"resourceVersion": str(version)}})
            self._more.clear()
            every = faults.bookmark_every or call.seconds
            try:
                async with asyncio.timeout(min(call.seconds, every)):
                    await self._more.wait()
            except TimeoutError:
                if every >= call.seconds:
                    raise Silent(f"{call.path}: nothing came for {call.seconds} s") from None
                yield line("BOOKMARK", {"metadata": {"resourceVersion": str(version)}})
            if faults.close_after == 0:
                return
            if version < self.compacted:
                return

    async def execute(self, call: Call, command: Sequence[str]) -> Program:
        """Run a program for a pod, on this machine, in the environment that the kubelet has for the pod."""
        self.calls.append(call)
        await asyncio.sleep(0)
        fault = next((f for f in self.faults if f.times > 0 and f.to(call)), None)
        if fault is not None:
            fault.times -= 1
            raise Unreachable(f"{call.path}: the connection broke")
        place = place_of(call.path)
        if self._find(Place("pods", place.namespace, place.name, "")) is None:
            raise Refused(call, self._missing(place))
        program = Program(await self.start_program(place.name, command))
        self.programs.append(program)
        return program

    async def close(self) -> None:
        return

    # -- inside --

    def _stamped(self, made: dict) -> dict:
        self.version += 1
        metadata = {**made["metadata"], "resourceVersion": str(self.version)}
        if "uid" not in metadata:
            metadata |= {"uid": f"uid-{next(self._uids)}", "creationTimestamp": self.stamp()}
        return {**made, "metadata": metadata}

    def _put(self, plural: str, made: dict, kind: str) -> dict:
        now = self._stamped(made)
        metadata = now["metadata"]
        key = (plural, metadata.get("namespace", ""), metadata["name"])
        before = self.objects.get(key)
        self.objects[key] = now
        self._tell(plural, kind, before, now)
        return now

    def _tell(self, plural: str, kind: str, before: dict | None, after: dict) -> None:
        version = int(after["metadata"]["resourceVersion"])
        self.history.append(Event(version, plural, kind, before, after))
        self._wake()

    def _wake(self) -> None:
        more, self._more = self._more, asyncio.Event()
        more.set()


def ok(found: dict, status: int = 200) -> Answer:
    return Answer(status, json.dumps(found).encode())


def line(kind: str, found: dict) -> bytes:
    return json.dumps({"type": kind, "object": found}).encode() + b"\n"


def matcher(selector: str) -> Callable[[dict], bool]:
    wanted = [pair.split("=", 1) for pair in selector.split(",") if "=" in pair]
    there = [word for word in selector.split(",") if word and "=" not in word]

    def matches(found: dict) -> bool:
        labels = found["metadata"].get("labels") or {}
        return all(labels.get(k) == v for k, v in wanted) and all(k in labels for k in there)

    return matches


def has_fields(found: dict, selector: str) -> bool:
    for path, value in (pair.split("=", 1) for pair in selector.split(",") if pair):
        inner: object = found
        for name in path.split("."):
            inner = inner[name]  # type: ignore[index]
        if inner != value:
            return False
    return True


def merged(old: object, change: object) -> object:
    """JSON merge patch."""
    if not isinstance(change, dict):
        return change
    result = dict(old) if isinstance(old, dict) else {}
    for key, value in change.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


def to(method: str, part: str = "") -> Callable[[Call], bool]:
    """Picks calls by method and a part of the path; ``WATCH`` picks watches."""

    def picks(call: Call) -> bool:
        is_watch = "watch" in call.query
        if method == "WATCH":
            return is_watch and part in call.path
        return call.method == method and part in call.path and not is_watch

    return picks


@dataclass
class Recorded:
    """News, and a way to wait for them."""

    said: list = field(default_factory=list)
    more: asyncio.Event = field(default_factory=asyncio.Event)

    def __call__(self, news: object) -> None:
        self.said.append(news)
        self.more.set()
