"""A small network of our own for real processes: hosts in network namespaces, and cables that can be pulled.

Each host has one interface, a TUN device, whose other end is held by the *switch*: a process of ours that reads every
IP packet and hands it to the host it is for, late or not at all. So a pulled cable looks to both ends as it does in a
machine room: packets stop, and nobody says why. Cuts and delays are per direction.

Whoever builds a `Lan` runs inside a network of its own already, started by the command of `inside`; no interface,
route or address of the machine is touched, and everything is gone with the last process.
"""

from __future__ import annotations

from simulations.fabric.lan import Host, Lan
from simulations.fabric.namespaces import inside, why_not

__all__ = ["Host", "Lan", "inside", "why_not"]
