"""The networks of the benchmarks in PyTorch, and first values as tensors."""
import torch, torch.nn as nn, torch.nn.functional as F
import peer_common

def fill(shape, seed, bound=1.0): return torch.from_numpy(peer_common.fill(shape, seed, bound))
def labels(shape, ncls, seed=2): return torch.from_numpy(peer_common.labels(shape, ncls, seed))
def init(m, base=1000):
    tr = set()
    for name, mod in m.named_modules():
        if isinstance(mod, (nn.ConvTranspose2d, nn.ConvTranspose3d)): tr.add(name + '.weight')
    with torch.no_grad():
        for k, (name, p) in enumerate(m.named_parameters()):
            if p.dim() > 1:
                fan = p.shape[0] if name in tr else p.numel() // p.shape[0]
                p.copy_(fill(tuple(p.shape), base + k, (3.0 / fan) ** 0.5))
            elif name.endswith(('weight', 'gain')): p.fill_(1.0)
            else: p.zero_()
    return m

class BasicBlock(nn.Module):
    def __init__(s, i, o, st):
        super().__init__(); s.conv1 = nn.Conv2d(i, o, 3, st, 1, bias=False); s.bn1 = nn.BatchNorm2d(o); s.conv2 = nn.Conv2d(o, o, 3, 1, 1, bias=False); s.bn2 = nn.BatchNorm2d(o)
        s.down = nn.Sequential(nn.Conv2d(i, o, 1, st, bias=False), nn.BatchNorm2d(o)) if st != 1 or i != o else None
    def forward(s, x):
        y = F.relu(s.bn1(s.conv1(x)), inplace=True); y = s.bn2(s.conv2(y)); r = x if s.down is None else s.down(x)
        return F.relu(y.add_(r), inplace=True)
class ResNet18(nn.Module):
    def __init__(s, ncls=1000):
        super().__init__(); s.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False); s.bn1 = nn.BatchNorm2d(64); L = []; c = 64
        for o, st in ((64, 1), (128, 2), (256, 2), (512, 2)): L += [BasicBlock(c, o, st), BasicBlock(o, o, 1)]; c = o
        s.layers = nn.Sequential(*L); s.fc = nn.Linear(512, ncls)
    def forward(s, x):
        x = F.max_pool2d(F.relu(s.bn1(s.conv1(x)), inplace=True), 3, 2, 1); x = s.layers(x); return s.fc(F.adaptive_avg_pool2d(x, 1).flatten(1))
class Fire(nn.Module):
    def __init__(s, i, q, e):
        super().__init__(); s.sq = nn.Conv2d(i, q, 1); s.e1 = nn.Conv2d(q, e, 1); s.e3 = nn.Conv2d(q, e, 3, padding=1)
    def forward(s, x): x = F.relu(s.sq(x), inplace=True); return torch.cat([F.relu(s.e1(x), inplace=True), F.relu(s.e3(x), inplace=True)], 1)
class SqueezeNet(nn.Module):
    def __init__(s):
        super().__init__(); P = lambda: nn.MaxPool2d(3, 2, ceil_mode=True)
        s.f = nn.Sequential(nn.Conv2d(3, 64, 3, 2), nn.ReLU(True), P(), Fire(64, 16, 64), Fire(128, 16, 64), P(), Fire(128, 32, 128), Fire(256, 32, 128), P(), Fire(256, 48, 192), Fire(384, 48, 192), Fire(384, 64, 256), Fire(512, 64, 256))
        s.c = nn.Conv2d(512, 1000, 1)
    def forward(s, x): return F.adaptive_avg_pool2d(F.relu(s.c(s.f(x)), inplace=True), 1).flatten(1)
