r"""Searches good settings of a config: each trial trains with other values, for as many images, and is measured on validation images.

The number to be made small is the mean over the spaces of features of

.. math:: \log(1 + \max(0, \mathrm{KID}))

with KID times 1,000, so that no space outweighs the others, and noise about 0 counts little. Samples are drawn by the model's own sampler,
in a study by the main one of the system. A trial that is worse than the median of the others after a third of its images is stopped. The
first trial has the defaults.

Reference: Akiba et al., Optuna: A Next-generation Hyperparameter Optimization Framework, 2019. https://arxiv.org/abs/1907.10902
"""

import csv
import hashlib
import json
import math
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml
from torch.utils.tensorboard import SummaryWriter

from lit_models.checkpoints.files import replacing
from lit_models.checkpoints.loading import defaults_of, imported, open_checkpoint
from lit_models.evaluation.sample_quality import key
from lit_models.evaluation.yardstick import Yardstick
from lit_models.sampling.samplers import draw, samplers_of
from lit_models.study.extras import extra_package
from lit_models.study.training import Failed, exact_steps, finish, run_in, start
from lit_models.training import configs

FIRST_LOOK = 3  # a trial is measured for the first time after one such part of its images
MOST = 4  # numbers that are searched, for every family alike
OBJECTIVE = "mean log(1 + KID)"

Values = dict[str, Any]  # by the name of the option: model.lr


@dataclass(frozen=True)
class Search:
    """What is searched: configs and options as `lightning fit` takes them, the images that a trial sees, and the space of each value.

    Args:
        sampler: By which trials are measured; None is the model's own.
    """

    names: list[str]
    options: list[str]
    dataset: str
    images: int
    space: dict[str, Any]
    defaults: Values
    batch_size: int
    sampler: str | None = None


def search_of(names: list[str], options: list[str], dataset: str, images: int) -> Search:
    """The search that the first config describes under `tune`: an interval {low, high}, or a list of choices, per option.

    Raises:
        ValueError: If the config describes none, or one that cannot be searched.
    """
    file = configs.find(names[0])
    content = configs.read(file)
    space = content.get("tune")
    if not isinstance(space, dict) or not 0 < len(space) <= MOST:
        found = "none" if not space else f"{len(space)}" if isinstance(space, dict) else f"{space!r}"
        raise ValueError(
            f"expected tune: with one to {MOST} options in {file}\ngot {found}\nsuch as tune: {{model.lr: {{low: 1.0e-3, high: 1.0e-2}}}}"
        )
    for name, values in space.items():
        interval = isinstance(values, dict) and values.keys() == {"low", "high"} and 0 < values["low"] < values["high"]
        if not interval and not (isinstance(values, list) and len(values) > 1):
            raise ValueError(f"expected {{low, high}} above 0 or a list of choices for {name} under tune: in {file}\ngot {values!r}")
    defaults = {name: _default(name, content) for name in space}
    return Search(names, options, dataset, images, space, defaults, _default("data.batch_size", content))


def _default(name: str, content: dict[str, Any]) -> Any:
    """The value of an option without tuning: that of the config, of the shared config, or of the signature."""
    part, _, argument = name.partition(".")
    described = [each.get(part, {}) for each in (content, configs.read(configs.BASE))]
    for each in described:
        if argument in each.get("init_args", {}):
            return each["init_args"][argument]
    path = next((each["class_path"] for each in described if "class_path" in each), None)
    defaults = defaults_of(imported(path)) if path else {}
    if argument not in defaults:
        raise ValueError(f"expected an option of model or data under tune:\ngot {name}\n{configs.did_you_mean(argument, defaults)}")
    return defaults[argument]


