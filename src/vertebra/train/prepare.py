"""From a training spec to everything a step needs: data, normalisers, an untrained policy."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vertebra.backbones.shipped import AUTOENCODER
from vertebra.backbones.sizes import size_by_name
from vertebra.data.cache import FrameCache, open_cache
from vertebra.data.mixture import Mixture
from vertebra.data.statistics import Scaling, fit_statistics
from vertebra.data.windows import Batch, Windows
from vertebra.nn.embeddings import split_words
from vertebra.policy.acting import TrainedPolicy
from vertebra.policy.initialise import initialise, read_priors, words_of
from vertebra.policy.losses import losses, weighted_total
from vertebra.policy.network import Network
from vertebra.policy.senses import Given
from vertebra.policy.shape import Shape
from vertebra.policy.targets import Examples
from vertebra.spec.seeds import seed_at
from vertebra.train.spec import TrainSpec


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """What a training starts from.

    Attributes:
        spec: The training spec.
        policy: Untrained weights with fitted normalisers.
        windows: Training windows.
        validation: Validation windows.
    """

    spec: TrainSpec
    policy: TrainedPolicy
    windows: Mixture
    validation: Windows

    def examples(self, batch: Batch) -> tuple[Examples, ...]:
        """Arrays as tensors, normalised; one element for each chunk, oldest first."""
        return tuple(self._examples(one) for one in (*batch.before, batch))

    def _examples(self, batch: Batch) -> Examples:
        policy, cameras = self.policy, [camera.name for camera in self.policy.needs.cameras]
        seen = cameras if policy.network.canvas else cameras[:1]
        given = Given(
            images={c.name: _tensor(batch.images[c.name]) for c in policy.needs.cameras},
            state=_tensor(policy.state_normaliser.normalise(batch.state)).nan_to_num(),
            instructions=batch.instructions,
        )
        return Examples(
            given=given,
            actions=_tensor(policy.action_normaliser.normalise(batch.actions)),
            action_mask=_tensor(batch.action_mask),
            future=_tensor(np.concatenate([batch.future[name] for name in seen], axis=3)),
            future_mask=_tensor(batch.future_mask),
            future_state=_tensor(policy.state_normaliser.normalise(batch.future_state)),
            points=_tensor(wanted_points(batch)),
            frame=_tensor(batch.frame),
            length=_tensor(batch.length),
            real=_tensor(batch.real),
        )

    def batch(self, step: int) -> Batch:
        """The windows of one step; a function of the seed and the step alone."""
        seed = seed_at(self.spec.seeds["batch_order"], "batch", step)
        return self.windows.sample(np.random.default_rng(seed), self.spec.batch_size)

    def noise(self, step: int) -> torch.Generator:
        """The noise source of one step; a function of the seed and the step alone."""
        return torch.Generator().manual_seed(seed_at(self.spec.seeds["noise"], "noise", step))

    def loss(
        self, network: Network, examples: Sequence[Examples], generator: torch.Generator
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Named losses [B] and their weighted total, in the precision of the training."""
        with torch.autocast("cpu", torch.bfloat16, enabled=self.spec.precision == "bf16"):
            terms = losses(network, examples, generator)
            return terms, weighted_total(terms, self.spec.recipe.weights)


