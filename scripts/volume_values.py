#!/usr/bin/env python3
"""Makes the volumes of tests/io/data and, with tifffile, nibabel and h5py, the values that weft must read from them.

  scripts/volume_values.py [TESTS]     needs numpy, tifffile, imagecodecs, nibabel and h5py; TESTS: the folder tests/

tests/io/data/volume_NAME.tif, .nii or .nii.gz have their values in NAME.npy beside them, [D, H, W] or [C, D, H, W]; files
whose reading must be refused are named refused_NAME and have none; volumes.h5 has the values of its datasets in
volumes.npz, named by their paths with . for /. tests/fuzz/corpus/{tiff,nifti,idx,cifar} are the
fuzzers' seeds: some of the same files, and damaged ones.
"""
import gzip
import os
import struct
import sys

import h5py
import nibabel
import numpy as np
import tifffile

TESTS = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), "..", "tests")
SHAPE = (4, 5, 7)


def path(name):
    return os.path.join(TESTS, "io", "data", name)


def seed(parser, name, data):
    folder = os.path.join(TESTS, "fuzz", "corpus", parser)
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, name), "wb") as f:
        f.write(data)


def content(name):
    with open(path(name), "rb") as f:
        return f.read()


def keep(name, values):
    """uint32 and uint64 as weft widens them."""
    values = np.ascontiguousarray(values)
    if values.dtype.kind == "u" and values.dtype.itemsize > 2:
        values = values.astype(np.int64)
    np.save(path(f"volume_{name}.npy"), values.astype(values.dtype.newbyteorder("<")))


def numbers(rng, dtype, shape=SHAPE):
    dtype = np.dtype(dtype)
    if dtype.kind == "f":
        return rng.standard_normal(shape).astype(dtype)
    info = np.iinfo(dtype)
    return rng.integers(info.min, min(int(info.max), 2**63 - 1), shape, dtype=dtype, endpoint=True)


