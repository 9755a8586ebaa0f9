"""A plugin of pytest: code that was compiled before an edit serves after it, too.

For mutants of modules that numba does not compile. Without it any edit of the package
makes all of it compile again, `benchmark_bilevel.fingerprint`.
"""

from benchmark_bilevel import fingerprint

fingerprint.fingerprint = lambda: "frozen"
