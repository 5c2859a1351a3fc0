"""Tasks and workflows as they are written and run in the kernel."""

import sys
from dataclasses import dataclass
from datetime import timedelta
from typing import NamedTuple

import pandas as pd
import pytest

from flyte_jupyter import Cache, FlyteFile, Resources, map_task, task, workflow
from flyte_jupyter.idl import core
from flyte_jupyter.kernel.authoring import (
    AuthoringError,
    FailurePolicy,
    PromiseError,
    WorkflowBodyError,
)
from flyte_jupyter.kernel.authoring.graph import START, Constant, FromNode, ListOf
from flyte_jupyter.kernel.context import Context, Mode, entered
from flyte_jupyter.kernel.types import TypeMismatch, UnsupportedType


@dataclass
class Config:
    depth: int
    rate: float = 0.1


class Scores(NamedTuple):
    score: float
    label: str


@task
def add(a: int, b: int = 1) -> int:
    """Adds."""
    return a + b


@workflow
def doubled(x: int) -> int:
    return add(a=x, b=x)


@task
def total(xs: list[int]) -> int:
    return sum(xs)


@task
def judge(x: int, config: Config) -> Scores:
    return Scores(x * config.rate, "good")


@task
def text(x: str) -> str:
    return x


@task
def half(x: float) -> float:
    return x / 2


@task
def nothing(x: int) -> None:
    return None


@task
def liar(x: int) -> int:
    return str(x)


@task
def pair(x: int) -> tuple[int, str]:
    return x, str(x)


@task(output_names=["score"])
def scored(x: int) -> float:
    return float(x)


# Tasks


def test_a_task_called_in_the_kernel_runs():
    assert add(1) == 2
    assert add(a=1, b=5) == 6
    assert pair(3) == (3, "3")
    assert judge(2, Config(1)) == Scores(0.2, "good")
    assert judge(2, Config(1)).label == "good"
    assert scored(2) == 2.0
    assert nothing(1) is None
    assert add.__doc__ == "Adds."


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: add("1"), ["task add", "parameter a", "int", "str ('1')"]),
        (lambda: add(True), ["task add", "parameter a", "bool"]),
        (lambda: total([1, "2"]), ["task total", "parameter xs", "int", "xs[1]"]),
        (lambda: judge(1, Config("x")), ["task judge", "parameter config", "config.depth"]),
        (lambda: liar(1), ["task liar", "output o0", "int", "str"]),
    ],
)
def test_the_wrong_type_names_task_parameter_expected_and_given(call, said):
    with pytest.raises(TypeMismatch) as caught:
        call()
    for word in said:
        assert word in str(caught.value)


def test_a_mismatch_can_be_read_by_programs():
    with pytest.raises(TypeError) as caught:
        total([1, "2"])
    error = caught.value
    assert (error.entity, error.slot) == ("task total", "parameter xs")
    assert (error.expected, error.given, error.inside) == ("int", "str ('2')", "[1]")


@pytest.mark.parametrize(
    "call", [add, lambda: add(1, c=2), lambda: add(1, 2, 3), lambda: add(1, a=2)]
)
def test_missing_and_unknown_inputs_say_what_there_is(call):
    with pytest.raises(AuthoringError, match=r"task add.*It takes \(a: int, b: int = 1\)"):
        call()


def test_an_undeclared_result_is_not_lost_in_silence():
    @task
    def forgot(x: int):
        return x

    with pytest.raises(TypeMismatch, match="-> int"):
        forgot(1)


def test_a_workflow_that_forgot_its_result_is_told_what_to_declare():
    @task
    def pair(x: int) -> tuple[int, str]:
        return x, str(x)

    def single(x: int):
        return add(x)

    def several(x: int):
        return pair(x)

    def own(x: int):
        return add(x), pair(x).o1

    for body, said in (
        (single, "-> int"),
        (several, "-> tuple[int, str]"),
        (own, "tuple[int, str]"),
    ):
        with pytest.raises(TypeMismatch) as caught:
            workflow(body)
        assert str(caught.value).endswith(said)


def test_outputs_declared_as_a_tuple_of_types_are_told_how():
    def pair(x: int) -> (int, str):
        return x, "a"

    with pytest.raises(AuthoringError, match=r"tuple\[int, str\]"):
        task(pair)


def test_a_default_of_another_type_is_told():
    def seven(x: int = "seven") -> int:
        return x

    with pytest.raises(TypeMismatch, match=r"default of parameter x: expected int, given str"):
        task(seven)