def tiff(rng):
    def write(name, values, **options):
        file = path(f"volume_tiff_{name}.tif")
        tifffile.imwrite(file, values, photometric="minisblack", metadata=None, software=False, **options)
        read = tifffile.imread(file)
        assert (read == values).all(), name
        keep("tiff_" + name, read)

    for dtype in ("u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8"):
        write(dtype, numbers(rng, dtype))
    write("big_endian", numbers(rng, "u2"), byteorder=">")
    write("big_endian_f8", numbers(rng, "f8"), byteorder=">", predictor=False)
    write("bigtiff", numbers(rng, "i2"), bigtiff=True)
    write("rows", numbers(rng, "u2"), rowsperstrip=2)
    write("tiles", numbers(rng, "u2", (3, 20, 37)), tile=(16, 16))
    write("tiles_zlib", numbers(rng, "f4", (2, 20, 17)), tile=(16, 32), compression="zlib", predictor=3)
    steps = np.add.outer(np.arange(4) * 50, np.add.outer(np.arange(9), np.arange(11) * 3))
    write("zlib", steps.astype("u2"), compression="zlib", predictor=2)
    write("zlib_f4", (steps / 7).astype("f4"), compression="zlib", predictor=3, byteorder=">")
    write("lzw", steps.astype("u2"), compression="lzw")
    write("packbits", steps.astype("u1") // 16, compression="packbits")
    write("zstd", steps.astype("u2"), compression="zstd")
    write("lzma", steps.astype("u2"), compression="lzma")
    # A palette's indices are the numbers.
    labels = rng.integers(0, 256, (2, 5, 7)).astype("u1")
    colours = rng.integers(0, 65536, (3, 256)).astype("u2")
    with tifffile.TiffWriter(path("volume_tiff_palette.tif")) as out:
        for page in labels:
            out.write(page, photometric="palette", colormap=colours, metadata=None, software=False)
    keep("tiff_palette", np.stack([p.asarray() for p in tifffile.TiffFile(path("volume_tiff_palette.tif")).pages]))
    # A thumbnail behind each page is no slice.
    with tifffile.TiffWriter(path("volume_tiff_thumbnails.tif")) as out:
        for page in labels:
            out.write(page, photometric="minisblack", metadata=None, software=False)
            out.write(page[::2, ::2], photometric="minisblack", subfiletype=1, metadata=None, software=False)
    keep("tiff_thumbnails", labels)
    x = numbers(rng, "u2")
    tifffile.imwrite(path("volume_tiff_imagej.tif"), x, imagej=True, resolution=(4, 2), metadata={"spacing": 1.5, "unit": "um", "axes": "ZYX"})
    keep("tiff_imagej", tifffile.imread(path("volume_tiff_imagej.tif")))

    # Without a word tifffile takes three slices for red, green and blue.
    tifffile.imwrite(path("refused_tiff_colour.tif"), labels[[0, 1, 0]], photometric="rgb", planarconfig="separate", metadata=None, software=False)
    tifffile.imwrite(path("refused_tiff_complex.tif"), np.ones((2, 3, 3), "c8"), photometric="minisblack", metadata=None, software=False)
    tifffile.imwrite(path("refused_tiff_bits.tif"), labels % 2 == 1, photometric="minisblack", metadata=None, software=False)
    with tifffile.TiffWriter(path("refused_tiff_sizes.tif")) as out:
        out.write(labels[0], photometric="minisblack", metadata=None, software=False)
        out.write(labels[1, :4], photometric="minisblack", metadata=None, software=False)

    for name in ("u2", "f8", "big_endian", "bigtiff", "tiles_zlib", "zlib", "lzw", "packbits", "palette", "thumbnails"):
        seed("tiff", name + ".tif", content(f"volume_tiff_{name}.tif"))
    for name in ("colour", "sizes"):
        seed("tiff", name + ".tif", content(f"refused_tiff_{name}.tif"))
    whole = content("volume_tiff_zlib.tif")
    seed("tiff", "truncated.tif", whole[:len(whole) * 2 // 3])
    # Width and height of the first page as large as they can be: tags 256 and 257 of type 3 or 4.
    def entry(data, tag):
        at = struct.unpack_from("<I", data, 4)[0]
        count = struct.unpack_from("<H", data, at)[0]
        return next(i for i in range(at + 2, at + 2 + 12 * count, 12) if struct.unpack_from("<H", data, i)[0] == tag)
    giant = bytearray(content("volume_tiff_u2.tif"))
    for tag in (256, 257, 278):
        struct.pack_into("<HHII", giant, entry(giant, tag), tag, 4, 1, 0x7fffffff)
    seed("tiff", "giant.tif", bytes(giant))
    tiles = bytearray(content("volume_tiff_tiles.tif"))
    for tag in (322, 323):
        struct.pack_into("<HHII", tiles, entry(tiles, tag), tag, 4, 1, 0x40000000)
    seed("tiff", "giant_tiles.tif", bytes(tiles))
    loop = bytearray(content("volume_tiff_u1.tif"))
    at = struct.unpack_from("<I", loop, 4)[0]
    count = struct.unpack_from("<H", loop, at)[0]
    struct.pack_into("<I", loop, at + 2 + 12 * count, at)
    seed("tiff", "loop.tif", bytes(loop))


def nifti(rng):
    def write(name, values, ending=".nii", order="<", zooms=None, slope=None, inter=0, raw=None):
        """values: [x, y, z, ...]; with a slope they are the stored ones."""
        header = nibabel.Nifti1Header(endianness=order)
        header.set_data_dtype(values.dtype)
        header.set_data_shape(values.shape)
        if zooms:
            header.set_zooms(zooms)
        file = path(f"volume_nifti_{name}{ending}")
        data = header.binaryblock
        if slope is not None:
            data = bytearray(data)
            struct.pack_into(order + "ff", data, 112, slope, inter)
        data = bytearray(data)
        struct.pack_into(order + "f", data, 108, 352)
        data[344:348] = b"n+1\0"
        data = bytes(data) + b"\0" * 4 + values.astype(values.dtype.newbyteorder(order)).tobytes(order="F")
        with open(file, "wb") as f:
            f.write(gzip.compress(data, mtime=0) if ending.endswith("gz") else data)
        read = np.asanyarray(nibabel.load(file).dataobj)
        if slope is None:
            assert (read == values).all(), name
        elif read.dtype == np.float64 and values.dtype != np.float64:
            read = read.astype("f4")  # weft's; nibabel computes in f64
        keep("nifti_" + name, read.T[:, 0] if read.ndim == 5 else read.T)

    turned = SHAPE[::-1]
    for dtype in ("u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f4", "f8"):
        write(dtype, numbers(rng, dtype, turned))
    write("big_endian", numbers(rng, "i2", turned), order=">", zooms=(0.5, 0.75, 3.0))
    write("gzip", numbers(rng, "i2", turned), ".nii.gz", zooms=(1.5, 2.5, 4.0))
    write("flat", numbers(rng, "u1", (7, 5)))
    write("times", numbers(rng, "i2", (4, 3, 2, 5)))
    write("vectors", numbers(rng, "f4", (4, 3, 2, 1, 3)))
    write("scaled", numbers(rng, "i2", turned), slope=0.1, inter=-1000)
    write("scaled_u1", numbers(rng, "u1", turned), slope=2, inter=0.5, order=">")
    write("scaled_f8", numbers(rng, "f8", turned), slope=3.7, inter=1.25)
    write("unscaled", numbers(rng, "i2", turned), slope=0, inter=7)
    write("slope_nan", numbers(rng, "i2", turned), slope=float("nan"), inter=7)

    x = np.ones((2, 3, 4), "f4")
    nibabel.Nifti2Image(x, np.eye(4)).to_filename(path("refused_nifti_2.nii"))
    nibabel.Nifti1Image(x.astype("c8"), np.eye(4)).to_filename(path("refused_nifti_complex.nii"))
    nibabel.Nifti1Image(np.zeros((2, 3, 4), [("R", "u1"), ("G", "u1"), ("B", "u1")]), np.eye(4)).to_filename(path("refused_nifti_rgb.nii"))
    nibabel.Nifti1Image(np.ones((2, 3, 4, 2, 2), "f4"), np.eye(4)).to_filename(path("refused_nifti_axes.nii"))

    whole = content("volume_nifti_i2.nii")
    for name in ("u1.nii", "u8.nii", "big_endian.nii", "gzip.nii.gz", "scaled.nii", "vectors.nii"):
        seed("nifti", name, content("volume_nifti_" + name))
    for name in ("2", "rgb", "axes"):
        seed("nifti", f"refused_{name}.nii", content(f"refused_nifti_{name}.nii"))
    seed("nifti", "truncated.nii", whole[:-3])
    seed("nifti", "header.nii", whole[:200])
    packed = content("volume_nifti_gzip.nii.gz")
    seed("nifti", "truncated.nii.gz", packed[:-20])
    seed("nifti", "checksum.nii.gz", packed[:-8] + b"\0\0\0\0" + packed[-4:])
    def changed(at, form, *values):
        data = bytearray(whole)
        struct.pack_into("<" + form, data, at, *values)
        return bytes(data)
    seed("nifti", "giant.nii", changed(40, "8h", 7, *[32767] * 7))
    seed("nifti", "giant.nii.gz", gzip.compress(changed(40, "4h", 3, 32767, 32767, 32767), mtime=0))
    seed("nifti", "negative.nii", changed(42, "h", -7))
    seed("nifti", "offset.nii", changed(108, "f", 1e30))
    seed("nifti", "datatype.nii", changed(70, "h", 3))
    seed("nifti", "pair.hdr", changed(344, "4s", b"ni1\0"))
    seed("nifti", "analyze.hdr", changed(344, "4s", b"\0\0\0\0"))


def hdf5(rng):
    with h5py.File(path("volumes.h5"), "w", track_order=False) as f:
        for dtype in ("u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8", ">i2", ">f8", ">f2"):
            name = ("big/" if dtype[0] == ">" else "plain/") + dtype[-2:]
            f.create_dataset(name, data=numbers(rng, dtype[-2:], (2, 3, 4)).astype(dtype), track_times=False)
        f.create_dataset("mask", data=rng.integers(0, 2, (3, 5)).astype(bool), track_times=False)
        f.create_dataset("number", data=np.float32(2.5), track_times=False)
        f.create_dataset("none", shape=(0, 3), dtype="f4", track_times=False)
        f.create_dataset("packed", data=numbers(rng, "u2", (5, 6, 7)) % 9, chunks=(2, 3, 4), compression="gzip", shuffle=True, track_times=False)
        f.create_dataset("sparse", shape=(4, 4, 4), dtype="i4", chunks=(2, 2, 2), fillvalue=-1, track_times=False)
        f["sparse"][:2, :2, :2] = 7
    with h5py.File(path("volumes.h5")) as f:
        values = {}
        f.visititems(lambda name, x: values.__setitem__(name.replace("/", "."), x[()]) if isinstance(x, h5py.Dataset) else None)
    values = {k: np.asarray(v) for k, v in values.items()}
    np.savez(path("volumes.npz"), **{k: v.astype(v.dtype.newbyteorder("<")) for k, v in values.items()})
    with h5py.File(path("one_volume.h5"), "w") as f:
        f.create_dataset("notes", data="text", track_times=False)
        f.create_dataset("pairs", data=np.ones((2, 2), [("a", "i4"), ("b", "f4")]), track_times=False)
        f.create_dataset("waves", data=np.ones((2, 2), "c8"), track_times=False)
        f.create_dataset("lzf", data=np.zeros((9, 9), "i4"), compression="lzf", track_times=False)
        f.create_dataset("giant", shape=(1 << 20, 1 << 20, 16, 1, 1), dtype="f8", chunks=(1, 1024, 1, 1, 1), track_times=False)
        f.create_dataset("volume", data=np.arange(24, dtype="u4").reshape(2, 3, 4), track_times=False)
    with open(path("truncated.h5"), "wb") as f:
        f.write(content("volumes.h5")[:2000])


def others(rng):
    def idx(code, shape, data):
        return struct.pack(f">BBBB{len(shape)}I", 0, 0, code, len(shape), *shape) + data
    pictures = rng.integers(0, 256, (3, 4, 5)).astype("u1")
    seed("idx", "u8.idx", idx(8, (3, 4, 5), pictures.tobytes()))
    seed("idx", "u8.idx.gz", gzip.compress(idx(8, (3, 4, 5), pictures.tobytes()), mtime=0))
    for code, dtype in ((9, "i1"), (11, ">i2"), (12, ">i4"), (13, ">f4"), (14, ">f8")):
        seed("idx", dtype[-2:] + ".idx", idx(code, (2, 3), np.arange(-3, 3).astype(dtype).tobytes()))
    seed("idx", "truncated.idx", idx(8, (3, 4, 5), pictures.tobytes()[:-1]))
    seed("idx", "longer.idx", idx(8, (3, 4, 5), pictures.tobytes() + b"1"))
    seed("idx", "giant.idx", idx(14, (0xffffffff,) * 3, b""))
    seed("idx", "giant.idx.gz", gzip.compress(idx(8, (0x7fffffff,), b""), mtime=0))
    seed("idx", "joined.idx.gz", gzip.compress(idx(8, (4,), b"ab"), mtime=0) + gzip.compress(b"cd", mtime=0))
    seed("idx", "code.idx", idx(10, (1,), b"1"))
    seed("idx", "rank.idx", idx(8, (1,) * 13, b"1"))
    record = bytes(range(256)) * 12
    seed("cifar", "cifar10.bin", b"\7" + record)
    seed("cifar", "label.bin", b"\12" + record)
    seed("cifar", "cifar100.bin", b"\23\143" + record)
    seed("cifar", "truncated.bin", b"\7" + record[:-1])


if __name__ == "__main__":
    for make in (tiff, nifti, hdf5, others):
        make(np.random.default_rng(13))
