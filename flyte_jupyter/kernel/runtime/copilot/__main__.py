"""``python -m flyte_jupyter.kernel.runtime.copilot``."""

import sys

from flyte_jupyter.kernel.runtime.copilot.program import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
