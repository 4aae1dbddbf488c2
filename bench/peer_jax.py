#!/usr/bin/env python3
"""peer_jax.py WORKLOAD [--threads 2] [--dtype f32|bf16] [--iters N] [--seconds S] [--serve]

peer_torch.py's workloads in JAX on the CPU, each one compiled function, channels-last: squeezenet_infer, resnet18_infer,
msgnet_infer, lstm_infer, resnet18, unet2d, lstm, mlp1k, gelu_chain, addmul, matmul4096. Parameters and the optimiser's
state are donated; batch norm keeps no running statistics. bf16: convolutions and products of bf16 operands, the rest f32.
"""
import math
import os
import sys

import numpy as np

import peer_common

args = peer_common.parser(__doc__).parse_args()
os.environ["NPROC"] = str(args.threads)  # the size of XLA's thread pool
os.environ["JAX_PLATFORMS"] = "cpu"
import jax  # noqa: E402: reads what stands above
import jax.numpy as jnp  # noqa: E402
from jax import lax  # noqa: E402

relu = jax.nn.relu


def fill(shape, seed, bound=1.0):
    return jnp.asarray(peer_common.fill(shape, seed, bound))


def low(x):
    """An operand of a convolution or product."""
    return x.astype(jnp.bfloat16) if args.dtype == "bf16" else x


def picture(shape, seed, bound=1.0):
    return jnp.transpose(fill(shape, seed, bound), (0, 2, 3, 1))


# ---------------------------------------------------------------- layers


class Parameters:
    """What a network asks for, in the order of PyTorch's named_parameters(): made the first time, given back later."""

    def __init__(self, values=None):
        self.made, self.given = [], None if values is None else iter(values)

    def __call__(self, shape, value=None):
        """A tensor by hash as peer_torch.py says, or of one value."""
        if self.given:
            return next(self.given)
        if value is None:
            new = peer_common.fill(shape, 1000 + len(self.made), (3 / math.prod(shape[1:]))**0.5)
            new = new.transpose(2, 3, 1, 0) if len(shape) == 4 else new
        else:
            new = np.full(shape, value, np.float32)
        self.made.append(new)
        return new


def made(net, x):
    """The parameters of net(parameters, x)."""
    p = Parameters()
    jax.eval_shape(lambda x: net(p, x), x)
    return [jnp.asarray(v) for v in p.made]


def filters(p, channels, out, kernel, bias=True):
    return p((out, channels, kernel, kernel)), p((out,), 0) if bias else 0


def convolve(x, w, b, stride=1, padding=None):
    pad = w.shape[0] // 2 if padding is None else padding
    y = lax.conv_general_dilated(low(x), low(w), (stride, stride), [(pad, pad)] * 2,
                                 dimension_numbers=("NHWC", "HWIO", "NHWC"))
    return y.astype(jnp.float32) + b


def conv(p, x, out, kernel, stride=1, padding=None, bias=True):
    return convolve(x, *filters(p, x.shape[-1], out, kernel, bias), stride, padding)


def linear(p, x, out):
    w, b = p((out, x.shape[-1])), p((out,), 0)
    return (low(x) @ low(w).T).astype(jnp.float32) + b


def normalise(x, axes):
    mean = x.mean(axes, keepdims=True)
    variance = (x * x).mean(axes, keepdims=True) - mean * mean
    return (x - mean) * lax.rsqrt(variance + 1e-5)


def batch_norm(p, x, training):
    scale, shift = p(x.shape[-1:], 1), p(x.shape[-1:], 0)
    return (normalise(x, (0, 1, 2)) if training else x * (1 + 1e-5)**-0.5) * scale + shift


def instance_norm_relu(x):
    return relu(normalise(x, (1, 2)))


def max_pool(x, kernel, stride, padding=0):
    """padding: before and after, or a pair."""
    pad = padding if isinstance(padding, tuple) else (padding, padding)
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, kernel, kernel, 1), (1, stride, stride, 1),
                             ((0, 0), pad, pad, (0, 0)))


def doubled(x):
    return jnp.repeat(jnp.repeat(x, 2, 1), 2, 2)


# ---------------------------------------------------------------- networks


