"""Waiting: for a time, for a word of approval, for a value."""

from datetime import timedelta

from flytekit import approve, conditional, sleep, task, wait_for_input, workflow


@task
def make(x: int) -> int:
    return x + 1


@task
def told(text: str, x: int) -> str:
    return f"{text} {x}"


@workflow
def approved(x: int = 1) -> int:
    return make(x=approve(make(x=x), "is-it-right", timeout=timedelta(hours=2)))


@workflow
def asked(x: int = 1) -> str:
    word = wait_for_input("word", timeout=timedelta(hours=1), expected_type=str)
    return told(text=word, x=make(x=x))


@workflow
def rested(x: int = 1) -> int:
    made = make(x=x)
    pause = sleep(timedelta(milliseconds=50))
    after = make(x=x)
    made >> pause
    pause >> after
    return after


@workflow
def impatient(x: int = 1) -> int:
    return make(x=approve(make(x=x), "never", timeout=timedelta(milliseconds=100)))


@workflow
def asked_in_a_branch(x: int = 1) -> str:
    good = wait_for_input("good", timeout=timedelta(hours=1), expected_type=bool)
    return (
        conditional("good-or-bad")
        .if_(good.is_true())
        .then(told(text="good", x=x))
        .else_()
        .then(told(text="bad", x=x))
    )
