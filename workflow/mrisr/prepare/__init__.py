"""From a raw scan to ground truth and mask, or to real LR input and SR grid; and trying that."""
