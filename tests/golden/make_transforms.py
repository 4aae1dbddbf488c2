#!/usr/bin/env python3
"""Makes data/transforms/transforms.safetensors: what torchvision's v2 functional forms make of a drawn picture.

  python3 make_transforms.py [FOLDER]      needs torch, torchvision and Pillow

Inputs are "in.*"; the other names are those of the cases in tests/data/transform_golden_test.cpp, which says the
parameters again.
"""
import os
import sys

import numpy as np
import PIL.Image
import torch
import torchvision.transforms.v2.functional as F
from torchvision import tv_tensors

import golden_file

H, W = 24, 35


def draw():
    """Slopes, a bright disc, a dark bar and noise; greys, pure colours and black among them."""
    y, x = np.mgrid[0:H, 0:W].astype(np.float64)
    noise = np.random.default_rng(5).integers(-20, 21, (3, H, W))
    p = np.stack([7 * x, 10 * y, 255 - 3 * x - 4 * y]) + noise
    p[:, (x - 22) ** 2 + (y - 9) ** 2 < 30] = [[250], [240], [20]]
    p[:, 17:20, 4:28] = [[12], [10], [14]]
    p[:, 2:6, 2:9] = 128
    p[:, 6, :12] = 0
    p[:, 7, :12] = 255
    p[0, 8, :12] = 255
    p[1:, 8, :12] = 0
    return torch.from_numpy(np.clip(np.round(p), 0, 255).astype(np.uint8))


def displacement():
    y, x = np.mgrid[0:H, 0:W].astype(np.float64)
    return torch.from_numpy(np.stack([0.11 * np.sin(y / 4 + 0.3), 0.17 * np.cos(x / 5)], -1)[None].astype(np.float32))


def volume_points(degrees, scale, translate, spacing, shape):
    """Places that a volume's voxels are looked up at, in index units: written with plain matrices, in f64."""
    m = np.eye(3)
    for axis in (2, 1, 0):
        a = np.deg2rad(degrees[axis])
        u, v = [k for k in range(3) if k != axis]
        r = np.eye(3)
        r[u, u], r[u, v], r[v, u], r[v, v] = np.cos(a), -np.sin(a), np.sin(a), np.cos(a)
        m = r @ m
    middle = (np.array(shape) - 1) / 2
    at = np.stack(np.meshgrid(*[np.arange(n) for n in shape], indexing="ij"), -1) - middle
    back = ((at * spacing - translate) @ m) / scale / spacing
    return back + middle


