"""Released models on the command line: found, described and checked before anything is spent."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal

from vertebra.backbones.ledger import words_of
from vertebra.backbones.trunk import WHAT, Standing, Trunk, Tuning
from vertebra.cli.arguments import PilotCommand
from vertebra.policy.pairs import pair_problems
from vertebra.policy.recipe import Recipe
from vertebra.spec.errors import MissingExtra

TRAINED, HELD = 24, 4
"""Bytes for each parameter: weight, gradient, two moments and two averages; the weight alone."""


def nonsense(command: PilotCommand) -> list[str]:
    """What is said about released models and cannot be meant, in words."""
    released = command.vlm is not None or command.video is not None
    said = {
        "--tune": command.tune != PilotCommand.tune,
        "--recompute": command.recompute,
        "--download": command.download,
    }
    found = [
        f"{flag} is about released models; give --vlm or --video"
        for flag, is_said in said.items()
        if is_said and not released
    ]
    if released and command.backbone != "auto":
        found.append(f"--backbone {command.backbone} is about shipped backbones; leave it out")
    if command.vlm is None and command.vlm_layers is not None:
        found.append("--vlm-layers cuts --vlm; give it too")
    return found


def standing_of(command: PilotCommand, tell: Callable[[str], None]) -> Standing | None:
    """What the arms stand on; ``None`` where no released model is given.

    Args:
        command: The command line.
        tell: Told what a download would be, and what was found.

    Raises:
        MissingExtra: Without the libraries.
        ValueError: When a model is not there, damaged, or of a family that is not supported.
    """
    if command.vlm is None and command.video is None:
        return None
    try:
        from vertebra.policy.standing import find_trunk
    except ImportError as error:
        raise MissingExtra("Standing on released models", "backbones") from error
    found: dict[str, Trunk] = {}
    kinds: tuple[Literal["vlm", "video"], ...] = ("vlm", "video")
    for what in kinds:
        where = command.vlm if what == "vlm" else command.video
        if where is None:
            continue
        if command.download:
            _tell_offer(where, what, tell)
        layers = command.vlm_layers if what == "vlm" else None
        trunk = find_trunk(where, what, layers=layers, download=command.download)
        tell(words_of_trunk(trunk, command.tune))
        tell(f"  what it knew before: {words_of(trunk)}")
        found[what] = trunk
    tuning = Tuning(tune=command.tune, recompute=command.recompute)
    return Standing(vlm=found.get("vlm"), video=found.get("video"), tuning=tuning)


def words_of_trunk(trunk: Trunk, tune: str) -> str:
    """A model in one line: what it is, how large, under which licence, how much memory."""
    each = TRAINED if tune == "full" else HELD
    return (
        f"{WHAT[trunk.what]} {trunk.family} from {trunk.where}: {trunk.parameters:,} parameters, "
        f"{trunk.layers} layers, licence {trunk.licence or 'not stated'}, at least "
        f"{trunk.parameters * each / 1e9:.2f} GB in training ({tune}), "
        f"SHA-256 {trunk.sha256[:16]}"
    )


def _tell_offer(where: str, what: str, tell: Callable[[str], None]) -> None:
    """Say what a download would be, before it begins."""
    from vertebra.policy.released import offer_of

    offer = offer_of(where)
    if offer is not None:
        tell(
            f"downloading {WHAT[what]} {where}: licence {offer.licence or 'not stated'}, "
            f"{'gated (accept its terms on the hub first)' if offer.gated else 'not gated'}, "
            f"{offer.bytes / 1e9:.2f} GB"
        )


def stood(recipes: Sequence[Recipe], standing: Standing | None) -> tuple[Recipe, ...]:
    """Recipes with the names of the models that they stand on.

    Raises:
        ValueError: Naming every recipe that cannot stand on them, and why.
    """
    if standing is None:
        return tuple(recipes)
    found: list[str] = []
    done: list[Recipe] = []
    for recipe in recipes:
        wrong = pair_problems(recipe)
        try:
            done.append(replace(recipe, backbone=standing.named(recipe.backbone)))
        except ValueError as error:
            wrong.append(f"it {error}")
        found += [f"{recipe.name}: {why}" for why in wrong]
    unused = [
        f"--{one.what} is given, and no recipe stands on it"
        for one in standing.trunks
        if not any(one in standing.under(recipe.backbone).trunks for recipe in recipes)
    ]
    if found or unused:
        raise ValueError(
            "These recipes cannot stand on these models:\n  - " + "\n  - ".join(found + unused)
        )
    return tuple(done)
