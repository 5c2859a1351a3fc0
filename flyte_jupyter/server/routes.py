"""Every way in, as one table: the RPCs as flyteidl's HTTP annotations place them, and our own paths.

The table is data: `rest` serves it, authorisation reads `action` and `resource`, tests compare it with the descriptors.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from urllib.parse import unquote

from google.api import annotations_pb2, http_pb2
from google.protobuf import message_factory
from google.protobuf.descriptor import FileDescriptor, MethodDescriptor
from google.protobuf.message import Message

from flyte_jupyter.idl import service

API = "/api/v1"
SERVICES: Sequence[FileDescriptor] = (
    service.ADMIN_SERVICE,
    service.DATA_PROXY_SERVICE,
    service.SIGNAL_SERVICE,
)
_PLACEHOLDER = re.compile(r"\{([a-z_.]+)\}")
_METHODS = ("get", "put", "post", "delete", "patch")
_RESOURCES = (
    # The first whose word occurs in the RPC's name names the resource.
    ("Event", "events"),
    ("Attributes", "attributes"),
    ("Signal", "executions"),
    ("DynamicNodeWorkflow", "executions"),
    ("Execution", "executions"),
    ("LaunchPlan", "launch_plans"),
    ("Workflow", "workflows"),
    ("Task", "tasks"),
    ("Project", "projects"),
    ("Domain", "projects"),
    ("NamedEntit", "entities"),
    ("DescriptionEntit", "entities"),
    ("Location", "data"),
    ("DownloadLink", "data"),
    ("Data", "data"),
    ("Version", "version"),
)


class Action(StrEnum):
    """What a caller must be allowed to do with the resource (Jupyter's three words)."""

    READ = "read"
    WRITE = "write"
    EXECUTE = "execute"


@dataclass(frozen=True, slots=True)
class Route:
    """One HTTP binding of one RPC."""

    service: str
    rpc: str
    method: str
    template: str
    """As annotated: ``/api/v1/tasks/{id.project}/...``."""
    pattern: re.Pattern[str]
    fields: tuple[str, ...]
    """Dotted names of the request's fields that the pattern's groups fill, in order."""
    body: bool
    """Whether the request's body is the request message (the annotation's ``body: "*"``)."""
    action: Action
    resource: str
    request: type[Message]
    response: type[Message]

    def match(self, path: str) -> Mapping[str, str] | None:
        """Field values in an undecoded path, percent-decoded; None when the path is another's."""
        found = self.pattern.fullmatch(path)
        if found is None:
            return None
        return {name: unquote(text) for name, text in zip(self.fields, found.groups(), strict=True)}


@dataclass(frozen=True, slots=True)
class OwnRoute:
    """A path of our own below ``/x/v1``: not an RPC of Flyte's."""

    name: str
    method: str
    template: str
    action: Action
    resource: str
    passed_on: bool = True
    """Whether the Jupyter server extension passes it on."""

    @property
    def pattern(self) -> str:
        """The template as a regular expression, a group for each part of the path; a blob's key has many parts."""
        return _PLACEHOLDER.sub("([^/]+)", self.template.replace("{key}", ".*"))


OWN_ROUTES: Sequence[OwnRoute] = (
    OwnRoute("status", "GET", "/x/v1/status", Action.READ, "version"),
    OwnRoute("stop", "POST", "/x/v1/stop", Action.EXECUTE, "control", passed_on=False),
    OwnRoute("upload", "PUT", "/x/v1/blobs/{key}", Action.WRITE, "data"),
    OwnRoute("download", "GET", "/x/v1/blobs/{key}", Action.READ, "data"),
    OwnRoute(
        "deck",
        "GET",
        "/x/v1/decks/{project}/{domain}/{execution}/{node}",
        Action.READ,
        "executions",
    ),
    OwnRoute(
        "log",
        "GET",
        "/x/v1/logs/{project}/{domain}/{execution}/{node}/{attempt}",
        Action.READ,
        "executions",
    ),
    OwnRoute("catalog", "GET", "/x/v1/catalog/{project}/{domain}", Action.READ, "data"),
    OwnRoute("evict", "POST", "/x/v1/catalog/evict", Action.WRITE, "data"),
    OwnRoute("preview", "POST", "/x/v1/catalog/preview", Action.READ, "executions"),
    OwnRoute(
        "lineage",
        "GET",
        "/x/v1/lineage/{project}/{domain}/{execution}",
        Action.READ,
        "executions",
    ),
    OwnRoute("events", "GET", "/x/v1/events", Action.READ, "executions"),
)


@cache
def routes() -> Sequence[Route]:
    """The RPC rows, literal paths before paths with parameters so that the first match is the right one."""
    rows = [row for file in SERVICES for row in _rows_of(file)]
    return tuple(sorted(rows, key=lambda row: (_PLACEHOLDER.sub("~", row.template), row.method)))


def find(method: str, path: str) -> tuple[Route, Mapping[str, str]] | None:
    """The row that serves a request, with the values its path gives; None when no row does."""
    for row in _by_method().get(method, ()):
        values = row.match(path)
        if values is not None:
            return row, values
    return None


def methods_at(path: str) -> Sequence[str]:
    """The HTTP methods that some row has at this path."""
    return tuple(sorted({row.method for row in routes() if row.match(path) is not None}))


@cache
def _by_method() -> Mapping[str, Sequence[Route]]:
    table: dict[str, list[Route]] = {}
    for row in routes():
        table.setdefault(row.method, []).append(row)
    return table


def _rows_of(file: FileDescriptor) -> Iterator[Route]:
    for owner in file.services_by_name.values():
        for method in owner.methods:
            rule = method.GetOptions().Extensions[annotations_pb2.http]
            for binding in (rule, *rule.additional_bindings):
                verb = next((v for v in _METHODS if binding.WhichOneof("pattern") == v), None)
                if verb is not None:
                    yield _row(method, verb, binding)


def _row(method: MethodDescriptor, verb: str, binding: http_pb2.HttpRule) -> Route:
    template = str(getattr(binding, verb))
    pieces = _PLACEHOLDER.split(template)
    return Route(
        service=method.containing_service.full_name,
        rpc=method.name,
        method=verb.upper(),
        template=template,
        pattern=re.compile("([^/]+)".join(re.escape(piece) for piece in pieces[::2])),
        fields=tuple(pieces[1::2]),
        body=binding.body == "*",
        action=_action(method.name),
        resource=next(name for word, name in _RESOURCES if word in method.name),
        request=message_factory.GetMessageClass(method.input_type),
        response=message_factory.GetMessageClass(method.output_type),
    )


def _action(rpc: str) -> Action:
    if rpc == "GetOrCreateSignal" or rpc.startswith(("SetSignal", "Create", "Register", "Update")):
        runs = rpc.endswith(("Execution", "Signal"))
        reads = rpc in ("CreateDownloadLink", "CreateDownloadLocation")
        return Action.READ if reads else Action.EXECUTE if runs else Action.WRITE
    if rpc.startswith(("Relaunch", "Recover", "Terminate")):
        return Action.EXECUTE
    return Action.READ if rpc.startswith(("Get", "List")) else Action.WRITE
