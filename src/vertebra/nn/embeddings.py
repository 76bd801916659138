"""Numbers, pictures and words as tokens."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

PATCH = 4
"""Side of the first patches in pixels."""


def sinusoid(time: Tensor, width: int, longest: float = 4.0, shortest: float = 4e-3) -> Tensor:
    """Sine and cosine features [n, width] of times [n] in [0, 1].

    Source: openpi src/openpi/models/pi0.py @ 15a9616 (periods from 4e-3 to 4).
    """
    fraction = torch.linspace(0.0, 1.0, width // 2, device=time.device)
    period = shortest * (longest / shortest) ** fraction
    angle = time.float()[:, None] * (2.0 * math.pi / period)
    return torch.cat([angle.sin(), angle.cos()], dim=-1)


class NoisyTokens(nn.Module):
    """Noisy vectors and their flow time as tokens.

    Source: openpi pi0.py @ 15a9616 (the time is mixed into every action token by an MLP).
    """

    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        self.width = width
        self.value = nn.Linear(size, width)
        self.mix = nn.Linear(2 * width, width)
        self.out = nn.Linear(width, width)

    def forward(self, noisy_BLC: Tensor, time_BL: Tensor) -> Tensor:
        """[B, L, C] and times [B, L] to tokens [B, L, D]."""
        batch, length, _ = noisy_BLC.shape
        time = sinusoid(time_BL.reshape(-1), self.width).view(batch, length, self.width)
        value = self.value(noisy_BLC)
        return self.out(F.silu(self.mix(torch.cat([value, time.to(value.dtype)], dim=-1))))


class TimedTokens(nn.Module):
    """Noisy vectors as tokens that do not say their flow time; it comes as their ``Condition``."""

    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        self.value = nn.Linear(size, width)

    def forward(self, noisy_BLC: Tensor, time_BL: Tensor) -> Tensor:
        """[B, L, C] to tokens [B, L, D]; the times are not used here."""
        return self.value(noisy_BLC)


class Condition(nn.Module):
    """Flow times as vectors.

    Source: openpi pi0.py @ 15a9616 (pi0.5: the time goes through an MLP into adaRMS).
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.mix = nn.Linear(width, width)
        self.out = nn.Linear(width, width)

    def forward(self, time_BL: Tensor) -> Tensor:
        """Times [B, L] to [B, L, D]."""
        waves = sinusoid(time_BL.reshape(-1), self.width).view(*time_BL.shape, self.width)
        return self.out(F.silu(self.mix(waves.to(self.mix.weight.dtype))))


BINS = 256
"""Bins of a number that is said in words (openpi src/openpi/models/tokenizer.py @ 15a9616)."""
BIN_RANGE = 3.0
"""Normalised numbers beyond this many standard deviations share the outermost bins."""


class Bins(nn.Module):
    """Numbers as words: each is cut into 256 bins, and each number has rows of its own."""

    def __init__(self, numbers: int, width: int) -> None:
        super().__init__()
        self.table = nn.Embedding(numbers * BINS, width)

    def forward(self, values_BN: Tensor) -> Tensor:
        """Normalised numbers [B, N] to tokens [B, N, D]."""
        share = (values_BN.float() / BIN_RANGE + 1.0) / 2.0
        rows = (share * BINS).floor().clamp(0, BINS - 1).long()
        first = BINS * torch.arange(values_BN.shape[1], device=rows.device)
        return self.table(rows + first)