def resnet18(p, x, training):
    def block(x, out, stride):
        y = relu(batch_norm(p, conv(p, x, out, 3, stride, bias=False), training))
        y = batch_norm(p, conv(p, y, out, 3, bias=False), training)
        if stride != 1 or x.shape[-1] != out:
            x = batch_norm(p, conv(p, x, out, 1, stride, bias=False), training)
        return relu(y + x)

    x = max_pool(relu(batch_norm(p, conv(p, x, 64, 7, 2, bias=False), training)), 3, 2, 1)
    for out, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
        x = block(block(x, out, stride), out, 1)
    return linear(p, x.mean((1, 2)), 1000)


def squeezenet(p, x):
    def fire(x, few, out):
        x = relu(conv(p, x, few, 1))
        return jnp.concatenate([relu(conv(p, x, out, 1)), relu(conv(p, x, out, 3))], -1)

    def pool(x):  # ceil_mode
        return max_pool(x, 3, 2, (0, 1 - x.shape[1] % 2))

    x = pool(relu(conv(p, x, 64, 3, 2, padding=0)))
    x = pool(fire(fire(x, 16, 64), 16, 64))
    x = pool(fire(fire(x, 32, 128), 32, 128))
    x = fire(fire(fire(fire(x, 48, 192), 48, 192), 64, 256), 64, 256)
    return relu(conv(p, x, 1000, 1)).mean((1, 2))


# MSG-Net in two parts: the Gram matrix of the first one's features of a style is the second one's target.


