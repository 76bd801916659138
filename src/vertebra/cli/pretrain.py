"""The command ``pretrain``."""

from pathlib import Path

from vertebra.cli.arguments_pretrain import PretrainCommand
from vertebra.cli.pilot import command_line, stopped
from vertebra.cli.reading import write_out, write_out_json
from vertebra.cli.watch import Steps
from vertebra.spec.errors import MissingExtra
from vertebra.spec.storage import read_json

DEFAULT_SAMPLES = 320_000


def pretrain_command(command: PretrainCommand) -> int:
    """Make a prior."""
    try:
        from vertebra.backbones.prior import read_prior
        from vertebra.backbones.shipped import AUTOENCODER, shipped
        from vertebra.pretrain.corpus import Corpus
        from vertebra.pretrain.run import Budget, pretrain
        from vertebra.pretrain.spec import PretrainSpec
    except ImportError as error:
        raise MissingExtra("Pretraining", "pilot") from error
    given = {
        "samples": command.samples,
        "core_hours": command.core_hours,
        "flops": command.flops,
    }
    if not any(given.values()):
        given["samples"] = DEFAULT_SAMPLES
    budget = Budget(**given)
    codec: Path | None = None
    if command.what == "video":
        codec = command.codec or shipped(f"{AUTOENCODER}-{command.size}")
    elif command.codec is not None:
        raise ValueError("--codec is read by a video prior only; leave it out.")
    targets = command.targets
    if targets == "auto":
        targets = "points" if command.what == "vlm" else "none"
    spec = PretrainSpec(
        what=command.what,
        size=command.size,
        targets=targets,
        shuffled=command.shuffled,
        corpus=Corpus(clips=command.clips),
        samples=command.samples or DEFAULT_SAMPLES,
        seed=command.seed,
        codec=read_prior(codec).card["sha256"] if codec else "",
    )
    out = command.out or Path("runs/pretrain") / spec.name
    try:
        with Steps() as steps:
            path = pretrain(
                spec,
                budget,
                out,
                codec=codec,
                command=command_line(),
                workers=command.workers,
                on_progress=lambda p: steps.tell(
                    spec.name,
                    p.step,
                    p.steps,
                    p.seconds / max(p.step, 1) * (p.steps - p.step),
                ),
            )
    except KeyboardInterrupt:
        return stopped()
    if command.json:
        write_out_json({"weights": path, "card": read_json(path.with_suffix(".json"))})
    else:
        write_out(str(path.resolve()))
    return 0
