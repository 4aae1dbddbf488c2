#!/usr/bin/env python3
"""peer.py PICTURES [--workers N] [--epochs N] [--decoder torchvision|pillow] [--draft] [--plain FILE]

The loader of weft-bench-loader in PyTorch: torch.utils.data.DataLoader with torchvision's v2 transforms. Prints a line of
JSON as that program does. --draft: libjpeg's reduced sizes, which Pillow alone offers. --plain: without chance, the first
batch as .npy, to compare pixels.
"""
import argparse
import glob
import json
import os
import resource
import time

import numpy
import PIL.Image
import torch
from torchvision import io
from torchvision.transforms import v2

MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


class Pictures(torch.utils.data.Dataset):
    def __init__(self, folder, decoder, draft, transform):
        self.files = sorted(glob.glob(os.path.join(folder, "*", "*.jpg")))
        self.decoder, self.draft, self.transform = decoder, draft, transform

    def __len__(self):
        return len(self.files)

    def __getitem__(self, i):
        if self.decoder == "torchvision":
            return self.transform(io.decode_jpeg(io.read_file(self.files[i]), mode=io.ImageReadMode.RGB))
        with PIL.Image.open(self.files[i]) as picture:
            if self.draft:
                picture.draft("RGB", (256, 256))
            return self.transform(picture.convert("RGB"))


def cpu_seconds():
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("pictures")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--decoder", choices=("torchvision", "pillow"), default="torchvision")
    parser.add_argument("--draft", action="store_true")
    parser.add_argument("--plain")
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    to_tensor = [v2.ToImage()] if args.decoder == "pillow" else []
    crop = [v2.CenterCrop(224)] if args.plain else [v2.RandomCrop(224), v2.RandomHorizontalFlip()]
    transform = v2.Compose([v2.Resize(256, antialias=True), *crop, *to_tensor, v2.ToDtype(torch.float32, scale=True),
                            v2.Normalize(MEAN, STD)])
    data = Pictures(args.pictures, args.decoder, args.draft, transform)
    loader = torch.utils.data.DataLoader(data, batch_size=32, shuffle=not args.plain, num_workers=args.workers,
                                         persistent_workers=args.workers > 0)
    if args.plain:
        return numpy.save(args.plain, next(iter(loader)).numpy())
    times, cpu = [], cpu_seconds()
    for epoch in range(args.epochs + 1):
        if epoch == 1 and args.workers == 0:
            cpu = cpu_seconds()
        begin = time.perf_counter()
        n = sum(len(batch) for batch in loader)
        times.append((time.perf_counter() - begin) / n)
    measured = args.epochs
    if args.workers:
        # What the workers used is known when they have ended; the start and the first epoch count with them.
        del loader
        measured = args.epochs + 1
    print(json.dumps({"ms": 1e3 * min(times[1:]), "cpu_ms": 1e3 * (cpu_seconds() - cpu) / (n * measured),
                      "pictures": n}))


if __name__ == "__main__":
    main()
