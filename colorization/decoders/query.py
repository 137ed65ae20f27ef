"""A decoder with learned colour queries over the maps of a U-Net (the idea of DDColor)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from colorization.decoders.unet import UNetPyramid
from colorization.errors import ConfigError

# The maps that queries look at: the three coarsest of the U-Net's that halve the picture at least this often. Finer
# ones would make attention dear.
_LEVELS = 3
_LEAST_REDUCTION = 8
# How many numbers of a query a head of attention has.
_HEAD = 32


class QueryDecoder(UNetPyramid):
    """A U-Net whose output layer is written anew for each picture, by queries that have looked at the whole of it.

    As in DDColor (Kang et al., "DDColor: Towards Photo-Realistic Image Colorization via Dual Decoders", 2023), learned
    queries attend to the U-Net's maps at several scales in turn; the dot product of each query with each pixel of the
    U-Net's last map says how much of the query's colour the pixel has, and a linear layer mixes the output from that.
    Mixing and dot product are linear, and so are joined into one small matrix a picture: the maps of all queries are
    never made, whatever the size of the picture.

    Args:
        channels, reductions, out_channels, width: see `UNetPyramid`.
        queries: how many colour queries there are.
        layers: transformer layers, each of which looks at one scale: coarse, middle, fine, coarse, ...
        embedding: numbers that stand for a query, a multiple of 32.
    """

    def __init__(
        self,
        channels: Sequence[int],
        reductions: Sequence[int],
        out_channels: int,
        width: int = 256,
        queries: int = 100,
        layers: int = 6,
        embedding: int = 256,
    ) -> None:
        super().__init__(channels, reductions, out_channels, width)
        for key, value, least in (("queries", queries, 1), ("layers", layers, 1), ("embedding", embedding, _HEAD)):
            if value < least:
                raise ConfigError(f"decoder.{key}={value} is too small: give {least} or more")
        if embedding % _HEAD:
            raise ConfigError(f"decoder.embedding={embedding} is no multiple of {_HEAD}: give for instance 256")
        coarse = [level for level, reduction in enumerate(self.map_reductions) if reduction >= _LEAST_REDUCTION]
        self.looked_at = (coarse or [0])[: min(_LEVELS, layers)]
        self.queries = nn.Parameter(torch.randn(queries, embedding))
        self.keys = nn.ModuleList(nn.Conv2d(self.map_channels[level], embedding, 1) for level in self.looked_at)
        self.scales = nn.Parameter(torch.randn(len(self.looked_at), embedding) * 0.02)
        self.layers = nn.ModuleList(_Layer(embedding) for _ in range(layers))
        self.norm = nn.LayerNorm(embedding)
        self.colors = nn.Sequential(
            nn.Linear(embedding, embedding), nn.GELU(), nn.Linear(embedding, self.map_channels[-1])
        )
        self.mix = nn.Linear(queries, out_channels)
        # A dot product grows with the number of channels; the output is to start close to zero.
        nn.init.normal_(self.mix.weight, std=1e-2 / (queries * self.map_channels[-1]) ** 0.5)
        nn.init.zeros_(self.mix.bias)

    def forward(self, features: list[Tensor]) -> Tensor:
        maps = self.upsample(features)
        keys = [
            (key(maps[level]) + scale.view(-1, 1, 1) + positions(maps[level], len(scale))).flatten(2).transpose(1, 2)
            for key, scale, level in zip(self.keys, self.scales, self.looked_at, strict=True)
        ]
        queries = self.queries.expand(maps[0].shape[0], -1, -1)
        for number, layer in enumerate(self.layers):
            queries = layer(queries, keys[number % len(keys)])
        colors = self.colors(self.norm(queries))
        # Spelled so that exported graphs take any batch: einsum, and products of matrices with batches, fix it.
        weights = F.linear(colors.transpose(1, 2), self.mix.weight).transpose(1, 2)
        mixed = torch.bmm(weights, maps[-1].flatten(2))
        return mixed.unflatten(2, maps[-1].shape[-2:]) + self.mix.bias.view(-1, 1, 1)


class _Layer(nn.Module):
    """A transformer's layer with normalization first: queries look at a map, then at each other, then each for itself.

    PyTorch's own has the first two the other way round, and can't be exported for a batch of any size.
    """

    def __init__(self, embedding: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(embedding) for _ in range(3))
        self.look = _Attention(embedding)
        self.exchange = _Attention(embedding)
        self.think = nn.Sequential(nn.Linear(embedding, 4 * embedding), nn.GELU(), nn.Linear(4 * embedding, embedding))

    def forward(self, queries: Tensor, keys: Tensor) -> Tensor:
        """Queries `(B, N, embedding)` and a map's pixels `(B, M, embedding)` to queries."""
        queries = queries + self.look(self.norms[0](queries), keys)
        normed = self.norms[1](queries)
        queries = queries + self.exchange(normed, normed)
        return queries + self.think(self.norms[2](queries))


class _Attention(nn.Module):
    """Attention with heads of `_HEAD` numbers (Vaswani et al., 2017)."""

    def __init__(self, embedding: int) -> None:
        super().__init__()
        self.query = nn.Linear(embedding, embedding)
        self.key = nn.Linear(embedding, embedding)
        self.value = nn.Linear(embedding, embedding)
        self.output = nn.Linear(embedding, embedding)

    def forward(self, queries: Tensor, keys: Tensor) -> Tensor:
        heads = (
            projected.unflatten(-1, (-1, _HEAD)).transpose(1, 2)
            for projected in (self.query(queries), self.key(keys), self.value(keys))
        )
        return self.output(F.scaled_dot_product_attention(*heads).transpose(1, 2).flatten(2))


def positions(picture: Tensor, channels: int) -> Tensor:
    """Sines and cosines that tell each place of a map from the others (Vaswani et al., 2017, in two dimensions as in
    Carion et al., 2020). Places are shares of the picture's height and width, so that they mean the same at any size.

    Args:
        picture: `(B, C, H, W)`; only its height, width, type and device count.
        channels: a multiple of 4.

    Returns:
        `(channels, H, W)`.
    """
    height, width = picture.shape[-2:]
    frequencies = torch.pi * 2.0 ** torch.linspace(0, 6, channels // 4, device=picture.device)
    rows, columns = (
        ((torch.arange(side, device=picture.device) + 0.5) / side) * frequencies.view(-1, 1) for side in (height, width)
    )
    rows, columns = (torch.cat((angles.sin(), angles.cos())) for angles in (rows, columns))
    half = channels // 2
    return torch.cat(
        (rows.unsqueeze(2).expand(half, height, width), columns.unsqueeze(1).expand(half, height, width))
    ).to(picture.dtype)