def reflected(p, x, out, kernel, stride=1):
    pad = (kernel // 2, kernel // 2)
    return conv(p, jnp.pad(x, ((0, 0), pad, pad, (0, 0)), "reflect"), out, kernel, stride, padding=0)


def bottleneck(p, x, few, skip, stride=1, resize=lambda x: x):
    y = conv(p, instance_norm_relu(x), few, 1)
    y = reflected(p, resize(instance_norm_relu(y)), few, 3, stride)
    return skip + conv(p, instance_norm_relu(y), 4 * few, 1)


def msgnet_features(p, x, width=128):
    x = instance_norm_relu(reflected(p, x, 64, 7))
    for few in (32, width):
        x = bottleneck(p, x, few, conv(p, x, 4 * few, 1, 2), 2)
    return x


def msgnet(p, x, gram, width=128):
    x = msgnet_features(p, x, width)
    x = low(x) @ low(p((1,) + gram.shape)[0] @ gram)
    for _ in range(6):
        x = bottleneck(p, x, width, x)
    for few in (32, 16):
        x = bottleneck(p, x, few, conv(p, doubled(x), 4 * few, 1), resize=doubled)
    return reflected(p, instance_norm_relu(x), 3, 7)


def gram_of(features):
    f = features.reshape(-1, features.shape[-1])
    return f.T @ f / f.size


def unet2d(p, x, base=64, levels=5):
    widths, skips = [base << i for i in range(levels)], []
    for level, out in enumerate(widths):
        x = max_pool(x, 2, 2) if level else x
        x = relu(conv(p, relu(conv(p, x, out, 3)), out, 3))
        skips.append(x)
    ups = [filters(p, 2 * out, out, 3) for out in widths[-2::-1]]  # PyTorch's order: all of these first
    for up, out, skip in zip(ups, widths[-2::-1], skips[-2::-1]):
        x = jnp.concatenate([skip, relu(convolve(doubled(x), *up))], -1)
        x = relu(conv(p, relu(conv(p, x, out, 3)), out, 3))
    return conv(p, x, 1, 1)


def lstm(p, x, size=256):
    w, u = p((4 * size, x.shape[-1])), p((4 * size, size))
    bias = p((4 * size,), 0) + p((4 * size,), 0)

    def cell(state, gates):
        h, c = state
        i, f, g, o = jnp.split(gates + (low(h) @ low(u).T).astype(jnp.float32), 4, 1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), h

    zero = jnp.zeros((x.shape[1], size))
    return lax.scan(cell, (zero, zero), (low(x) @ low(w).T).astype(jnp.float32) + bias)[1]


def mlp1k(p, x):
    return linear(p, relu(linear(p, relu(linear(p, x, 1024)), 1024)), 10)


# ---------------------------------------------------------------- losses, optimisers, steps


def cross_entropy(logits, classes):
    return -jnp.take_along_axis(jax.nn.log_softmax(logits), classes[:, None], 1).mean()


def binary_cross_entropy(logits, y):
    return (jax.nn.softplus(logits) - logits * y).mean()


def sgd(lr, momentum=0.0, weight_decay=0.0):
    """(first state, update(parameter, gradient, state, steps) -> parameter, state)."""
    def update(w, g, state, _):
        v = momentum * state[0] + g + weight_decay * w if momentum else g
        return w - lr * v, (v,) if momentum else ()

    return (lambda w: (jnp.zeros_like(w),) if momentum else ()), update


def adam(lr, beta1=0.9, beta2=0.999, eps=1e-8):
    def update(w, g, state, steps):
        m, v = beta1 * state[0] + (1 - beta1) * g, beta2 * state[1] + (1 - beta2) * g * g
        root = jnp.sqrt(v / (1 - beta2**steps)) + eps
        return w - lr / (1 - beta1**steps) * m / root, (m, v)

    return (lambda w: (jnp.zeros_like(w), jnp.zeros_like(w))), update


def trainer(net, loss, optimiser, *inputs):
    first, update = optimiser

    def one(values, states, steps, *inputs):
        value, grads = jax.value_and_grad(lambda v: loss(net(Parameters(v), inputs[0]), *inputs[1:]))(values)
        new = [update(w, g, s, steps) for w, g, s in zip(values, grads, states)]
        return [w for w, _ in new], [s for _, s in new], steps + 1, value

    compiled = jax.jit(one, donate_argnums=(0, 1, 2))
    values = made(net, inputs[0])
    state = [values, [first(w) for w in values], jnp.ones(())]

    def step():
        *new, value = jax.block_until_ready(compiled(*state, *inputs))
        state[:] = new
        return value

    return step


def forward(function, *inputs):
    """Weights that the function closes over are constants."""
    compiled = jax.jit(function)

    def step():
        result = np.asarray(jax.block_until_ready(compiled(*inputs)))  # no copy
        return result[(0,) * result.ndim]

    return step


def infer(net, x):
    values = made(net, x)
    return forward(lambda x: net(Parameters(values), x).mean(), x)


def make(workload):
    if workload == "squeezenet_infer":
        return infer(squeezenet, picture((1, 3, 224, 224), 1))
    if workload == "resnet18_infer":
        return infer(lambda p, x: resnet18(p, x, False), picture((8, 3, 224, 224), 1))
    if workload == "msgnet_infer":
        x, style = picture((1, 3, 512, 512), 1, 100), picture((1, 3, 512, 512), 3, 100)
        values = made(lambda p, x: msgnet(p, x, jnp.zeros((512, 512))), x)
        gram = jax.jit(lambda s: gram_of(msgnet_features(Parameters(values), s)))(style)
        return forward(lambda x: msgnet(Parameters(values), x, gram).mean(), x)
    if workload == "lstm_infer":
        return infer(lstm, fill((64, 16, 256), 1))
    if workload == "resnet18":
        return trainer(lambda p, x: resnet18(p, x, True), cross_entropy, sgd(0.01, 0.9, 1e-4),
                       picture((8, 3, 224, 224), 1), peer_common.labels((8,), 1000))
    if workload == "unet2d":
        y = peer_common.labels((1, 256, 256, 1), 2).astype(np.float32)
        return trainer(unet2d, binary_cross_entropy, adam(1e-4), picture((1, 1, 256, 256), 1), y)
    if workload == "lstm":
        return trainer(lstm, lambda y: (y * y).mean(), sgd(0.1), fill((64, 16, 256), 1))
    if workload == "mlp1k":
        return trainer(mlp1k, cross_entropy, adam(1e-3), fill((128, 784), 1), peer_common.labels((128,), 10))
    if workload == "gelu_chain":
        chain = jax.value_and_grad(lambda x: (jax.nn.gelu(x * 1.5 + 0.5, approximate=False) * x).mean())
        compiled, x = jax.jit(chain), fill((16 << 20,), 1)
        return lambda: jax.block_until_ready(compiled(x))[0]
    if workload == "addmul":
        return forward(lambda x, y: x * y + y, fill((16 << 20,), 1), fill((16 << 20,), 2))
    if workload == "matmul4096":
        return forward(lambda a, b: a @ b, low(fill((4096, 4096), 1)), low(fill((4096, 4096), 2)))
    sys.exit(f"peer_jax: no workload {workload}")


peer_common.measure(make(args.workload), args, peer="jax " + jax.__version__)