def tiled(vectors_BLC: Tensor, tokens: int, width: int) -> Tensor:
    """All numbers of [B, L, C], repeated until they fill a frame [B, tokens, width].

    Source: cosmos-policy models/policy_text2world_model.py @ 18a2acc (latent frame injection).

    Raises:
        ValueError: When they do not fit into one frame.
    """
    flat = vectors_BLC.flatten(1)
    found, room = flat.shape[1], tokens * width
    if found > room:
        raise ValueError(f"{found} numbers do not fit into one latent frame of {room}.")
    return flat.repeat(1, -(-room // found))[:, :room].view(-1, tokens, width)


def untiled(frame_BLC: Tensor, length: int, width: int) -> Tensor:
    """The vectors [B, length, width] of a frame: the average over their repeats."""
    flat, count = frame_BLC.flatten(1), length * width
    place = torch.arange(flat.shape[1], device=flat.device) % count
    total = flat.new_zeros(flat.shape[0], count).index_add(1, place, flat)
    times = torch.bincount(place, minlength=count).to(flat)
    return (total / times).view(-1, length, width)


class PixelTokens(nn.Module):
    """A convolutional stem: one token for each ``stride`` x ``stride`` pixels of one camera.

    Four-pixel patches, one 3x3 convolution between them, then neighbouring patches are merged:
    fewer and larger steps than a stack of strided convolutions, which is what a CPU likes.

    Args:
        height: Image height in pixels, divisible by the stride.
        width_px: Image width in pixels, divisible by the stride.
        stride: Pixels a token: 8 or 16.
        width: Token width.
        channels: Channels between the patches and the merge.
    """

    def __init__(
        self, *, height: int, width_px: int, stride: int, width: int, channels: int
    ) -> None:
        super().__init__()
        if height % stride or width_px % stride:
            raise ValueError(
                f"Images of {height}x{width_px} pixels cannot be cut into {stride}-pixel tokens; "
                f"use multiples of {stride}."
            )
        merge = stride // PATCH
        self.patch = nn.Conv2d(3, channels, PATCH, PATCH)
        self.mix = nn.Conv2d(channels, channels, 3, 1, 1)
        self.merge = nn.Conv2d(channels, width, merge, merge)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.rows, self.columns = height // stride, width_px // stride
        self.position = nn.Parameter(0.02 * torch.randn(self.rows * self.columns, width))

    def forward(self, image_BHWC: Tensor) -> Tensor:
        """uint8 images [B, height, width, 3] to tokens [B, rows * columns, D]."""
        pixels = image_BHWC.permute(0, 3, 1, 2).to(self.position.dtype) / 127.5 - 1.0
        features = F.relu(self.patch(pixels))
        features = F.relu(features + self.mix(features))
        return self.merge(features).flatten(2).transpose(1, 2) + self.position


class Words(nn.Module):
    """A table of word vectors with learned positions.

    Args:
        vocabulary: Known words; two more rows stand for unknown words and for silence.
        width: Token width.
        longest: Most words in an instruction.
    """

    def __init__(self, vocabulary: tuple[str, ...], width: int, longest: int = 32) -> None:
        super().__init__()
        self.index = {word: row + 2 for row, word in enumerate(vocabulary)}
        self.longest = longest
        self.table = nn.Embedding(len(vocabulary) + 2, width)
        self.position = nn.Parameter(0.02 * torch.randn(longest, width))

    def rows(self, instructions: tuple[str, ...]) -> tuple[Tensor, Tensor]:
        """Word rows [B, L] (0 unknown, 1 silence) and a mask [B, L] that is True at words.

        Raises:
            ValueError: When an instruction has more words than fit.
        """
        split = [split_words(text) or [""] for text in instructions]
        length = max(len(words) for words in split)
        if length > self.longest:
            raise ValueError(
                f"An instruction has {length} words, at most {self.longest} fit: "
                f"{max(instructions, key=len)!r}"
            )
        rows = torch.zeros(len(split), length, dtype=torch.long)
        mask = torch.zeros(len(split), length, dtype=torch.bool)
        for i, words in enumerate(split):
            known = [1 if word == "" else self.index.get(word, 0) for word in words]
            rows[i, : len(known)] = torch.tensor(known)
            mask[i, : len(known)] = True
        device = self.position.device
        return rows.to(device), mask.to(device)

    def forward(self, rows_BL: Tensor) -> Tensor:
        """Word rows [B, L] to tokens [B, L, D]."""
        return self.table(rows_BL) + self.position[: rows_BL.shape[1]]


def split_words(instruction: str) -> list[str]:
    """Lower-case words of an instruction without punctuation."""
    kept = "".join(c if c.isalnum() or c in "'-" else " " for c in instruction.lower())
    return kept.split()