def test_two_outputs_of_one_name_are_refused():
    with pytest.raises(AuthoringError, match="two outputs are called a"):

        @task(output_names=("a", "a"))
        def pair(x: int) -> tuple[int, int]:
            return x, x


def test_none_by_default_is_told_how_to_say_it():
    def maybe(x: int = None) -> int:  # noqa: RUF013 - that is the case
        return 1

    with pytest.raises(TypeMismatch, match=r"Write x: int \| None = None"):
        task(maybe)


@pytest.mark.parametrize("outer", [task, workflow])
@pytest.mark.parametrize("inner", [add, doubled, map_task(add), int, 3])
def test_a_decorator_stands_above_a_function_and_nothing_else(outer, inner):
    with pytest.raises(AuthoringError, match=f"@{outer.__name__} stands above a function"):
        outer(inner)


def test_a_failure_policy_that_there_is_not_is_told_with_those_that_there_are():
    with pytest.raises(AuthoringError, match=r"FailurePolicy\.FAIL_IMMEDIATELY"):
        workflow(failure_policy="immediately")


def test_a_wrong_number_of_results_is_refused():
    @task
    def three(x: int) -> tuple[int, int]:
        return (x, x, x)

    with pytest.raises(TypeMismatch, match=r"2 values \(o0, o1\).*3 values"):
        three(1)


def bad_definitions():
    def no_annotation(x) -> int: ...
    def star(*xs: int) -> int: ...
    def any_type(x: object) -> int: ...
    def bare_tuple(x: int) -> tuple: ...
    def unknown(x: "Nowhere") -> int: ...  # noqa: F821 - that is the case

    return [no_annotation, star, any_type, bare_tuple, unknown]


@pytest.mark.parametrize("function", bad_definitions(), ids=lambda each: each.__name__)
def test_a_signature_that_cannot_travel_is_refused_where_it_is_written(function):
    with pytest.raises((AuthoringError, UnsupportedType), match=f"task {function.__name__}"):
        task(function)


@pytest.mark.parametrize(
    "options",
    [
        {"retries": -1},
        {"retries": True},
        {"timeout": "soon"},
        {"timeout": 0},
        {"cache": 1.0},
        {"cache": ""},
        {"requests": "1"},
        {"environment": {"A": 1}},
        {"environment": {"A=B": "1"}},
        {"environment": {"": "1"}},
        {"environment": {"A": "1\0"}},
        {"output_names": ["a", "b"]},
        {"output_names": ["not a name"]},
        {"retries": 2**31},
        {"output_names": "o"},
        {"output_names": [1]},
        {"preload": "pandas"},
        {"preload": [1]},
        {"preload": 1},
        {"timeout": float("nan")},
        {"timeout": float("inf")},
        {"timeout": 1e20},
        {"timeout": "99999999999d"},
    ],
)
def test_an_option_that_makes_no_sense_is_refused(options):
    with pytest.raises(AuthoringError):
        task(**options)(lambda: None)


def test_a_quantity_that_is_none_is_refused():
    for wrong in ({"cpu": "many"}, {"mem": "1 GB"}, {"gpu": "0.5"}, {"gpu": -1}):
        with pytest.raises(AuthoringError, match=next(iter(wrong))):
            Resources(**wrong)


@pytest.mark.parametrize(
    ("given", "seconds"),
    [("5m", 300), ("1h30m", 5400), ("1.5s", 1.5), (90, 90), (timedelta(hours=1), 3600)],
)
def test_times_are_written_in_several_ways(given, seconds):
    assert task(timeout=given)(lambda: None).policy.timeout == timedelta(seconds=seconds)


def test_a_task_dispatches_on_literals(tmp_path):
    @task
    def head(df: pd.DataFrame, n: int = 2) -> tuple[pd.DataFrame, FlyteFile]:
        (tmp_path / "note.txt").write_text(str(n))
        return df.head(n), FlyteFile(tmp_path / "note.txt")

    context = Context(
        mode=Mode.TASK,
        raw_output_prefix=(tmp_path / "blobs").as_uri(),
        working_directory=tmp_path / "work",
    )
    made = task(lambda: None)
    assert made.dispatch(core.LiteralMap(), context) == core.LiteralMap()

    @task
    def source() -> pd.DataFrame:
        return pd.DataFrame({"a": [1, 2, 3]})

    inputs = core.LiteralMap()
    inputs.literals["df"].CopyFrom(source.dispatch(core.LiteralMap(), context).literals["o0"])
    outputs = head.dispatch(inputs, context)
    dataset = outputs.literals["o0"].scalar.structured_dataset
    assert dataset.uri.startswith((tmp_path / "blobs").as_uri())
    assert dataset.metadata.structured_dataset_type.format == "parquet"
    assert len(pd.read_parquet(dataset.uri)) == 2
    with pytest.raises(AuthoringError, match="input df is missing"):
        head.dispatch(core.LiteralMap(), context)
    inputs.literals["df"].CopyFrom(core.Literal(scalar=core.Scalar(none_type=core.Void())))
    with pytest.raises(TypeMismatch, match="task head, parameter df"):
        head.dispatch(inputs, context)


