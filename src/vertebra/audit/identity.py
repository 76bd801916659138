"""What the weights of one bundle are: which known layouts cover them, and what is left over."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from vertebra.audit.checkpoint_files import Bundle
from vertebra.audit.known import KNOWN
from vertebra.audit.layout import Layout, Match, Names, matches, share_of_marks
from vertebra.audit.tensors import TensorEntry

ADAPTER = re.compile(r".*\blora_(A|B|embedding_A|embedding_B|magnitude_vector)\b.*")
WRAPPINGS = re.compile(
    r"(?:^|(?<=\.))(?:_orig_mod|module|_fsdp_wrapped_module|_checkpoint_wrapped_module|base_layer"
    r"|modules_to_save\.default)\."
)
REPLACED = re.compile(r".*\boriginal_module\b.*")
BUFFERS = re.compile(
    r"(.*\.)?(num_batches_tracked|position_ids|inv_freq|original_inv_freq|_extra_state)"
    r"|(.*\.)?(normalize_inputs|normalize_targets|unnormalize_outputs)\..*"
)
OPTIMISER = re.compile(
    r".*[./](exp_avg|exp_avg_sq|max_exp_avg_sq|momentum_buffer|step|fp32_from_fp16.*)"
    r"|(.*[./])?(state|optimizer(_state_dict)?|fp32_flat_groups|base_optimizer_state)[./].*"
)
BESIDE = re.compile(
    r".*[./](exp_avg|exp_avg_sq|max_exp_avg_sq|momentum_buffer)"
    r"|(.*[./])?(optimizer|optimizer_state_dict|optimizer_states|optim)[./].*"
)
"""State of an optimiser in one file with the weights."""
CLAIMS = ("type", "model_type", "architectures", "_class_name", "action_head_type")
NEAR = 0.5
"""Share of a layout's marks from which on it is worth naming as a near miss."""


@dataclass(frozen=True, kw_only=True)
class Identity:
    """What one bundle is.

    Attributes:
        bundle: Which.
        names: Its tensors, adapters taken apart and wrappings removed.
        matches: Layouts that cover tensors of it, without overlap; policies first.
        left: Tensors that no layout covers.
        adapters: Tensors of un-merged adapters.
        buffers: Tensors that are no parameters: counters, positions, normalisation.
        beside: Tensors of an optimiser's state, in one file with the weights.
        optimiser: Whether it is the state of an optimiser and nothing else.
        words: What its configuration calls it.
        near: Layouts that fit in part, with the marks that are missing.
    """

    bundle: Bundle
    names: Names
    matches: tuple[Match, ...]
    left: tuple[TensorEntry, ...]
    adapters: tuple[TensorEntry, ...]
    buffers: tuple[TensorEntry, ...]
    beside: tuple[TensorEntry, ...]
    optimiser: bool
    words: tuple[str, ...]
    near: tuple[tuple[str, float, tuple[str, ...]], ...]

    @property
    def parameters(self) -> int:
        """Numbers in all tensors whose shape is known, an optimiser's left out."""
        beside = sum(tensor.count for tensor in self.beside)
        return sum(tensor.count for tensor in self.bundle.tensors) - beside

    @property
    def policies(self) -> tuple[Match, ...]:
        """Matches that are policies."""
        return tuple(match for match in self.matches if match.layout.kind == "policy")

    @property
    def kinds(self) -> frozenset[str]:
        """Names of the layouts that its weights are."""
        return frozenset(match.layout.name for match in self.matches)

    def contradicted(self, kinds: frozenset[str]) -> tuple[str, ...]:
        """Words of the configuration that name known layouts, none of which is there.

        Args:
            kinds: Layouts of all weights that share the configuration.
        """
        named = {word: {kind.name for kind in KNOWN if word in kind.words} for word in self.words}
        return tuple(word for word, names in named.items() if names and not kinds & names)

    @property
    def unknown_words(self) -> tuple[str, ...]:
        """Words of the configuration that name nothing the audit knows."""
        known = {word for layout in KNOWN for word in layout.words}
        return tuple(word for word in self.words if word not in known)


def identify(bundle: Bundle, has_action_statistics: bool) -> Identity:
    """Compare a bundle with everything known.

    Args:
        bundle: Weights that make one model.
        has_action_statistics: Whether statistics of actions lie in the checkpoint.
    """
    adapters = tuple(t for t in bundle.tensors if ADAPTER.fullmatch(t.name))
    optimiser = _is_optimiser(bundle.tensors)
    kept = [
        replace(tensor, name=WRAPPINGS.sub("", tensor.name))
        for tensor in bundle.tensors
        if not ADAPTER.fullmatch(tensor.name) and not REPLACED.fullmatch(tensor.name)
    ]
    beside = tuple(tensor for tensor in kept if BESIDE.fullmatch(tensor.name))
    kept = [] if optimiser else [tensor for tensor in kept if not BESIDE.fullmatch(tensor.name)]
    buffers = tuple(tensor for tensor in kept if BUFFERS.fullmatch(tensor.name))
    names = Names([tensor for tensor in kept if not BUFFERS.fullmatch(tensor.name)])
    words = claimed_words(bundle.configuration)
    known = [layout for layout in KNOWN if _spoken_for(layout, words, has_action_statistics)]
    accepted = _without_overlap([match for layout in known for match in matches(layout, names)])
    covered = frozenset(name for match in accepted for name in match.names)
    return Identity(
        bundle=bundle,
        names=names,
        matches=accepted,
        left=tuple(tensor for tensor in names.tensors if tensor.name not in covered),
        adapters=adapters,
        buffers=buffers,
        beside=beside,
        optimiser=optimiser,
        words=words,
        near=_near_misses(names, accepted),
    )


def claimed_words(configuration: Mapping[str, Any]) -> tuple[str, ...]:
    """What a configuration calls its model."""
    found: list[str] = []
    for key in CLAIMS:
        value = configuration.get(key)
        found += [v for v in (value if isinstance(value, list) else [value]) if isinstance(v, str)]
    return tuple(dict.fromkeys(found))


def _is_optimiser(tensors: tuple[TensorEntry, ...]) -> bool:
    named = sum(1 for tensor in tensors if OPTIMISER.fullmatch(tensor.name))
    return bool(tensors) and named > 0.9 * len(tensors)


def _spoken_for(layout: Layout, words: tuple[str, ...], has_action_statistics: bool) -> bool:
    if layout.needs == "configuration":
        return any(word in layout.words for word in words)
    return layout.needs == "weights" or has_action_statistics


def _without_overlap(found: list[Match]) -> tuple[Match, ...]:
    order = {"policy": 0, "world model": 0, "backbone": 1, "component": 2}
    accepted: list[Match] = []
    taken: set[str] = set()
    for match in sorted(found, key=lambda m: (order[m.layout.kind], -len(m.names))):
        if match.names and not match.names & taken:
            accepted.append(match)
            taken |= match.names
    return tuple(accepted)


def _near_misses(
    names: Names, accepted: tuple[Match, ...]
) -> tuple[tuple[str, float, tuple[str, ...]], ...]:
    if any(match.layout.kind == "policy" for match in accepted):
        return ()
    shares = (
        (layout.name, *share_of_marks(layout, names))
        for layout in KNOWN
        if layout.kind == "policy" and layout.needs == "weights"
    )
    near = [miss for miss in shares if NEAR <= miss[1] < 1]
    return tuple(sorted(near, key=lambda miss: -miss[1])[:3])
