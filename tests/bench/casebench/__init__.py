"""The benchmark harness behind tests/bench/run and tests/bench/report.

A *load* is something that can be run natively and under a runtime; it yields one or more *metrics*. A *mode* is a way
to start the measured program (native, casemate, ...). `session` runs each load in all modes, alternating in one run, so
that whatever disturbs the machine disturbs all of them; `output` and `bars` turn the samples into tables.
"""
