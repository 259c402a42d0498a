"""Civic logs on virtual time: the real holder of a log over simulated stores, records, folders and witnesses.

`engines` are the stores (a SQLite file on a machine's disk, a PostgreSQL server with its standby), `records` the record
in the coordination store, `folder` what is published, `witnesses` who signs too. `keeper` carries out what `LogHolder`
asks for over these, as `shard_node.civic.holder` does; `people` file, and ask again until they are answered; `checkers`
say what must hold, with the definitions of `slow`. `hall` is all of it without a city around: a few machines, appointed
one after another, on which every point of the append path is a point to crash at.
"""
