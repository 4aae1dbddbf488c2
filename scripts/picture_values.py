#!/usr/bin/env python3
"""Makes the pictures of tests/io/data and, with Pillow, the values that weft must read from them.

  scripts/picture_values.py [FOLDER]     needs Pillow and numpy; writes NAME.png or NAME.jpg and NAME.npy

NAME.npy has what the tests compare with: indices and grey samples as i64 [H, W] (labels_*), brightness as u8 [H, W] (grey_*),
RGB as u8 [H, W, 3] (exif_*, cmyk, ycck), the sources and the results of resizing (nearest_*). PNG files are put together here,
since Pillow writes no interlaced ones, no grey of 2 and 4 bits and no gAMA; it reads them all.
"""
import os
import struct
import sys
import zlib

import numpy as np
from PIL import Image, ImageOps

FOLDER = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), "..", "tests", "io", "data")
H, W = 5, 11
GREY, RGB, PALETTE, RGBA = 0, 2, 3, 6
ADAM7 = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]


def path(name):
    return os.path.join(FOLDER, name)


def keep(name, values):
    np.save(path(name + ".npy"), np.ascontiguousarray(values))


def pack(samples, bits):
    """Rows of [H, W * channels] in PNG's order, each behind the byte of filter 0."""
    out = b""
    for row in samples:
        if bits == 16:
            data = row.astype(">u2").tobytes()
        else:
            digits = "".join(format(int(v), f"0{bits}b") for v in row)
            digits += "0" * (-len(digits) % 8)
            data = bytes(int(digits[i:i + 8], 2) for i in range(0, len(digits), 8))
        out += b"\0" + data
    return out


def write_png(name, samples, kind, bits, chunks=(), behind=(), interlaced=False):
    """samples: [H, W] or [H, W, channels]."""
    h, w = samples.shape[:2]
    data = b""
    for y, x, dy, dx in ADAM7 if interlaced else [(0, 0, 1, 1)]:
        part = samples[y::dy, x::dx]
        if part.size:
            data += pack(part.reshape(part.shape[0], -1), bits)
    def chunk(word, content):
        return struct.pack(">I", len(content)) + word + content + struct.pack(">I", zlib.crc32(word + content))
    with open(path(name + ".png"), "wb") as f:
        f.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", w, h, bits, kind, 0, 0, int(interlaced))))
        for word, content in chunks:
            f.write(chunk(word, content))
        f.write(chunk(b"IDAT", zlib.compress(data)))
        for word, content in behind:
            f.write(chunk(word, content))
        f.write(chunk(b"IEND", b""))


