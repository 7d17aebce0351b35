"""The same networks as PyTorch modules, so that names, layouts and every detail of a layer come from PyTorch itself."""

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from tests.weights.filled import value


def fill(module: nn.Module) -> dict[str, np.ndarray]:
    """Give a module rule-made weights; returns them by name, without counters."""
    state = {name: torch.as_tensor(tensor) for name, tensor in module.state_dict().items()}
    arrays = {n: value(n, tuple(t.shape)) for n, t in state.items() if not n.endswith("num_batches_tracked")}
    module.load_state_dict({**state, **{n: torch.from_numpy(a) for n, a in arrays.items()}})
    module.eval()
    return arrays


def run(module: nn.Module, images: np.ndarray):
    """Call with `[B, H, W, C]`; returns `[B, ...]` arrays, images with channels last."""
    with torch.no_grad():
        outputs = module(torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)).astype(np.float32)))
    outputs = [o.numpy() for o in (outputs if isinstance(outputs, list) else [outputs])]
    return [o.transpose(0, 2, 3, 1) if o.ndim == 4 else o for o in outputs]


class Unit(nn.Module):
    def __init__(self, inputs, outputs, size=1, stride=1, padding=0):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, size, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=0.001)

    def forward(self, x):
        return F.relu(self.bn(self.conv(x)))


class Branches(nn.Module):
    """Named chains of units side by side. A chain: list of (name, inputs, outputs, size, stride, padding)."""

    def __init__(self, chains, pool=None):
        super().__init__()
        self.chains, self.pool = [[row[0] for row in chain] for chain in chains], pool
        for chain in chains:
            for name, *arguments in chain:
                self.add_module(name, Unit(*arguments))

    def forward(self, x):
        outputs = []
        for chain in self.chains:
            y = self.pool(x) if chain == ["branch_pool"] else x
            for name in chain:
                if not name.endswith("b"):  # "..a" and "..b" are side by side
                    before = y
                y = getattr(self, name)(before if name.endswith("b") else y)
                if name.endswith("a"):
                    outputs.append(y)
            outputs.append(y)
        if self.pool is REDUCTION:
            outputs.append(F.max_pool2d(x, 3, 2))
        return torch.cat(outputs, 1)


REDUCTION = "reduction"


def average(x):
    return F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)


def maximum(x):
    return F.max_pool2d(x, 3, 1, 1)


W, T = ((1, 7), 1, (0, 3)), ((7, 1), 1, (3, 0))  # wide and tall


def inception_a(c, pooled):
    double = [("branch3x3dbl_1", c, 64), ("branch3x3dbl_2", 64, 96, 3, 1, 1), ("branch3x3dbl_3", 96, 96, 3, 1, 1)]
    five = [("branch5x5_1", c, 48), ("branch5x5_2", 48, 64, 5, 1, 2)]
    return Branches([[("branch1x1", c, 64)], five, double, [("branch_pool", c, pooled)]], average)


def inception_b(c):
    double = [("branch3x3dbl_1", c, 64), ("branch3x3dbl_2", 64, 96, 3, 1, 1), ("branch3x3dbl_3", 96, 96, 3, 2)]
    return Branches([[("branch3x3", c, 384, 3, 2)], double], REDUCTION)


def inception_c(c, w):
    once = [("branch7x7_1", c, w), ("branch7x7_2", w, w, *W), ("branch7x7_3", w, 192, *T)]
    chain = [("branch7x7dbl_1", c, w), ("branch7x7dbl_2", w, w, *T), ("branch7x7dbl_3", w, w, *W)]
    chain += [("branch7x7dbl_4", w, w, *T), ("branch7x7dbl_5", w, 192, *W)]
    return Branches([[("branch1x1", c, 192)], once, chain, [("branch_pool", c, 192)]], average)


def inception_d(c):
    once = [("branch3x3_1", c, 192), ("branch3x3_2", 192, 320, 3, 2)]
    chain = [("branch7x7x3_1", c, 192), ("branch7x7x3_2", 192, 192, *W), ("branch7x7x3_3", 192, 192, *T)]
    return Branches([once, [*chain, ("branch7x7x3_4", 192, 192, 3, 2)]], REDUCTION)


