# What is imported at its first use, for who reads types and completes names; `__init__.py` has the same names.
from typing import Any

from flyte_jupyter._version import __version__ as __version__
from flyte_jupyter.kernel.authoring import Cache as Cache
from flyte_jupyter.kernel.authoring import FailurePolicy as FailurePolicy
from flyte_jupyter.kernel.authoring import Resources as Resources
from flyte_jupyter.kernel.authoring import map_task as map_task
from flyte_jupyter.kernel.authoring import task as task
from flyte_jupyter.kernel.authoring import workflow as workflow
from flyte_jupyter.kernel.context import current_context as current_context
from flyte_jupyter.kernel.deck import Deck as Deck
from flyte_jupyter.kernel.errors import RecoverableError as RecoverableError
from flyte_jupyter.kernel.launching import ExecutionFailed as ExecutionFailed
from flyte_jupyter.kernel.launching import LaunchOptions as LaunchOptions
from flyte_jupyter.kernel.launching import execution as execution
from flyte_jupyter.kernel.launching import launch as launch
from flyte_jupyter.kernel.launching import recent as recent
from flyte_jupyter.kernel.launching import register as register
from flyte_jupyter.kernel.types import FlyteFile as FlyteFile
from flyte_jupyter.kernel.types import TypeMismatch as TypeMismatch

def load_ipython_extension(shell: Any) -> None: ...
def unload_ipython_extension(shell: Any) -> None: ...
