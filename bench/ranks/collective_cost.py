"""What an all_reduce of n bytes takes on p ranks, in closed form. scaling_test.py holds it to a simulation of the
messages."""
import math
from typing import NamedTuple


class Link(NamedTuple):
    """A message of b bytes keeps its sender busy for alpha + b beta, and its receiver as long, `latency` later."""
    latency: float  # seconds until its beginning is there; messages under way at once share it
    alpha: float  # seconds a message
    beta: float  # seconds a byte


class Fabric(NamedTuple):
    """Machines of `per_machine` ranks, which share their machine's link to the others."""
    inside: Link
    outside: Link
    gamma: float  # seconds a byte added to another
    per_machine: int = 1


class Path(NamedTuple):
    """What the ranks of one level talk over. `sharing`: so many of a machine use its link at the same time."""
    link: Link
    gamma: float
    sharing: int = 1

    def message(self, size):
        return self.link.alpha + size * self.link.beta * self.sharing

    def hop(self, size):
        return self.link.latency + self.message(size)


def levels(p, fabric, sharing):
    """(ranks of a machine, their path), (machines, the path between them); ValueError where machines are not full."""
    inside = min(p, fabric.per_machine)
    if p % inside:
        raise ValueError(f"{p} ranks do not fill machines of {inside}; take a multiple")
    return ((inside, Path(fabric.inside, fabric.gamma)),
            (p // inside, Path(fabric.outside, fabric.gamma, inside if sharing else 1)))


# Bytes, as distributed/collectives.cpp and exchange.cpp have them.
SMALL, INLINE, MOST = 4096, 8192, 1 << 30


def piece_bytes(p, overlaps=False):
    """`overlaps`: with computation."""
    return max(1 << (22 if overlaps else 19), p << 16)


def messages(size):
    """Messages that carry so many bytes from rank to rank: up to 8 KiB go with the head, the rest follows."""
    return 1 + (math.ceil((size - INLINE) / MOST) if size > INLINE else 0)


def weft(n, p, fabric, wider=1, piece=None):
    """weft's. Ranks of one machine, or one on each, send up to 4 KiB to everybody:
    L + (p-1) (alpha + n (beta + gamma)). Else there are k pieces, each a stage further than the next one; m messages
    carry a share. Ranks of one machine, or one on each, reduce and give back shares of 1/p: (k+1) L + 2 k (p-1) m alpha + (p-1)/p n (2 beta + gamma). With several on each of M machines,
    if their number R is a power of two, a machine's ranks (L', alpha', beta') reduce shares of 1/R, those with the same
    number in all machines reduce shares of them, and both give back:
    (k+1) L + 2 L' + 2 k ((R-1) m' alpha' + (M-1) m alpha) + (R-1)/R n (2 beta' + gamma)
    + (M-1)/M n ((1 + wider) beta + wider/R gamma). `wider`: bytes of a machine's sum for each of n; 2 for f16 and bf16.
    """
    if p == 1:
        return 0.0
    (inside, near), (machines, far) = levels(p, fabric, True)

    def shares(others, path, size):
        """So many bytes to each of so many others."""
        return others * (path.message(size) + (messages(size) - 1) * path.link.alpha)

    def to_all(size):
        return shares(inside - 1, near, size) + shares(p - inside, far, size)

    latency = (far if machines > 1 else near).link.latency
    two_levels = inside > 1 and machines > 1 and inside & (inside - 1) == 0
    if n <= SMALL and not two_levels:
        return latency + to_all(n) + (p - 1) * n * fabric.gamma

    def all_stages(size):
        share, added = size / p, (p - 1) * size / p
        if not two_levels:
            return 2 * to_all(share) + added * fabric.gamma
        added += (wider - 1) * (machines - 1) * share
        return (2 * shares(inside - 1, near, size / inside) + shares(machines - 1, far, wider * share) +
                shares(machines - 1, far, share) + added * fabric.gamma)

    piece = piece or piece_bytes(p)
    whole, rest = divmod(n, piece)
    # The first and the last exchange of two levels are in the machine.
    latencies = (whole + (rest > 0) + 1) * latency + (2 * near.link.latency if two_levels else 0)
    return latencies + whole * all_stages(piece) + (all_stages(rest) if rest else 0)


def ring_level(n, p, path):
    """2 (p-1) (L + alpha + n/p beta) + (p-1)/p n gamma. No algorithm sends less: Patarasuk & Yuan 2009."""
    return 2 * (p - 1) * path.hop(n / p) + (p - 1) / p * n * path.gamma


def tree_level(n, p, path):
    """Binomial trees, a reduction and then a broadcast: ceil(lg p) (2 (L + alpha + n beta) + n gamma)."""
    return math.ceil(math.log2(p)) * (2 * path.hop(n) + n * path.gamma)


def fold(n, p, path):
    """(Power of two, seconds): ranks above it give another rank theirs first, and get the sum in the end."""
    power = 1 << (p.bit_length() - 1)
    return power, 0.0 if power == p else 2 * path.hop(n) + n * path.gamma


def doubling_level(n, p, path):
    """Recursive doubling: lg p (L + alpha + n (beta + gamma)). Thakur, Rabenseifner & Gropp 2005, section 4.5."""
    power, seconds = fold(n, p, path)
    return seconds + math.log2(power) * (path.hop(n) + n * path.gamma)


def halving_level(n, p, path):
    """Rabenseifner's halving, and doubling back: 2 lg p (L + alpha) + (p-1)/p n (2 beta + gamma). Same source."""
    power, seconds = fold(n, p, path)
    while power > 1:
        power, n = power // 2, n / 2
        seconds += 2 * path.hop(n) + n * path.gamma
    return seconds


def ring(n, p, fabric):
    """One ring through all machines. Its pace is that of the busiest link, or of a part's way once round."""
    (inside, near), (machines, far) = levels(p, fabric, False)
    if machines == 1:
        return ring_level(n, p, near)
    part = n / p
    busiest = max(near.message(part), far.message(part))
    hop = ((inside - 1) * near.hop(part) + far.hop(part)) / inside
    return (p - 1) * (max(busiest, hop + part * fabric.gamma) + max(busiest, hop))


def tree(n, p, fabric):
    (inside, near), (machines, far) = levels(p, fabric, False)
    return tree_level(n, inside, near) + tree_level(n, machines, far)


def doubling(n, p, fabric):
    """In the machine first, then each rank with its likes in other machines."""
    (inside, near), (machines, far) = levels(p, fabric, True)
    return doubling_level(n, inside, near) + doubling_level(n, machines, far)


def halving(n, p, fabric):
    """In the machine first, so that each rank brings 1 / per_machine of n before the others."""
    (inside, near), (machines, far) = levels(p, fabric, True)
    return halving_level(n, inside, near) + halving_level(n / inside, machines, far)


def hierarchical(n, p, fabric):
    """Reduce-scatter round a ring in each machine, all_reduce of each share round a ring of machines, all-gather."""
    (inside, near), (machines, far) = levels(p, fabric, True)
    return ring_level(n, inside, near) + ring_level(n / inside, machines, far)


ALGORITHMS = {a.__name__: a for a in (weft, ring, tree, doubling, halving, hierarchical)}


def fastest(n, p, fabric, wider=1):
    """(Name, seconds). Only weft sends anything wider."""
    seconds = {name: weft(n, p, fabric, wider) if a is weft else a(n, p, fabric) for name, a in ALGORITHMS.items()}
    return min(seconds.items(), key=lambda x: x[1])