class InceptionE(nn.Module):
    def __init__(self, c, pool):
        super().__init__()
        self.pool = pool
        self.branch1x1, self.branch3x3_1 = Unit(c, 320), Unit(c, 384)
        self.branch3x3_2a, self.branch3x3_2b = Unit(384, 384, (1, 3), 1, (0, 1)), Unit(384, 384, (3, 1), 1, (1, 0))
        self.branch3x3dbl_1, self.branch3x3dbl_2 = Unit(c, 448), Unit(448, 384, 3, 1, 1)
        self.branch3x3dbl_3a, self.branch3x3dbl_3b = (
            Unit(384, 384, (1, 3), 1, (0, 1)),
            Unit(384, 384, (3, 1), 1, (1, 0)),
        )
        self.branch_pool = Unit(c, 192)

    def forward(self, x):
        y, z = self.branch3x3_1(x), self.branch3x3dbl_2(self.branch3x3dbl_1(x))
        parts = [self.branch1x1(x), self.branch3x3_2a(y), self.branch3x3_2b(y)]
        parts += [self.branch3x3dbl_3a(z), self.branch3x3dbl_3b(z), self.branch_pool(self.pool(x))]
        return torch.cat(parts, 1)


class Inception(nn.Module):
    """Ends in features; the classifier is there, as in the published file."""

    def __init__(self):
        super().__init__()
        self.Conv2d_1a_3x3, self.Conv2d_2a_3x3 = Unit(3, 32, 3, 2), Unit(32, 32, 3)
        self.Conv2d_2b_3x3, self.Conv2d_3b_1x1, self.Conv2d_4a_3x3 = (
            Unit(32, 64, 3, 1, 1),
            Unit(64, 80),
            Unit(80, 192, 3),
        )
        self.Mixed_5b, self.Mixed_5c = inception_a(192, 32), inception_a(256, 64)
        self.Mixed_5d, self.Mixed_6a = inception_a(288, 64), inception_b(288)
        self.Mixed_6b, self.Mixed_6c = inception_c(768, 128), inception_c(768, 160)
        self.Mixed_6d, self.Mixed_6e = inception_c(768, 160), inception_c(768, 192)
        self.Mixed_7a, self.Mixed_7b = inception_d(768), InceptionE(1280, average)
        self.Mixed_7c, self.fc = InceptionE(2048, maximum), nn.Linear(2048, 1008)

    def forward(self, x):
        x = F.max_pool2d(self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x))), 3, 2)
        x = F.max_pool2d(self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(x)), 3, 2)
        for name in ("5b", "5c", "5d", "6a", "6b", "6c", "6d", "6e", "7a", "7b", "7c"):
            x = getattr(self, f"Mixed_{name}")(x)
        return F.adaptive_avg_pool2d(x, 1).flatten(1)


def units(*rows):
    return Unit(*rows[0]) if len(rows) == 1 else nn.Sequential(*(Unit(*row) for row in rows))


class FaceNetBlock(nn.Module):
    def __init__(self, channels, branches, scale=None, rectified=True):
        super().__init__()
        self.count, self.scale, self.rectified = len(branches), scale, rectified
        for number, rows in enumerate(branches):
            self.add_module(f"branch{number}", units(*rows))
        if scale is not None:
            self.conv2d = nn.Conv2d(sum(rows[-1][1] for rows in branches), channels, 1)

    def forward(self, x):
        outputs = [getattr(self, f"branch{number}")(x) for number in range(self.count)]
        if self.scale is None:
            return torch.cat([*outputs, F.max_pool2d(x, 3, stride=2)], 1)
        y = self.conv2d(torch.cat(outputs, 1)) * self.scale + x
        return F.relu(y) if self.rectified else y


def block35():
    return FaceNetBlock(
        256, [[(256, 32)], [(256, 32), (32, 32, 3, 1, 1)], [(256, 32), (32, 32, 3, 1, 1), (32, 32, 3, 1, 1)]], 0.17
    )


