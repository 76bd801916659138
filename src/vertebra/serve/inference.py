"""Inference off the event loop: one at a time, or several waiting requests in one batch."""

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vertebra.policy.protocol import Act, Policy
from vertebra.serve.metrics import Metrics
from vertebra.spec.observation import Observation


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came of one request.

    Attributes:
        session: The session after it.
        act: What the policy answered.
        inference_s: Seconds of the inference (of the whole batch).
        waiting_s: Seconds from the request to the begin of its inference.
    """

    session: Any
    act: Act
    inference_s: float
    waiting_s: float


@dataclass(frozen=True, kw_only=True, eq=False)
class _Waiting:
    session: Any
    observation: Observation
    answer: "asyncio.Future[Answer]"
    since: float = field(default_factory=time.perf_counter)


class Inference:
    """Asks a policy in one thread of its own, in the order of arrival.

    One thread, because a policy uses all the cores it was given, and so that unbatched answers are
    the same bytes however many connections take turns.

    Args:
        policy: What is asked.
        metrics: Where times are counted.
        most: Requests that may share a batch; with 1, ``act`` is called and every answer is
            independent of what else is asked.
        wait_s: Seconds that the first request of a batch waits for others.

    Raises:
        ValueError: When ``most`` or ``wait_s`` makes no sense.
    """

    def __init__(
        self, policy: Policy, metrics: Metrics, *, most: int = 1, wait_s: float = 0.0
    ) -> None:
        if most < 1 or wait_s < 0 or (most == 1 and wait_s > 0):
            raise ValueError(
                f"A batch of at most {most} with a wait of {wait_s} s cannot be: give at least 1, "
                "and a wait of 0 s or, for batches, more."
            )
        self._policy, self._metrics = policy, metrics
        self._most, self._wait_s = most, wait_s
        self._queue: asyncio.Queue[_Waiting] = asyncio.Queue()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="inference")
        self._task: asyncio.Task[None] | None = None

    @property
    def batches(self) -> bool:
        """Whether requests may share an inference."""
        return self._most > 1

    async def act(self, session: Any, observation: Observation) -> Answer:
        """The policy's answer; what the policy raises is raised here."""
        if self._task is None:
            self._task = asyncio.create_task(self._work())
        waiting = _Waiting(
            session=session,
            observation=observation,
            answer=asyncio.get_running_loop().create_future(),
        )
        self._queue.put_nowait(waiting)
        return await waiting.answer

    async def warm_up(self, turns: int = 2) -> float:
        """Ask for some chunks of nothing, so that no robot waits for the first one.

        Returns:
            Seconds in all.

        Raises:
            ValueError: When the policy answers what its own specs do not allow.
        """
        policy, began = self._policy, time.perf_counter()
        sizes = (1,) if self._most == 1 else (1, self._most)
        for size in sizes:
            sessions = [policy.start(0)] * size
            for turn in range(turns):
                seen = [blank_observation(policy, executed=policy.execute if turn else 0)] * size
                loop = asyncio.get_running_loop()
                answers = await loop.run_in_executor(self._thread, self._ask, sessions, seen)
                for _, act in answers:
                    require_chunk(policy, act)
                sessions = [session for session, _ in answers]
        return time.perf_counter() - began

    async def close(self) -> None:
        """End the thread; requests that still wait are cancelled."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        while not self._queue.empty():
            self._queue.get_nowait().answer.cancel()
        self._thread.shutdown()

    def _ask(self, sessions: Sequence[Any], seen: Sequence[Observation]) -> list[tuple[Any, Act]]:
        if self._most == 1:
            return [self._policy.act(sessions[0], seen[0])]
        return self._policy.act_batch(sessions, seen)

    async def _work(self) -> None:
        while True:
            batch = await self._gather()
            began = time.perf_counter()
            try:
                await self._answer(batch, began)
            except Exception as error:
                if len(batch) == 1:
                    _fail(batch[0], error)
                    continue
                self._metrics.add("vertebra_batches_split_total")
                for one in batch:
                    try:
                        await self._answer([one], time.perf_counter())
                    except Exception as own:
                        _fail(one, own)

    async def _gather(self) -> list[_Waiting]:
        batch = [await self._queue.get()]
        end = time.perf_counter() + self._wait_s
        while len(batch) < self._most:
            left = end - time.perf_counter()
            try:
                if left > 0:
                    batch.append(await asyncio.wait_for(self._queue.get(), left))
                else:
                    batch.append(self._queue.get_nowait())
            except (TimeoutError, asyncio.QueueEmpty):
                break
        return batch

    async def _answer(self, batch: Sequence[_Waiting], began: float) -> None:
        loop = asyncio.get_running_loop()
        answers = await loop.run_in_executor(
            self._thread,
            self._ask,
            [one.session for one in batch],
            [one.observation for one in batch],
        )
        took = time.perf_counter() - began
        self._metrics.add("vertebra_batched_total", what="inferences")
        self._metrics.add("vertebra_batched_total", len(batch), what="requests")
        self._metrics.observe("vertebra_inference_seconds", took)
        for one, (session, act) in zip(batch, answers, strict=True):
            waited = began - one.since
            self._metrics.observe("vertebra_waiting_seconds", waited)
            for stage, count in act.evaluations.items():
                self._metrics.add("vertebra_evaluations_total", count, stage=stage)
            if not one.answer.done():
                one.answer.set_result(
                    Answer(session=session, act=act, inference_s=took, waiting_s=waited)
                )


def blank_observation(policy: Policy, executed: int = 0) -> Observation:
    """An observation of the right form that shows nothing."""
    needs = policy.needs
    return Observation(
        images={c.name: np.zeros((c.height, c.width, 3), np.uint8) for c in needs.cameras},
        state=np.zeros(len(needs.state), np.float32),
        instruction="",
        executed=np.zeros((executed, len(policy.makes.dims)), np.float32),
    )


def require_chunk(policy: Policy, act: Act) -> None:
    """Refuse a chunk that is not what the policy says it makes.

    Raises:
        ValueError: Naming shape or numbers.
    """
    width, least = len(policy.makes.dims), policy.execute
    shape = tuple(np.shape(act.chunk))
    if len(shape) != 2 or shape[1] != width or shape[0] < least:
        raise ValueError(
            f"The policy made a chunk of shape {shape}, expected [n >= {least}, {width}]."
        )
    if not np.isfinite(act.chunk).all():
        raise ValueError("The policy made a chunk with numbers that are not finite.")


def _fail(one: _Waiting, error: Exception) -> None:
    if not one.answer.done():
        one.answer.set_exception(error)
