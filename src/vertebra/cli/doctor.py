"""The command that examines a machine."""

from typing import Any

from vertebra.cli.arguments_doctor import DoctorCommand
from vertebra.cli.reading import write_out, write_out_json
from vertebra.pilot.facts import machine, software
from vertebra.spec.errors import MissingExtra
from vertebra.spec.storage import write_json

VERSION = 1


def doctor(command: DoctorCommand) -> int:
    """Examine, print as it goes, and write the file; 1 when something differs or fails."""
    if command.seconds < 0:
        raise ValueError(f"seconds is {command.seconds:g}: give 0 or more.")
    try:
        from vertebra.doctor.examine import examine, libraries, processors
        from vertebra.doctor.finding import Finding, counts, lines
    except ImportError as error:
        raise MissingExtra("Examining kernels", "train") from error

    def tell(finding: Finding) -> None:
        if not command.json:
            for line in lines([finding]):
                write_out(line)

    found = examine(
        gpus=command.gpus,
        seconds=command.seconds,
        compiling=not command.no_compile,
        on_finding=tell,
    )
    number = counts(found)
    plain: dict[str, Any] = {
        "version": VERSION,
        "machine": machine(),
        "software": software(),
        "libraries": libraries(),
        "gpus": processors() if command.gpus else [],
        "counts": number,
        "findings": found,
    }
    write_json(command.out, plain)
    if command.json:
        write_out_json(plain)
    else:
        write_out(
            f"{number['ok']} work, {number['differs']} differ, {number['failed']} failed, "
            f"{number['skipped']} were skipped: {_examined(plain['gpus'])} examined."
        )
        write_out(str(command.out))
    return 1 if number["differs"] or number["failed"] else 0


def _examined(gpus: list[dict[str, Any]]) -> str:
    if not gpus:
        return "the CPU was, and no GPU was,"
    return ", ".join(gpu["name"] for gpu in gpus) + (" was" if len(gpus) == 1 else " were")
