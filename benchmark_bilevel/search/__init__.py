"""The search for steps: equal budgets, quasi-random trials, a choice anyone can repeat.

A *specification* (``config/search/*.yml``) names a problem, a budget of oracle calls and
a number of trials. Every solver gets as many scrambled Sobol points in its own
`search_space`, whose ranges are in units of the problem (`spaces`). `protocol` says which
runs are needed next, given those that a table of trials (`store`) already has, and
which trial wins; `cells` runs them with benchopt. What the search writes, the table and
a configuration with the chosen parameters, is committed: another machine goes on from it.
"""
