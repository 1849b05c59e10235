"""What TensorBoard's HPARAMS and CUSTOM SCALARS show of the runs at hand. `lightning board` writes it when it starts.

HPARAMS shows the arguments in which the runs differ, next to the newest points of their curves. What the judge and the feature spaces
say of samples comes first, because a loss that is weighted by beta cannot rank beta. CUSTOM SCALARS has the curves that can be compared
between all models, those of all runs in one chart.
"""

from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.types_pb2 import DT_STRING
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.custom_scalar import metadata as charts_metadata
from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2
from tensorboard.summary.writer.record_writer import RecordWriter

from lit_models.checkpoints.files import replacing
from lit_models.checkpoints.run_list import Run, differing, runs_in

FILE = "events.out.tfevents.0.layout"  # in the folder of the first run
CURVES = {  # in the order of HPARAMS, which ticks the first five
    "val/coverage": "coverage (higher is better)",
    "val/kid": "KID (lower is better)",
    "val/kid_untrained": "KID in the untrained space (lower is better)",
    "val/recognisable": "recognisable (compare with real images)",
    "val/control": "control: samples of the class that was asked for (higher is better)",
    "val/mse": "squared error of reconstructions (lower is better)",
    "val/loss": "loss (of models of one kind)",
}
TESTED = ("coverage", "kid", "control", "mse", "nats")  # by lightning test
UNNAMED = ("data", "class_names", "image_shape")  # they follow from the data set


def describe_runs(folder: Path) -> None:
    """Write the layout into the folder of the first run; TensorBoard would show a folder of its own as a run."""
    runs = sorted(runs_in(folder), key=lambda run: run.folder)
    for run in runs:
        (run.folder / FILE).unlink(missing_ok=True)
    if not runs:
        return
    known = [name for name in CURVES if any(name in run.curves for run in runs)]
    with replacing(runs[0].folder / FILE) as part, part.open("wb") as stream:
        writer = RecordWriter(stream)
        writer.write(Event(file_version="brain.Event:2").SerializeToString())
        for summary in (hparams_of(runs, known), charts_of(known)):
            writer.write(Event(summary=summary).SerializeToString())


def hparams_of(runs: list[Run], curves: list[str]) -> Summary:
    """The columns of HPARAMS: arguments that differ (the model, if none does), curves, and measures of `lightning test`."""
    infos = []
    for name in [name for name in differing(runs) if name not in UNNAMED] or ["model"]:
        values = [run.arguments.get(name) for run in runs]
        numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
        infos.append(api_pb2.HParamInfo(name=name, type=api_pb2.DATA_TYPE_FLOAT64 if numbers else api_pb2.DATA_TYPE_STRING, differs=True))
    tags = [*curves, *(f"{stage}/{name}" for stage in ("val/final", "test") for name in TESTED)]
    metrics = [api_pb2.MetricInfo(name=api_pb2.MetricName(tag=tag), display_name=tag) for tag in tags]
    content = plugin_data_pb2.HParamsPluginData(
        experiment=api_pb2.Experiment(hparam_infos=infos, metric_infos=metrics), version=metadata.PLUGIN_DATA_VERSION
    )
    plugin = SummaryMetadata.PluginData(plugin_name=metadata.PLUGIN_NAME, content=content.SerializeToString())
    return Summary(value=[Summary.Value(tag=metadata.EXPERIMENT_TAG, metadata=SummaryMetadata(plugin_data=plugin))])


def charts_of(curves: list[str]) -> Summary:
    """The charts of CUSTOM SCALARS: one per curve that any run has."""
    charts = [layout_pb2.Chart(title=CURVES[name], multiline=layout_pb2.MultilineChartContent(tag=[f"{name}$"])) for name in curves]
    layout = layout_pb2.Layout(category=[layout_pb2.Category(title="validation images", chart=charts)])
    plugin = SummaryMetadata.PluginData(plugin_name=charts_metadata.PLUGIN_NAME)
    tensor = TensorProto(dtype=DT_STRING, string_val=[layout.SerializeToString()])
    value = Summary.Value(tag=charts_metadata.CONFIG_SUMMARY_TAG, tensor=tensor, metadata=SummaryMetadata(plugin_data=plugin))
    return Summary(value=[value])
