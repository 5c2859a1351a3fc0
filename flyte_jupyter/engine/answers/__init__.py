"""The engine's answers to its machine's questions, and what its effects need to know."""

from flyte_jupyter.engine.answers.answering import (
    Answers as Answers,
)
from flyte_jupyter.engine.answers.answering import (
    AnswerSettings as AnswerSettings,
)
from flyte_jupyter.engine.answers.runs import (
    RunContext as RunContext,
)
