#!/usr/bin/env python3
"""Makes data/train10/training.safetensors: ten steps of a small convolutional net in PyTorch.

  python3 make_training.py [OUT]      needs torch; the file holds the initial state, the batches and the losses
"""
import os
import sys

import torch
from torch import nn

import golden_file

STEPS, BATCH, CLASSES = 10, 8, 5


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(8)
        self.conv2 = nn.Conv2d(8, 16, 3, stride=2)
        self.norm = nn.GroupNorm(4, 16)
        self.conv3 = nn.Conv2d(16, 16, 3, padding=1, groups=2)
        self.fc = nn.Linear(16, CLASSES)

    def forward(self, x):
        x = nn.functional.max_pool2d(torch.relu(self.bn1(self.conv1(x))), 2)
        x = nn.functional.gelu(self.norm(self.conv2(x)))
        x = x + torch.relu(self.conv3(x))
        return self.fc(nn.functional.adaptive_avg_pool2d(x, 1).flatten(1))


def train(state, x, target, dtype, optimiser):
    net = Net()
    net.load_state_dict(state)
    net.to(dtype)
    if optimiser == "sgd":
        opt = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-4)
    else:
        opt = torch.optim.AdamW(net.parameters(), lr=3e-3, weight_decay=1e-2)
    losses = []
    for k in range(STEPS):
        loss = nn.functional.cross_entropy(net(x[k].to(dtype)), target[k])
        opt.zero_grad()
        loss.backward()
        opt.step()
        losses.append(loss.item())
    return torch.tensor(losses, dtype=torch.float64)


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    out = sys.argv[1] if len(sys.argv) > 1 else os.path.join(here, "data", "train10", "training.safetensors")
    torch.manual_seed(0)
    torch.set_num_threads(1)
    state = {k: v.clone() for k, v in Net().state_dict().items()}
    x = torch.randn(STEPS, BATCH, 3, 14, 14)
    target = torch.randint(CLASSES, (STEPS, BATCH))
    for k in range(STEPS):   # something to learn: the class brightens one channel
        for b in range(BATCH):
            x[k, b, int(target[k, b]) % 3] += 0.5 * float(target[k, b])
    tensors = {f"state.{k}": v for k, v in state.items()}
    tensors.update(x=x, target=target)
    for optimiser in ("sgd", "adamw"):
        for dtype, word in ((torch.float32, "f32"), (torch.float64, "f64")):
            tensors[f"losses.{optimiser}.{word}"] = train(state, x, target, dtype, optimiser)
    os.makedirs(os.path.dirname(out), exist_ok=True)
    golden_file.save(out, tensors, separators=(", ", ": "))
    for name, t in tensors.items():
        if name.startswith("losses"):
            print(name, [round(v, 6) for v in t.tolist()])


if __name__ == "__main__":
    main()
