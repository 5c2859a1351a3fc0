"""The control plane: use cases, their transports, and the process that holds them; and the Jupyter server extension."""
