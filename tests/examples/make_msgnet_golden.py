#!/usr/bin/env python3
"""Writes msgnet_golden.npz: what PyTorch makes of a small MSG-Net, in f64. Needs torch and numpy.

The parameters are not stored: both sides compute them (`value`, the same formula as in msgnet_test.cpp).
"""
import math
import os

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

NGF, BLOCKS = 2, 1


class ConvLayer(nn.Module):
    def __init__(self, i, o, k, stride=1, up=1):
        super().__init__()
        self.up, self.pad = up, k // 2
        self.conv2d = nn.Conv2d(i, o, k, stride)

    def forward(self, x):
        if self.up > 1:
            x = F.interpolate(x, scale_factor=self.up, mode="nearest")
        return self.conv2d(F.pad(x, [self.pad] * 4, mode="reflect") if self.pad else x)


class Block(nn.Module):
    def __init__(self, i, planes, stride=1, up=1):
        super().__init__()
        if up > 1:
            self.residual_layer = ConvLayer(i, 4 * planes, 1, up=up)
        elif stride > 1:
            self.residual_layer = nn.Conv2d(i, 4 * planes, 1, stride)
        else:
            self.residual_layer = nn.Identity()
        self.conv_block = nn.Sequential(
            nn.InstanceNorm2d(i), nn.ReLU(), nn.Conv2d(i, planes, 1), nn.InstanceNorm2d(planes), nn.ReLU(),
            ConvLayer(planes, planes, 3, stride, up), nn.InstanceNorm2d(planes), nn.ReLU(), nn.Conv2d(planes, 4 * planes, 1))

    def forward(self, x):
        return self.residual_layer(x) + self.conv_block(x)


class Inspiration(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1, c, c))

    def forward(self, x):
        p = self.weight @ self.target
        return (p.transpose(1, 2) @ x.flatten(2)).view_as(x)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        c = 4 * NGF
        self.model1 = nn.Sequential(ConvLayer(3, 64, 7), nn.InstanceNorm2d(64), nn.ReLU(), Block(64, 32, 2), Block(128, NGF, 2))
        self.ins = Inspiration(c)
        self.model = nn.Sequential(self.model1, self.ins, *[Block(c, NGF) for _ in range(BLOCKS)], Block(c, 32, up=2),
                                   Block(128, 16, up=2), nn.InstanceNorm2d(64), nn.ReLU(), ConvLayer(64, 3, 7))

    def set_target(self, style):
        f = self.model1(style)
        v = f.flatten(2)
        self.ins.target = v @ v.transpose(1, 2) / (f.shape[1] * v.shape[2])


def value(salt, shape, scale):
    n = math.prod(shape)
    return torch.sin(torch.arange(n, dtype=torch.float64) * (0.7 + 0.01 * salt) + salt).reshape(shape) * scale


torch.set_default_dtype(torch.float64)
net = Net()
with torch.no_grad():
    for k, (name, p) in enumerate(net.named_parameters()):
        fan = p[0].numel() if p.dim() > 1 else 16
        p.copy_(value(k, p.shape, 1.5 / math.sqrt(fan)))
x, style = 127 + value(90, (2, 3, 16, 20), 120), 127 + value(91, (1, 3, 20, 12), 120)
x.requires_grad_()
net.set_target(style)
y = net.model(x)
(y * value(92, y.shape, 1)).sum().backward()
named = dict(net.named_parameters())
arrays = {"y": y, "x.grad": x.grad}
for name in ("model1.0.conv2d.bias", "model1.4.conv_block.5.conv2d.weight", "ins.weight",
             f"model.{3 + BLOCKS}.residual_layer.conv2d.bias", f"model.{6 + BLOCKS}.conv2d.bias"):
    arrays[name] = named[name].grad
keys = "\n".join(net.state_dict())
np.savez_compressed(os.path.join(os.path.dirname(os.path.abspath(__file__)), "msgnet_golden.npz"),
                    keys=np.frombuffer(keys.encode(), dtype=np.uint8), **{k: v.detach().numpy() for k, v in arrays.items()})
