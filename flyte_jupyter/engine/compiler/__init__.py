"""Pure: what was registered in, what can run out, or all the problems at once."""

from flyte_jupyter.engine.compiler.compile import (
    Compiled as Compiled,
)
from flyte_jupyter.engine.compiler.compile import (
    compile_workflow as compile_workflow,
)
from flyte_jupyter.engine.compiler.compile import (
    skeleton as skeleton,
)
from flyte_jupyter.engine.compiler.dynamic import (
    Parent as Parent,
)
from flyte_jupyter.engine.compiler.dynamic import (
    compile_dynamic as compile_dynamic,
)
from flyte_jupyter.engine.compiler.dynamic import (
    dynamic_requirements as dynamic_requirements,
)
from flyte_jupyter.engine.compiler.library import (
    LaunchPlanInterface as LaunchPlanInterface,
)
from flyte_jupyter.engine.compiler.library import (
    Library as Library,
)
from flyte_jupyter.engine.compiler.library import (
    requirements as requirements,
)
from flyte_jupyter.engine.compiler.problems import (
    Code as Code,
)
from flyte_jupyter.engine.compiler.problems import (
    CompileError as CompileError,
)
from flyte_jupyter.engine.compiler.problems import (
    Problem as Problem,
)
