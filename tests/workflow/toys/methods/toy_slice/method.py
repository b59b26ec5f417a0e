"""A model of 2-D slices with a training loop of its own."""

import torch
from torch import nn

from mrisr.degrade.resample import upsample
from mrisr.train.engine import Trained


class Weight(nn.Module):
    halo = 0

    def __init__(self, weight):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(weight))


def build(weight=1.0):
    return Weight(weight)


def train(job, stop):
    rows = [{"epoch": 1, "step": 1, "train_loss": 0.0, "val_loss": 0.0, "learning_rate": 0.0}]
    info = {"steps": 1, "val_loss": 0.0, "collapsed": False, "restarts": 0, "seconds": 0.0}
    about = {**info, "best_epoch": 1, "parameters": 1}
    return Trained(dict(job.build().state_dict()), rows, about)


def reconstruct(lr, query, model):
    return float(model.weight) * upsample(lr.data, query.shape, query.grid)