# Workflows


def test_a_workflow_called_in_the_kernel_runs_its_graph():
    @workflow
    def wf(x: int, config: Config) -> tuple[float, int, list[int]]:
        a = add(x)
        b = add(a, b=a)
        score, _ = judge(b, config)
        return score, total([a, b, 5]), [a, 1]

    assert wf(1, Config(1, 2)) == (8.0, 11, [2, 1])
    assert wf(x=1, config=Config(1, 2)) == (8.0, 11, [2, 1])
    assert [node.id for node in wf.graph.nodes] == ["n0", "n1", "n2", "n3"]
    assert wf.graph.nodes[0].bindings["a"] == FromNode(START, "x")
    assert wf.graph.nodes[1].upstream == ("n0",)
    assert isinstance(wf.graph.nodes[3].bindings["xs"], ListOf)
    assert [each.name for each in wf.graph.tasks] == ["add", "judge", "total"]


def test_outputs_by_name_and_nested_inputs():
    @task
    def spread(table: dict[str, list[int]]) -> int:
        return sum(sum(row) for row in table.values())

    @workflow
    def wf(x: int = 2) -> Scores:
        return judge(spread({"a": [x, add(x)], "b": [1]}), Config(1, 1.0))

    assert wf() == Scores(6.0, "good")

    @workflow
    def by_name(x: int) -> tuple[str, float]:
        first = judge(x, Config(1))
        return first.label, first.score

    assert by_name(1) == ("good", 0.1)


def body(code):
    def make():
        namespace = dict(globals())
        exec(compile(f"def wf(x: int) -> None:\n    {code}\n", "<a cell>", "exec"), namespace)
        return workflow(namespace["wf"])

    return make


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("add('a')", ["task add", "parameter a", "int", "str ('a')"]),
        ("text(add(x))", ["task text", "parameter x", "expected str", "given int", "o0 of add"]),
        ("half(add(x))", ["task half", "expected float", "given int", "float(...)"]),
        ("total([x, text('a')])", ["task total", "parameter xs", "str", "xs[1]"]),
        ("total(x)", ["task total", "list[int]", "the workflow's input x"]),
        ("total({'a': x})", ["task total", "list[int]", "dict"]),
        ("add(pair(x))", ["task add", "Pick one: o0, o1"]),
        ("add(nothing(x))", ["task add", "no outputs"]),
    ],
)
def test_a_wrong_type_between_nodes_is_named_before_anything_runs(code, said):
    with pytest.raises(TypeMismatch) as caught:
        body(code)()
    for word in said:
        assert word in str(caught.value)
    assert any("line 2" in note for note in caught.value.__notes__)


@pytest.mark.parametrize(
    "code",
    [
        "1 if add(x) else 2",
        "1 if x else 2",
        "add(x) > 1",
        "add(x) == 1",
        "add(x) + 1",
        "1 - add(x)",
        "[each for each in add(x)]",
        "add(x)[0]",
        "len(add(x))",
        "f'{add(x)}'",
        "int(add(x))",
        "add(x).real",
        "add(x)()",
        "1 in add(x)",
    ],
)
def test_a_promise_has_no_value_yet_and_says_what_to_do(code):
    with pytest.raises(PromiseError, match="inside a task"):
        body(code)()


def test_a_body_that_raises_names_the_workflow_and_the_line():
    with pytest.raises(WorkflowBodyError, match=r"workflow wf.*ZeroDivisionError.*line 2"):
        body("1 / 0")()


def test_an_unknown_output_says_which_there_are():
    with pytest.raises(WorkflowBodyError, match="its outputs: score, label"):
        body("judge(x, Config(1)).accuracy")()


def test_a_name_that_is_defined_later_is_looked_up_later():
    namespace = {"workflow": workflow, "task": task}
    exec("@workflow\ndef wf(x: int) -> int:\n    return later(x)\n", namespace)
    exec("@task\ndef later(x: int) -> int:\n    return x * 2\n", namespace)
    assert namespace["wf"](4) == 8


