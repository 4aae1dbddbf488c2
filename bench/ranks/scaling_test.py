"""Tests of scaling.py: closed forms beside a simulation of each message, limits, buckets, networks, fits."""
import collections
import contextlib
import functools
import heapq
import io
import itertools
import json
import math
import os
import pathlib
import random
import re
import sys
import tempfile

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1]))
import scaling
import testing
from collective_cost import ALGORITHMS, INLINE, MOST, SMALL, Fabric, Link, fastest, halving, piece_bytes, ring, weft
from training_step import Network, Rank, fill_buckets, overlap, resnet, slowest_of, step, unet

# ---------------------------------------------------------------- messages, one by one


def simulate(programs, link, gamma):
    """Seconds until all ranks have ended. programs[rank]: steps of ([(to, bytes)], [from], bytes to add). A step ends
    when its messages have been sent and received and its bytes added. A rank sends one message at a time, and receives
    one at a time. link(from, to): a Link."""
    out_free, in_free, sent = ([0.0] * len(programs) for _ in range(3))
    at, waits = [-1] * len(programs), [False] * len(programs)
    there = [collections.defaultdict(collections.deque) for _ in programs]
    order = itertools.count()
    events = [(0.0, next(order), rank, None) for rank in range(len(programs))]
    end = 0.0
    while events:
        now, _, rank, message = heapq.heappop(events)
        end = max(end, now)
        if message is None:  # the next step begins
            at[rank] += 1
            if at[rank] == len(programs[rank]):
                continue
            sent[rank], waits[rank] = now, True
            for to, size in programs[rank][at[rank]][0]:
                line = link(rank, to)
                begin = max(now, out_free[rank])
                out_free[rank] = sent[rank] = begin + line.alpha + size * line.beta
                heapq.heappush(events, (begin + line.latency, next(order), to, (rank, size)))
        else:
            source, size = message
            line = link(source, rank)
            in_free[rank] = max(now, in_free[rank]) + line.alpha + size * line.beta
            there[rank][source].append(in_free[rank])
        if not waits[rank]:
            continue
        _, sources, added = programs[rank][at[rank]]
        if all(len(there[rank][s]) >= k for s, k in collections.Counter(sources).items()):
            done = max([sent[rank]] + [there[rank][s].popleft() for s in sources]) + added * gamma
            waits[rank] = False
            heapq.heappush(events, (done, next(order), rank, None))
    assert all(i == len(steps) for i, steps in zip(at, programs)), "ranks that wait for each other"
    return end


def circles(rank, p, inside):
    """As collectives.cpp's, of whole machines: the ranks that exchange shares with this one, level by level."""
    if inside in (1, p) or inside & (inside - 1):
        return [list(range(p))]
    first = rank - rank % inside
    return [list(range(first, first + inside)), list(range(rank % inside, p, inside))]


def weft_program(n, p, inside, wider=1, piece=None):
    """As collectives.cpp's all_reduce: first messages carry up to 8 KiB each, the rest follows."""
    piece = piece or piece_bytes(p)
    pieces = [min(piece, n - at) for at in range(0, n, piece)]

    def exchange(sends, added):
        sends = [(to, min(size, INLINE)) for to, size in sends] + [(to, size - INLINE) for to, size in sends
                                                                   if size > INLINE]
        return sends, [to for to, _ in sends], added

    def others(rank, circle):
        me = circle.index(rank)
        return circle[me + 1:] + circle[:me]

    programs = []
    for rank in range(p):
        down = circles(rank, p, inside)
        if n <= SMALL and len(down) == 1:
            programs.append([exchange([(to, n) for to in others(rank, list(range(p)))], (p - 1) * n)])
            continue
        stages = list(enumerate(down)) + list(enumerate(down))[::-1]
        steps = []
        for turn in range(len(pieces) + len(stages) - 1):
            sends, added = [], 0
            for stage, (level, circle) in enumerate(stages):
                if not 0 <= turn - stage < len(pieces):
                    continue
                reduces = stage < len(down)
                size = pieces[turn - stage] / math.prod(map(len, down[:level + 1]))
                size *= wider if reduces and level == 1 else 1
                sends += [(to, size) for to in others(rank, circle)]
                added += (len(circle) - 1) * size if reduces else 0
            steps.append(exchange(sends, added))
        programs.append(steps)
    return programs


