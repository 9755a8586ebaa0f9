"""What the processor can do that numba compiles for."""

from numba.core import codegen, config


def has(feature):
    """Whether compiled code may use `feature`, one of LLVM's names, such as "avx512f".

    That is what this processor has, unless NUMBA_CPU_FEATURES says otherwise.
    """
    features = config.CPU_FEATURES
    if features is None:
        features = codegen.get_host_cpu_features()
    return f"+{feature}" in features.split(",")
