"""What every Q-network is: Q(s, ·; θ) and its gradient, where θ is one flat vector cut by a manifest."""

from typing import Protocol

from adql.types import Array, Manifest


class Network(Protocol):
    """Holds buffers and no parameters: one network serves the online and the target vector alike; not thread-safe."""

    @property
    def manifest(self) -> Manifest:
        """How the flat vector is cut into arrays; its size is P."""

    @property
    def is_table(self) -> bool:
        """True where each state-action pair has one parameter of its own."""

    def q_values(self, vector: Array, observations: Array) -> Array:
        """Returns Q (n, actions), the caller's own, under ``vector`` (P,); does not disturb a pending backward."""

    def forward(self, vector: Array, observations: Array) -> Array:
        """Returns the same Q (n, actions) and keeps what ``backward`` needs; ``vector`` must not change before it."""

    def backward(self, output_gradient: Array) -> Array:
        """Returns Σ over rows of (∂Q/∂θ)ᵀ·``output_gradient``, shape (P,), for the last ``forward``.

        ``output_gradient`` (m, actions) belongs to the first m ≤ n rows; the others count as 0. The answer lies in a
        buffer that the next ``backward`` overwrites; the caller may change it.
        """
