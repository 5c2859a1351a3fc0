"""A door in front of the real API server behind which faults lie: cuts, delays, refusals, watches that lie."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
import threading
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from api_faults import Answer, Cut, EndOfWatch, Fault, Hold, Rewrite
from cluster_certificates import Pair
from kubernetes_cluster import Cluster

MOST = 2**24  # the longest line that is taken, in bytes
HOP = ("connection", "keep-alive", "host")


@dataclass
class Seen:
    """A request that came through the door; status 0 while it has no answer."""

    method: str
    path: str
    at: float = field(default_factory=time.monotonic)
    status: int = 0


@dataclass
class Head:
    """The first line and the headers of a message."""

    first: str
    headers: list[tuple[str, str]]

    def get(self, name: str) -> str:
        return next((value for key, value in self.headers if key.lower() == name), "")

    def bytes(self) -> bytes:
        lines = [self.first, *(f"{key}: {value}" for key, value in self.headers)]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


class Broken(Exception):
    """One side went away."""


class FaultyApi:
    """The proxy. Clients use its `kubeconfig`; it speaks to the API server as `who`, or passes their token on."""

    def __init__(self, cluster: Cluster, folder: Path, who: Pair) -> None:
        self.cluster = cluster
        self.seen: list[Seen] = []
        self._faults: list[Fault] = []
        self._lock = threading.Lock()
        self._loop = asyncio.new_event_loop()
        self._open: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self._port = 0
        authority = cluster.authority
        self._listening = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._listening.load_cert_chain(cluster.server.certificate, cluster.server.key)
        trust = str(authority.pair.certificate)
        self._anonymous = ssl.create_default_context(cafile=trust)
        self._known = ssl.create_default_context(cafile=trust)
        self._known.load_cert_chain(who.certificate, who.key)
        self._thread = threading.Thread(target=self._loop.run_forever, name="faulty-api")
        self._thread.start()
        self.open_door()
        self.kubeconfig = authority.kubeconfig(folder / "faulty.kubeconfig", self.url, who)

    @classmethod
    @contextlib.contextmanager
    def start(cls, cluster: Cluster, folder: Path, *, who: Pair | None = None) -> Iterator[FaultyApi]:  # fmt: skip
        """One that is there for a while; `folder` takes its kubeconfig."""
        made = cls(cluster, folder, who or cluster.admin)
        try:
            yield made
        finally:
            made.stop()

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self._port}"

    @contextlib.contextmanager
    def fault(self, fault: Fault) -> Iterator[Fault]:
        """Let requests meet a fault for a while; of several the first that fits is met. Who is held goes on at the end."""
        with self._lock:
            self._faults.append(fault)
        try:
            yield fault
        finally:
            with self._lock:
                self._faults.remove(fault)
            if isinstance(fault.do, Hold):
                fault.do.release()

    def count(self, method: str, path: str) -> int:
        """How many requests came with this method and with this in their path."""
        return sum(one.method == method and path in one.path for one in list(self.seen))

    def cut_all(self) -> None:
        """Break every connection at once."""
        self._do(self._cut_all())

    def close_door(self) -> None:
        """Refuse new connections and break the ones there are."""
        self._do(self._close())

    def open_door(self) -> None:
        """Take connections (again), on the same port."""
        self._do(self._listen())

    def stop(self) -> None:
        """End it."""
        with self._lock:
            for fault in self._faults:
                if isinstance(fault.do, Hold):
                    fault.do.release()
        self._do(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(30)
        self._loop.close()

    def _do(self, work) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _listen(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(
                self._serve, "127.0.0.1", self._port, ssl=self._listening, limit=MOST
            )
            self._port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        await self._cut_all()

    async def _cut_all(self) -> None:
        for writer in list(self._open):
            writer.transport.abort()

    async def _end(self) -> None:
        await self._close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self._loop.shutdown_default_executor()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            while await self._exchange(reader, writer):
                pass
        except (Broken, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            self._open.discard(writer)
            writer.transport.abort()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Serve one request. Gives whether the connection may be used again."""
        head = await read_head(reader)
        if head is None:
            return False
        body = b"".join([part async for part in read_body(head, reader)])
        method, path, _ = head.first.split(" ", 2)
        seen = Seen(method, path)
        self.seen.append(seen)
        fault = self._meet(method, path)
        do = fault.do if fault else None
        match do:
            case Answer():
                seen.status = do.status
                await send(writer, answer(do))
                return True
            case Cut(committed=False):
                raise Broken
            case Hold(committed=False):
                await self._wait(do)
        async with self._upstream(head) as (above, below):
            await send(below, forwarded(head, body))
            told = await read_head(above)
            if told is None:
                raise Broken
            match do:
                case Cut():
                    await drain(told, above)
                    raise Broken
                case Hold(committed=True):
                    await self._wait(do)
            seen.status = int(told.first.split()[1])
            await relay(told, above, writer, do if isinstance(do, Rewrite) else None)
        return True

    def _meet(self, method: str, path: str) -> Fault | None:
        with self._lock:
            for fault in self._faults:
                if fault.meets(method, path):
                    fault.met += 1
                    return fault
        return None

    async def _wait(self, hold: Hold) -> None:
        hold.held.set()
        while not hold.released.is_set():
            await asyncio.to_thread(hold.released.wait, 1)

    @contextlib.asynccontextmanager
    async def _upstream(self, head: Head) -> AsyncIterator[tuple]:
        context = self._anonymous if head.get("authorization") else self._known
        above, below = await asyncio.open_connection(
            "127.0.0.1", self.cluster.ports["api"], ssl=context, limit=MOST
        )
        self._open.add(below)
        try:
            yield above, below
        finally:
            self._open.discard(below)
            below.transport.abort()


