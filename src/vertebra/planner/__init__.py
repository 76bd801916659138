"""What a training at published size needs, and the floor of its latency, counted on paper."""
