"""Priors: how they look and code, and how they are made by runs that may be killed."""

import math
import shlex
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from fakes.priors import CORPUS, prior_of
from vertebra.backbones.autoencoder import PX, VideoAutoencoder
from vertebra.backbones.prior import read_prior, write_prior
from vertebra.backbones.sizes import MINI, MINI_X4, TINY, Size
from vertebra.cli.entry import run as run_command
from vertebra.data.cache import FrameCache
from vertebra.pretrain import tasks
from vertebra.pretrain.corpus import CAMERA, build_corpus
from vertebra.pretrain.pairs import Pair
from vertebra.pretrain.run import Budget, count_flops, pretrain
from vertebra.pretrain.spec import PretrainSpec
from vertebra.pretrain.tasks import make_task
from vertebra.pretrain.video import VideoPrior
from vertebra.pretrain.vlm import Asked, VlmPrior
from vertebra.train.run import Progress


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pretrain")


@pytest.fixture(scope="module")
def cache(store: Path) -> FrameCache:
    return build_corpus(CORPUS, store / "corpora")


def spec_of(what: str, **changes: object) -> PretrainSpec:
    parts = {
        "size": "tiny",
        "targets": "points" if what == "vlm" else "none",
        "corpus": CORPUS,
        "samples": 32,
        "batch_size": 4,
        "checkpoint_every": 3,
        "warmup": 2,
        "codec": "0" * 64 if what == "video" else "",
    }
    return PretrainSpec(what=what, **{**parts, **changes})


# Networks.


def asked(cache: FrameCache, *pairs: tuple[str, str]) -> Asked:
    nowhere = np.full((2, 2), np.nan, np.float32)
    images = torch.from_numpy(np.array(cache.images[CAMERA][: len(pairs)]))
    return Asked(
        images=images,
        pairs=tuple(Pair(kind="name", prompt=p, answer=a, points=nowhere) for p, a in pairs),
    )


def test_a_word_of_an_answer_depends_on_the_words_before_it_only(cache: FrameCache) -> None:
    torch.manual_seed(0)
    prior = VlmPrior(TINY, pointing=True).eval()

    def scores(prompt: str, answer: str) -> torch.Tensor:
        batch = asked(cache, (prompt, answer))
        said, real, _ = prior._taught(batch.pairs)
        return prior.scores(prior.read(batch.images, [prompt], said, real))

    one, other = scores("where is it", "red cube"), scores("where is it", "red plate")
    assert torch.equal(one[:, :2], other[:, :2]) and not torch.allclose(one[:, 2], other[:, 2])
    changed = scores("where is the", "red cube")
    assert not torch.allclose(one[:, 0], changed[:, 0])


def test_padding_of_questions_and_answers_changes_nothing(cache: FrameCache) -> None:
    torch.manual_seed(0)
    prior = VlmPrior(TINY, pointing=True).eval()
    short, long = ("where is it", "red cube"), ("what is at the left of the red plate", "no")
    alone = prior.losses(asked(cache, short))["answer"]
    beside = prior.losses(asked(cache, short, long))["answer"]
    torch.testing.assert_close(alone[0], beside[0])


def test_codes_depend_on_no_later_frame_and_the_first_is_coded_alone() -> None:
    torch.manual_seed(0)
    codec, frames = VideoAutoencoder(8), torch.rand(2, 5, 3, PX, PX)
    codes = codec.encode(frames)
    assert codes.shape == (2, 3, 32, 4, 4) and codec.decode(codes).shape == frames.shape
    torch.testing.assert_close(codec.encode(frames[:, :1]), codes[:, :1])
    torch.testing.assert_close(codec.encode(frames[:, :3]), codes[:, :2])
    later = frames.clone()
    later[:, 3:] = 0.0
    assert torch.equal(codec.encode(later)[:, :2], codes[:, :2])
    assert not torch.allclose(codec.encode(later)[:, 2], codes[:, 2])


def test_nothing_moving_is_no_change() -> None:
    torch.manual_seed(0)
    codec, now = VideoAutoencoder(8), torch.rand(2, 3, PX, PX)
    vectors = codec.changes(now, now[:, None].expand(-1, 4, -1, -1, -1))
    assert vectors.shape == (2, 32, 32) and vectors.abs().max() < 1e-5
    painted = codec.decode(codec.encode(now[:, None].expand(-1, 5, -1, -1, -1))).clamp(0, 1)
    torch.testing.assert_close(codec.changed(now, vectors), painted[:, 1:])


@pytest.mark.parametrize("size", [MINI, MINI_X4], ids=lambda size: size.name)
def test_priors_hold_equally_many_parameters(size: Size) -> None:
    vlm = VlmPrior(size, pointing=True)
    video = VideoPrior(size, VideoAutoencoder(size.code_width), pointing=False)
    one, other = (sum(p.numel() for p in net.parameters()) for net in (vlm, video))
    assert abs(one / other - 1) < 0.02, (one, other)


