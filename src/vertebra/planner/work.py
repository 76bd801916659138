"""Operations and bytes of one training sample and of one chunk, from who sees whom."""

from collections.abc import Iterable
from dataclasses import dataclass

from vertebra.coupling.kinds import Head
from vertebra.coupling.table import Joint
from vertebra.planner.systems import System
from vertebra.planner.transformers import BYTES, Transformer
from vertebra.recipes.facts import Beat, Doing, beats
from vertebra.spec.streams import PIXEL_STREAMS, Reach, Role

TUNES = ("full", "lora", "action")
"""What is trained: everything, adapters of everything, or the action expert alone."""


@dataclass(frozen=True, kw_only=True)
class Forward:
    """A forward pass over one training sample.

    Attributes:
        backbone: Operations of the backbone, its picture encoder included.
        action: Operations of the expert beside it or the head on it.
        encode: Operations of the autoencoder.
        tokens: Tokens in attention, of all streams.
        own_tokens: The same without clean copies.
    """

    backbone: float
    action: float
    encode: float
    tokens: int
    own_tokens: int

    def training(self, tune: str, *, recomputed: bool, cached: bool) -> float:
        """Operations of a training step for one sample.

        Args:
            tune: One of ``TUNES``. Gradients cost two forward passes; through frozen weights one;
                none where nothing before is trained.
            recomputed: Whether activations are computed again.
            cached: Whether latents are read from a cache instead of encoded.
        """
        again = 1 if recomputed else 0
        factors = {"full": (3, 3), "lora": (2, 2), "action": (1, 3)}
        backbone, action = factors[tune]
        whole = self.backbone * (backbone + (again if tune != "action" else 0))
        return whole + self.action * (action + again) + (0.0 if cached else self.encode)


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Passes of one kind while a chunk is made.

    Attributes:
        name: What they do.
        passes: How many.
        flops: Operations of all of them.
        read: Bytes of weights and cache that all of them read.
        layers: Layers run, of all experts and passes; each one is a run of small kernels.
    """

    name: str
    passes: int
    flops: float
    read: float
    layers: int


def expert_of(system: System, name: str) -> Transformer:
    """The transformer behind the name of an expert."""
    own = system.action
    return own if name == "action" and own is not None else system.backbone.body


def forward(system: System) -> Forward:
    """What a forward pass over one training sample costs."""
    table_of, tokens = system.recipe.table, system.tokens()
    backbone = _tower(system)
    action = 0.0
    for table, words in _tables(system):
        for query in table.streams:
            expert = table.experts[query.name]
            pairs = sum(
                _pairs(tokens[query.name], tokens[key], reach, system.chunks)
                for key, reach in table.sees[query.name].items()
            )
            flops = _flops(system, expert, tokens[query.name], pairs, words)
            if expert == "action" and system.action is not None:
                action += flops
            else:
                backbone += flops
        for expert in dict.fromkeys(table.experts.values()):
            backbone, action = _told(system, expert, words, backbone, action)
    encode = system.backbone.encode * system.pixels * system.video_frames
    return Forward(
        backbone=backbone,
        action=action,
        encode=encode,
        tokens=sum(tokens.values()),
        own_tokens=sum(tokens.values()) - sum(tokens[n] for n in table_of.named(Role.TEACHER)),
    )


def _tables(system: System) -> Iterable[tuple[Joint, int]]:
    """Each table of a coupling, with the tokens of its context."""
    recipe, tokens = system.recipe, system.tokens()
    yield recipe.trunk, system.words if recipe.trunk.context else 0
    if isinstance(recipe.coupling, Head):
        yield recipe.coupling.head, sum(tokens[name] for name in recipe.coupling.reads.of)


def _told(
    system: System, expert: str, words: int, backbone: float, action: float
) -> tuple[float, float]:
    """Adds what making keys and values of the context costs, once for each expert."""
    flops = expert_of(system, expert).flops(0, 0, words)
    own = expert == "action" and system.action is not None
    return (backbone, action + flops) if own else (backbone + flops, action)


def _flops(system: System, expert: str, tokens: float, pairs: float, words: float) -> float:
    """Operations over some tokens of one expert; keys and values of the context are made apart."""
    kind = expert_of(system, expert)
    return kind.flops(tokens, pairs, 0) + (
        kind.flops_a_pair * tokens * words if kind.told and words else 0.0
    )


def _tower(system: System) -> float:
    tower, each = system.backbone.tower, system.backbone.picture_tokens
    if tower is None:
        return 0.0
    return len(system.pictures) * tower.flops(each, each**2, 0)


def _pairs(queries: int, keys: int, reach: Reach, chunks: int) -> float:
    """Pairs of query and key in a sample of some chunks."""
    whole = queries * keys
    match reach:
        case Reach.ALL:
            return whole
        case Reach.SAME:
            return whole / chunks
        case Reach.UPTO:
            return whole * (chunks + 1) / (2 * chunks)
        case Reach.PAST:
            return whole * (chunks - 1) / (2 * chunks)


def stages(system: System) -> tuple[Stage, ...]:
    """What makes one chunk once a session is under way: passes in order.

    Words are encoded once for each instruction, and so are their keys and values; neither counts.
    """
    found = [_encoding(system)] if system.backbone.encode else []
    return (*found, *(_stage(system, beat) for beat in beats(system.recipe)))


def _encoding(system: System) -> Stage:
    frames = 4 * system.imagined if system.recipe.rolling else 1 + 4 * (system.observed - 1)
    flops = system.backbone.encode * system.pixels * frames
    return Stage(name="encode pictures", passes=1, flops=flops, read=0.0, layers=0)


def _stage(system: System, beat: Beat) -> Stage:
    a_chunk = {name: count / system.chunks for name, count in system.tokens().items()}
    window = system.chunks if system.recipe.rolling else 1
    flops = weights = cached = 0.0
    layers = 0
    for table, words in _tables(system):
        own = [name for name in beat.touched if name in table.experts]
        for name in own:
            seen = table.sees[name].items()
            keys = sum(_span(reach, window) * a_chunk[key] for key, reach in seen)
            flops += _flops(system, table.experts[name], a_chunk[name], a_chunk[name] * keys, words)
        rows = {key: reach for name in own for key, reach in table.sees[name].items()}
        known = sum(_span(reach, window) * a_chunk[k] for k, reach in rows.items() if k not in own)
        for expert in dict.fromkeys(table.experts[name] for name in own):
            kind = expert_of(system, expert)
            layers += kind.layers
            weights += BYTES * kind.layers * kind.a_token
            context = 2 * kind.turned * words if kind.told else 0
            cached += BYTES * kind.layers * (kind.kept * known + context)
    tower = system.backbone.tower
    if tower is not None and beat.doing is Doing.READ and set(beat.streams) & set(PIXEL_STREAMS):
        flops += _tower(system)
        layers += tower.layers
        weights += BYTES * tower.parameters
    samples = beat.width * (1 + beat.twice)
    return Stage(
        name=f"{beat.doing.value}: {', '.join(beat.streams)}",
        passes=beat.passes,
        flops=flops * beat.steps * samples,
        read=beat.steps * (weights + cached * samples),
        layers=beat.steps * layers,
    )


def _span(reach: Reach, window: int) -> int:
    """Chunks of a stream that are within reach, behind a full history."""
    return {Reach.SAME: 1, Reach.PAST: window - 1}.get(reach, window)
