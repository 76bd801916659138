"""The command that says what to cite."""

from vertebra.cli.arguments import CiteCommand
from vertebra.cli.reading import write_out, write_out_json
from vertebra.recipes.citations import citation_of


def cite(command: CiteCommand) -> int:
    """Print the BibTeX entries of recipes; those that several recipes share are printed once.

    Raises:
        ValueError: Naming every name that is unknown.
    """
    if not command.names:
        raise ValueError(
            "Nothing to cite: name one or more recipes, as listed by `vertebra recipes`."
        )
    found, problems = {}, []
    for name in command.names:
        try:
            found[name] = citation_of(name)
        except ValueError as error:
            problems.append(str(error))
    if problems:
        raise ValueError("\n".join(problems))
    if command.json:
        write_out_json([{"recipe": name, **vars(entry)} for name, entry in found.items()])
    else:
        write_out("\n\n".join({entry.key: entry.bibtex for entry in found.values()}.values()))
    return 0