# Each gives (first half, second half): lists of steps for each of the members.


def ring_halves(n, members):
    p = len(members)
    first, second = {}, {}
    for i, m in enumerate(members):
        one = [(members[(i + 1) % p], n / p)], [members[i - 1]]
        first[m], second[m] = [(*one, n / p)] * (p - 1), [(*one, 0)] * (p - 1)
    return first, second


def tree_halves(n, members):
    first, second = {m: [] for m in members}, {m: [] for m in members}
    mask = 1
    while mask < len(members):
        for i in range(0, len(members) - mask, 2 * mask):
            to, source = members[i], members[i + mask]
            first[source].append(([(to, n)], [], 0))
            first[to].append(([], [source], n))
            second[source].insert(0, ([], [to], 0))
            second[to].insert(0, ([(source, n)], [], 0))
        mask *= 2
    return first, second


def folded(n, members, halves):
    extra = len(members) - (1 << (len(members).bit_length() - 1))
    core = members[1:2 * extra:2] + members[2 * extra:]
    first, second = halves(n, core)
    for source, to in zip(members[:2 * extra:2], members[1:2 * extra:2]):
        first[source], second[source] = [([(to, n)], [], 0)], [([], [to], 0)]
        first[to] = [([], [source], n)] + first[to]
        second[to] = second[to] + [([(source, n)], [], 0)]
    return first, second


def doubling_core(n, members):
    masks = [1 << i for i in range(len(members).bit_length() - 1)]
    partners = {m: [members[i ^ mask] for mask in masks] for i, m in enumerate(members)}
    return {m: [([(o, n)], [o], n) for o in of] for m, of in partners.items()}, {m: [] for m in members}


def halving_core(n, members):
    first, second = {m: [] for m in members}, {m: [] for m in members}
    for bit in range(len(members).bit_length() - 1):
        n /= 2
        for i, m in enumerate(members):
            other = members[i ^ 1 << bit]
            first[m].append(([(other, n)], [other], n))
            second[m].insert(0, ([(other, n)], [other], 0))
    return first, second


def doubling_halves(n, members):
    return folded(n, members, doubling_core)


def halving_halves(n, members):
    return folded(n, members, halving_core)


def two_levels(n, p, inside, halves, scattered, leaders=False):
    """Halves in the machines, around both halves between them."""
    programs = {rank: [] for rank in range(p)}
    machines = [halves(n, list(range(i, i + inside))) for i in range(0, p, inside)]
    likes = [list(range(i, p, inside)) for i in range(1 if leaders else inside)]
    between = [halves(n / inside if scattered else n, members) for members in likes]
    for part in [m[0] for m in machines] + [b[0] for b in between] + [b[1] for b in between] + [m[1] for m in machines]:
        for rank, steps in part.items():
            programs[rank] += steps
    return [programs[rank] for rank in range(p)]


PROGRAMS = {
    "weft": weft_program,
    "weft of bf16": functools.partial(weft_program, wider=2),
    "ring": lambda n, p, inside: two_levels(n, p, p, ring_halves, False),
    "tree": lambda n, p, inside: two_levels(n, p, inside, tree_halves, False, leaders=True),
    "doubling": lambda n, p, inside: two_levels(n, p, inside, doubling_halves, False),
    "halving": lambda n, p, inside: two_levels(n, p, inside, halving_halves, True),
    "hierarchical": lambda n, p, inside: two_levels(n, p, inside, ring_halves, True),
}
SECONDS = {**ALGORITHMS, "weft of bf16": functools.partial(weft, wider=2)}
ONE_AT_A_TIME = ("ring", "tree")  # of a machine's ranks, one uses its link


