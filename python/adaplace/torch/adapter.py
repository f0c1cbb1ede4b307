"""The bottleneck of one connection."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from adaplace._adaplace import Connection

NORM_EPSILON = 1e-5


class Adapter(nn.Module):
    """A(x) = scale * (W_up gelu(W_down norm(x) + b_down) + b_up), where norm is a layer norm without weights
    and gelu the exact one (Houlsby et al., 2019).

    `down.weight` is (rank, width), `down.bias` (rank), `up.weight` (width, rank), `up.bias` (width). In a new
    adapter W_down and b_down are uniform in +-1/sqrt(width), W_up and b_up are zero, so it adds nothing yet.
    Rank and scale are those of the connection.
    """

    def __init__(
        self,
        width: int,
        connection: Connection,
        *,
        generator: torch.Generator | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        self.width = width
        self.rank = connection.rank
        self.scale = connection.scale
        self.down = blank_linear(width, self.rank, dtype)
        self.up = blank_linear(self.rank, width, dtype)
        fill_uniform(self.down.weight, width, generator)
        fill_uniform(self.down.bias, width, generator)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, x: Tensor) -> Tensor:
        """A(x), with the shape (.., width) and the type of `x`. It is computed in the adapter's own type."""
        normal = F.layer_norm(x.to(self.down.weight.dtype), (self.width,), eps=NORM_EPSILON)
        result: Tensor = self.up(F.gelu(self.down(normal)))
        if self.scale != 1.0:
            result = result * self.scale
        return result.to(x.dtype)

    def extra_repr(self) -> str:
        return f"width={self.width}, rank={self.rank}, scale={self.scale}"


def blank_linear(inputs: int, outputs: int, dtype: torch.dtype) -> nn.Linear:
    """A linear layer without PyTorch's initial values, which would come from the global generator."""
    return nn.Linear(inputs, outputs, device="meta", dtype=dtype).to_empty(device="cpu")


@torch.no_grad()
def fill_uniform(parameter: Tensor, width: int, generator: torch.Generator | None) -> None:
    """Draws uniform values in +-1/sqrt(width), always as f32, so that a seed determines the adapter."""
    bound = width**-0.5
    parameter.copy_(torch.empty(parameter.shape).uniform_(-bound, bound, generator=generator))
