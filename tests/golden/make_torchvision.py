#!/usr/bin/env python3
"""Makes data/torchvision/{resnet18,vgg16}.safetensors: outputs and gradients of the two nets in PyTorch.

  python3 make_torchvision.py [FOLDER]      needs torch and numpy, not torchvision

Nets and state-dict keys are torchvision's (VGG16 with a narrower classifier). Weights and inputs are not stored: `value` makes them
of a key and an index, here and in tests/nn/torchvision_test.cpp. Of every gradient two numbers are stored: its dot product with
generated values, and its norm.
"""
import os
import sys

import numpy as np
import torch
from torch import nn

import golden_file

CLASSES = 10


def value(key, count):
    """Uniform on a grid in [-1, 1), exact in f32."""
    h = 0xCBF29CE484222325
    for byte in key.encode():   # FNV-1a
        h = (h ^ byte) * 0x100000001B3 % 2**64
    with np.errstate(over="ignore"):   # splitmix64
        z = np.uint64(h) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return ((z >> np.uint64(40)).astype(np.int64) - 2**23) / 2.0**23


def generated(key, shape):
    """The state-dict entry of that key."""
    v = value(key, int(np.prod(shape)))
    if key.endswith("num_batches_tracked"):
        return torch.tensor(5)
    if key.endswith("running_var"):
        v = 1 + 0.5 * v
    elif len(shape) > 1:
        v = v * np.sqrt(6 / np.prod(shape[1:]))
    elif key.endswith("weight"):
        v = 1 + 0.25 * v
    else:
        v = 0.25 * v
    return torch.from_numpy(v.astype(np.float32).astype(np.float64)).reshape(shape)


class BasicBlock(nn.Module):
    def __init__(self, inplanes, planes, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inplanes, planes, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.downsample = None
        if stride != 1 or inplanes != planes:
            self.downsample = nn.Sequential(nn.Conv2d(inplanes, planes, 1, stride, bias=False), nn.BatchNorm2d(planes))

    def forward(self, x):
        y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet18(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.layer1 = nn.Sequential(BasicBlock(64, 64, 1), BasicBlock(64, 64, 1))
        self.layer2 = nn.Sequential(BasicBlock(64, 128, 2), BasicBlock(128, 128, 1))
        self.layer3 = nn.Sequential(BasicBlock(128, 256, 2), BasicBlock(256, 256, 1))
        self.layer4 = nn.Sequential(BasicBlock(256, 512, 2), BasicBlock(512, 512, 1))
        self.fc = nn.Linear(512, CLASSES)

    def forward(self, x):
        x = nn.functional.max_pool2d(torch.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(nn.functional.adaptive_avg_pool2d(x, 1).flatten(1))


class VGG16(nn.Module):
    def __init__(self, hidden):
        super().__init__()
        layers, before = [], 3
        for group in ([64] * 2, [128] * 2, [256] * 3, [512] * 3, [512] * 3):
            for channels in group:
                layers += [nn.Conv2d(before, channels, 3, padding=1), nn.ReLU()]
                before = channels
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(7)
        self.classifier = nn.Sequential(nn.Linear(512 * 7 * 7, hidden), nn.ReLU(), nn.Dropout(),
                                        nn.Linear(hidden, hidden), nn.ReLU(), nn.Dropout(), nn.Linear(hidden, CLASSES))

    def forward(self, x):
        return self.classifier(self.avgpool(self.features(x)).flatten(1))


def digest(key, t):
    return torch.stack([(t.flatten() * torch.from_numpy(value("probe." + key, t.numel()))).sum(), t.norm()])


def run(net, size, training):
    net.double().train(training)
    net.load_state_dict({k: generated(k, tuple(v.shape)) for k, v in net.state_dict().items()})
    x = torch.from_numpy(value("input", 2 * 3 * size * size)).reshape(2, 3, size, size).requires_grad_()
    y = net(x)
    (y * torch.from_numpy(value("cotangent", y.numel())).reshape(y.shape)).sum().backward()
    out = {"output": y.detach(), "grad.input": digest("input", x.grad)}
    out.update({"grad." + k: digest(k, p.grad) for k, p in net.named_parameters()})
    if training:
        out.update({"after." + k: digest(k, b.double()) for k, b in net.named_buffers()})
    return out


def main():
    folder = sys.argv[1] if len(sys.argv) > 1 else os.path.join(
        os.path.dirname(os.path.abspath(__file__)), "data", "torchvision")
    os.makedirs(folder, exist_ok=True)
    torch.set_num_threads(1)
    for name, net, size, training in (("resnet18", ResNet18(), 64, True), ("vgg16", VGG16(64), 32, False)):
        tensors = run(net, size, training)
        golden_file.save(os.path.join(folder, name + ".safetensors"), tensors, separators=(", ", ": "))
        print(name, tensors["output"][0].tolist(), tensors["grad.input"].tolist())


if __name__ == "__main__":
    main()
