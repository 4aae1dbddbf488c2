#!/usr/bin/env python3
"""tensorboard_test.py WEFT_TEST_TRAIN: event files read back by TensorBoard's own loader.

Skipped (exit 77) where Python has no tensorboard; WEFT_TENSORBOARD_PYTHON names one that has.
"""
import os
import subprocess
import sys
import tempfile

try:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util import tensor_util
except ImportError:
    other = os.environ.pop("WEFT_TENSORBOARD_PYTHON", None)
    if other:
        os.execv(other, [other, *sys.argv])
    print("no TensorBoard: skipped")
    sys.exit(77)

with tempfile.TemporaryDirectory() as folder:
    subprocess.run([sys.argv[1], "-tc=writes events for another reader", "--no-skip"], check=True,
                   env={**os.environ, "WEFT_TEST_EVENTS": folder})
    events = EventAccumulator(folder, size_guidance={"scalars": 0, "histograms": 0, "images": 0, "tensors": 0})
    events.Reload()
    tags = events.Tags()
    scalars = [(e.step, e.value) for e in events.Scalars("loss")]
    assert scalars == [(1, 1), (2, 2), (3, 3), (4, 4), (5, 50), (6, 60), (7, 70)], scalars
    histogram = events.Histograms("w")[0].histogram_value
    assert (histogram.min, histogram.max, histogram.num, histogram.sum) == (-1, 3, 4, 2.5), histogram
    assert len(histogram.bucket) == 64 and sum(histogram.bucket) == 4, histogram
    texts = {tag: tensor_util.make_ndarray(events.Tensors(tag)[0].tensor_proto) for tag in tags["tensors"]}
    assert texts["note/text_summary"].tolist() == [b"hello"], texts
    assert b"| lr | 0.25 |" in texts["hparams/text_summary"].tolist()[0], texts
    plugin = events.SummaryMetadata("note/text_summary").plugin_data.plugin_name
    assert plugin == "text", plugin
    if "overlay" in tags["images"]:
        image = events.Images("overlay")[0]
        assert (image.height, image.width) == (5, 7), image
        assert image.encoded_image_string.startswith(b"\x89PNG"), image
print("tensorboard reads", tags)