def main():
    folder = sys.argv[1] if len(sys.argv) > 1 else os.path.join(
        os.path.dirname(os.path.abspath(__file__)), "data", "transforms")
    os.makedirs(folder, exist_ok=True)
    torch.set_num_threads(1)
    u8 = draw()
    real = F.to_dtype(u8, torch.float32, scale=True)
    mask = (u8[0] // 64).long()
    mask[:2] = 255
    mask[20, 20] = 2 ** 40 + 1
    boxes = torch.tensor([[2, 2, 9, 6], [16.5, 3.25, 28, 15], [0, 0, 35, 24], [30, 20, 34.5, 23]])
    by = displacement()
    out = {"in.picture": u8, "in.mask": mask, "in.boxes": boxes, "in.displacement": by}

    # sizes
    for name, size in (("12x17", [12, 17]), ("31x50", [31, 50]), ("24x11", [24, 11]), ("9x35", [9, 35])):
        out["resize_bilinear_" + name] = F.resize(u8, size)
        pil = PIL.Image.fromarray(u8.permute(1, 2, 0).numpy()).resize(size[::-1], PIL.Image.Resampling.BILINEAR)
        differ = out["resize_bilinear_" + name] != torch.from_numpy(np.array(pil)).permute(2, 0, 1)
        print("resize", name, "bytes that differ from Pillow:", int(differ.sum()))
    out["resize_shorter_16"] = F.resize(u8, [16])
    out["resize_shorter_16_max_20"] = F.resize(u8, [16], max_size=20)
    out["resize_plain"] = F.resize(u8, [10, 15], antialias=False)
    for mode in ("nearest", "nearest-exact", "bicubic", "lanczos"):
        out["resize_" + mode] = F.resize(u8, [12, 17], interpolation=F._geometry.InterpolationMode(mode))
    out["resize_bicubic_plain"] = F.resize(u8, [31, 50], interpolation=F._geometry.InterpolationMode.BICUBIC,
                                           antialias=False)
    pil = PIL.Image.fromarray(u8.permute(1, 2, 0).numpy()).resize((17, 9), PIL.Image.Resampling.BOX)
    out["resize_box"] = torch.from_numpy(np.array(pil)).permute(2, 0, 1)
    out["real_resize_bilinear"] = F.resize(real, [12, 17])
    out["real_resize_bicubic"] = F.resize(real, [13, 50], interpolation=F._geometry.InterpolationMode.BICUBIC)
    out["mask_resize"] = F.resize_mask(mask, [10, 50])
    out["boxes_resize"] = F._geometry.resize_bounding_boxes(boxes, (H, W), [12, 50])[0]

    # crops, padding, flips
    out["crop"] = F.crop(u8, 3, 5, 10, 12)
    out["crop_beyond"] = F.crop(u8, -2, 30, 8, 9)
    out["center_crop"] = F.center_crop(u8, [11, 14])
    out["center_crop_larger"] = F.center_crop(u8, [29, 20])
    out["resized_crop"] = F.resized_crop(u8, 3, 5, 15, 20, [8, 9])
    out["pad_fill"] = F.pad(u8, [1, 2, 3, 4], fill=[9, 8, 7])
    for mode in ("edge", "reflect", "symmetric"):
        out["pad_" + mode] = F.pad(u8, [4, 3, 2, 5], padding_mode=mode)
    out["mask_pad"] = F.pad_mask(mask, [1, 2], fill=7)
    out["hflip"], out["vflip"] = F.horizontal_flip(u8), F.vertical_flip(u8)
    xyxy = tv_tensors.BoundingBoxFormat.XYXY
    out["boxes_crop"] = F._geometry.crop_bounding_boxes(boxes, xyxy, 3, 5, 10, 20)[0]
    out["boxes_pad"] = F._geometry.pad_bounding_boxes(boxes, xyxy, (H, W), [1, 2, 3, 4])[0]
    out["boxes_hflip"] = F._geometry.horizontal_flip_bounding_boxes(boxes, xyxy, (H, W))
    out["boxes_vflip"] = F._geometry.vertical_flip_bounding_boxes(boxes, xyxy, (H, W))

    # warps
    bilinear = F._geometry.InterpolationMode.BILINEAR
    out["rotate_nearest"] = F.rotate(u8, 31.7)
    out["rotate_bilinear"] = F.rotate(u8, -58.3, interpolation=bilinear)
    out["rotate_expand"] = F.rotate(u8, 20.5, interpolation=bilinear, expand=True, fill=[40, 80, 120])
    out["rotate_center"] = F.rotate(u8, 77.1, center=[4.5, 6.5], fill=[99])
    out["rotate_90"] = F.rotate(u8, 90, expand=True)
    out["rotate_180"] = F.rotate(u8, -180)
    out["mask_rotate"] = F._geometry.rotate_mask(mask.double(), 31.7, fill=255).long()
    arguments = dict(angle=13.3, translate=[3, -2], scale=1.27, shear=[7.5, -4.25])
    out["affine_nearest"] = F.affine(u8, **arguments)
    out["affine_bilinear"] = F.affine(u8, **arguments, interpolation=bilinear, center=[10, 20])
    out["real_affine"] = F.affine(real, **arguments, interpolation=bilinear, fill=[0.25, 0.5, 0.75])
    out["elastic"] = F.elastic(u8, by)
    out["real_elastic"] = F.elastic(real, by, fill=[0.5])
    out["mask_elastic"] = F._geometry.elastic_mask(mask.double(), by.double()).long()
    out["boxes_rotate"] = F._geometry.rotate_bounding_boxes(boxes, xyxy, (H, W), 31.7)[0]
    out["boxes_rotate_expand"] = F._geometry.rotate_bounding_boxes(boxes, xyxy, (H, W), 20.5, expand=True)[0]
    out["boxes_affine"] = F._geometry.affine_bounding_boxes(boxes, xyxy, (H, W), **arguments, center=[10, 20])
    out["boxes_elastic"] = F._geometry.elastic_bounding_boxes(boxes, xyxy, (H, W), by)

    # values
    for kind, x in (("", u8), ("real_", real)):
        out[kind + "brightness_down"] = F.adjust_brightness(x, 0.6)
        out[kind + "brightness_up"] = F.adjust_brightness(x, 1.7)
        out[kind + "contrast_down"], out[kind + "contrast_up"] = F.adjust_contrast(x, 0.45), F.adjust_contrast(x, 1.6)
        out[kind + "saturation_down"] = F.adjust_saturation(x, 0.3)
        out[kind + "saturation_up"] = F.adjust_saturation(x, 2.1)
        out[kind + "hue_up"], out[kind + "hue_down"] = F.adjust_hue(x, 0.2), F.adjust_hue(x, -0.35)
        out[kind + "gamma_down"], out[kind + "gamma_up"] = F.adjust_gamma(x, 0.7), F.adjust_gamma(x, 2.2, gain=1.1)
        out[kind + "grayscale"] = F.rgb_to_grayscale(x)
        out[kind + "blur"] = F.gaussian_blur(x, [5, 3], [1.2, 0.8])
        out[kind + "blur_7"] = F.gaussian_blur(x, 7)
    out["contrast_grey"] = F.adjust_contrast(u8[:1], 1.6)
    out["normalize"] = F.normalize(real, [0.4, 0.45, 0.5], [0.3, 0.25, 0.2])
    out["to_float"], out["to_u8"] = real, F.to_dtype(real.pow(1.5), torch.uint8, scale=True)

    # volumes: PyTorch's grid_sample at places that are computed here
    volume = torch.nn.functional.avg_pool2d(u8[None].float(), 2).reshape(1, 3, 12, 17)
    volume = volume[:, :, :8, :9].repeat(1, 2, 1, 1)
    volume = volume + 10 * torch.arange(6).reshape(1, 6, 1, 1)
    shape = list(volume.shape[1:])
    at = volume_points([17, -8, 25], [1.1, 0.9, 1.2], [4, -1, 2], np.array([4.0, 1.0, 1.5]), shape)
    grid = torch.from_numpy((2 * at + 1) / np.array(shape) - 1).flip(-1)[None].float()
    out["in.volume"] = volume
    out["volume_affine"] = torch.nn.functional.grid_sample(volume[None], grid, align_corners=False)[0]
    out["volume_affine_nearest"] = torch.nn.functional.grid_sample(volume[None], grid, mode="nearest",
                                                                   align_corners=False)[0]

    # wide elements first: all are aligned
    out = {name: t.contiguous() for name, t in sorted(out.items(), key=lambda e: -e[1].element_size())}
    path = os.path.join(folder, "transforms.safetensors")
    golden_file.save(path, out)
    print(len(out), "tensors,", os.path.getsize(path), "bytes")


if __name__ == "__main__":
    main()
