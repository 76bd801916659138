"""The judgement: which family a checkpoint belongs to, on which evidence, or why none can be told.

Only layouts that were written down in advance decide. What resembles one is named as a resemblance
and ends in "cannot tell".
"""

from collections.abc import Sequence
from dataclasses import dataclass

from vertebra.audit.evidence import Evidence, evidence_of, some_names
from vertebra.audit.identity import Identity
from vertebra.audit.layout import Family, Match

UNKNOWN_ALLOWED = 0.02
"""Share of a known policy's parameters that may be of unknown purpose."""


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """What a checkpoint is.

    Attributes:
        family: What its actions stand on.
        headline: The same in a sentence.
        layout: Name of the layout that decided; "" when none did.
        evidence: Why.
    """

    family: Family
    headline: str
    layout: str
    evidence: tuple[Evidence, ...]


def judge(identities: Sequence[Identity], *, has_action_statistics: bool) -> Judgement:
    """Put what the bundles of a checkpoint are into one judgement.

    Args:
        identities: Every bundle of weights.
        has_action_statistics: Whether statistics of actions lie in the checkpoint.
    """
    found = [
        judge_bundle(one, _kinds_beside(one, identities), has_action_statistics)
        for one in identities
    ]
    told = [one for one in found if one.layout]
    if not told:
        return found[0] if len(found) == 1 else _nothing_told(found)
    policies = [one for one in told if one.family is not Family.NEITHER or _is_policy(one)]
    open_ones = [one for one in found if not one.layout and one.family is Family.CANNOT_TELL]
    return _combined(policies, told, [one for one in open_ones if _matters(one, found, identities)])


def judge_bundle(
    identity: Identity, kinds: frozenset[str], has_action_statistics: bool
) -> Judgement:
    """What one bundle of weights is.

    Args:
        identity: Which.
        kinds: Layouts of all weights that share its configuration.
        has_action_statistics: Whether statistics of actions lie in the checkpoint.
    """
    where = identity.bundle.label
    evidence = evidence_of(identity, kinds)
    obstacle = _obstacle(identity, kinds, has_action_statistics)
    if obstacle:
        return Judgement(
            family=Family.CANNOT_TELL,
            headline=obstacle,
            layout="",
            evidence=(Evidence(says=obstacle, where=where, side="against"), *evidence),
        )
    match = identity.matches[0]
    layout = match.layout
    return Judgement(
        family=layout.family, headline=_headline(match), layout=layout.name, evidence=evidence
    )


def _kinds_beside(identity: Identity, identities: Sequence[Identity]) -> frozenset[str]:
    """Layouts of all weights under the same configuration."""
    told = identity.bundle.configuration
    same = (other.kinds for other in identities if other.bundle.configuration is told)
    return identity.kinds.union(*same)


def _headline(match: Match) -> str:
    layout = match.layout
    if layout.kind == "policy" and layout.family is Family.NEITHER:
        return f"A policy on neither family: {layout.name}"
    if layout.kind == "policy":
        kinds = {
            Family.VLA: "language-to-action (VLA)",
            Family.WAM: "video-to-action (WAM)",
            Family.HYBRID: "language- and video-to-action (hybrid)",
        }
        return f"A {kinds[layout.family]} policy: {layout.name}, on {layout.backbone}"
    if layout.kind == "backbone":
        return f"Backbone only: {layout.backbone}, no action pathway found"
    if layout.kind == "world model":
        return f"A world model that is given actions and predicts none: {layout.name}"
    return f"One part only: {layout.name}, no action pathway found"


def _obstacle(identity: Identity, kinds: frozenset[str], has_action_statistics: bool) -> str:
    """Why no family can be told; "" when one can."""
    return (
        _nothing_readable(identity)
        or _not_known(identity)
        or _incomplete(identity)
        or _contradiction(identity, kinds)
        or _left_over(identity)
        or _may_act_unseen(identity, has_action_statistics)
    )


def _nothing_readable(identity: Identity) -> str:
    if identity.optimiser:
        return "Only the state of an optimiser: no weights of a policy"
    if not identity.bundle.tensors:
        return "No tensor could be read: " + "; ".join(identity.bundle.faults or ("empty",))
    if not identity.bundle.files:
        return "Only an index is here, none of the files with weights that it lists"
    if identity.adapters and not identity.names.tensors:
        return "Only low-rank adapters: the model they change is not here"
    return ""


def _not_known(identity: Identity) -> str:
    if identity.matches:
        return ""
    return "The names of its tensors are of no kind that this audit knows"


