"""Inputs that nobody thought of: ``make fuzz``, and a bounded part in the suite.

`ends` says what must hold whatever comes; `seeds` are good inputs to begin with;
`mutants` changes them by chance, `guided` by what the code does with them (atheris).
"""