def tune(search: Search, trials: int, folder: Path, yardstick: Yardstick, root: str, storage: str | None = None) -> Values:
    """Search until the storage has `trials` trials that have ended; returns the best values. A search in the folder is gone on with.

    Args:
        storage: The address of a database that several machines share; None is a file in `folder`.
    Raises:
        ValueError: If Optuna is not installed.
    """
    optuna = extra_package("optuna", "tune", wanted_by="lightning tune")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    states = optuna.trial.TrialState
    address = storage or f"sqlite:///{(folder / 'trials.db').resolve()}"
    again = optuna.storages.RetryHeartbeatStaleTrialCallback(max_retry=3) if storage else None  # of a machine that was lost
    kept = optuna.storages.RDBStorage(address, heartbeat_interval=60 if storage else None, heartbeat_stale_trial_callback=again)
    study = optuna.create_study(
        storage=kept, study_name=_name(search, yardstick), load_if_exists=True, direction="minimize",
        pruner=optuna.pruners.MedianPruner(n_startup_trials=4),
    )  # fmt: skip
    study.sampler = optuna.samplers.TPESampler(seed=len(study.trials), n_startup_trials=4)  # one that goes on draws other values
    if not study.trials:
        study.enqueue_trial(search.defaults)
    if storage is None:  # this process is alone: what seems to run has been cut
        for cut in study.get_trials(states=[states.RUNNING]):
            study.tell(cut.number, state=states.FAIL)
            study.enqueue_trial(cut.params)
    done = (states.COMPLETE, states.PRUNED)

    def run_trial(trial: Any) -> float:
        values = {name: _suggest(trial, name, within) for name, within in search.space.items()}

        def report(step: int, value: float) -> None:
            trial.report(value, step)
            if trial.should_prune():
                raise optuna.TrialPruned

        found = _objective(search, values, folder, yardstick, root, report)
        _log_to_tensorboard(folder, trial.number, values, found)
        return found

    def after(study: Any, trial: Any) -> None:
        write_table(folder, study)
        value = "failed" if trial.state == states.FAIL else "stopped early" if trial.state == states.PRUNED else f"{trial.value:.3f}"
        print(f"trial {trial.number}: {value} with {in_words(trial.params)}", flush=True)

    if len(study.get_trials(states=done)) < trials:
        study.optimize(run_trial, callbacks=[after, optuna.study.MaxTrialsCallback(trials, states=done)], catch=(Failed,))
    write_table(folder, study)
    if not study.get_trials(states=[states.COMPLETE]):
        raise ValueError(f"expected a trial that ends with a measure\ngot none of {len(study.trials)}\nsee fit.log in {folder / 'trials'}")
    return dict(study.best_params)


def _name(search: Search, yardstick: Yardstick) -> str:
    """One per search, so that a storage can have many."""
    described = json.dumps([*asdict(search).values(), yardstick.sha256], sort_keys=True)
    return f"{'+'.join(Path(name).stem for name in search.names)} {hashlib.sha256(described.encode()).hexdigest()[:12]}"


def _suggest(trial: Any, name: str, within: Any) -> Any:
    if isinstance(within, list):
        return trial.suggest_categorical(name, within)
    return trial.suggest_float(name, within["low"], within["high"], log=True)


def _objective(
    search: Search, values: Values, folder: Path, yardstick: Yardstick, root: str, report: Callable[[int, float], None]
) -> float:
    """Train with these values, and measure on the way and at the end. A training that was cut is resumed."""
    words = [f"--{name}={value}" for name, value in values.items()]
    trial = folder / "trials" / hashlib.sha256(" ".join(words).encode()).hexdigest()[:12]
    trial.mkdir(parents=True, exist_ok=True)
    overlay = trial / "tune_overlay.yaml"
    first, steps = search.images // FIRST_LOOK, search.images // values.get("data.batch_size", search.batch_size)
    overlay.write_text(yaml.safe_dump(exact_steps(steps, [first])))
    process = start(trial, [*search.names, str(overlay.resolve())], search.dataset, root, [*search.options, *words])
    try:
        while not (looks := list(trial.glob(f"logs/*/*/version_*/snapshots/images_{first:08d}.ckpt"))) and process.poll() is None:
            time.sleep(0.2)
        if looks:
            report(first, quality(looks[0], yardstick, search.sampler))  # while the training goes on
    except BaseException:
        process.terminate()  # it ends its batch and saves
        process.wait()
        raise
    finish(trial, process)
    run = run_in(trial)
    assert run is not None
    return quality(run / "checkpoints" / "last.ckpt", yardstick, search.sampler)


def quality(checkpoint: Path, yardstick: Yardstick, sampler: str | None = None) -> float:
    """The number that is to be made small, of samples by a sampler, or by the model's own; NaN if KID has no value."""
    model, _ = open_checkpoint(checkpoint)
    found = yardstick.distances(*draw(model, yardstick.n, sampler or next(iter(samplers_of(model)))))
    return distance(found, yardstick.spaces.widths)


def distance(found: Mapping[str, float], spaces: Collection[str]) -> float:
    """The mean of log(1 + KID) over spaces of features; a KID below 0 counts as 0."""
    return sum(math.log1p(max(found[key("kid", space)], 0.0)) for space in spaces) / len(spaces)


def write_table(folder: Path, study: Any) -> None:
    """`trials.csv`: one line per trial, the best one first."""
    ended = sorted(study.trials, key=lambda trial: math.inf if trial.value is None else trial.value)
    names = list(dict.fromkeys(name for trial in ended for name in trial.params))
    with replacing(folder / "trials.csv") as part, part.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["trial", "state", OBJECTIVE, *names])
        writer.writerows([each.number, each.state.name.lower(), each.value, *map(each.params.get, names)] for each in ended)


def _log_to_tensorboard(folder: Path, number: int, values: Values, found: float) -> None:
    with SummaryWriter(str(folder / "tensorboard" / f"trial_{number:03d}")) as writer:
        writer.add_hparams(values, {OBJECTIVE: found}, run_name=".")


def in_words(values: Values) -> str:
    return ", ".join(f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}" for name, value in values.items())
