"""What the SDK is inside a notebook: magics, capture of cells, pictures of executions."""