def test_the_workflows_own_outputs_are_checked():
    with pytest.raises(TypeMismatch, match="workflow wf, output o0: expected str, given int"):

        @workflow
        def wf(x: int) -> str:
            return add(x)


def test_order_without_data():
    seen = []

    @task
    def first() -> None:
        seen.append("first")

    @task
    def second() -> None:
        seen.append("second")

    @workflow
    def wf() -> None:
        late = second()
        early = first()
        early >> late

    wf()
    assert seen == ["first", "second"]
    assert wf.graph.nodes[1].upstream == ("n1",)


def test_nodes_that_wait_for_each_other_are_refused():
    with pytest.raises(AuthoringError, match="wait for each other: n0, n1"):

        @workflow
        def wf(x: int) -> None:
            a, b = add(x), add(x)
            a >> b >> a


def test_a_node_overrides_its_tasks_policy():
    @workflow
    def wf(x: int) -> int:
        a = add(x).with_overrides(node_name="first", retries=3, timeout="1m", cache="2")
        return add(a).with_overrides(requests=Resources(cpu=2))

    first, second = wf.graph.nodes
    assert first.id == "first"
    assert (first.policy.retries, first.policy.timeout) == (3, timedelta(minutes=1))
    assert first.policy.cache == Cache("2")
    assert second.bindings["a"] == FromNode("first", "o0")
    assert second.policy.requests == Resources(cpu=2)
    assert add.policy.retries == 0
    assert wf(1) == 3


@pytest.mark.parametrize(
    "override",
    [{"node_name": "Not A Name"}, {"node_name": "start-node"}, {"color": "red"}, {"retries": -1}],
)
def test_an_override_that_makes_no_sense_is_refused(override):
    with pytest.raises(AuthoringError):

        @workflow
        def wf(x: int) -> int:
            return add(x).with_overrides(**override)


def test_two_nodes_of_one_name_are_refused():
    with pytest.raises(AuthoringError, match="two nodes are called same"):

        @workflow
        def wf(x: int) -> None:
            add(x).with_overrides(node_name="same")
            add(x).with_overrides(node_name="same")


def test_a_workflow_inside_a_workflow_is_refused_clearly():
    @workflow
    def inner(x: int) -> int:
        return add(x)

    with pytest.raises(AuthoringError, match="call its tasks"):

        @workflow
        def outer(x: int) -> int:
            return inner(x)


def test_data_written_in_a_body_is_refused(tmp_path):
    (tmp_path / "a").write_text("a")

    @task
    def takes(f: FlyteFile) -> None: ...

    with pytest.raises(TypeMismatch, match="make it an input of the workflow"):

        @workflow
        def wf() -> None:
            takes(str(tmp_path / "a"))


def test_a_failing_node_is_named_and_the_error_is_the_users():
    @task
    def boom(x: int) -> int:
        raise KeyError("lost")

    @workflow
    def wf(x: int) -> int:
        return boom(add(x))

    with pytest.raises(KeyError, match="lost") as caught:
        wf(1)
    assert "In node n1 (task boom) of workflow wf." in caught.value.__notes__


def test_a_constant_default_is_bound():
    @workflow
    def wf(x: int) -> int:
        return add(x)

    bound = wf.graph.nodes[0].bindings["b"]
    assert isinstance(bound, Constant)
    assert bound.literal.scalar.primitive.integer == 1


def test_an_attempt_does_not_build_the_graphs_beside_its_task():
    built = []
    with entered(Context(mode=Mode.TASK)):

        @workflow
        def wf(x: int) -> int:
            built.append(1)
            return add(x)

    assert not built
    assert wf(1) == 2


def test_failure_policies():
    @task
    def step() -> None: ...

    @workflow(failure_policy="fail_after_executable_nodes_complete")
    def steps() -> None:
        step()

    assert steps.failure_policy is FailurePolicy.FAIL_AFTER_EXECUTABLE_NODES_COMPLETE


def test_a_cells_line_is_named_in_ipython():
    code = (
        "from IPython.core.interactiveshell import InteractiveShell as S\n"
        "shell = S.instance()\n"
        "shell.run_cell('from flyte_jupyter import task, workflow\\n@task\\ndef f(x: int) -> int: return x\\n')\n"
        "done = shell.run_cell('@workflow\\ndef wf(x: int) -> int:\\n    return f(\"a\")\\n', store_history=True)\n"
        "import sys; sys.exit(0 if 'Cell In[1], line 3' in str(done.error_in_exec.__notes__) else repr(done.error_in_exec.__notes__))\n"
    )
    import subprocess

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