def rconv(i, o, k, st=1):  # reflection pad + conv
    return nn.Sequential(nn.ReflectionPad2d(k // 2), nn.Conv2d(i, o, k, st))
class Bott(nn.Module):
    def __init__(s, i, p, st=1, down=False):
        super().__init__(); I = nn.InstanceNorm2d; s.res = nn.Conv2d(i, p * 4, 1, st) if down else None
        s.b = nn.Sequential(I(i), nn.ReLU(True), nn.Conv2d(i, p, 1), I(p), nn.ReLU(True), rconv(p, p, 3, st), I(p), nn.ReLU(True), nn.Conv2d(p, p * 4, 1))
    def forward(s, x): return (x if s.res is None else s.res(x)) + s.b(x)
class UpBott(nn.Module):
    def __init__(s, i, p, st=2):
        super().__init__(); I = nn.InstanceNorm2d; s.up = nn.Upsample(scale_factor=st); s.res = nn.Conv2d(i, p * 4, 1)
        s.b = nn.Sequential(I(i), nn.ReLU(True), nn.Conv2d(i, p, 1), I(p), nn.ReLU(True), nn.Upsample(scale_factor=st), rconv(p, p, 3), I(p), nn.ReLU(True), nn.Conv2d(p, p * 4, 1))
    def forward(s, x): return s.res(s.up(x)) + s.b(x)
def gramm(y): b, c, h, w = y.shape; f = y.reshape(b, c, h * w); return f.bmm(f.transpose(1, 2)) / (c * h * w)
class Insp(nn.Module):
    def __init__(s, C): super().__init__(); s.weight = nn.Parameter(torch.zeros(1, C, C)); s.G = None; s.C = C
    def forward(s, X):
        P = torch.bmm(s.weight.expand_as(s.G), s.G)
        return torch.bmm(P.transpose(1, 2).expand(X.size(0), s.C, s.C), X.reshape(X.size(0), X.size(1), -1)).view(X.shape)
class MSG(nn.Module):
    def __init__(s, ngf=64, nb=6):
        super().__init__(); I = nn.InstanceNorm2d
        s.m1 = nn.Sequential(rconv(3, 64, 7), I(64), nn.ReLU(True), Bott(64, 32, 2, True), Bott(128, ngf, 2, True)); s.ins = Insp(ngf * 4)
        s.m2 = nn.Sequential(*[Bott(ngf * 4, ngf) for _ in range(nb)], UpBott(ngf * 4, 32), UpBott(128, 16), I(64), nn.ReLU(True), rconv(64, 3, 7))
    def target(s, x): s.ins.G = gramm(s.m1(x))
    def forward(s, x): return s.m2(s.ins(s.m1(x)))
class VGG(nn.Module):
    def __init__(s):
        super().__init__(); s.cfg = [(3, 64), (64, 64), 'P', (64, 128), (128, 128), 'P', (128, 256), (256, 256), (256, 256), 'P', (256, 512), (512, 512), (512, 512)]
        s.convs = nn.ModuleList([nn.Conv2d(a, b, 3, padding=1) for a, b in (c for c in s.cfg if c != 'P')])
    def forward(s, x, upto=4):
        o = []; k = 0
        for j, c in enumerate(s.cfg):
            if c == 'P':
                o.append(x)
                if len(o) == upto: return o
                x = F.max_pool2d(x, 2, 2)
            else: x = F.relu(s.convs[k](x), inplace=False); k += 1
        o.append(x); return o
def cbr(nd, i, o, bn): 
    C = nn.Conv2d if nd == 2 else nn.Conv3d; L = [C(i, o, 3, padding=1, bias=not bn)]
    if bn: L.append((nn.BatchNorm2d if nd == 2 else nn.BatchNorm3d)(o))
    return nn.Sequential(*L, nn.ReLU(True))
class UNet3(nn.Module):
    def __init__(s, base=32, nl=4, ncls=2):
        super().__init__(); ch = [base * 2 ** i for i in range(nl)]; s.enc = nn.ModuleList(); c = 1
        for o in ch: s.enc.append(nn.Sequential(cbr(3, c, o, True), cbr(3, o, o, True))); c = o
        s.up = nn.ModuleList(); s.dec = nn.ModuleList()
        for o in ch[-2::-1]: s.up.append(nn.ConvTranspose3d(c, o, 2, 2)); s.dec.append(nn.Sequential(cbr(3, 2 * o, o, True), cbr(3, o, o, True))); c = o
        s.out = nn.Conv3d(base, ncls, 1)
    def forward(s, x):
        sk = []
        for i, e in enumerate(s.enc):
            if i: x = F.max_pool3d(x, 2)
            x = e(x); sk.append(x)
        for u, d, k in zip(s.up, s.dec, sk[-2::-1]): x = d(torch.cat([u(x), k], 1))
        return s.out(x)
class UNet2(nn.Module):
    def __init__(s, base=64, nl=5):
        super().__init__(); ch = [base * 2 ** i for i in range(nl)]; s.enc = nn.ModuleList(); c = 1
        for o in ch: s.enc.append(nn.Sequential(cbr(2, c, o, False), cbr(2, o, o, False))); c = o
        s.up = nn.ModuleList(); s.dec = nn.ModuleList()
        for o in ch[-2::-1]: s.up.append(cbr(2, c, o, False)); s.dec.append(nn.Sequential(cbr(2, 2 * o, o, False), cbr(2, o, o, False))); c = o
        s.out = nn.Conv2d(base, 1, 1)
    def forward(s, x):
        sk = []
        for i, e in enumerate(s.enc):
            if i: x = F.max_pool2d(x, 2)
            x = e(x); sk.append(x)
        for u, d, k in zip(s.up, s.dec, sk[-2::-1]): x = d(torch.cat([k, u(F.interpolate(x, scale_factor=2.0, mode='nearest'))], 1))
        return s.out(x)

class WSConv3d(nn.Conv3d):
    def __init__(s, *a, **k): super().__init__(*a, **k); s.gain = nn.Parameter(torch.ones(s.weight.shape[0]))
    def forward(s, x):
        w = s.weight; var, mean = torch.var_mean(w, dim=(1, 2, 3, 4), keepdim=True)
        scale = torch.rsqrt(torch.clamp(var * w.numel(), min=1e-4)) * s.gain.view(-1, 1, 1, 1, 1)
        return F.conv3d(x, w * scale - mean * scale, s.bias, s.stride, s.padding)
class WSUNet3(nn.Module):
    def __init__(s, f=16):
        super().__init__()
        W = lambda i, o, k: nn.Sequential(WSConv3d(i, o, k, padding=tuple(v // 2 for v in k)), nn.GroupNorm(4, o), nn.ReLU(True))
        P, V, B, U = (1, 3, 3), (3, 3, 3), lambda i, o, k: nn.Sequential(W(i, o, k), W(o, o, k)), (1, 2, 2)
        s.enc0, s.enc1, s.enc2 = B(1, f, P), B(f, 2 * f, V), B(2 * f, 4 * f, V); s.pool = nn.MaxPool3d(U)
        s.up1, s.dec1 = nn.ConvTranspose3d(4 * f, 2 * f, U, U), B(4 * f, 2 * f, V)
        s.up0, s.dec0 = nn.ConvTranspose3d(2 * f, f, U, U), B(2 * f, f, P); s.head = nn.Conv3d(f, 1, 1)
    def forward(s, x):
        e0 = s.enc0(x); e1 = s.enc1(s.pool(e0)); e2 = s.enc2(s.pool(e1)); d1 = s.dec1(torch.cat([s.up1(e2), e1], 1))
        return s.head(s.dec0(torch.cat([s.up0(d1), e0], 1)))
