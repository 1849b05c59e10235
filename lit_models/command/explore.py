"""`lightning explore`: one page in which a trained decoder is played with, in any browser and without a network."""

from pathlib import Path

from lit_models.command.arguments import check_output, run_parser
from lit_models.command.errors import explained
from lit_models.command.export import check_installed
from lit_models.command.run_folders import checkpoint_of


def run(command: str, arguments: list[str]) -> int:
    options = run_parser("explore", "Write a page that runs the decoder of one or several models in the browser.", several=True)
    options.add_argument("--output", type=Path, default=Path("explorer.html"), metavar="FILE", help="the page; default explorer.html")
    given = options.parse_args(arguments)
    checkpoints = [checkpoint_of(name) for name in given.runs]
    check_output(given.output, (".html",))
    check_installed(".onnx")
    from lit_models.checkpoints.files import replacing
    from lit_models.command.opened_run import OpenedRun
    from lit_models.command.silence import silence
    from lit_models.explorer.graph_json import Weights
    from lit_models.explorer.page import knowledge_of, page

    silence()
    with explained():
        known, weights = [], Weights()
        for checkpoint in checkpoints:
            opened = OpenedRun(checkpoint, given.imports)
            run_name = checkpoint.parent.parent.parent.parent.name if checkpoint.parent.name == "checkpoints" else checkpoint.stem
            known.append(knowledge_of(opened.model, f"{run_name}, {opened.dataset_name}", weights, opened.class_names))
        with replacing(given.output) as part:
            part.write_text(page(known, weights, f"Explorer: {known[0]['title']}" if len(known) == 1 else "Explorer of codes"))
    print(
        f"{given.output}: {' | '.join(each['title'] for each in known)}, {given.output.stat().st_size / 1e6:.1f} MB; open it in a browser"
    )
    return 0