def block17():
    return FaceNetBlock(896, [[(896, 128)], [(896, 128), (128, 128, *W), (128, 128, *T)]], 0.1)


def block8(scale=0.2, rectified=True):
    cross = [(1792, 192), (192, 192, (1, 3), 1, (0, 1)), (192, 192, (3, 1), 1, (1, 0))]
    return FaceNetBlock(1792, [[(1792, 192)], cross], scale, rectified)


class FaceNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv2d_1a, self.conv2d_2a, self.conv2d_2b = Unit(3, 32, 3, 2), Unit(32, 32, 3), Unit(32, 64, 3, 1, 1)
        self.conv2d_3b, self.conv2d_4a, self.conv2d_4b = Unit(64, 80), Unit(80, 192, 3), Unit(192, 256, 3, 2)
        self.repeat_1 = nn.Sequential(*(block35() for _ in range(5)))
        self.mixed_6a = FaceNetBlock(0, [[(256, 384, 3, 2)], [(256, 192), (192, 192, 3, 1, 1), (192, 256, 3, 2)]])
        self.repeat_2 = nn.Sequential(*(block17() for _ in range(10)))
        two = [[(896, 256), (256, 384, 3, 2)], [(896, 256), (256, 256, 3, 2)]]
        self.mixed_7a = FaceNetBlock(0, [*two, [(896, 256), (256, 256, 3, 1, 1), (256, 256, 3, 2)]])
        self.repeat_3 = nn.Sequential(*(block8() for _ in range(5)))
        self.block8 = block8(1.0, rectified=False)
        self.last_linear, self.last_bn = nn.Linear(1792, 512, bias=False), nn.BatchNorm1d(512, eps=0.001)
        self.logits = nn.Linear(512, 8631)

    def forward(self, x):
        x = F.max_pool2d(self.conv2d_2b(self.conv2d_2a(self.conv2d_1a(x))), 3, stride=2)
        x = self.conv2d_4b(self.conv2d_4a(self.conv2d_3b(x)))
        x = self.mixed_7a(self.repeat_2(self.mixed_6a(self.repeat_1(x))))
        x = F.adaptive_avg_pool2d(self.block8(self.repeat_3(x)), 1).flatten(1)
        return F.normalize(self.last_bn(self.last_linear(x)), p=2, dim=1)