async def read_head(reader: asyncio.StreamReader) -> Head | None:
    """The head of the next message; None at the end of the stream."""
    try:
        text = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = text.rstrip("\r\n").split("\r\n")
    pairs = (line.split(":", 1) for line in lines)
    return Head(first, [(name, value.strip()) for name, value in pairs])


async def read_body(head: Head, reader: asyncio.StreamReader, *, to_end: bool = False) -> AsyncIterator[bytes]:  # fmt: skip
    """The body's parts as they come."""
    if head.get("transfer-encoding").lower() == "chunked":
        while size := int(await reader.readuntil(b"\r\n"), 16):
            yield (await reader.readexactly(size + 2))[:-2]
        await reader.readuntil(b"\r\n")
    elif length := int(head.get("content-length") or 0):
        yield await reader.readexactly(length)
    elif to_end and not head.get("content-length"):
        while part := await reader.read(65536):
            yield part


def forwarded(head: Head, body: bytes) -> bytes:
    """The request as it goes on to the API server."""
    dropped = (*HOP, "transfer-encoding", "content-length")
    kept = [(key, value) for key, value in head.headers if key.lower() not in dropped]
    more = [("Host", "localhost"), ("Connection", "close")]
    if body:
        more.append(("Content-Length", str(len(body))))
    return Head(head.first, [*kept, *more]).bytes() + body


def answer(do: Answer) -> bytes:
    """The proxy's own answer."""
    body = do.body()
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    if do.retry_after is not None:
        headers.append(("Retry-After", str(do.retry_after)))
    return Head(f"HTTP/1.1 {do.status} Fault", headers).bytes() + body


async def relay(told: Head, above: asyncio.StreamReader, writer: asyncio.StreamWriter, rewrite: Rewrite | None) -> None:  # fmt: skip
    """Pass an answer on part by part, so that a watch flows."""
    status = int(told.first.split()[1])
    empty = status in (204, 304)
    dropped = (*HOP, "transfer-encoding", "content-length")
    kept = [(key, value) for key, value in told.headers if key.lower() not in dropped]
    framing = [] if empty else [("Transfer-Encoding", "chunked")]
    await send(writer, Head(told.first, [*kept, *framing]).bytes())
    if empty:
        return
    parts = read_body(told, above, to_end=True)
    if rewrite is not None and status == 200:
        parts = rewritten(parts, rewrite)
    async for part in parts:
        await send(writer, b"%x\r\n%s\r\n" % (len(part), part))
    await send(writer, b"0\r\n\r\n")


async def rewritten(parts: AsyncIterator[bytes], rewrite: Rewrite) -> AsyncIterator[bytes]:
    """A watch's events after the fault."""
    rest = b""
    async for part in parts:
        *lines, rest = (rest + part).split(b"\n")
        for line in lines:
            try:
                instead = rewrite.each(json.loads(line))
            except EndOfWatch:
                return
            for event in instead:
                yield json.dumps(event).encode() + b"\n"


async def drain(told: Head, above: asyncio.StreamReader) -> None:
    """Read an answer to its end, for nobody."""
    async for _ in read_body(told, above, to_end=True):
        pass


async def send(writer: asyncio.StreamWriter, data: bytes) -> None:
    """Write and wait until there is room for more."""
    writer.write(data)
    await writer.drain()
