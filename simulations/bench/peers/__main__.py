"""`python -m simulations.bench.peers`."""

from simulations.bench.peers.command import main

main()
