"""What works on this machine: every kernel path against the CPU, sharding, and a short training."""
