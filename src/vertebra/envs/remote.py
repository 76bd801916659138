"""A world in another process, and so with its own Python packages, as an ordinary environment."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import vertebra
from vertebra.envs.frames import Frames, PipeClosed
from vertebra.spec.action import ActionSpec
from vertebra.spec.observation import Observation, ObservationSpec
from vertebra.spec.storage import digest, to_plain
from vertebra.spec.task import (
    InitialState,
    Judgement,
    Task,
    initial_state_from_plain,
    judgement_from_plain,
)
from vertebra.spec.wire import action_spec_from_plain, observation_spec_from_plain

WAIT_S = 300.0
"""Longest wait for an answer; building a scene takes some seconds."""
_LAST_BYTES = 2000
_BOOT = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location(
    "vertebra", sys.argv[1] + "/__init__.py", submodule_search_locations=[sys.argv[1]])
sys.modules["vertebra"] = module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
from vertebra.envs.sidecar import main
main()
"""
"""Makes this very package importable there, and nothing else that is installed beside it here."""


class WorldError(RuntimeError):
    """A world in another process failed; the message holds its traceback."""


class Remote:
    """A world that an `Adapter` describes, served by ``envs/sidecar.py`` in its own process.

    Args:
        serves: The adapter, as ``module:Class``.
        settings: Its arguments; JSON values.
        python: Interpreter of the environment in which the simulator is installed.
        packages: Packages whose versions decide what happens; they become part of ``facts``.
        variables: Environment variables of the process.
        path: Directories from which the process imports the adapter, beside this package.
        wait_s: Longest wait for an answer.

    Attributes:
        name: Name of the world and a hash of ``facts``.
        facts: What the world says of itself, and the versions of ``packages``.

    Raises:
        ValueError: When the world refuses its settings.
        WorldError: When it cannot be made.
    """

    def __init__(
        self,
        serves: str,
        settings: Mapping[str, Any],
        *,
        python: str = sys.executable,
        packages: Sequence[str] = (),
        variables: Mapping[str, str] | None = None,
        path: Sequence[str] = (),
        wait_s: float = WAIT_S,
    ) -> None:
        self._words = tempfile.TemporaryFile()  # noqa: SIM115 - as long-lived as the process
        self._wait_s = wait_s
        outside = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        self._process = subprocess.Popen(  # noqa: S603 - our own program
            [python, "-c", _BOOT, str(Path(vertebra.__file__).parent)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._words,
            env={**outside, **(variables or {}), "PYTHONPATH": os.pathsep.join(path)},
        )
        assert self._process.stdin and self._process.stdout, "both are pipes"  # noqa: S101
        self._frames = Frames(self._process.stdout.fileno(), self._process.stdin.fileno())
        self._moved = 0
        self._executed: list[NDArray[np.float32]] = []
        self._task: Task | None = None
        try:
            said = self._ask({"serves": serves, "settings": settings, "packages": list(packages)})
        except BaseException:
            self.close()
            raise
        self.offers: ObservationSpec = observation_spec_from_plain(said["offers"])
        self.takes: ActionSpec = action_spec_from_plain(said["takes"])
        self.max_steps: int = said["max_steps"]
        self.packages: dict[str, str | None] = said["packages"]
        self.facts: dict[str, Any] = {**said["facts"], "packages": self.packages}
        self.name: str = f"{said['name']}@{digest(self.facts)[:8]}"

    def initial_states(self, split: str, count: int, seed: int) -> tuple[InitialState, ...]:
        """The first ``count`` initial states of a split; the same for the same seed."""
        found = self._call("initial_states", split=split, count=count, seed=seed)
        return tuple(initial_state_from_plain(state) for state in found)

    def begin(self, initial_state: InitialState, task: Task, seed: int) -> Observation:
        """Restore an initial state and start an episode that asks for a task."""
        self._moved += 1
        self._executed.clear()
        self._call("start", state=to_plain(initial_state), task=to_plain(task), seed=seed)
        self._task = task
        return self.observe()

    def observe(self) -> Observation:
        """The present observation; its pictures are rendered when the first one is asked for."""
        if self._task is None:
            raise ValueError("No episode is running: call begin(initial_state, task, seed) first.")
        executed = np.array(self._executed, np.float32).reshape(-1, len(self.takes.dims))
        self._executed.clear()
        return Observation(
            images=_Views(self, self._moved),
            state=self._call("state"),
            instruction=self._call("said"),
            executed=executed,
        )

    def apply(self, action: NDArray[np.float32]) -> None:
        """Let one control step pass."""
        self._moved += 1
        self._call("apply", action=np.asarray(action, np.float32))
        self._executed.append(np.array(action, np.float32))

    def judge(self) -> Judgement:
        """What the oracle sees now."""
        return judgement_from_plain(self._call("judge"))

    def state_hash(self) -> str:
        """Hash of the full physical state."""
        return self._call("state_hash")

    def hold(self, last_action: NDArray[np.float32]) -> NDArray[np.float32]:
        """The action that keeps the robot where it is, given the last one."""
        return self._call("hold", action=np.asarray(last_action, np.float32))

    def labels(self) -> dict[str, Any]:
        """Privileged targets of the present frame, or empty."""
        return self._call("labels")

    def target_of(self, task: Task) -> str | None:
        """Name of the object that a task is about."""
        return self._call("target_of", task=to_plain(task))

    def demonstrate(self, task: Task) -> NDArray[np.float32]:
        """What the world's scripted demonstrator would do now.

        Raises:
            ValueError: When it has none.
        """
        return self._call("demonstrate", task=to_plain(task))

    def close(self) -> None:
        """End the process; may be called twice."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        try:
            self._process.wait(timeout=5.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._words.close()

    def views(self, moved: int) -> Mapping[str, NDArray[np.uint8]]:
        """The pictures of the present, for an observation that was made after ``moved`` changes.

        Raises:
            ValueError: When the world has moved on since.
        """
        if moved != self._moved:
            raise ValueError(
                "The world has moved on since this observation; look at its pictures before "
                "the next action."
            )
        return self._call("images")

    def _call(self, call: str, **message: Any) -> Any:
        return self._ask({"call": call, **message})

    def _ask(self, message: Mapping[str, Any]) -> Any:
        if self._words.closed:
            raise WorldError("This environment is closed.")
        try:
            self._frames.send(message)
            answer = self._frames.receive(self._wait_s)
        except (PipeClosed, TimeoutError) as error:
            last = self._last_words()
            self.close()
            raise WorldError(
                f"The world's process did not answer ({error}); its exit code is "
                f"{self._process.returncode}. It said last:\n{last}"
            ) from error
        if "error" not in answer:
            return answer["answer"]
        if answer["refused"]:
            raise ValueError(answer["error"])
        raise WorldError(f"{answer['error']}\nIn the world's process:\n{answer['traceback']}")

    def _last_words(self) -> str:
        self._words.seek(0, os.SEEK_END)
        self._words.seek(max(0, self._words.tell() - _LAST_BYTES))
        return self._words.read().decode(errors="replace")


class _Views(Mapping[str, NDArray[np.uint8]]):
    """Pictures of one moment, rendered when the first of them is asked for."""

    def __init__(self, remote: Remote, moved: int) -> None:
        self._remote, self._moved = remote, moved
        self._names = tuple(camera.name for camera in remote.offers.cameras)
        self._found: Mapping[str, NDArray[np.uint8]] | None = None

    def __getitem__(self, name: str) -> NDArray[np.uint8]:
        if self._found is None:
            self._found = self._remote.views(self._moved)
        return self._found[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)
