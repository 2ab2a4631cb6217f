"""The simulator: whole runs, with everything that can go wrong, in virtual time, from one seed.

A seed chooses the plan, the order in which things happen, what tools and disk do, and when the
program dies; it is then started again and goes on with its run, until that is over. What has
happened outside, and what the journal says, are held against promises (`invariants`).
"""
