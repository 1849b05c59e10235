"""What mkdocs makes of a page of docs/, besides what Markdown says.

- A paragraph that is one link to a Python name or a config, such as [`AE._step`](../../lit_models/ae.py), becomes that code. Elsewhere,
  for example on a code host, it is a link to the file. So no page has a copy of code that can go stale.
- Equations become MathML, which browsers draw without a script.
- Links to notebooks get one to Colab next to them, if mkdocs.yml names `repo_url`.
- Links to files outside docs/ lead to `repo_url`, if mkdocs.yml names one. Otherwise only their text is left.
"""

import ast
import html
import re
from pathlib import Path
from textwrap import dedent
from typing import Any

from latex2mathml.converter import convert

ROOT = Path(__file__).parents[2]
CODE = re.compile(r"^\[`(?P<name>[\w.]+)`\]\((?P<path>(?:\.\./)+[\w/.]+\.(?:py|yaml))\)$", flags=re.MULTILINE)
OUTSIDE = re.compile(r"(?<!!)\[(?P<text>[^\]]+)\]\((?P<path>(?:\.\./)+[\w/.-]+)\)")
NOTEBOOK = re.compile(r"\[[^\]]+\]\((?P<name>\w+\.ipynb)\)")
EQUATION = re.compile(r'<(?P<tag>span|div) class="arithmatex">\\[(\[](?P<tex>.*?)\\[)\]]</(?P=tag)>', flags=re.DOTALL)


def on_page_markdown(markdown: str, page: Any, config: Any, **_: Any) -> str:
    folder = (Path(config.docs_dir) / page.file.src_uri).parent
    markdown = CODE.sub(lambda found: block(folder / found["path"], found["name"]), markdown)
    markdown = NOTEBOOK.sub(lambda found: found[0] + link_to_colab(found["name"], config.repo_url), markdown)
    return OUTSIDE.sub(lambda found: link_outside(found, folder, config), markdown)


def on_page_content(html_of_page: str, **_: Any) -> str:
    return EQUATION.sub(lambda found: mathml(found["tex"], found["tag"]), html_of_page)


def mathml(tex: str, tag: str) -> str:
    return convert(html.unescape(tex), display="block" if tag == "div" else "inline")


def block(file: Path, name: str) -> str:
    """The code of a name, or a whole config, as a block with the file's name."""
    file = file.resolve()
    language, code = ("yaml", file.read_text().rstrip()) if file.suffix == ".yaml" else ("python", source_of(file, name))
    return f'```{language} title="{file.relative_to(ROOT).as_posix()}"\n{code}\n```'


def source_of(file: Path, name: str) -> str:
    """The source of a function, class, method or constant of a file; that of a function without its docstring, which the page replaces.

    Raises:
        ValueError: If the file has no such name.
    """
    text = file.read_text()
    node: Any = ast.parse(text)
    for part in name.split("."):
        found = [each for each in node.body if part in names_of(each)]
        if not found:
            raise ValueError(f"expected {name} in {file}, found no {part}: correct the page that names it")
        node = found[-1]
    lines, first = text.splitlines(), min([node.lineno, *(each.lineno for each in getattr(node, "decorator_list", []))])
    if isinstance(node, ast.FunctionDef) and ast.get_docstring(node):
        told = node.body[0]
        return dedent("\n".join([*lines[first - 1 : told.lineno - 1], *lines[told.end_lineno : node.end_lineno]]))
    return dedent("\n".join(lines[first - 1 : node.end_lineno]))


def names_of(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Assign):
        return [target.id for target in node.targets if isinstance(target, ast.Name)]
    return [getattr(node, "name", "")]


def link_to_colab(notebook: str, repo_url: str | None) -> str:
    repository = re.fullmatch(r"https://github\.com/([\w.-]+/[\w.-]+?)/?", repo_url or "")
    if repository is None:
        return ""
    return f" ([in Colab](https://colab.research.google.com/github/{repository[1]}/blob/main/docs/notebooks/{notebook}))"


def link_outside(found: re.Match[str], folder: Path, config: Any) -> str:
    target = (folder / found["path"]).resolve()
    if target.is_relative_to(Path(config.docs_dir).resolve()):
        return found[0]
    if not target.exists():
        raise ValueError(f"expected a file for the link {found[0]}, found none at {target}")
    if not config.repo_url:
        return found["text"]
    return f"[{found['text']}]({config.repo_url.rstrip('/')}/blob/main/{target.relative_to(ROOT).as_posix()})"