def _incomplete(identity: Identity) -> str:
    if identity.bundle.partial:
        return "Shards are missing, and no index names what they hold"
    if identity.matches[0].unknown_shapes:
        return "Shards are missing that hold shapes on which the judgement rests"
    if identity.bundle.missing and not identity.policies:
        return "Shards are missing; what they hold is known by name only"
    return ""


def _contradiction(identity: Identity, kinds: frozenset[str]) -> str:
    words = identity.contradicted(kinds)
    if not words:
        return ""
    return (
        f"Configuration and weights contradict each other: it says '{words[0]}', the weights are "
        + _parts(identity.matches)
    )


def _left_over(identity: Identity) -> str:
    policies = {match.layout.name for match in identity.policies}
    if len(policies) > 1:
        return f"The weights fit several policies at once: {', '.join(sorted(policies))}"
    rest = sum(tensor.count for tensor in identity.left)
    if policies:
        share = rest / max(1, identity.parameters)
        if share <= UNKNOWN_ALLOWED and all(t.shape is not None for t in identity.left):
            return ""
        (name,) = policies
        return f"{share:.0%} of the parameters belong to nothing known of {name}"
    if identity.left:
        return (
            f"{_parts(identity.matches)} and {len(identity.left)} tensors of unknown purpose "
            f"({some_names(identity.left)}), which may be a way to actions"
        )
    if len({match.layout.name for match in identity.matches}) > 1:
        return f"{_parts(identity.matches)} in one file, put together in a way not known here"
    return ""


def _may_act_unseen(identity: Identity, has_action_statistics: bool) -> str:
    """A backbone whose actions, if it makes any, would leave no tensor of their own."""
    layout = identity.matches[0].layout
    if layout.kind != "backbone":
        return ""
    if has_action_statistics:
        return (
            f"The weights are {layout.name} alone, but statistics of actions lie beside them: it "
            "may write actions as tokens or latent frames"
        )
    if identity.unknown_words:
        return (
            f"The weights are {layout.name} alone, and the configuration calls the model "
            f"'{identity.unknown_words[0]}', which is not known here"
        )
    if layout.name.startswith("Cosmos-Predict2 network"):
        return (
            "A Cosmos-Predict2 video model. Cosmos Policy has exactly these tensors, so whether it "
            "acts cannot be told from the weights"
        )
    return ""


def _parts(matches: Sequence[Match]) -> str:
    return " and ".join(dict.fromkeys(match.layout.name for match in matches))


def _is_policy(one: Judgement) -> bool:
    return one.headline.startswith("A policy on neither")


def _matters(one: Judgement, found: Sequence[Judgement], identities: Sequence[Identity]) -> bool:
    """Whether a bundle that cannot be told is large enough, and no optimiser, to matter."""
    identity = identities[[other is one for other in found].index(True)]
    whole = sum(other.parameters for other in identities)
    return not identity.optimiser and identity.parameters > UNKNOWN_ALLOWED * whole


def _nothing_told(found: Sequence[Judgement]) -> Judgement:
    if not found:
        return Judgement(
            family=Family.CANNOT_TELL,
            headline="No file of weights was found",
            layout="",
            evidence=(),
        )
    return Judgement(
        family=Family.CANNOT_TELL,
        headline="; ".join(dict.fromkeys(one.headline for one in found)),
        layout="",
        evidence=tuple(reason for one in found for reason in one.evidence),
    )


def _combined(
    policies: Sequence[Judgement], told: Sequence[Judgement], open_ones: Sequence[Judgement]
) -> Judgement:
    """One judgement of several bundles: a policy with its parts, or parts alone."""
    evidence = tuple(reason for one in (*told, *open_ones) for reason in one.evidence)
    kinds = {one.layout: one for one in policies}
    backbones = [one for one in told if one.headline.startswith("Backbone only")]
    trouble = ""
    if open_ones:
        trouble = open_ones[0].headline
    elif len(kinds) > 1:
        trouble = f"Several policies lie here: {', '.join(kinds)}. Give one of them"
    elif policies and backbones and "kept elsewhere" not in policies[0].headline:
        trouble = f"{policies[0].layout} and, in other files, {backbones[0].layout}: how they work "
        trouble += "together is not known here"
    if trouble:
        return Judgement(family=Family.CANNOT_TELL, headline=trouble, layout="", evidence=evidence)
    lead = policies[0] if policies else (backbones or list(told))[0]
    others = list(dict.fromkeys(one.layout for one in told if one.layout != lead.layout))
    beside = f"; beside it {', '.join(others)}" if others else ""
    return Judgement(
        family=lead.family, headline=lead.headline + beside, layout=lead.layout, evidence=evidence
    )
