"""A model for each subject, made from its three stacks: their mean intensity."""

import numpy as np
import torch
from torch import nn

from mrisr.degrade import upsample
from mrisr.io import load
from mrisr.train import Trained


class Mean(nn.Module):
    halo = 0

    def __init__(self, gain):
        super().__init__()
        self.mean = nn.Parameter(torch.tensor(gain))


def build(gain=1.0):
    return Mean(gain)


def train(job, stop):
    network = job.build()
    assert len(job.train) == 3
    mean = float(np.mean([load(file).data.mean() for file in job.train]))
    state = {"mean": network.mean.detach() * mean}
    rows = [{"epoch": 1, "step": 1, "train_loss": 0.0, "val_loss": 0.0, "learning_rate": 0.0}]
    info = {"steps": 1, "val_loss": 0.0, "collapsed": False, "restarts": 0, "seconds": 0.0}
    return Trained(state, rows, {**info, "best_epoch": 1, "parameters": 1})


def reconstruct(lr, query, model):
    stacks = [upsample(stack.data, query.shape, "centres") for stack in lr.values()]
    return np.mean(stacks, axis=0) + 0 * float(model.mean)
