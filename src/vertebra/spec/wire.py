"""What travels between a robot and a policy server: messages of arrays, and specs as plain values.

The byte format is that of openpi's policy servers, so that their clients can talk to ours: msgpack,
with an array as the map ``{b"__ndarray__": True, b"data": bytes, b"dtype": "<f4", b"shape": [2]}``
and a numpy scalar as ``{b"__npgeneric__": True, b"data": item, b"dtype": "<f4"}``.

Source: Physical-Intelligence/openpi packages/openpi-client/src/openpi_client/msgpack_numpy.py.

Deviations: decoded arrays are writeable copies (there they are read-only views), and a message that
does not add up raises ValueError.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

import msgpack  # pyright: ignore[reportMissingTypeStubs]
import numpy as np
from numpy.typing import NDArray

from vertebra.spec.action import ActionSpec, Frame, Gripper, Rotation
from vertebra.spec.observation import Camera, Dim, Observation, ObservationSpec

IMAGE_KEY = "observation/image/"
STATE_KEY = "observation/state"
EXECUTED_KEY = "observation/executed"
PROMPT_KEY = "prompt"
ACTIONS_KEY = "actions"
IMAGINED_KEY = "imagined/"

_msgpack = cast(Any, msgpack)  # it has no type information
_REFUSED_KINDS = "VOcMmUS"


def pack(message: Any) -> bytes:
    """A message (maps with string keys, lists, numbers, strings, bytes, arrays) as bytes.

    Tuples arrive as lists.

    Raises:
        ValueError: On arrays of objects, text, records or complex numbers.
        TypeError: On values that msgpack does not know.
    """
    return _msgpack.packb(message, default=_encode)


def unpack(content: bytes) -> Any:
    """The message in bytes made by `pack` or by an openpi client.

    Raises:
        ValueError: When the bytes are not one whole message.
    """
    try:
        return _msgpack.unpackb(content, object_hook=_decode)
    except Exception as error:  # a stranger chooses the bytes, and with them what goes wrong
        raise ValueError(
            f"{len(content)} bytes are not a message ({type(error).__name__}: {error}). Both sides "
            "must speak msgpack with openpi's array maps."
        ) from error


def _encode(value: Any) -> Any:
    if isinstance(value, (np.ndarray, np.generic)):
        number = cast("NDArray[Any] | np.generic[Any]", value)
        kind: np.dtype[Any] = number.dtype
        if kind.kind in _REFUSED_KINDS:
            raise ValueError(
                f"An array of dtype {kind} cannot travel; send numbers, or text as str."
            )
        if isinstance(number, np.generic):
            return {b"__npgeneric__": True, b"data": number.item(), b"dtype": kind.str}
        return {
            b"__ndarray__": True,
            b"data": number.tobytes(),
            b"dtype": kind.str,
            b"shape": number.shape,
        }
    raise TypeError(f"A value of type {type(value).__name__} cannot travel: {value!r}")


def _decode(value: dict[Any, Any]) -> Any:
    if b"__ndarray__" in value:
        dtype = _number_type(value[b"dtype"])
        shape = tuple(int(side) for side in value[b"shape"])
        found, expected = len(value[b"data"]), math.prod(shape) * dtype.itemsize
        if found != expected:
            raise ValueError(
                f"an array of dtype {dtype} and shape {shape} has {found} bytes, not {expected}"
            )
        return np.frombuffer(value[b"data"], dtype=dtype).reshape(shape).copy()
    if b"__npgeneric__" in value:
        return _number_type(value[b"dtype"]).type(value[b"data"])
    return value


def _number_type(name: str) -> np.dtype[Any]:
    dtype = np.dtype(name)
    if dtype.kind in _REFUSED_KINDS:
        raise ValueError(f"an array of dtype {dtype} is not accepted")
    return dtype


def observation_to_wire(observation: Observation) -> dict[str, Any]:
    """An observation as a flat message in openpi's manner."""
    return {
        **{f"{IMAGE_KEY}{name}": image for name, image in observation.images.items()},
        STATE_KEY: observation.state,
        EXECUTED_KEY: observation.executed,
        PROMPT_KEY: observation.instruction,
    }


def observation_from_wire(message: Mapping[str, Any]) -> Observation:
    """Read what `observation_to_wire` wrote.

    Raises:
        ValueError: Naming everything that is missing or of the wrong type.
    """
    images = {
        key.removeprefix(IMAGE_KEY): value
        for key, value in message.items()
        if key.startswith(IMAGE_KEY)
    }
    problems = [
        f"'{key}' is missing" for key in (STATE_KEY, EXECUTED_KEY, PROMPT_KEY) if key not in message
    ]
    if not images:
        problems.append(f"no key starts with '{IMAGE_KEY}'")
    for name, image in images.items():
        if not _is_array(image, np.uint8, 3):
            problems.append(f"image '{name}' is not a uint8 array [height, width, 3]")
    for key, axes in ((STATE_KEY, 1), (EXECUTED_KEY, 2)):
        if key in message and not _is_array(message[key], np.float32, axes):
            problems.append(f"'{key}' is not a float32 array with {axes} axes")
    if not isinstance(message.get(PROMPT_KEY, ""), str):
        problems.append(f"'{PROMPT_KEY}' is not a string")
    if problems:
        raise ValueError(
            f"A message with the keys {sorted(message)} is not an observation:\n  - "
            + "\n  - ".join(problems)
        )
    return Observation(
        images=images,
        state=message[STATE_KEY],
        instruction=message[PROMPT_KEY],
        executed=message[EXECUTED_KEY],
    )


