"""Which of a subject's stacks stays where it is while the others are moved to it."""

from mrisr.common.seeds import generator

#: As published (IREM 2.1): one is selected at random.
DRAWN = "drawn"


def fixed_stack(asked: int | str, count: int, seed: int, subject: str) -> int:
    """Return the number of the stack that stays, counted from 1.

    Args:
        asked: The dataset's `stacks.fixed`: a number, or `drawn`.
        count: Stacks of the subject.
        seed: The study's seed, which with the subject decides a draw.
        subject: Its name.
    """
    if asked == DRAWN:
        return int(generator(seed, "fixed stack", subject).integers(count)) + 1
    return int(asked)
