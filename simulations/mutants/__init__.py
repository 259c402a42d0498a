"""Whether the checkers would notice: the real modules with one guard, write or row left out, and who catches it.

`generate` makes the mutants from the syntax trees of the modules, `place` puts one in the place of its module, `hunt`
lets it loose in small cities in which much goes wrong, `run` does so for all, and `argued` says of who survives why it
may. `p2pworld simulate --mutants` is `command`; docs/mutants.md tells how to read what it prints.
"""
