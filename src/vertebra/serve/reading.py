"""Messages of robots into requests, and answers into messages. What a stranger sends is checked."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vertebra.policy.protocol import Act
from vertebra.serve.dialect import OUTSIDE, Dialect, Keys
from vertebra.spec.observation import Camera, Observation
from vertebra.spec.wire import ACTIONS_KEY, EXECUTED_KEY, act_to_wire

RESET_DONE = "reset successful"


@dataclass(frozen=True, kw_only=True)
class Request:
    """One message of a client.

    Attributes:
        observation: What it sees; ``None`` for a reset.
        session_id: Episode that it belongs to, when the client says so.
        seed: Seed of the session that a reset begins.
        imagined: Whether imagined frames are wanted.
    """

    observation: Observation | None
    session_id: str | None = None
    seed: int | None = None
    imagined: bool = False


def read_request(dialect: Dialect, message: Any, last: NDArray[np.float32] | None) -> Request:
    """A client's message, checked.

    Args:
        dialect: How the server speaks.
        message: The unpacked frame.
        last: The chunk that this session got last, or ``None``. A client that does not send
            ``observation/executed`` is taken to have executed its first ``execute`` actions.

    Raises:
        ValueError: Naming everything that is missing or of the wrong form.
    """
    if not isinstance(message, dict) or not all(isinstance(key, str) for key in message):
        raise ValueError(f"A message must be a map with text keys, found {type(message).__name__}.")
    fields: dict[str, Any] = message
    endpoint = fields.get("endpoint", "infer")
    session_id, seed = fields.get("session_id"), fields.get("seed")
    if session_id is not None and not isinstance(session_id, str):
        raise ValueError(f"'session_id' is a {type(session_id).__name__}; send text.")
    if endpoint == "reset":
        if seed is not None and not (isinstance(seed, int) and 0 <= seed < 2**63):
            raise ValueError(f"'seed' is {seed!r}; send a whole number from 0 to 2^63 - 1.")
        return Request(observation=None, session_id=session_id, seed=seed)
    if endpoint != "infer":
        raise ValueError(f"'endpoint' is {endpoint!r}; there are 'infer' and 'reset'.")
    return Request(
        observation=_observation(dialect, _from_one(fields), last),
        session_id=session_id,
        imagined=fields.get("imagined") is True,
    )


def reply(dialect: Dialect, act: Act, imagined: bool) -> dict[str, Any]:
    """An answer as a message."""
    if not dialect.whole:
        return {ACTIONS_KEY: np.ascontiguousarray(act.chunk[: dialect.execute])}
    return act_to_wire(
        chunk=act.chunk,
        imagined=act.imagined if imagined else {},
        imagined_at_s=act.imagined_at_s if imagined else (),
        stage_s=act.stage_s,
        evaluations=act.evaluations,
    )


def _observation(
    dialect: Dialect, fields: Mapping[str, Any], last: NDArray[np.float32] | None
) -> Observation:
    needs, keys = dialect.needs, dialect.keys
    problems: list[str] = []
    for camera in needs.cameras:
        problems += _image_problems(fields.get(keys.images[camera.name]), camera, keys)
    parts = [_numbers(fields.get(key)) for key in keys.state]
    problems += [
        f"'{key}' is missing or not a vector of finite numbers"
        for key, part in zip(keys.state, parts, strict=True)
        if part is None
    ]
    state = np.concatenate([np.zeros(0), *(part for part in parts if part is not None)])
    if not problems and len(state) != len(needs.state):
        names = ", ".join(dim.name for dim in needs.state)
        problems.append(
            f"{list(keys.state)} hold {len(state)} numbers, needed are {len(needs.state)}: {names}"
        )
    prompt = fields.get(keys.prompt, None if needs.language else "")
    if not isinstance(prompt, str):
        problems.append(f"'{keys.prompt}' is missing or not text")
    executed = _executed(dialect, fields, last)
    if executed is None:
        problems.append(f"'{EXECUTED_KEY}' is not an array [n, {dialect.dims}] of finite numbers")
    if problems or executed is None:
        raise ValueError(
            f"A message with the keys {sorted(fields)} is not an observation:\n  - "
            + "\n  - ".join(problems)
        )
    return Observation(
        images={camera.name: fields[keys.images[camera.name]] for camera in needs.cameras},
        state=state.astype(np.float32),
        instruction=str(prompt),
        executed=executed,
    )


def _executed(
    dialect: Dialect, fields: Mapping[str, Any], last: NDArray[np.float32] | None
) -> NDArray[np.float32] | None:
    """What was executed since the last chunk, or ``None`` when what is said cannot be read."""
    said = fields.get(EXECUTED_KEY)
    if said is None:
        nothing = np.zeros((0, dialect.dims), np.float32)
        return nothing if last is None else last[: dialect.execute]
    if not _finite(said) or said.ndim != 2 or said.shape[1] != dialect.dims:
        return None
    return said.astype(np.float32)


def _image_problems(image: Any, camera: Camera, keys: Keys) -> list[str]:
    wanted = (camera.height, camera.width, 3)
    if isinstance(image, np.ndarray) and image.dtype == np.uint8 and image.shape == wanted:
        return []
    found = f"{image.dtype}{list(image.shape)}" if isinstance(image, np.ndarray) else "nothing"
    return [
        f"'{keys.images[camera.name]}' (camera '{camera.name}') must be uint8{list(wanted)}, "
        f"found {found}: send or resize the picture"
    ]


def _numbers(value: Any) -> NDArray[np.float64] | None:
    """A vector of finite numbers from an array or a list, or ``None``."""
    listed = isinstance(value, list) and all(isinstance(v, (int, float)) for v in value)
    array: Any = np.array(value, np.float64) if listed else value
    if not _finite(array) or array.ndim > 1:
        return None
    return array.astype(np.float64).reshape(-1)


def _finite(value: Any) -> bool:
    return (
        isinstance(value, np.ndarray)
        and value.dtype.kind in "fiu"
        and bool(np.isfinite(value.astype(np.float32)).all())
    )


def _from_one(fields: dict[str, Any]) -> dict[str, Any]:
    """Outside cameras numbered from 1; RoboArena's test script numbers them from 0."""
    if OUTSIDE.format(0) not in fields:
        return fields
    shifted = {OUTSIDE.format(i): OUTSIDE.format(i + 1) for i in range(2)}
    return {shifted.get(key, key): value for key, value in fields.items()}
