"""Checks what pages say of the study in whole sentences, against the measures in docs/study.

    python -m benchmarks.sentences    # names what does not hold, and the page

Behind a sentence, at the end of its paragraph, stands what it follows from, in a comment that readers of the page do not see:

    The VAE takes 1.5 times as long as the AE. <!-- holds: vae.seconds / ae.seconds = 1.5 -->

Parts are separated by `;`. Each is an expression of `lit_models.study.expressions`, as those of claims are, and a comparison with a number:

- `<=` and `>=` hold over the whole interval of the expression;
- `~` holds if the number lies in the interval: with 0, two rows are not told apart;
- `=` holds if the value has the digits of the number, and the sentence says it, as it is or in per cent.

Distances are compared in all spaces, or in those that are named: `ae.kid - vae.kid <= 0 in first, second`. `=` is that of the first space.
`<!-- holds in study_fashion: ... -->` is about another study than docs/study.

Patterns such as `*:*` fit the systems at their own length. A test does the same and finds nothing.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from benchmarks.studies import PAGES, ROOT, STUDY, study_of
from lit_models.study.claims import comparison_holds
from lit_models.study.columns import SPACES

COMMENT = re.compile(r"<!--\s*holds\b(?:\s+in\s+(\w+))?(.*?)-->", re.DOTALL)
AFTER = re.compile(r"\Z|\n\Z|\n\n|\n *(- |\d+\. )")  # what follows a paragraph, or an item of a list
PART = re.compile(r"(.+) (<=|>=|~|=) (-?[\d.,]*\d)(?: in (.+))?")


class Said(NamedTuple):
    """A comparison, the text before it since the last comment or empty line, the spaces in which distances are compared, and the study."""

    expression: str
    compare: str
    number: str
    text: str
    spaces: list[str]
    study: str = STUDY


def main() -> None:
    for page in PAGES:
        for said in sentences(page.read_text()):
            if reason := wrong(said):
                print(f"{page.relative_to(ROOT)}: {reason}")


def sentences(text: str) -> Iterator[Said]:
    """All comparisons of a page."""
    for found in COMMENT.finditer(text):
        before = re.split(r"-->|\n\n|\n[-|]|\n\d+\. ", text[: found.start()])[-1]
        if AFTER.match(text, found.end()) is None:
            raise ValueError(f"expected a comment at the end of a paragraph, because it splits one\ngot text after {found[0]}")
        said = " ".join(found[2].split())
        if not said.startswith(": "):
            raise ValueError(f"expected <!-- holds: EXPRESSION <= NUMBER --> or <!-- holds in STUDY: ... -->\ngot {found[0]}")
        for part in said.removeprefix(": ").split("; "):
            comparison = PART.fullmatch(part)
            if comparison is None:
                raise ValueError(f"expected EXPRESSION <= NUMBER, or >=, ~, = in a comment\ngot {part}")
            expression, compare, number, named = comparison.groups()
            spaces = named.split(", ") if named else list(SPACES)
            if unknown := set(spaces) - SPACES.keys():
                raise ValueError(f"expected spaces {', '.join(SPACES)} in a comment\ngot {', '.join(sorted(unknown))} in {part}")
            yield Said(expression, compare, number, " ".join(before.split()), spaces, found[1] or STUDY)


def wrong(said: Said) -> str:
    """Why a comparison does not hold, else an empty string."""
    known = study_of(said.study).measures
    number, where = float(said.number.replace(",", "")), f"{said.expression} {said.compare} {said.number}"
    if said.compare == "=":
        digits = len(said.number.partition(".")[2])
        value = known.evaluate(said.expression).value
        if f"{value:,.{digits}f}" != f"{number:,.{digits}f}":
            return f"{where}, but it is {value:.4g}"
        shown = "|".join(map(re.escape, (said.number, f"{100 * number:.{max(0, digits - 2)}f} %")))
        return "" if re.search(rf"(?<![\d.,])({shown})(?!\d)", said.text) else f"{where}, which is not said"
    for space, found in known.in_spaces(said.expression).items():
        if space and space not in said.spaces:
            continue
        if said.compare == "~" and not found.low <= number <= found.high:
            return f"{where}, but it is {found.low:.4g} to {found.high:.4g} {space}".rstrip()
        if said.compare != "~" and comparison_holds(found, said.compare, number) is not True:
            return f"{where}, but it is {found.value:.4g}, {found.low:.4g} to {found.high:.4g} {space}".rstrip()
    return ""


if __name__ == "__main__":
    main()
