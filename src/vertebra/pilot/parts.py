"""What a job is made of: training, policies, environments."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vertebra.envs.protocol import Environment
from vertebra.pilot.worlds import demonstrator_of, make_environment
from vertebra.policy.protocol import Policy
from vertebra.spec.errors import MissingExtra
from vertebra.train.spec import TrainSpec


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What a job is made of; tests put small ones in place of the real ones.

    Attributes:
        train: As ``vertebra.train.loop.train``.
        calibrate: As ``vertebra.train.calibrate.calibrate``.
        load_policy: As ``vertebra.policy.checkpoint.load_policy``.
        imagine: From a policy, its training and the directory for pictures to the figures of
            imagined beside recorded frames; ``None`` when it imagines nothing.
        make_environment: From settings to an environment.
        demonstrator_of: From settings to what ``DemonstratorActor`` takes.
    """

    train: Callable[..., Any]
    calibrate: Callable[..., Any]
    load_policy: Callable[[Path], Policy]
    imagine: Callable[[Policy, TrainSpec, Path], Mapping[str, Any] | None]
    make_environment: Callable[[Mapping[str, Any]], Environment] = make_environment
    demonstrator_of: Callable[[Mapping[str, Any]], Callable[[Any], Callable[..., Any]]] = (
        demonstrator_of
    )


def real_parts() -> Parts:
    """The parts that ship with vertebra.

    Raises:
        MissingExtra: When torch is not installed.
    """
    try:
        from vertebra.evaluate.film import list_pictures
        from vertebra.policy.checkpoint import load_policy
        from vertebra.train.calibrate import calibrate
        from vertebra.train.imagine import imagined_evidence
        from vertebra.train.loop import train
        from vertebra.train.prepare import prepare
    except ImportError as error:
        raise MissingExtra("Training", "train") from error

    def imagine(policy: Any, training: TrainSpec, directory: Path) -> Mapping[str, Any] | None:
        figures, shown = imagined_evidence(prepare(training), policy, directory)
        if figures is not None:
            list_pictures(directory, "imagined", shown)
        return figures

    return Parts(train=train, calibrate=calibrate, load_policy=load_policy, imagine=imagine)
