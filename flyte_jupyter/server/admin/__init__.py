"""What the control plane can do: protobuf in, protobuf out; no HTTP, no gRPC."""
