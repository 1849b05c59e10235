"""The curves of a resumed run: points after its checkpoint are removed, because they will be logged again."""

import csv
from pathlib import Path

from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.summary.writer.record_writer import RecordWriter

from lit_models.checkpoints.files import remove_parts, replacing


def rewind(run: Path, step: int) -> None:
    """Drop the points at `step` and later from event files and metrics.csv, and the remains of an interrupted save."""
    remove_parts(run)
    for file in run.glob("events.out.tfevents.*"):
        _rewrite_events(file, step)
    metrics = run / "metrics.csv"
    if metrics.is_file():
        with metrics.open(newline="") as stream:
            reader = csv.DictReader(stream)
            columns, rows = reader.fieldnames or [], [row for row in reader if int(row["step"]) < step]
        with replacing(metrics) as part, part.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, fieldnames=columns)
            writer.writeheader()
            writer.writerows(rows)


def _rewrite_events(file: Path, step: int) -> None:
    with replacing(file) as part, part.open("wb") as stream:
        writer = RecordWriter(stream)
        for record in RawEventFileLoader(str(file)).Load():
            event = Event.FromString(record)
            if not event.HasField("summary") or event.step < step:
                writer.write(record)
