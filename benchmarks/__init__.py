"""The costs of the package, measured: `python -m benchmarks` lists what there is.

A benchmark is a module with a function `run(smoke)` that returns a `Report`, and a row in
`__main__`.
"""