def test_four_times_as_large() -> None:
    one, other = (
        sum(p.numel() for p in VlmPrior(size, pointing=True).attention.parameters())
        for size in (MINI, MINI_X4)
    )
    assert 3.8 < other / one < 4.1


# Runs.


@pytest.fixture(autouse=True)
def small_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "VALIDATION_SIZE", 4)
    monkeypatch.setattr(tasks, "METRIC_SAMPLES", 16)


class KilledError(Exception):
    pass


@pytest.mark.parametrize("what", ["vlm", "video", "autoencoder"])
def test_a_pretraining_that_was_killed_ends_as_if_it_had_not_been(
    what: str, store: Path, cache: FrameCache, tmp_path: Path
) -> None:
    (tmp_path / "corpora").symlink_to(store / "corpora")
    codec = None
    if what == "video":
        codec = tmp_path / "autoencoder-tiny.safetensors"
        one = prior_of("autoencoder-tiny", VideoAutoencoder(TINY.code_width))
        write_prior(codec, {**one.card, "ledger": {"flops": 1.0}}, one.tensors)
    spec, budget = spec_of(what), Budget(samples=32)
    whole = pretrain(spec, budget, tmp_path / "whole", codec=codec)

    def kill(progress: Progress) -> None:
        raise KilledError

    out = tmp_path / "killed"
    with pytest.raises(KilledError):
        pretrain(replace(spec, samples=80), Budget(samples=80), out, codec=codec, on_progress=kill)
    assert (out / "resume" / "state.json").exists()
    with pytest.raises(ValueError, match="locked for 80 samples, asked are 32"):
        pretrain(spec, budget, out, codec=codec)
    ended = pretrain(replace(spec, samples=80), Budget(samples=80), out, codec=codec)
    again = pretrain(spec, Budget(samples=80), tmp_path / "again", codec=codec)
    assert ended.read_bytes() == again.read_bytes() != whole.read_bytes()
    card = read_prior(ended).card
    assert card["metrics"].keys() == card["metrics_float32"].keys() and card["metrics"]
    assert card["ledger"]["samples"] == 80 and card["ledger"]["flops"] > 0
    assert (card["ledger"]["privileged_targets"] > 0) == (what == "vlm")
    before = ended.stat().st_mtime_ns
    assert pretrain(spec, Budget(samples=80), out, codec=codec) == ended
    assert ended.stat().st_mtime_ns == before


def test_a_budget_of_operations_counts_the_autoencoder(cache: FrameCache, tmp_path: Path) -> None:
    codec = prior_of("autoencoder-tiny", VideoAutoencoder(TINY.code_width))
    card = {**codec.card, "ledger": {"flops": 4e8}}
    write_prior(tmp_path / "autoencoder-tiny.safetensors", card, codec.tensors)
    known = read_prior(tmp_path / "autoencoder-tiny.safetensors")
    spec = spec_of("video")
    step = count_flops(make_task(spec, cache, known))
    (tmp_path / "corpora").symlink_to(Path(cache.directory).parent)
    path = pretrain(
        spec,
        Budget(flops=4e8 + 3.5 * step),
        tmp_path / "run",
        codec=tmp_path / "autoencoder-tiny.safetensors",
    )
    ledger = read_prior(path).card["ledger"]
    assert ledger["steps"] == 3 and math.isclose(ledger["flops"], 4e8 + 3 * step)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"what": "sound"}, "a prior is one of"),
        ({"targets": "boxes"}, "targets are one of"),
        ({"samples": 2}, "less than one batch"),
        ({"codec": "1"}, "and no other, imagines in an autoencoder"),
        ({"size": "huge"}, "No size is named 'huge'"),
    ],
)
def test_a_pretraining_that_cannot_run_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(spec_of("vlm"), **changes)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["video", "--size", "tiny"], "No prior named 'autoencoder-tiny' is shipped"),
        (["vlm", "--codec", "here.safetensors"], "--codec is read by a video prior only"),
        (["vlm", "--samples", "64", "--core-hours", "1"], "A budget is one of samples"),
        (["autoencoder", "--shuffled"], "reads no words that could be shuffled"),
    ],
)
def test_a_command_that_cannot_be_meant_is_refused(
    words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(["pretrain", *words, "--out", str(tmp_path / "run")]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_prior_is_made_by_one_command_and_named_last(
    store: Path,
    cache: FrameCache,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(
        "vertebra.pretrain.corpus.Corpus", lambda clips: replace(CORPUS, clips=clips)
    )
    (tmp_path / "corpora").symlink_to(store / "corpora")
    words = ["pretrain", "vlm", "--size", "tiny", "--samples", "64", "--clips", "10"]
    words += ["--out", str(tmp_path / "run")]
    monkeypatch.setattr("sys.argv", ["vertebra", *words])
    assert run_command(words) == 0
    path = Path(capsys.readouterr().out.strip())
    assert path.name == "vlm-tiny.safetensors"
    card = read_prior(path).card
    assert card["ledger"]["samples"] == 64 and card["corpus"]["hash"] == cache.content_hash
    assert card["command"] == shlex.join(["vertebra", *words])
