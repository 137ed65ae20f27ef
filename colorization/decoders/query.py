"""A decoder with learned colour queries over the maps of a U-Net (the idea of DDColor)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from colorization.decoders.unet import UNetPyramid
from colorization.errors import ConfigError

# Queries attend to at most three maps of the U-Net, the coarsest ones, with at least this reduction. Attention to finer
# maps would be expensive.
_LEVELS = 3
_LEAST_REDUCTION = 8
# Dimension of an attention head.
_HEAD = 32


class QueryDecoder(UNetPyramid):
    """A U-Net whose output layer is predicted for each picture, by queries that attend to the whole picture.

    As in DDColor (Kang et al., "DDColor: Towards Photo-Realistic Image Colorization via Dual Decoders", 2023), learned
    queries attend to the U-Net's maps at several scales in turn. The dot product of a query with a pixel of the U-Net's
    last map says how much of the query's colour the pixel has, and a linear layer mixes the output from these products.
    Both steps are linear and are merged into one small matrix per picture, so that no map per query is stored.

    Args:
        channels, reductions, out_channels, width: see `UNetPyramid`.
        queries: number of colour queries.
        layers: transformer layers; each attends to one scale: coarse, middle, fine, coarse, ...
        embedding: dimension of a query, a multiple of 32.
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
            raise ConfigError(f"decoder.embedding={embedding} is not a multiple of {_HEAD}: give for example 256")
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
        # The output starts close to zero: a dot product grows with the number of channels.
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
        # Exported graphs take any batch size this way; einsum and batched matrix products would fix it.
        weights = F.linear(colors.transpose(1, 2), self.mix.weight).transpose(1, 2)
        mixed = torch.bmm(weights, maps[-1].flatten(2))
        return mixed.unflatten(2, maps[-1].shape[-2:]) + self.mix.bias.view(-1, 1, 1)


class _Layer(nn.Module):
    """A pre-norm transformer layer: cross-attention to a map, self-attention among the queries, feed-forward network.

    PyTorch's layer has self-attention first, and can't be exported for any batch size.
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
    """Multi-head attention with heads of dimension `_HEAD` (Vaswani et al., 2017)."""

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
    """Sinusoidal position encoding (Vaswani et al., 2017, in two dimensions as in Carion et al., 2020). Positions are
    relative to the picture's height and width, so that they mean the same at any size.

    Args:
        picture: `(B, C, H, W)`; only its height, width, type and device are used.
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
