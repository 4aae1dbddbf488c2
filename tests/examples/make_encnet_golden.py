#!/usr/bin/env python3
"""Writes encnet_lite_golden.npz and encnet_golden.npz: what PyTorch makes of EncNetLite (11 classes, 16 codewords) and
of EncNet with a dilated ResNet-50 (5 classes, 32 codewords, lateral), in f64. Needs torch and numpy.

Neither parameters nor inputs are stored: both sides compute them (`value`, the same formula as in encnet_test.cpp).
"""
import math
import os

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

CLASSES, CODES = 11, 16         # of EncNetLite
FULL_CLASSES, FULL_CODES = 5, 32


def conv(i, o, k, s=1, d=1):
    return nn.Conv2d(i, o, k, s, d * (k - 1) // 2, d, bias=False)


def conv_norm(i, o, k, s=1):
    return nn.Sequential(conv(i, o, k, s), nn.BatchNorm2d(o), nn.ReLU())


class Block(nn.Module):
    def __init__(self, i, o, s=1, d=1):
        super().__init__()
        self.conv1, self.bn1 = conv(i, o, 3, s, d), nn.BatchNorm2d(o)
        self.conv2, self.bn2 = conv(o, o, 3, 1, d), nn.BatchNorm2d(o)
        self.down = nn.Sequential(conv(i, o, 1, s), nn.BatchNorm2d(o)) if s != 1 or i != o else None

    def forward(self, x):
        y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(y + (x if self.down is None else self.down(x)))


class Encoding(nn.Module):
    def __init__(self, D, K):
        super().__init__()
        self.codewords, self.scale = nn.Parameter(torch.zeros(K, D)), nn.Parameter(torch.zeros(K))

    def forward(self, x):
        r = x.flatten(2).transpose(1, 2).unsqueeze(2) - self.codewords
        a = torch.softmax(self.scale * r.pow(2).sum(3), 2)
        return (a.unsqueeze(3) * r).sum(1)


class Context(nn.Module):
    def __init__(self, C, K):
        super().__init__()
        self.conv, self.encoding, self.bn = conv_norm(C, C, 1), Encoding(C, K), nn.BatchNorm1d(K)
        self.fc, self.selayer = nn.Linear(C, C), nn.Linear(C, CLASSES)

    def forward(self, x):
        e = torch.relu(self.bn(self.encoding(self.conv(x)))).mean(1)
        return torch.relu(x + x * torch.sigmoid(self.fc(e))[:, :, None, None]), self.selayer(e)


class EncNetLite(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = conv_norm(3, 24, 3, 2)
        self.layer1 = nn.Sequential(Block(24, 48, 2), Block(48, 48))
        self.layer2 = nn.Sequential(Block(48, 96, 2), Block(96, 96))
        self.layer3 = nn.Sequential(Block(96, 128, 1, 2), Block(128, 128, 1, 2))
        self.conv5, self.connect, self.fusion = conv_norm(128, 128, 3), conv_norm(96, 128, 1), conv_norm(256, 128, 3)
        self.encmodule = Context(128, CODES)
        self.skip, self.dec = conv_norm(48, 32, 1), conv_norm(160, 64, 3)
        self.conv6 = nn.Sequential(nn.Dropout(0.1), nn.Conv2d(64, CLASSES, 1))

    def forward(self, x):
        c1 = self.layer1(self.stem(x))
        c2 = self.layer2(c1)
        y, se = self.encmodule(self.fusion(torch.cat([self.conv5(self.layer3(c2)), self.connect(c2)], 1)))
        y = F.interpolate(y, c1.shape[2:], mode="bilinear", align_corners=True)
        y = self.conv6(self.dec(torch.cat([y, self.skip(c1)], 1)))
        return F.interpolate(y, x.shape[2:], mode="bilinear", align_corners=True), se


def value(salt, shape, scale):
    n = math.prod(shape)
    return torch.sin(torch.arange(n, dtype=torch.float64) * (0.7 + 0.01 * salt) + salt).reshape(shape) * scale


def norm_relu(i, o, k):
    return nn.Sequential(conv(i, o, k), nn.BatchNorm2d(o), nn.ReLU())


class Bottleneck(nn.Module):
    def __init__(self, i, planes, s, d, project):
        super().__init__()
        self.conv1, self.bn1 = conv(i, planes, 1), nn.BatchNorm2d(planes)
        self.conv2, self.bn2 = conv(planes, planes, 3, s, d), nn.BatchNorm2d(planes)
        self.conv3, self.bn3 = conv(planes, 4 * planes, 1), nn.BatchNorm2d(4 * planes)
        self.downsample = nn.Sequential(conv(i, 4 * planes, 1, s), nn.BatchNorm2d(4 * planes)) if project else None

    def forward(self, x):
        y = torch.relu(self.bn1(self.conv1(x)))
        y = self.bn3(self.conv3(torch.relu(self.bn2(self.conv2(y)))))
        return torch.relu(y + (x if self.downsample is None else self.downsample(x)))


def bottlenecks(i, planes, count, s, first_dilation, dilation):
    blocks = [Bottleneck(i, planes, s, first_dilation, True)]
    return nn.Sequential(*blocks, *[Bottleneck(4 * planes, planes, 1, dilation, False) for _ in range(count - 1)])


class Backbone(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Sequential(conv(3, 64, 3, 2), nn.BatchNorm2d(64), nn.ReLU(), conv(64, 64, 3), nn.BatchNorm2d(64),
                                   nn.ReLU(), conv(64, 128, 3))
        self.bn1 = nn.BatchNorm2d(128)
        self.layer1, self.layer2 = bottlenecks(128, 64, 3, 1, 1, 1), bottlenecks(256, 128, 4, 2, 1, 1)
        self.layer3, self.layer4 = bottlenecks(512, 256, 6, 1, 1, 2), bottlenecks(1024, 512, 3, 1, 2, 4)

    def forward(self, x):
        x = F.max_pool2d(torch.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        c2 = self.layer2(self.layer1(x))
        c3 = self.layer3(c2)
        return c2, c3, self.layer4(c3)


class Mean(nn.Module):
    def forward(self, x):
        return x.mean(1)


class FullContext(nn.Module):
    def __init__(self, C, K):
        super().__init__()
        self.encoding = nn.Sequential(conv(C, C, 1), nn.BatchNorm2d(C), nn.ReLU(), Encoding(C, K), nn.BatchNorm1d(K), nn.ReLU(),
                                      Mean())
        self.fc = nn.Sequential(nn.Linear(C, C), nn.Sigmoid())
        self.selayer = nn.Linear(C, FULL_CLASSES)


class Head(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv5 = norm_relu(2048, 512, 3)
        self.connect = nn.ModuleList([norm_relu(512, 512, 1), norm_relu(1024, 512, 1)])
        self.fusion = norm_relu(3 * 512, 512, 3)
        self.encmodule = FullContext(512, FULL_CODES)
        self.conv6 = nn.Sequential(nn.Dropout2d(0.0), nn.Conv2d(512, FULL_CLASSES, 1))

    def forward(self, c2, c3, c4):
        x = self.fusion(torch.cat([self.conv5(c4), self.connect[0](c2), self.connect[1](c3)], 1))
        e = self.encmodule.encoding(x)
        x = torch.relu(x + x * self.encmodule.fc(e)[:, :, None, None])
        return self.conv6(x), self.encmodule.selayer(e)


class Auxiliary(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv5 = nn.Sequential(conv(1024, 256, 3), nn.BatchNorm2d(256), nn.ReLU(), nn.Dropout2d(0.0),
                                   nn.Conv2d(256, FULL_CLASSES, 1))


class EncNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.pretrained, self.head, self.auxlayer = Backbone(), Head(), Auxiliary()

    def forward(self, x):
        c2, c3, c4 = self.pretrained(x)
        y, se = self.head(c2, c3, c4)
        return [F.interpolate(t, x.shape[2:], mode="bilinear", align_corners=True) for t in (y, self.auxlayer.conv5(c3))] + [se]


def fill(net):
    with torch.no_grad():
        for k, (name, p) in enumerate(net.named_parameters()):
            if p.dim() > 1:
                p.copy_(value(k, p.shape, 1.5 / math.sqrt(p[0].numel())))
            else:
                p.copy_(value(k, p.shape, 0.2) + (1 if "bn" in name or name.endswith("1.weight") else 0))


def save(name, net, arrays):
    keys = "\n".join(net.state_dict())
    np.savez_compressed(os.path.join(os.path.dirname(os.path.abspath(__file__)), name),
                        keys=np.frombuffer(keys.encode(), dtype=np.uint8), **{k: v.detach().numpy() for k, v in arrays.items()})


torch.set_default_dtype(torch.float64)
net = EncNetLite()
net.conv6[0].p = 0.0
fill(net)
x = value(90, (2, 3, 45, 50), 1)
x.requires_grad_()
y, se = net(x)                                   # training: the batch's statistics
((y * value(92, y.shape, 1)).sum() + (se * value(93, se.shape, 1)).sum()).backward()
named = dict(net.named_parameters())
arrays = {"y": y[:, :, ::5, ::5], "se": se, "x.grad": x.grad[:, :, ::5, ::5]}
for name in ("stem.0.weight", "layer2.0.down.1.bias", "layer3.1.bn2.weight", "encmodule.encoding.scale",
             "encmodule.bn.weight", "encmodule.fc.bias", "skip.1.bias", "conv6.1.bias"):
    arrays[name] = named[name].grad
arrays["running"] = dict(net.named_buffers())["layer3.0.bn1.running_var"].clone()
net.eval()
y, se = net(x)                                   # evaluation: the running ones
arrays["eval.y"], arrays["eval.se"] = y[:, :, ::5, ::5], se
save("encnet_lite_golden.npz", net, arrays)

net = EncNet()
fill(net)
x = value(90, (2, 3, 33, 41), 1)
y, aux, se = net(x)
save("encnet_golden.npz", net, {"y": y[:, :, ::5, ::5], "aux": aux[:, :, ::5, ::5], "se": se})
