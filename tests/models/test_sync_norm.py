"""The norm of two processes is the norm of one that sees both halves."""

import os

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing
from torch import nn

from rsspade.models.sync_norm import SyncBatchNorm

SPLIT = 3  # samples of the first process, out of 4: uneven on purpose
OFFSET = 300.0  # a mean far above the spread, where sums of squares lose their digits


def network(affine):
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(2, 3, 3),
        SyncBatchNorm(3, affine=affine),
        nn.ReLU(),
        nn.Conv2d(3, 2, 1),
        SyncBatchNorm(2, affine=affine),
    )
    nn.init.constant_(net[0].bias, OFFSET)
    return net


def batch():
    torch.manual_seed(1)
    x = torch.randn(4, 2, 9, 7)
    x[2] *= 5
    return x, torch.randn(4, 2, 7, 5)


def loss_of(net, x, goal):
    return (net(x) * goal).sum()


def in_a_process(rank, folder, affine):
    torch.set_num_threads(1)
    os.environ |= {"GLOO_SOCKET_IFNAME": "lo"}
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    net, (x, goal) = network(affine), batch()
    part = slice(0, SPLIT) if rank == 0 else slice(SPLIT, 4)
    mine = x[part].clone().requires_grad_()
    loss_of(net, mine, goal[part]).backward()
    gradients = [p.grad.clone() for p in net.parameters()]
    for gradient in gradients:
        dist.all_reduce(gradient)
    state = {k: v for k, v in net.state_dict().items() if "running" in k}
    with torch.no_grad():
        image = net.eval()(x)  # must not wait for the other process, which does not come here
    torch.save({"x": mine.grad, "p": gradients, "state": state, "image": image}, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


@pytest.mark.slow
@pytest.mark.parametrize("affine", [True, False])
def test_two_processes_give_what_one_gives(tmp_path, affine):
    torch.multiprocessing.spawn(in_a_process, (str(tmp_path), affine), nprocs=2)
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in range(2))

    net, (x, goal) = network(affine), batch()
    x.requires_grad_()
    loss_of(net, x, goal).backward()
    assert torch.allclose(torch.cat([first["x"], second["x"]]), x.grad, atol=1e-4)
    largest = max(p.grad.abs().max() for p in net.parameters())
    for parameter, mine, other in zip(net.parameters(), first["p"], second["p"], strict=True):
        assert torch.equal(mine, other)
        assert (mine - parameter.grad).abs().max() < 1e-4 * largest
    for name, value in net.state_dict().items():
        if "running" in name:
            assert torch.allclose(first["state"][name], value, rtol=1e-4), name
            assert torch.equal(first["state"][name], second["state"][name])
    assert torch.allclose(first["image"], net.eval()(x.detach()), atol=1e-3)