def _is_array(value: Any, dtype: type[np.generic], axes: int) -> bool:
    if not isinstance(value, np.ndarray):
        return False
    array = cast("NDArray[Any]", value)
    return array.dtype == dtype and array.ndim == axes


def act_to_wire(
    *,
    chunk: NDArray[np.float32],
    imagined: Mapping[str, NDArray[np.uint8]],
    imagined_at_s: Sequence[float] = (),
    stage_s: Mapping[str, float] | None = None,
    evaluations: Mapping[str, int] | None = None,
) -> dict[str, Any]:
    """The fields of an ``Act`` as a flat message; ``actions`` is where openpi's clients look."""
    return {
        ACTIONS_KEY: chunk,
        **{f"{IMAGINED_KEY}{name}": video for name, video in imagined.items()},
        "imagined_at_s": list(imagined_at_s),
        "stage_s": dict(stage_s or {}),
        "evaluations": dict(evaluations or {}),
    }


def act_from_wire(message: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of an ``Act`` from a message; all but ``actions`` may be absent.

    Raises:
        ValueError: When ``actions`` is not an array of numbers with two axes.
    """
    chunk = message.get(ACTIONS_KEY)
    if not isinstance(chunk, np.ndarray) or chunk.ndim != 2:
        raise ValueError(
            f"A message with the keys {sorted(message)} is no answer of a policy: '{ACTIONS_KEY}' "
            "must be an array [horizon, action dims]."
        )
    return {
        "chunk": cast("NDArray[Any]", chunk).astype(np.float32),
        "imagined": {
            key.removeprefix(IMAGINED_KEY): value
            for key, value in message.items()
            if key.startswith(IMAGINED_KEY)
        },
        "imagined_at_s": tuple(float(time) for time in message.get("imagined_at_s", ())),
        "stage_s": dict(message.get("stage_s", {})),
        "evaluations": dict(message.get("evaluations", {})),
    }


def dim_to_plain(dim: Dim) -> dict[str, Any]:
    """One dimension as JSON values; an open end is ``None``."""
    return {"name": dim.name, "unit": dim.unit, "low": dim.low, "high": dim.high}


def dim_from_plain(plain: Mapping[str, Any]) -> Dim:
    """Read what `dim_to_plain` wrote."""
    return Dim(
        name=plain["name"],
        unit=plain["unit"],
        low=None if plain["low"] is None else float(plain["low"]),
        high=None if plain["high"] is None else float(plain["high"]),
    )


def observation_spec_to_plain(spec: ObservationSpec) -> dict[str, Any]:
    """An observation spec as JSON values (also msgpack values)."""
    return {
        "cameras": [
            {"name": camera.name, "height": camera.height, "width": camera.width}
            for camera in spec.cameras
        ],
        "state": [dim_to_plain(dim) for dim in spec.state],
        "rate_hz": spec.rate_hz,
        "language": spec.language,
    }


def observation_spec_from_plain(plain: Mapping[str, Any]) -> ObservationSpec:
    """Read what `observation_spec_to_plain` wrote.

    Raises:
        ValueError: On missing or unknown fields.
    """
    _require_fields("an observation spec", plain, {"cameras", "state", "rate_hz", "language"})
    return ObservationSpec(
        cameras=tuple(Camera(**camera) for camera in plain["cameras"]),
        state=tuple(dim_from_plain(dim) for dim in plain["state"]),
        rate_hz=float(plain["rate_hz"]),
        language=bool(plain["language"]),
    )


def action_spec_to_plain(spec: ActionSpec) -> dict[str, Any]:
    """An action spec as JSON values (also msgpack values)."""
    return {
        "dims": [dim_to_plain(dim) for dim in spec.dims],
        "frame": spec.frame.value,
        "rotation": spec.rotation.value,
        "gripper": spec.gripper.value,
        "rate_hz": spec.rate_hz,
    }


def action_spec_from_plain(plain: Mapping[str, Any]) -> ActionSpec:
    """Read what `action_spec_to_plain` wrote.

    Raises:
        ValueError: On missing or unknown fields or words.
    """
    _require_fields("an action spec", plain, {"dims", "frame", "rotation", "gripper", "rate_hz"})
    return ActionSpec(
        dims=tuple(dim_from_plain(dim) for dim in plain["dims"]),
        frame=Frame(plain["frame"]),
        rotation=Rotation(plain["rotation"]),
        gripper=Gripper(plain["gripper"]),
        rate_hz=float(plain["rate_hz"]),
    )


def _require_fields(what: str, plain: Mapping[str, Any], expected: set[str]) -> None:
    if set(plain) != expected:
        raise ValueError(
            f"Found the fields {sorted(plain)}, {what} has exactly {sorted(expected)}."
        )
