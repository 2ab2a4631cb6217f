"""Reliability, measured: campaigns that break things on purpose and count what came of it.

`python -m bench.reliability` runs them all and prints their figures. A campaign is a module of this
package with one function:

    def figures(*, short: bool, seed: int) -> Iterator[Figure]: ...

and a line in `CAMPAIGNS` of `__main__`. `short` asks for the version that continuous integration
runs: the same campaign, smaller, with the seed that is given.
"""