def labels(rng):
    for bits in (1, 2, 4, 8):
        count = 1 << bits
        x = rng.integers(0, count, (H, W))
        # Entries of one colour: no way leads back from colours to indices.
        colours = np.repeat(rng.integers(0, 256, ((count + 1) // 2, 3)), 2, axis=0)[:count].astype(np.uint8).tobytes()
        for variant, chunks, interlaced in [("", (), False), ("_interlaced", (), True), ("_trns", ((b"tRNS", b"\0\x80"),), False)]:
            name = f"labels_palette{bits}{variant}"
            write_png(name, x, PALETTE, bits, ((b"PLTE", colours),) + chunks, interlaced=interlaced)
            read = np.asarray(Image.open(path(name + ".png"))).astype(np.int64)
            assert (read == x).all(), name
            keep(name, read)
    for bits in (1, 2, 4, 8, 16):
        x = rng.integers(0, 1 << bits, (H, W))
        name = f"labels_grey{bits}"
        write_png(name, x, GREY, bits, ((b"gAMA", struct.pack(">I", 45455)),))
        read = np.asarray(Image.open(path(name + ".png"))).astype(np.int64)
        assert (read == x * {1: 1, 2: 85, 4: 17}.get(bits, 1)).all(), name  # Pillow scales 2 and 4 bits, and makes bools of 1
        keep(name, x.astype(np.int64))


def brightness(rng):
    smooth = np.clip(np.add.outer(np.arange(16) * 9, np.arange(24) * 5)[:, :, None] * np.array([1, 0.7, 0.4]), 0, 255)
    colours = {"": rng.integers(0, 256, (H, W, 3)), "_gamma": rng.integers(0, 256, (H, W, 3))}
    for variant, x in colours.items():
        write_png("grey_rgb" + variant, x, RGB, 8, ((b"gAMA", struct.pack(">I", 45455)),) if variant else ())
        keep("grey_rgb" + variant, np.asarray(Image.open(path(f"grey_rgb{variant}.png")).convert("L")))
    x = rng.integers(0, 256, (H, W, 4))
    write_png("grey_rgba_gamma", x, RGBA, 8, ((b"gAMA", struct.pack(">I", 100000)),))
    picture = Image.open(path("grey_rgba_gamma.png"))
    keep("grey_rgba_gamma", np.asarray(Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("L")))
    x = rng.integers(0, 65536, (H, W, 3))
    write_png("grey_rgb16", x, RGB, 16)
    keep("grey_rgb16", np.rint(x @ [0.299, 0.587, 0.114]).astype(np.int32))  # Pillow has no 16-bit RGB
    # Blocks of saturated colours, too: there JPEG's own Y is not the brightness of the colours that come out.
    blocks = np.zeros((16, 24, 3))
    for i, c in enumerate([(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 0, 255), (0, 255, 255), (255, 255, 0)]):
        blocks[i // 3 * 8:i // 3 * 8 + 8, i % 3 * 8:i % 3 * 8 + 8] = c
    for name, x in (("grey_smooth", smooth), ("grey_blocks", blocks)):
        Image.fromarray(x.astype(np.uint8)).save(path(name + ".jpg"), quality=85)
        keep(name, np.asarray(Image.open(path(name + ".jpg")).convert("L")))


def exif(orientation, order):
    return (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)


def orientations(rng):
    x = rng.integers(0, 256, (3, 4, 3))
    for i in range(1, 9):
        chunk = ((b"eXIf", exif(i, "<" if i % 2 else ">")),)
        before = i % 3 != 0  # the chunk may stand behind the data
        write_png(f"exif_{i}", x, RGB, 8, chunk if before else (), () if before else chunk)
        picture = Image.open(path(f"exif_{i}.png"))
        picture.load()
        keep(f"exif_{i}", np.asarray(ImageOps.exif_transpose(picture)))


def inks(rng):
    planes = [np.add.outer(np.arange(16) * a, np.arange(24) * b) % 256 for a, b in [(9, 3), (4, 7), (0, 10), (6, 1)]]
    cmyk = np.stack([np.sort(p, axis=1) for p in planes], axis=2).astype(np.uint8)
    Image.frombytes("CMYK", (24, 16), cmyk.tobytes()).save(path("cmyk.jpg"), quality=92)
    # YCCK has Y, Cb, Cr of the inks, and K inverted: written as CMYK (Pillow inverts all), and marked as YCCK in Adobe's segment.
    ycc = np.asarray(Image.fromarray(np.ascontiguousarray(cmyk[:, :, :3])).convert("YCbCr"))
    stored = np.dstack([255 - ycc, cmyk[:, :, 3]])
    Image.frombytes("CMYK", (24, 16), stored.tobytes()).save(path("ycck.jpg"), quality=92)
    data = open(path("ycck.jpg"), "rb").read()
    at = data.index(b"Adobe") + 11
    assert data[at] == 0
    open(path("ycck.jpg"), "wb").write(data[:at] + b"\2" + data[at + 1:])
    for name in ("cmyk", "ycck"):
        keep(name, np.asarray(Image.open(path(name + ".jpg")).convert("RGB")))


def nearest(rng):
    x = rng.integers(0, 256, (7, 9)).astype(np.uint8)
    keep("nearest", x)
    for h, w in [(3, 4), (14, 18), (5, 13), (1, 1), (7, 9), (10, 2)]:
        keep(f"nearest_{h}x{w}", np.asarray(Image.fromarray(x).resize((w, h), Image.Resampling.NEAREST)))


def arrays(rng):
    """No picture: numpy's own archive with dtypes that weft lacks."""
    np.savez(path("foreign.npz"), i2=np.array([-1, 300], "<i2"), text=np.array(["ab"]), f4=np.array([0.5], "<f4"),
             u4=np.array([[4294967295]], ">u4"))


if __name__ == "__main__":
    os.makedirs(FOLDER, exist_ok=True)
    for make in (labels, brightness, orientations, inks, nearest, arrays):
        make(np.random.default_rng(11))
