"""Seconds of one chunk inference, measured one at a time on an otherwise quiet machine."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from vertebra.policy.protocol import Policy
from vertebra.spec.observation import Observation

TOTAL = "chunk"
"""Name of the whole inference, beside the stages that a policy reports."""


def measure_latency(
    policies: Mapping[str, Policy],
    observations: Sequence[Observation],
    *,
    repeats: int = 100,
    warm_up: int = 10,
) -> dict[str, dict[str, list[float]]]:
    """Time ``act`` for each policy, unbatched.

    The policies take turns within each repetition, so that a disturbance of the machine hits all of
    them. Nothing is averaged: the raw seconds let a reader compute any quantile.

    Args:
        policies: Name to policy.
        observations: What they are shown, in turn.
        repeats: Timed inferences of each policy.
        warm_up: Inferences of each policy before the first timed one.

    Returns:
        Policy name to stage to seconds, ``repeats`` of them each; the stage ``chunk`` is the whole
        inference as the caller sees it.

    Raises:
        ValueError: When there is nothing to show or nothing to time.
    """
    if not observations or repeats < 1:
        raise ValueError(
            f"Latency needs at least one observation and one repetition, found "
            f"{len(observations)} observations and {repeats} repetitions."
        )
    sessions: dict[str, Any] = {name: policy.start(0) for name, policy in policies.items()}
    seconds: dict[str, dict[str, list[float]]] = {name: {TOTAL: []} for name in policies}
    for turn in range(warm_up + repeats):
        seen = observations[turn % len(observations)]
        for name, policy in policies.items():
            began = time.perf_counter()
            sessions[name], act = policy.act(sessions[name], seen)
            took = time.perf_counter() - began
            if turn >= warm_up:
                seconds[name][TOTAL].append(took)
                for stage, value in act.stage_s.items():
                    seconds[name].setdefault(stage, []).append(value)
    return seconds
