"""What goes wrong, and proof that it does no lasting harm: a file for each fault.

`test_f02_reset.py` is row 2 of the table of faults. Its `ROW` says in plain words what happens
and what the SDK does then; its tests are the proof. Their figures make up the report of
`python -m benchmarks faults` and the page "What it survives". How a test is written, and what
is asserted of every one without being asked, stands at the top of `harness.py`.
"""
