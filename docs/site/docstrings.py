"""Docstrings as mkdocs reads them: their equations are reStructuredText, and no empty line stands between their sections."""

import re
from textwrap import dedent
from typing import Any

import griffe

BLOCK = re.compile(r"^(?P<indent> *)\.\. math::(?P<first>.*)\n(?P<rest>(?:(?P=indent) +.*\n|\s*\n)*)", flags=re.MULTILINE)
SECTION = re.compile(r"^(Args|Returns|Raises|Reference):$", flags=re.MULTILINE)
INLINE = re.compile(r":math:`([^`]+)`")


class Docstrings(griffe.Extension):
    """Puts equations between dollars, and sections apart."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        if obj.docstring:
            obj.docstring.value = SECTION.sub(r"\n\1:", with_dollars(obj.docstring.value))


def with_dollars(text: str) -> str:
    text = BLOCK.sub(lambda found: f"{found['indent']}$$\n{lines_of(found)}\n{found['indent']}$$\n\n", text + "\n")
    return INLINE.sub(lambda found: f"${' '.join(found[1].split())}$", text).rstrip()


def lines_of(found: re.Match[str]) -> str:
    inside = " ".join([found["first"].strip(), *dedent(found["rest"]).split("\n")]).strip()
    if r"\\" in inside or "&" in inside:
        inside = rf"\begin{{aligned}} {inside} \end{{aligned}}"
    return found["indent"] + inside
