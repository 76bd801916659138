"""A corpus of fourteen clips, and priors that know nothing."""

import torch

from vertebra.backbones.autoencoder import VideoAutoencoder
from vertebra.backbones.prior import Prior
from vertebra.backbones.sizes import Size
from vertebra.pretrain.corpus import Corpus
from vertebra.pretrain.pairs import vocabulary
from vertebra.pretrain.video import VideoPrior
from vertebra.pretrain.vlm import VlmPrior

CORPUS = Corpus(clips=10, held_out=4, seed=3)


def prior_of(name: str, network: torch.nn.Module) -> Prior:
    what = name.split("-")[0]
    words = [] if what == "autoencoder" else list(vocabulary())
    tensors = {k: v for k, v in network.state_dict().items() if not k.startswith("codec.")}
    return Prior(card={"name": name, "what": what, "vocabulary": words}, tensors=tensors)


def priors(size: Size) -> dict[str, Prior]:
    torch.manual_seed(1)
    codec = VideoAutoencoder(size.code_width)
    return {
        "vlm": prior_of("vlm", VlmPrior(size, pointing=True)),
        "video": prior_of("video", VideoPrior(size, codec, pointing=False)),
        "autoencoder": prior_of("autoencoder", codec),
    }
