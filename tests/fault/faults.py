"""What a fault is, and the list of all."""


class Fault:
    """One way to break one part. Numbers are those of docs/reliability.md; instances say which of a class by their arguments."""
    number = name = sentence = ""
    cycles = 1                 # of the suite; 0: it takes too long for that
    before_s = (0.05, 0.2)     # how long the clients have worked when it happens
    during_s = (0.05, 0.2)     # how long it lasts
    is_spoiling = False        # afterwards the field is not as it was: the next fault gets another
    is_start_counted = False   # the time to heal begins before heal(), where that starts what is ours
    after_s = 0.05             # how long they go on when writes are taken again

    def why_not(self, field):
        """Why this machine can't do it; None: it can."""
        return None

    def prepare(self, field):
        """Before its first cycle."""

    def inject(self, field, dice):
        raise NotImplementedError

    def heal(self, field):
        """Ends the cause. What comes after is the time to heal."""

    def settle(self, field):
        """After all is well: what the machine needs for the next cycle."""

    def finish(self, field):
        """After its last cycle, or when one failed."""


def everything():
    from fault import processes, links, stores
    return sorted([*processes.FAULTS, *links.FAULTS, *stores.FAULTS], key=lambda fault: int(fault.number[1:]))
