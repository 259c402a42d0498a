"""Other servers beside ours: the same crowd on Colyseus with view filtering, and on plain Node with `ws` and a grid.

The servers and the load are JavaScript, each in a process of its own on loopback; Python installs what they need,
starts them, reads the server's CPU time from outside, and prints one table. See README.md for what is measured how.
"""
