"""What an attempt's files mean, in Flyte's order, and what its executor is told to run."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest
from engine_programs import INT, Listed, Shelf, flow, mapped, node, task
from engine_worlds import RUN, World, until

from flyte_jupyter.engine import layout
from flyte_jupyter.engine.answers import AnswerSettings
from flyte_jupyter.engine.answers.collecting import MOST_MESSAGE
from flyte_jupyter.engine.answers.files import Offload
from flyte_jupyter.engine.core.observations import AbortRequested, Exit
from flyte_jupyter.engine.core.state import Queued, RunPhase, Stage
from flyte_jupyter.engine.ports import Waits
from flyte_jupyter.idl import admin, core, literals
from flyte_jupyter.idl.ids import AttemptId, path_text

ADD = task("add", {"x0": INT})
ONE = flow("one", [node("n0", ADD, x0=1)])
AGAIN = core.RetryStrategy(retries=5)


def outputs(**values):
    made = core.LiteralMap(literals={n: literals.literal(v) for n, v in values.items()})
    return made.SerializeToString()


def error(code, *, at=None, worker=""):
    made = core.ContainerError(code=code, message=f"{code} happened", worker=worker)
    if at is not None:
        made.timestamp.FromDatetime(datetime(2026, 1, 1, 0, 0, at, tzinfo=UTC))
    return core.ErrorDocument(error=made).SerializeToString()


def ended(files, how, settings=None, only=ADD):
    """The failure (None: success) of a run with one task whose attempt leaves these files."""

    async def main():
        world = World(by_itself=False)
        world.answers = settings or AnswerSettings()
        engine = world.engine()
        await engine.start()
        world.create(
            Shelf(only).compiled(ONE if only is ADD else flow("one", [node("n0", only)], {}))
        )
        await until(lambda: world.executor.queued)
        attempt = min(world.executor.queued)
        world.executor.begin(attempt)
        for name, data in files.items():
            await world.blobs.put(f"{world.node_prefix('n0')}/0/{name}", data)
        world.executor.end(attempt, how)
        stored = await world.ended()
        await engine.stop()
        return stored.state.summary.failure

    return asyncio.run(main())


GOOD = outputs(o=1)
CASES = [
    ({"outputs.pb": GOOD}, Exit(code=0), None),
    ({"outputs.pb": GOOD, "error.pb": error("Mine")}, Exit(code=0), "Mine"),
    ({"outputs.pb": GOOD, "error.pb": b"\xff\xff"}, Exit(code=0), None),
    ({"futures.pb": b"\xff", "error.pb": error("Mine")}, Exit(code=0), "DynamicWorkflowBuild"),
    ({"futures.pb": b"", "error.pb": error("Mine")}, Exit(code=1), "Mine"),
    ({}, Exit(code=0), "OutputsNotFound"),
    ({"outputs.pb": b"\xff\xff"}, Exit(code=0), "OutputsInvalid"),
    ({"outputs.pb": outputs(other=1)}, Exit(code=0), "OutputsInvalid"),
    ({"outputs.pb": GOOD}, Exit(code=3), "NonZeroExit"),
    (
        {"error-b.pb": error("Late", at=9), "error-a.pb": error("Early", at=3)},
        Exit(code=1),
        "Early",
    ),
    ({"error-b.pb": error("Told", worker="w1")}, Exit(code=1), "Told"),
]


@pytest.mark.parametrize(("files", "how", "code"), CASES)
def test_files_are_judged_in_flytes_order(files, how, code):
    failure = ended(files, how)
    assert (failure is None) == (code is None), failure
    if failure is not None:
        assert code in failure.code


def test_a_task_that_declares_no_outputs_need_write_none():
    quiet = task("quiet", {}, {})
    assert ended({}, Exit(code=0), only=quiet) is None
    assert ended({}, Exit(code=3), only=quiet).code == "NonZeroExit"


def test_outputs_that_are_too_large_are_refused_for_good():
    settings = AnswerSettings(most_output_bytes=100)
    failure = ended({"outputs.pb": outputs(o=1) + b" " * 200}, Exit(code=0), settings)
    assert failure.code == "OutputSizeExceeded"
    assert not failure.retryable


def test_large_lists_are_kept_beside_where_the_installation_says_so():
    async def main():
        world = World()
        world.answers = AnswerSettings(offload=Offload(least=0.000001))
        engine = world.engine()
        await engine.start()
        each = node("m", mapped(ADD), x0=[1, 2, 3])
        nested = node("k", mapped(ADD), x0="m.o")
        world.create(Shelf(ADD).compiled(flow("m", [each, nested], {"o": Listed("k.o")})))
        await world.ended()
        data = await world.blobs.get(f"{world.node_prefix('m')}/0/outputs.pb")
        offloaded = core.LiteralMap.FromString(data).literals["o"]
        assert offloaded.HasField("offloaded_metadata")
        assert offloaded.hash
        whole = await world.blobs.get(offloaded.offloaded_metadata.uri)
        assert literals.value(core.Literal.FromString(whole)) == [2, 3, 4]
        last = await world.blobs.get(f"{world.node_prefix('k')}/0/outputs.pb")
        uri = core.LiteralMap.FromString(last).literals["o"].offloaded_metadata.uri
        assert literals.value(core.Literal.FromString(await world.blobs.get(uri))) == [3, 4, 5]
        await engine.stop()

    asyncio.run(main())


def spec_of(play, template, *parts, attempts=1, spec=None, console=""):
    """The last attempt that the executor is asked for: each before it is lost to the system."""
    seen = []

    async def scenario(world, engine):
        await engine.stop()
        world.answers = AnswerSettings(console_url=console)
        engine = world.engine()
        await engine.start()
        launch = world.executor.launch

        async def noted(asked):
            seen.append(asked)
            return await launch(asked)

        world.executor.launch = noted
        world.create(Shelf(ADD, *parts).compiled(template), spec=spec)
        for number in range(attempts):
            await until(lambda n=number: len(seen) > n and seen[n].id in world.executor.queued)
            if number < attempts - 1:
                world.executor.begin(seen[number].id)
                world.executor.end(seen[number].id, Exit(signal=9))
        await engine.stop()

    play(scenario, by_itself=False)
    return seen[-1]


def test_an_attempt_is_told_all_that_its_execution_says(play):
    given = admin.ExecutionSpec()
    given.labels.values["team"] = "blue"
    given.annotations.values["note"] = "x"
    given.security_context.run_as.k8s_service_account = "robot"
    given.raw_output_data_config.output_location_prefix = "s3://elsewhere/raw/"
    asked = spec_of(play, ONE, spec=given)
    assert asked.labels == {"team": "blue"}
    assert asked.annotations == {"note": "x"}
    assert (asked.service_account, asked.workflow, asked.node) == ("robot", "one", "n0")
    assert asked.raw_output_prefix.startswith("s3://elsewhere/raw/")
    assert asked.index is None
    assert asked.env["FLYTE_INTERNAL_NODE_ID"] == "n0"


def test_a_task_that_asks_for_it_is_told_where_people_see_it(play):
    linked = task("add", {"x0": INT})
    linked.config["link_type"] = "vscode"
    console = "https://flyte.example/console/"
    page = "https://flyte.example/console/projects/p/domains/d/executions/r1/nodeId"

    def url(template, *parts, console=console):
        return spec_of(play, template, *parts, console=console).env.get("FLYTE_EXECUTION_URL")

    one = flow("one", [node("n 0", linked, x0=1)], {"o": "n 0.o"})
    assert url(one, linked) == f"{page}/n%200/nodes"
    assert url(one, linked, console="") is None, "nobody knows where"
    assert url(ONE) is None, "the task does not ask"
    many = flow("m", [node("m", mapped(linked), x0=[5])], {"o": Listed("m.o")})
    assert url(many, linked) == f"{page}/m/nodes"
    inner = flow("i", [node("x", linked, x0=1)], {"o": "x.o"})
    assert url(flow("s", [node("s", inner)], {"o": "s.o"}), linked, inner) == f"{page}/s-0-x/nodes"


def test_only_the_systems_last_attempt_is_safe_from_interruption(play):
    cheap = task("cheap", {"x0": INT}, interruptible=True)
    template = flow("one", [node("n0", cheap, x0=1)])
    flags = [spec_of(play, template, cheap, attempts=n).interruptible for n in (1, 2, 3, 4)]
    assert flags == [True, True, True, False]


def test_an_execution_says_whether_tasks_that_do_not_say_may_be_interrupted(play):
    given = admin.ExecutionSpec()
    given.interruptible.value = True
    assert spec_of(play, ONE, spec=given).interruptible
    assert not spec_of(play, ONE).interruptible


def test_a_later_attempt_finds_the_checkpoint_of_the_one_before(play):
    first, second = spec_of(play, ONE), spec_of(play, ONE, attempts=2)
    assert first.prev_checkpoint == ""
    assert second.prev_checkpoint == f"{first.raw_output_prefix}/_flytecheckpoints"


def test_an_item_knows_which_it_is(play):
    template = flow("m", [node("m", mapped(ADD), x0=[5])], {"o": Listed("m.o")})
    asked = spec_of(play, template)
    assert asked.index == 0
    assert asked.env["FLYTE_K8S_ARRAY_INDEX"] == "0"
    assert asked.env["BATCH_JOB_ARRAY_INDEX_VAR_NAME"] == "FLYTE_K8S_ARRAY_INDEX"
    assert asked.inputs.endswith("/m/data/0/0/inputs.pb")
    assert asked.output_prefix.endswith("/m/data/0/0/0")


def test_what_a_node_asks_for_goes_before_what_its_task_asks_for(play):
    made = node("n0", ADD, x0=1)
    resources = core.Resources(
        requests=[core.Resources.ResourceEntry(name=core.Resources.CPU, value="2")]
    )
    made.task_node.overrides.resources.CopyFrom(resources)
    made.task_node.overrides.container_image = "other:1"
    made.task_node.overrides.extended_resources.shared_memory.size_limit = "1Gi"
    asked = spec_of(play, flow("one", [made])).template
    assert asked.container.resources == resources
    assert asked.container.image == "other:1"
    assert asked.extended_resources.shared_memory.size_limit == "1Gi"
    assert ADD.container.image == "i", "the task itself stays as it was"


def test_what_an_attempt_waits_for_is_told(play):
    async def scenario(world, engine):
        world.create(Shelf(ADD).compiled(ONE))
        await until(lambda: world.executor.queued)
        attempt = min(world.executor.queued)
        assert attempt == AttemptId(RUN, ("n0",), 0)
        world.executor.hold(attempt, Waits(Stage.RESOURCES, "0/3 nodes are free"))

        async def told():
            state = (await world.runs.load(RUN)).state.nodes.get(("n0",))
            return isinstance(state, Queued) and state.reason == "0/3 nodes are free"

        async with asyncio.timeout(20):
            while not await told():  # noqa: ASYNC110 - see `until`
                await asyncio.sleep(0)

    play(scenario, by_itself=False)


def test_an_abort_reaches_a_thousand_items_and_their_executions(play):
    inner = flow("inner", [node("n0", ADD, x0=".x")], inputs={"x": INT})
    many = mapped("lp", parallelism=0)
    outer = flow(
        "m", [node("m", many, x=list(range(300))), node("k", mapped(ADD), x0=list(range(700)))], {}
    )

    async def scenario(world, engine):
        shelf = Shelf(ADD, plans={"lp": inner})
        world.plans.update(shelf.plans)
        world.create(shelf.compiled(outer))
        await until(lambda: len(world.executor.queued) == 1000, within=60)
        for _ in range(2):
            world.runs.post(RUN, AbortRequested("enough", "me"))
        assert (await world.ended(within=60)).state.summary.phase is RunPhase.ABORTED
        for child in world.children.created:
            assert (await world.ended(child.name)).state.summary.phase is RunPhase.ABORTED
        assert not world.executor.queued

    play(scenario, by_itself=False)


def test_no_two_attempts_share_a_place_for_raw_outputs_though_they_share_an_id():
    one, other = (
        AttemptId(RUN, ("n0", 0, "sub", 0, name), 0)
        for name in ("dsoodchlxfzelgdz", "lrobenjubgkmvvtp")
    )
    assert path_text(one.path) == path_text(other.path)
    assert layout.raw_output_prefix("r", one) != layout.raw_output_prefix("r", other)


def test_of_a_long_message_its_beginning_and_its_end_are_kept():
    long = core.ContainerError(code="Long", message="first" + "x" * 200_000 + "last")
    document = core.ErrorDocument(error=long).SerializeToString()
    message = ended({"error.pb": document}, Exit(code=1)).message
    assert message.startswith("first")
    assert message.endswith("last")
    assert f"{200_009 - MOST_MESSAGE} characters left out" in message
    assert len(message) < MOST_MESSAGE + 200


def test_an_error_too_large_to_be_read_is_said_to_be():
    settings = AnswerSettings(most_output_bytes=100)
    failure = ended({"error.pb": error("Told") + b" " * 200}, Exit(code=0), settings)
    assert failure.code == "ErrorSizeExceeded"
    assert not failure.retryable
