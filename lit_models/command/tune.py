"""`lightning tune`: search good settings of a config, by trials that are measured on validation images."""

from pathlib import Path

from lit_models.command.arguments import Parser, whole
from lit_models.command.errors import explained
from lit_models.training import configs


def run(command: str, arguments: list[str]) -> int:
    options = Parser(prog="lightning tune", description="Search good settings of a config; --model.X and --trainer.X hold for all trials.")
    options.add_argument("--config", "-c", action="append", required=True, help="as for fit; the first one has the key tune:")
    options.add_argument("--trials", type=whole(1), default=16, metavar="N", help="number of trials, those of earlier calls included (16)")
    options.add_argument("--images", type=whole(1000), default=110_000, metavar="N", help="that a trial sees (110000: two epochs)")
    options.add_argument("--samples", type=whole(100), default=2000, metavar="N", help="that a trial is measured by (2000)")
    options.add_argument("--data", dest="dataset", default="mnist", help="a name, or the path of your own images")
    options.add_argument("--root", help="folder of the data; default $MNIST_ROOT, else data/")
    options.add_argument("--output", type=Path, help="folder of the trials; default tuning/CONFIG. A search in it is gone on with")
    options.add_argument("--storage", metavar="URL", help="a database that several machines share, as Optuna takes it")
    given, fixed = options.parse_known_args(arguments)
    with explained():
        from lit_models.study.tuning import search_of

        search = search_of(given.config, fixed, given.dataset, given.images)
        from datamodules import ImageDataModule
        from datamodules.sources import data_root
        from lit_models.checkpoints.files import alone_in
        from lit_models.command.silence import silence
        from lit_models.evaluation.yardstick import yardstick_of
        from lit_models.study.tuning import in_words, tune

        silence()
        root = str(data_root(given.root)[0])
        folder = given.output or Path("tuning") / configs.run_name([configs.find(name) for name in given.config])
        with alone_in(folder, "wait, or give each process its own --output and all of them the same --storage"):
            yardstick = yardstick_of(given.dataset, ImageDataModule(given.dataset, root=root).whole(), given.samples)
            best = tune(search, given.trials, folder, yardstick, root, given.storage)
        words = " ".join(f"--{name}={value}" for name, value in best.items())
        print(f"best     {in_words(best)}\ntable    {folder / 'trials.csv'}\nlook     lightning board {folder / 'tensorboard'}")
        print(f"next     lightning fit --config {' --config '.join(given.config)} {words}")
    return 0
