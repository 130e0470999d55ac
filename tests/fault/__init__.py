"""Faults: what breaks, what must hold while it is broken and afterwards, and rules broken on purpose (docs/reliability.md)."""
