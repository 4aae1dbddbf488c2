"""A step of data-parallel training: when gradients are there, which buckets they fill, and what the exchange hides."""
import functools
import itertools
import math
import random
from typing import NamedTuple


class Parameter(NamedTuple):
    elements: int
    flop: float  # of the backward that its gradient ends, for one sample


class Network:
    """Parameters and FLOP, layer by layer in forward order."""

    def __init__(self, name):
        self.name, self.forward_flop, self.parameters = name, 0.0, []

    def add(self, sizes, flop):
        """A layer's parameters, and the FLOP of its forward for a sample. Its backward has as many for the gradient of
        its weights, and again for that of its input, which the first layer does not need."""
        backward = flop * (2 if self.parameters else 1)
        self.forward_flop += flop
        self.parameters += [Parameter(n, 0 if i else backward) for i, n in enumerate(sizes)]

    def conv(self, inputs, outputs, kernel, side, bias=False):
        self.add([inputs * outputs * kernel**2] + [outputs] * bias, 2 * inputs * outputs * kernel**2 * side**2)

    def norm(self, channels):
        self.add([channels, channels], 0)

    @property
    def elements(self):
        return sum(p.elements for p in self.parameters)

    @property
    def flop(self):
        return self.forward_flop + sum(p.flop for p in self.parameters)


def resnet(depth):
    """ResNet-18 or -50 (He et al. 2015) at 224 x 224."""
    network = Network(f"ResNet-{depth}")
    blocks, bottleneck = {18: ((2, 2, 2, 2), False), 50: ((3, 4, 6, 3), True)}[depth]
    network.conv(3, 64, 7, 112)
    network.norm(64)
    channels, side = 64, 56
    for stage, count in enumerate(blocks):
        width = 64 << stage
        outputs = width * (4 if bottleneck else 1)
        for block in range(count):
            before, side = side, side // (2 if stage and not block else 1)
            if bottleneck:
                convs = [(channels, width, 1, before), (width, width, 3, side), (width, outputs, 1, side)]
            else:
                convs = [(channels, width, 3, side), (width, width, 3, side)]
            if before != side or channels != outputs:
                convs.append((channels, outputs, 1, side))
            for conv in convs:
                network.conv(*conv)
                network.norm(conv[1])
            channels = outputs
    network.add([channels * 1000, 1000], 2 * channels * 1000)
    return network


def unet(width=115, side=256):
    """The U-Net (Ronneberger et al. 2015) with batch norms and padding, of RGB and two classes."""
    network = Network("U-Net")

    def pair(inputs, outputs, side):
        for i in (inputs, outputs):
            network.conv(i, outputs, 3, side)
            network.norm(outputs)

    for level in range(5):
        pair(width << (level - 1) if level else 3, width << level, side >> level)
    for level in range(3, -1, -1):
        c, s = width << level, side >> level
        network.add([2 * c * c * 4, c], 2 * 2 * c * c * s**2)  # transposed, 2 x 2: a pixel is made of one
        pair(2 * c, c, s)
    network.conv(width, 2, 1, side, bias=True)
    return network


def fill_buckets(sizes, bucket_mb=25.0):
    """DistributedDataParallel's buckets: lists of numbers of parameters, whose bytes come in the gradients' order."""
    tail, rest = len(sizes), 0  # the last bucket, which is waited for, has 1 MiB at most
    while tail > 0 and rest + sizes[tail - 1] <= min(1.0, bucket_mb) * 2**20:
        tail -= 1
        rest += sizes[tail]
    buckets, used = [], 0
    for i, size in enumerate(sizes):
        most = (min(1.0, bucket_mb) if len(buckets) <= 1 else bucket_mb) * 2**20
        if not buckets or i == tail or used + size > most:
            buckets.append([])
            used = 0
        buckets[-1].append(i)
        used += size
    return buckets


class Rank(NamedTuple):
    """What a rank computes with."""
    flops: float  # a second, as training reaches them
    memory: float = math.inf  # bytes a second, as the optimiser reaches them
    taken: float = 0.0  # share of the computation's speed that an exchange takes while it runs


class Step(NamedTuple):
    seconds: float
    alone: float  # seconds of a rank's step without others
    exchange: float  # seconds of all buckets
    hidden: float  # share of them that lies under the backward

    @property
    def efficiency(self):
        return self.alone / self.seconds


def overlap(backward, buckets, taken):
    """Seconds until the backward and all exchanges have ended. `buckets`: (seconds of backward until it is full,
    seconds of its exchange), in the order in which they are sent, one at a time."""
    clock = done = 0.0
    for full, seconds in buckets:
        if done < full:  # nothing is under way
            clock, done = clock + full - done, full
        clock, done = clock + seconds, min(backward, done + seconds * (1 - taken))
    return clock + backward - done


def step(network, batch, rank, itemsize, all_reduce, bucket_mb=25.0, slowest=1.0):
    """A step with `batch` samples a rank. all_reduce(bytes): seconds. `slowest`: of the slowest rank's computation, for
    which all wait, over the mean rank's."""
    parameters = network.parameters[::-1]  # gradients come from the end
    there = list(itertools.accumulate(batch * p.flop / rank.flops * slowest for p in parameters))
    forward = batch * network.forward_flop / rank.flops * slowest
    # SGD with momentum reads three numbers for each parameter and writes two.
    optimizer = 5 * itemsize * network.elements / rank.memory * slowest
    buckets = []
    for bucket in fill_buckets([p.elements * itemsize for p in parameters], bucket_mb):
        flags = len(bucket)  # a number each says whether the parameter was used
        size = itemsize * (flags + sum(parameters[i].elements for i in bucket))
        buckets.append((there[bucket[-1]], all_reduce(size)))
    backward, exchange = there[-1], sum(seconds for _, seconds in buckets)
    both = overlap(backward, buckets, rank.taken)
    return Step(seconds=forward + both + optimizer,
                alone=(forward + backward + optimizer) / slowest,
                exchange=exchange,
                hidden=1 - (both - backward) / exchange if exchange else 1.0)


@functools.cache
def slowest_of(p, deviation, steps=200):
    """Mean over steps of the slowest of p ranks' times, lognormal with mean 1. `deviation`: of their logarithm."""
    draw = random.Random(1)
    slowest = (max(draw.gauss(0, 1) for _ in range(p)) for _ in range(steps))
    return sum(math.exp(deviation * z - deviation**2 / 2) for z in slowest) / steps