class IRBlock(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.bn0, self.conv1 = nn.BatchNorm2d(inputs), nn.Conv2d(inputs, inputs, 3, 1, 1, bias=False)
        self.bn1, self.prelu = nn.BatchNorm2d(inputs), nn.PReLU()
        self.conv2, self.bn2 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            shortcut = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.downsample = nn.Sequential(shortcut, nn.BatchNorm2d(outputs))

    def forward(self, x):
        y = self.bn2(self.conv2(self.prelu(self.bn1(self.conv1(self.bn0(x))))))
        return self.prelu(y + (x if self.downsample is None else self.downsample(x)))


class ArcFace(nn.Module):
    def __init__(self, side=128):
        super().__init__()
        self.conv1, self.bn1, self.prelu = nn.Conv2d(1, 64, 3, padding=1, bias=False), nn.BatchNorm2d(64), nn.PReLU()
        for number, (inputs, outputs) in enumerate(((64, 64), (64, 128), (128, 256), (256, 512)), start=1):
            first = IRBlock(inputs, outputs, 1 if number == 1 else 2)
            self.add_module(f"layer{number}", nn.Sequential(first, IRBlock(outputs, outputs, 1)))
        self.bn4, self.fc5 = nn.BatchNorm2d(512), nn.Linear(512 * (side // 16) ** 2, 512)
        self.bn5 = nn.BatchNorm1d(512)

    def forward(self, x):
        x = F.max_pool2d(self.prelu(self.bn1(self.conv1(x))), 2)
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.bn5(self.fc5(self.bn4(x).flatten(1)))


class ConvBlock(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        half, quarter = outputs // 2, outputs // 4
        self.bn1, self.conv1 = nn.BatchNorm2d(inputs), nn.Conv2d(inputs, half, 3, 1, 1, bias=False)
        self.bn2, self.conv2 = nn.BatchNorm2d(half), nn.Conv2d(half, quarter, 3, 1, 1, bias=False)
        self.bn3, self.conv3 = nn.BatchNorm2d(quarter), nn.Conv2d(quarter, quarter, 3, 1, 1, bias=False)
        self.downsample = None
        if inputs != outputs:
            shortcut = nn.Conv2d(inputs, outputs, 1, bias=False)
            self.downsample = nn.Sequential(nn.BatchNorm2d(inputs), nn.ReLU(), shortcut)

    def forward(self, x):
        first = self.conv1(F.relu(self.bn1(x)))
        second = self.conv2(F.relu(self.bn2(first)))
        third = self.conv3(F.relu(self.bn3(second)))
        return torch.cat((first, second, third), 1) + (x if self.downsample is None else self.downsample(x))


class CoordConv(nn.Module):
    def __init__(self, inputs, outputs, boundary, **arguments):
        super().__init__()
        self.conv = nn.Conv2d(inputs + (5 if boundary else 3), outputs, **arguments)

    def forward(self, x, heat_maps=None):
        height, width = x.shape[2:]
        down = (torch.arange(height) / (height - 1) * 2 - 1).view(1, 1, -1, 1).expand(len(x), 1, height, width)
        across = (torch.arange(width) / (width - 1) * 2 - 1).view(1, 1, 1, -1).expand(len(x), 1, height, width)
        radius = torch.sqrt(down**2 + across**2)
        channels = [x, down, across, radius / radius.max()]
        if heat_maps is not None:
            boundary = heat_maps[:, -1:].clamp(0, 1) > 0.05
            channels += [torch.where(boundary, c, torch.zeros_like(c)) for c in (down, across)]
        return self.conv(torch.cat(channels, 1))


class HourGlass(nn.Module):
    def __init__(self, first):
        super().__init__()
        self.coordconv = CoordConv(256, 256, not first, kernel_size=1)
        for level in range(1, 5):
            for name in ("b1", "b2", "b3") + (("b2_plus",) if level == 1 else ()):
                self.add_module(f"{name}_{level}", ConvBlock(256, 256))

    def inner(self, x, level):
        y = getattr(self, f"b2_{level}")(F.avg_pool2d(x, 2))
        y = self.inner(y, level - 1) if level > 1 else self.b2_plus_1(y)
        y = F.interpolate(getattr(self, f"b3_{level}")(y), scale_factor=2, mode="nearest")
        return getattr(self, f"b1_{level}")(x) + y

    def forward(self, x, heat_maps):
        return self.inner(self.coordconv(x, heat_maps), 4)


class AWing(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = CoordConv(3, 64, False, kernel_size=7, stride=2, padding=3), nn.BatchNorm2d(64)
        self.conv2, self.conv3, self.conv4 = ConvBlock(64, 128), ConvBlock(128, 128), ConvBlock(128, 256)
        for i in range(4):
            self.add_module(f"m{i}", HourGlass(i == 0))
            self.add_module(f"top_m_{i}", ConvBlock(256, 256))
            self.add_module(f"conv_last{i}", nn.Conv2d(256, 256, 1))
            self.add_module(f"bn_end{i}", nn.BatchNorm2d(256))
            self.add_module(f"l{i}", nn.Conv2d(256, 99, 1))
            if i < 3:
                self.add_module(f"bl{i}", nn.Conv2d(256, 256, 1))
                self.add_module(f"al{i}", nn.Conv2d(99, 256, 1))

    def forward(self, x):
        x = F.avg_pool2d(self.conv2(F.relu(self.bn1(self.conv1(x)))), 2)
        x, outputs = self.conv4(self.conv3(x)), []
        for i in range(4):
            part = {
                name: getattr(self, f"{name}{i}", None)
                for name in ("m", "top_m_", "conv_last", "bn_end", "l", "bl", "al")
            }
            y = part["top_m_"](part["m"](x, outputs[-1] if outputs else None))
            y = F.relu(part["bn_end"](part["conv_last"](y)))
            outputs.append(part["l"](y))
            if i < 3:
                x = x + part["bl"](y) + part["al"](outputs[-1])
        return outputs
