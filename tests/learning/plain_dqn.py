"""Plain DQN in one process with torch: autograd, torch.optim, torch's Huber loss; it imports nothing of ADQL."""

from collections.abc import Iterator

import numpy as np
import torch

UPDATES, BATCH, INPUTS, ACTIONS, PERIOD, TAU = 600, 16, 4, 3, 50, 0.02
Batch = tuple[np.ndarray, ...]

torch.set_num_threads(1)


def replayed_batches(seed: int = 0) -> Iterator[Batch]:
    """Draws batches from a table that grows by one made-up transition an update; 1 in 10 terminates."""
    rng = np.random.default_rng(seed)
    table: list[Batch] = []
    for _ in range(UPDATES):
        while len(table) < BATCH or rng.random() < 0.5:
            state, following = rng.normal(size=(2, INPUTS))
            discount = 0.0 if rng.random() < 0.1 else 0.99
            table.append((state, rng.integers(ACTIONS), state.sum() * 2.0, discount, following))
        rows = [table[i] for i in rng.integers(0, len(table), BATCH)]
        yield tuple(np.array(column) for column in zip(*rows, strict=True))


def reference_losses(layers: list[np.ndarray], double: bool, soft: bool) -> list[float]:
    """Plain DQN: two hidden layers, Adam at 1e-3, Huber loss, gradient norm at most 0.5."""
    online = [torch.tensor(layer, requires_grad=True) for layer in layers]
    target = [torch.tensor(layer) for layer in layers]
    optimizer = torch.optim.Adam(online, lr=1e-3)
    losses = []
    for update, batch in enumerate(replayed_batches(), start=1):
        loss = reference_loss(*(torch.as_tensor(column) for column in batch), online, target, double)
        optimizer.zero_grad()
        loss.backward()
        norm = torch.linalg.vector_norm(torch.cat([layer.grad.flatten() for layer in online]))
        for layer in online:
            layer.grad *= min(1.0, 0.5 / norm.item())
        optimizer.step()
        follow_by_hand(target, online, update, soft)
        losses.append(loss.item())
    return losses


def reference_loss(state, action, reward, discount, following, online, target, double) -> torch.Tensor:
    with torch.no_grad():
        values = mlp(target, following)
        best = (mlp(online, following) if double else values).argmax(1, keepdim=True)
        wanted = reward + discount * values.gather(1, best)[:, 0]
    return torch.nn.functional.huber_loss(mlp(online, state).gather(1, action[:, None])[:, 0], wanted)


def mlp(layers: list[torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    x = torch.relu(x @ layers[0] + layers[1])
    x = torch.relu(x @ layers[2] + layers[3])
    return x @ layers[4] + layers[5]


def follow_by_hand(target: list[torch.Tensor], online: list[torch.Tensor], update: int, soft: bool) -> None:
    with torch.no_grad():
        for theirs, ours in zip(target, online, strict=True):
            if soft:
                theirs.copy_((1 - TAU) * theirs + TAU * ours)
            elif update % PERIOD == 0:
                theirs.copy_(ours)
