"""Running policies: simulated episodes, latency, and offline figures without a simulator."""