def simulated(name, n, p, fabric, **options):
    inside = min(p, fabric.per_machine)
    sharing = 1 if name in ONE_AT_A_TIME else inside
    outside = fabric.outside._replace(beta=fabric.outside.beta * sharing)
    return simulate(PROGRAMS[name](n, p, inside, **options),
                    lambda a, b: fabric.inside if a // inside == b // inside else outside, fabric.gamma)


INSIDE, OUTSIDE, GAMMA = Link(4e-6, 0.6e-6, 8e-11), Link(15e-6, 5e-6, 3.6e-10), 1e-10


def between(low, value, high, what):
    assert low <= value <= high, f"{what}: {value}, not in {low} to {high}"


def test_closed_forms_beside_simulated_messages():
    exact = 1e-9  # rounding
    overtaken = 0.004  # a message from near comes before one from far that was sent earlier
    machines_of = [(1, m) for m in range(2, 10)] + [(3, 1), (8, 1), (2, 2), (2, 3), (4, 2), (2, 8), (4, 4), (8, 2)]
    for name, n, (inside, machines) in itertools.product(PROGRAMS, (256, 4096, 20000, 1 << 19, (3 << 20) + 4096),
                                                         machines_of + [(3, 2), (6, 3)]):
        p = inside * machines
        fabric = Fabric(INSIDE, OUTSIDE, GAMMA, inside)
        ratio = SECONDS[name](n, p, fabric) / simulated(name, n, p, fabric)
        low, high = 1 - exact, 1 + exact
        if name.startswith("weft") and inside > 1 and machines > 1:
            if inside & (inside - 1):
                low = 0.55  # ranks turn to near and far ones at different times and wait for each other
            else:
                high = 1 + overtaken
        elif name == "ring" and inside > 1 and machines > 1:
            low = 0.85  # the closed form has the pace of the link, which also waits for bytes to be added
        elif name in ("tree", "doubling", "halving") and (inside & (inside - 1) or machines & (machines - 1)):
            low, high = 0.95, 1.8  # ranks that have nothing to do in one step are early in the next
        between(low, ratio, high, f"{name} of {n} bytes, {machines} machines of {inside}")

    for piece, (inside, machines) in itertools.product((8192, 1 << 17, 1 << 30), ((1, 5), (4, 2), (2, 8))):
        p, fabric = inside * machines, Fabric(INSIDE, OUTSIDE, GAMMA, inside)
        between(1 - exact, weft(1 << 20, p, fabric, piece=piece) / simulated("weft", 1 << 20, p, fabric, piece=piece),
                1 + (exact if inside == 1 else overtaken), f"pieces of {piece}, {machines} machines of {inside}")


def test_sizes_are_those_of_the_code():
    distributed = pathlib.Path(__file__).resolve().parents[2] / "distributed"

    def numbers(file, pattern):
        found = re.search(pattern.replace(" ", r"\s*"), (distributed / file).read_text(encoding="utf-8"))
        assert found, f"{file} has no {pattern}: has all_reduce changed?"
        return [int(g) for g in found.groups()]

    overlapping, least, of_rank = numbers("collectives.cpp", r"std::max\(size_t\{1\} << \(overlaps \? (\d+) : (\d+)\), "
                                          r"static_cast<size_t>\(ranks\) << (\d+)\)")
    for p in (1, 2, 8, 9, 100, 1024):
        assert piece_bytes(p) == max(1 << least, p << of_rank), f"pieces of {p} ranks: {piece_bytes(p)} bytes"
        assert piece_bytes(p, True) == max(1 << overlapping, p << of_rank), f"pieces of {p} ranks: {piece_bytes(p, True)}"
    for file, pattern, here in (("collectives.cpp", r"kSmall = (\d+);", SMALL),
                                ("exchange.cpp", r"kInline = (\d+);", INLINE),
                                ("transport.h", r"kMost = size_t\{1\} << (\d+);", MOST.bit_length() - 1)):
        assert numbers(file, pattern) == [here], f"{file}: {numbers(file, pattern)}, here {here}"


def test_limits():
    only_bytes = Fabric(Link(0, 0, 0), Link(0, 0, 1e-9), 0)
    for name, all_reduce in ALGORITHMS.items():
        assert all_reduce(1 << 20, 1, Fabric(INSIDE, OUTSIDE, GAMMA, 8)) == 0, name
        for p in (2, 3, 8, 64, 1000):
            bound = 2 * (p - 1) / p * (25 << 20) * 1e-9
            assert all_reduce(25 << 20, p, only_bytes) >= bound * (1 - 1e-12), (name, p)  # Patarasuk & Yuan
    for p in (2, 3, 8, 1000):
        assert math.isclose(ring(1 << 20, p, only_bytes), 2 * (p - 1) / p * (1 << 20) * 1e-9)
        assert math.isclose(weft(1 << 20, p, only_bytes), 2 * (p - 1) / p * (1 << 20) * 1e-9)
    # Through a machine's link: each byte once and back, of a machine's sums in f32; R times as many where R is 6.
    for inside, wider, times in ((8, 1, 2), (8, 2, 3), (6, 1, 2 * 6), (6, 2, 2 * 6)):
        seconds = weft(25 << 20, 4 * inside, only_bytes._replace(per_machine=inside), wider)
        assert math.isclose(seconds, times * 3 / 4 * (25 << 20) * 1e-9), (inside, wider)
    only_messages = Fabric(Link(0, 0, 0), Link(0, 1, 0), 0)
    # 50 pieces of 512 KiB, 7 of 4 MiB, one of 64 MiB; of 8 a machine 127 others are far
    assert [weft(25 << 20, p, only_messages) for p in (2, 64, 1024)] == [50 * 4, 7 * 4 * 63, 4 * 1023]
    assert weft(25 << 20, 1024, only_messages._replace(per_machine=8)) == 4 * 127
    assert weft(4096, 64, only_messages) == 63 and weft(4097, 64, only_messages) == 126
    fabric = Fabric(scaling.INSIDE, scaling.NETWORKS["10 GbE"], scaling.GAMMA, 8)
    assert fastest(1 << 16, 64, fabric) == ("weft", weft(1 << 16, 64, fabric))
    assert fastest(1 << 16, 64, fabric, wider=2) == ("halving", halving(1 << 16, 64, fabric))
    with testing.raises(ValueError, "12 ranks do not fill machines of 8"):
        ring(1, 12, Fabric(INSIDE, OUTSIDE, GAMMA, 8))


def test_buckets():
    mb = 1 << 20
    assert fill_buckets([4, 4]) == [[0, 1]]
    assert fill_buckets([mb, 4]) == [[0], [1]]
    assert fill_buckets([4, mb, 24 * mb, 4]) == [[0], [1, 2], [3]]
    assert fill_buckets([4, mb, 24 * mb, mb // 2, mb // 2]) == [[0], [1, 2], [3, 4]]  # the last has 1 MiB at most
    assert fill_buckets([4, mb, 2 * mb, mb // 2, mb // 2]) == [[0], [1, 2], [3, 4]]
    assert fill_buckets([30 * mb, 4, 30 * mb, 4]) == [[0], [1], [2], [3]]
    assert fill_buckets([4, mb // 2, mb], bucket_mb=0.5) == [[0], [1], [2]]
    for network in (resnet(50), unet()):
        sizes = [p.elements * 4 for p in network.parameters[::-1]]
        buckets = fill_buckets(sizes)
        assert sum(buckets, []) == list(range(len(sizes)))
        assert all(len(b) == 1 or sum(sizes[i] for i in b) <= 25 * mb for b in buckets)


def test_steps():
    network, rank = resnet(50), Rank(1e12, 1e10)

    def at(seconds_a_byte, taken=0.0, **options):
        return step(network, 32, rank._replace(taken=taken), 4, lambda n: n * seconds_a_byte, **options)

    assert at(0).efficiency == 1 and at(0).hidden == 1
    assert step(network, 32, rank, 4, lambda n: ring(n, 1, Fabric(INSIDE, OUTSIDE, GAMMA))).efficiency == 1
    slow = at(1e-6)  # the exchange is all
    assert slow.exchange < slow.seconds < slow.exchange + slow.alone and slow.hidden < 0.03
    nothing_hidden = at(1e-9, taken=1)
    assert math.isclose(nothing_hidden.seconds, nothing_hidden.alone + nothing_hidden.exchange)
    assert abs(nothing_hidden.hidden) < 1e-9
    assert at(1e-9).seconds < at(1e-9, taken=0.1).seconds < nothing_hidden.seconds
    assert math.isclose(at(1e-9).exchange, 4e-9 * (network.elements + len(network.parameters)))  # a flag each
    assert math.isclose(at(0, slowest=1.25).efficiency, 0.8)
    # Full after 2 and 3 s of 10, 4 s each: from 2 to 6 and from 6 to 10. With half of the speed 4 s are left then.
    assert overlap(10, [(2, 4), (3, 4)], 0) == 10 and overlap(10, [(2, 4), (3, 4)], 0.5) == 14
    assert overlap(10, [(2, 4), (9, 4)], 0) == 13 and overlap(10, [(10, 4)], 0.5) == 14
    assert slowest_of(4, 0) == 1
    # Of two normal ones the larger is deviation / sqrt(pi) above the mean; 20,000 draws are within 3 % of it.
    between(0.95, (slowest_of(2, 0.05, 20000) - 1) / (0.05 / math.sqrt(math.pi)), 1.05, "slower of 2")


def test_networks():
    # torchvision's numbers of parameters; 1.81 and 4.09 G multiplications (stride in the 3 x 3, as there)
    for network, parameters, flop in ((resnet(18), 11689512, 2 * 1.814e9), (resnet(50), 25557032, 2 * 4.089e9)):
        assert network.elements == parameters
        between(0.999, network.forward_flop / flop, 1.001, network.name)
        first = 2 * 3 * 64 * 49 * 112**2  # whose input needs no gradient
        assert math.isclose(network.flop, 3 * network.forward_flop - first)
    assert unet(64).elements == 31037698  # as PyTorch counts them
    between(99e6, unet().elements, 101e6, "U-Net")
    two = Network("two")
    two.conv(3, 8, 1, 10, bias=True)
    assert [p.elements for p in two.parameters] == [24, 8] and [p.flop for p in two.parameters] == [4800, 0]


def lines_of(constants, ranks, noise=0.0):
    draw = random.Random(3)
    sizes = [1024 * 4**i for i in range(10)]
    return "mpirun: a warning\n[0] " + "\n".join(
        json.dumps({"ranks": p, "us": {str(n): scaling.on_machine(n, p, constants, 2) * 1e6 *
                                       math.exp(draw.gauss(0, noise)) for n in sizes}}) for p in ranks) + "\n"


def times_of(lines):
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as f:
        f.write(lines)
        f.flush()
        return scaling.read_lines(f.name)[0]


def run(command, lines, *arguments):
    """(Exit status, standard output and standard error) of the program."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "lines")
        with open(path, "w", encoding="utf-8") as f:
            f.write(lines)
        out = io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            status = scaling.main([command, path, "--cores", "2", *arguments])
    return status, out.getvalue()


def test_fit_and_check():
    constants = (4e-6, 0.7e-6, 8e-11, 8e-11)
    for noise, bound in ((0, 1.03), (0.05, 1.35)):  # the pull alone; 30 measurements, of which 10 hardly show alpha
        for found, true in zip(scaling.fit(times_of(lines_of(constants, (2, 3, 4), noise)), 2), constants):
            between(1 / bound, found / true, bound, f"constants with noise {noise}")
    latency, alpha, _, _ = scaling.fit(times_of(lines_of((-2e-6, 3e-6, 8e-11, 8e-11), (2, 3, 4))), 2)
    assert latency == 0 and alpha > 0
    one = scaling.on_machine(1 << 20, 3, constants, 3)
    assert [scaling.on_machine(1 << 20, 3, constants, cores) / one for cores in (1, 2, 4)] == [3, 2, 1]
    good = lines_of(constants, (2, 3, 4), 0.05)
    status, text = run("check", good, "--fit-on", "2", "3")
    assert status == 0 and "4 ranks: predicted / measured 1.0" in text, text
    assert run("check", good, "--fit-on", "2", "--bound", "1.0001")[0] == 1
    off = lines_of(constants, (2,)) + lines_of([3 * c for c in constants], (4,))
    status, text = run("check", off)
    assert status == 1 and "too far off" in text, text
    steps = "".join(json.dumps({"ranks": 2, "alone": alone, "median_ms": ms}) + "\n"
                    for alone, ms in ((True, 262.0), (False, 280.0)))
    status, text = run("check", lines_of(constants, (2, 3)) + steps)
    # 46.8 MB at 0.12 ns, and 13 pieces of 4 us and 4 messages: 5.7 ms, none of them hidden
    assert "ResNet-18, 2 ranks: a step of 267.7 ms is predicted" in text, text
    for command, lines, wanted in (("fit", "", "no all_reduce of any ranks"), ("fit", "{\n", "lines:1: not a line"),
                                   ("fit", '{"ranks": 2, "us": {"1024": -1}}\n', "-1e-06 s"),
                                   ("check", lines_of(constants, (3, 4)), "no all_reduce of 2 ranks, of [3, 4] ranks only"),
                                   ("check", lines_of(constants, (2,)), "nothing to predict")):
        status, text = run(command, lines)
        assert status == 2 and wanted in text, text


def main():
    testing.run(globals())
    return 0


if __name__ == "__main__":
    sys.exit(main())
