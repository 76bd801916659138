"""Checkpoints that vertebra itself has written: the manifest tells, the weights must agree."""

from collections.abc import Mapping
from typing import Any

from vertebra.audit.checkpoint_family import Judgement
from vertebra.audit.checkpoint_files import CheckpointFiles
from vertebra.audit.evidence import Evidence
from vertebra.audit.layout import Family
from vertebra.coupling.kinds import Head, Inverse
from vertebra.coupling.table import Joint
from vertebra.policy.recipe import Recipe
from vertebra.policy.saved import recipe_from_plain

MANIFEST = "manifest.json"
FAMILIES = {"vla": Family.VLA, "wam": Family.WAM, "hybrid": Family.HYBRID}


def own_manifest(files: CheckpointFiles) -> Mapping[str, Any] | None:
    """The manifest of a policy written by vertebra; None when this is none."""
    found = files.documents.get(MANIFEST)
    wanted = ("recipe", "tensors", "version", "makes")
    return found if isinstance(found, dict) and all(key in found for key in wanted) else None


def judge_own(files: CheckpointFiles, manifest: Mapping[str, Any]) -> Judgement:
    """What a policy of ours is, if its weights are those of its manifest."""
    differences = _differences(files, manifest)
    try:
        recipe = recipe_from_plain(manifest["recipe"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return _cannot_tell(f"The recipe in {MANIFEST} cannot be read: {error}")
    if differences:
        return _cannot_tell(f"{MANIFEST} and weights differ: {differences[0]}", differences)
    return Judgement(
        family=FAMILIES[recipe.family],
        headline=f"A policy of vertebra: recipe {recipe.name}, on {recipe.backbone.name}"
        + (", blind to language" if recipe.blind else ""),
        layout=f"vertebra {recipe.name}",
        evidence=_evidence(recipe, manifest),
    )


def couples(manifest: Mapping[str, Any]) -> str:
    """How the actions of a readable recipe reach the backbone."""
    recipe = recipe_from_plain(manifest["recipe"])
    seen = ", ".join(recipe.table.sees["action"])
    skipped = ", ".join(sorted(recipe.skips)) or "nothing"
    by = {Joint: "joint attention", Head: "a head on hidden states", Inverse: "inverse dynamics"}
    means = by[type(recipe.coupling)]
    return f"{means}: the action sees {seen}; {skipped} may be skipped when acting"


def _evidence(recipe: Recipe, manifest: Mapping[str, Any]) -> tuple[Evidence, ...]:
    return (
        Evidence(says=f"its recipe stands on {type(recipe.backbone).__name__}", where=MANIFEST),
        Evidence(
            says=f"all {len(manifest['tensors'])} tensors have the names and shapes it states",
            where=MANIFEST,
        ),
    )


def _differences(files: CheckpointFiles, manifest: Mapping[str, Any]) -> tuple[str, ...]:
    table = manifest["tensors"]
    stated = {
        str(name): shape for name, shape in (table if isinstance(table, dict) else {}).items()
    }
    found = {t.name: list(t.shape or ()) for bundle in files.bundles for t in bundle.tensors}
    faults = [fault for bundle in files.bundles for fault in bundle.faults]
    return (
        *faults,
        *(f"'{name}' is missing in the weights" for name in stated if name not in found),
        *(f"'{name}' is not in the manifest" for name in found if name not in stated),
        *(
            f"'{name}' has shape {found[name]}, stated {shape}"
            for name, shape in stated.items()
            if name in found and found[name] != shape
        ),
    )


def _cannot_tell(headline: str, reasons: tuple[str, ...] = ()) -> Judgement:
    return Judgement(
        family=Family.CANNOT_TELL,
        headline=headline,
        layout="",
        evidence=tuple(
            Evidence(says=says, where=MANIFEST, side="against")
            for says in (reasons[:10] or (headline,))
        ),
    )
