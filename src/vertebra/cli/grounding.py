"""The command ``audit grounding``: what other words do to a policy's chunk on recorded pictures."""

from typing import TYPE_CHECKING

from vertebra.cli.arguments import AuditGroundingCommand
from vertebra.cli.reading import write_out, write_out_json
from vertebra.spec.errors import MissingExtra
from vertebra.spec.mismatch import require_match
from vertebra.spec.storage import read_json
from vertebra.verdict.numbers import percent

if TYPE_CHECKING:
    from vertebra.evaluate.contrastive import Contrastive

SEED = 0
KINDS = {
    "new": "recordings that the policy was not trained on",
    "trained": "recordings that it was trained on (memory would do)",
    "unknown": "recordings of which it is not known whether it was trained on them",
}


def grounding(command: AuditGroundingCommand) -> int:
    """Run the offline contrastive test, or refuse with the reason."""
    try:
        from vertebra.data.fit import data_fit
        from vertebra.data.lerobot_open import open_dataset
        from vertebra.data.mapped import read_mapped
        from vertebra.data.mapping import mapping_from_json
        from vertebra.data.pairs import counterfactual_pairs, scene_numbers
        from vertebra.data.propose import propose_mapping, specs_of
        from vertebra.data.views import first_views
        from vertebra.evaluate.contrastive import MEASURED, RIGHT_WAY, contrast_offline, starts_of
        from vertebra.pilot.material import trained_on
        from vertebra.pilot.parts import real_parts
    except ImportError as error:
        raise MissingExtra("Running policies", "pilot") from error

    dataset = open_dataset(command.data)
    specs = specs_of(dataset)
    meaning = propose_mapping(dataset).mapping
    if command.mapping is not None:
        meaning, specs = mapping_from_json(read_json(command.mapping)), None
    views = first_views(dataset, meaning)
    scenes, _ = scene_numbers(views.initial_states, views.pixels)
    pairs = counterfactual_pairs(scenes, views.instructions)
    if not pairs:
        because = "; ".join(data_fit(views).because)
        raise ValueError(
            f"{command.data} has no counterfactual pair, so nothing says what a policy should do "
            f"when the words change: {because}. `vertebra data fit` lists what to record."
        )
    policy = real_parts().load_policy(command.checkpoint)
    if command.mapping is None:
        camera = policy.needs.cameras[0]
        meaning = propose_mapping(dataset, height=camera.height, width=camera.width).mapping
    offered, taken = specs or (meaning.observation_spec(), meaning.action_spec())
    require_match(policy.needs, offered, policy.makes, taken)
    paired = sorted({views.episodes[place] for pair in pairs for place in pair})
    starts = starts_of(read_mapped(dataset, meaning, paired), trained_on(command.checkpoint))
    found = contrast_offline(policy, starts, seed=SEED, most=command.scenes)
    if command.json:
        write_out_json({**vars(found), "pairs": len(pairs), "measured": MEASURED})
    else:
        for line in _lines(found):
            write_out(line)
        write_out(MEASURED)
    return 0 if found.word == RIGHT_WAY else 1


def _lines(found: "Contrastive") -> list[str]:
    lines: list[str] = []
    for one in found.directions:
        lines += [
            f"{one.swaps} swaps in {one.scenes} scenes, {KINDS[one.of]}:",
            f"  towards the demonstration of the new words {percent(one.towards)}, away "
            f"{100 * one.away:.0f} %, unmoved {100 * one.unmoved:.0f} % (moving anywhere: 50 %)",
            f"  nearer to the demonstration of its words {percent(one.nearer)} (chance: 50 %)",
            f"  a swap moves the chunk {100 * one.reach:.0f} % of the way from one to the other",
        ]
    if found.alike:
        lines.append(f"{found.alike} pairs begin alike and say nothing.")
    return [*lines, f"Under other words the chunk {found.word}."]