def prepare(spec: TrainSpec) -> Prepared:
    """Open the data, fit the normalisers, initialise the weights.

    Args:
        spec: The training spec.

    Raises:
        ValueError: When the cache is not the one that the spec was locked on, or lacks something.
    """
    cache = open_cache(Path(spec.data))
    if cache.content_hash != spec.data_hash:
        raise ValueError(
            f"The frame cache {spec.data} has hash {cache.content_hash}, this training was locked "
            f"on {spec.data_hash}. Restore the data or plan a new pilot."
        )
    _require_shapes(spec, cache)
    _require_targets(spec, cache)
    size, needs, makes = size_by_name(spec.size), spec.needs, spec.makes
    statistics = fit_statistics(
        cache,
        spec.acted,
        state_names=[dim.name for dim in needs.state],
        action_names=[dim.name for dim in makes.dims],
        scaling=Scaling.MEAN_STD,
    )
    priors = read_priors(spec.priors)
    words = words_of(priors) | set(vocabulary(cache, spec.told))
    shape = Shape(
        recipe=spec.recipe.pointed() if spec.privileged == "points" else spec.recipe,
        size=size,
        needs=needs,
        makes=makes,
        vocabulary=tuple(sorted(words)),
        pointing=spec.privileged == "points",
        coded=any(prior.what == AUTOENCODER for prior in priors),
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(spec.seeds["initialisation"])
        network = _network(spec, shape)
    initialise(network, priors)
    policy = TrainedPolicy(
        network=network,
        state_normaliser=statistics.state,
        action_normaliser=statistics.action,
    )
    shape = network.shape  # on released models its widths follow from them
    parts = {
        "horizon": shape.horizon,
        "future_steps": shape.future_steps,
        "chunks": shape.chunks,
        "stride": shape.horizon,
        "cameras": [camera.name for camera in needs.cameras],
    }
    return Prepared(
        spec=spec,
        policy=policy,
        windows=Mixture(
            cache,
            episodes=spec.episodes,
            unlabelled=spec.unlabelled,
            video_only=spec.video_only,
            **parts,
        ),
        validation=Windows(cache, episodes=spec.validation_episodes, **parts),
    )


def _network(spec: TrainSpec, shape: Shape) -> Network:
    """Untrained weights, those of released models apart."""
    if spec.standing is None:
        return Network(shape)
    from vertebra.policy.standing import stand

    kept = Path(spec.data).parent.parent / "latents"
    video = spec.standing.under(spec.recipe.backbone).video
    return stand(shape, spec.standing, kept=kept / video.sha256[:16] if video else None)


def going_on(fresh: Prepared, before: TrainedPolicy) -> Prepared:
    """A training that starts from the weights and normalisers of a policy.

    Words that are new to it get rows of their own, initialised as in ``fresh``; everything else is
    taken over.

    Raises:
        ValueError: When the policy is of another recipe, size or robot.
    """
    old, new = before.network.shape, fresh.policy.network.shape
    known = old.vocabulary
    words = (*known, *(word for word in new.vocabulary if word not in known))
    shape = replace(new, vocabulary=words)
    if replace(old, vocabulary=words) != shape:
        raise ValueError(
            f"The policy to go on from is {old.recipe.name} at size {old.size.name}; asked for is "
            f"{new.recipe.name} at size {new.size.name}, or cameras, state, actions or pointing "
            "differ. Go on with the same."
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(fresh.spec.seeds["initialisation"])
        network = _network(fresh.spec, shape)
    tensors = network.state_dict()
    for name, value in before.network.state_dict().items():
        if value.shape == tensors[name].shape:
            tensors[name].copy_(value)
        else:  # rows of words
            tensors[name][: len(value)] = value
    network.load_state_dict(tensors)
    policy = TrainedPolicy(
        network=network,
        state_normaliser=before.state_normaliser,
        action_normaliser=before.action_normaliser,
    )
    return replace(fresh, policy=policy)


def vocabulary(cache: FrameCache, episodes: Sequence[int]) -> tuple[str, ...]:
    """All words of the instructions of these episodes, sorted."""
    return tuple(
        sorted({word for i in episodes for word in split_words(cache.episodes[i].instruction)})
    )


def wanted_points(batch: Batch) -> NDArray[np.float32]:
    """Where object and destination of each instruction are: [B, 2, 2], NaN where unknown."""
    rows = np.arange(len(batch.target))
    found = np.full((len(rows), 2, 2), np.nan, np.float32)
    for column, index in enumerate((batch.target, batch.goal)):
        known = index >= 0
        found[known, column] = batch.points[rows[known], index[known]]
    return found


def _require_shapes(spec: TrainSpec, cache: FrameCache) -> None:
    found = [
        f"camera '{camera.name}' is {size[0]}x{size[1]} pixels, expected "
        f"{camera.height}x{camera.width}"
        for camera in spec.needs.cameras
        if camera.name in cache.images
        and (size := cache.images[camera.name].shape[1:3]) != (camera.height, camera.width)
    ]
    missing = [c.name for c in spec.needs.cameras if c.name not in cache.images]
    if missing:
        found.append(f"cameras {missing} are missing, there are {list(cache.images)}")
    for what, array, dims in (
        ("state", cache.state, spec.needs.state),
        ("action", cache.actions, spec.makes.dims),
    ):
        if array.shape[1] != len(dims):
            found.append(f"{what} has {array.shape[1]} numbers, expected {len(dims)}")
    known = len(cache.episodes)
    strange = [i for i in (*spec.shown, *spec.validation_episodes) if not 0 <= i < known]
    if strange:
        found.append(f"episodes {strange[:5]} do not exist, there are {known}")
    if found:
        raise ValueError(
            f"The frame cache {spec.data} does not fit this training:\n  - " + "\n  - ".join(found)
        )


def _require_targets(spec: TrainSpec, cache: FrameCache) -> None:
    if spec.privileged != "points":
        return
    if not any(cache.episodes[i].target_entity >= 0 for i in spec.episodes):
        raise ValueError(
            "Pointing targets were asked for (privileged = points), and no chosen episode has any. "
            "Add `label.points` to the data or train with privileged = none."
        )


def _tensor(array: NDArray[np.generic]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array))
