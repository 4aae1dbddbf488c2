#!/usr/bin/env python3
"""Writes unet3d_golden.npz: what PyTorch makes of a small 3-D U-Net, in f64. Needs torch and numpy.

The parameters are not stored: both sides compute them (`value`, the same formula as in unet3d_test.cpp).
"""
import math
import os

import numpy as np
import torch
import torch.nn as nn

WIDTH = 4


class WSConv3d(nn.Conv3d):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.gain = nn.Parameter(torch.ones(self.out_channels))

    def forward(self, x):
        w = self.weight
        var, mean = torch.var_mean(w, dim=(1, 2, 3, 4), keepdim=True)
        scale = torch.rsqrt((var * w.numel()).clamp(min=1e-4)) * self.gain.view(-1, 1, 1, 1, 1)
        return self._conv_forward(x, (w - mean) * scale, self.bias)


def block(i, o, kernel):
    def unit(i):
        return nn.Sequential(WSConv3d(i, o, kernel, padding=[k // 2 for k in kernel]), nn.GroupNorm(4, o), nn.ReLU())
    return nn.Sequential(unit(i), unit(o))


class Net(nn.Module):
    def __init__(self, f):
        super().__init__()
        planar, full, pool = (1, 3, 3), (3, 3, 3), (1, 2, 2)
        self.enc0, self.enc1, self.enc2 = block(1, f, planar), block(f, 2 * f, full), block(2 * f, 4 * f, full)
        self.pool = nn.MaxPool3d(pool)
        self.up1, self.dec1 = nn.ConvTranspose3d(4 * f, 2 * f, pool, pool), block(4 * f, 2 * f, full)
        self.up0, self.dec0 = nn.ConvTranspose3d(2 * f, f, pool, pool), block(2 * f, f, planar)
        self.head = nn.Conv3d(f, 1, 1)

    def forward(self, x):
        e0 = self.enc0(x)
        e1 = self.enc1(self.pool(e0))
        e2 = self.enc2(self.pool(e1))
        d1 = self.dec1(torch.cat([self.up1(e2), e1], 1))
        return self.head(self.dec0(torch.cat([self.up0(d1), e0], 1)))


def value(salt, shape, scale):
    n = math.prod(shape)
    return torch.sin(torch.arange(n, dtype=torch.float64) * (0.7 + 0.01 * salt) + salt).reshape(shape) * scale


torch.set_default_dtype(torch.float64)
net = Net(WIDTH)
with torch.no_grad():
    for k, (name, p) in enumerate(net.named_parameters()):
        fan = p[0].numel() if p.dim() > 1 else 4
        p.copy_(value(k, p.shape, 1.5 / math.sqrt(fan)))
x = value(90, (2, 1, 3, 12, 16), 1.5)
x.requires_grad_()
y = net(x)
(y * value(92, y.shape, 1)).sum().backward()
named = dict(net.named_parameters())
arrays = {"y": y, "x.grad": x.grad}
for name in ("enc0.0.0.gain", "enc1.1.0.bias", "enc2.0.1.weight", "up1.bias", "dec1.0.0.gain", "up0.weight", "dec0.1.1.bias",
             "head.weight"):
    arrays[name] = named[name].grad
keys = "\n".join(sorted(net.state_dict()))
np.savez_compressed(os.path.join(os.path.dirname(os.path.abspath(__file__)), "unet3d_golden.npz"),
                    keys=np.frombuffer(keys.encode(), dtype=np.uint8), **{k: v.detach().numpy() for k, v in arrays.items()})
