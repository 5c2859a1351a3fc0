"""What the engine runs: the machine's plan of a compiled closure, and its bindings, tasks and types for the shell."""

from flyte_jupyter.engine.program.planning import (
    SYSTEM_RETRIES as SYSTEM_RETRIES,
)
from flyte_jupyter.engine.program.planning import (
    Policies as Policies,
)
from flyte_jupyter.engine.program.planning import (
    plan_of as plan_of,
)
from flyte_jupyter.engine.program.planning import (
    policies_of as policies_of,
)
from flyte_jupyter.engine.program.planning import (
    size_of as size_of,
)
from flyte_jupyter.engine.program.program import (
    Program as Program,
)
from flyte_jupyter.engine.program.program import (
    program_of as program_of,
)
from flyte_jupyter.engine.program.templates import (
    Template as Template,
)
