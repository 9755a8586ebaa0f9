"""Compilation of functions that only other compiled functions call.

numba makes machine code of every function, also of the dozens that end as a part of
something else: `LinkedCompiler` leaves that to the function that Python calls.
"""

from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_machinery import FunctionPass, register_pass
from numba.core.typed_passes import NoPythonSupportedFeatureValidation


class LinkedLibrary(JITCodeLibrary):
    """Optimised code to be linked into other code; it cannot be run by itself."""

    @property
    def codegen(self):
        return self

    def set_env(self, name, env):
        """There is no machine code whose environment could be set."""

    def _optimize_final_module(self):
        """Once: the function that Python calls is optimised twice, with all it calls.

        Twice here takes a third of the time of compilation, for the same machine code
        in the end.
        """
        passes, builder = self._codegen._module_pass_manager(
            loop_vectorize=self._codegen._loopvect,
            slp_vectorize=False,
            opt=self._codegen._opt_level,
            cost="cheap",
        )
        passes.run(self._final_module, builder)

    def _finalize_final_module(self):
        self._finalize_dynamic_globals()
        self._verify_declare_only_symbols()
        self._finalized = True


@register_pass(mutates_CFG=False, analysis_only=True)
class _IntoLinkedLibrary(FunctionPass):
    _name = "into_linked_library"

    def __init__(self):
        FunctionPass.__init__(self)

    def run_pass(self, state):
        codegen = state.targetctx.codegen()
        state.library = LinkedLibrary(codegen, state.func_id.func_qualname)
        return False


class LinkedCompiler(CompilerBase):
    """numba's compiler, but for the machine code; for the option `pipeline_class`."""

    def define_pipelines(self):
        passes = DefaultPassBuilder.define_nopython_pipeline(self.state)
        passes.add_pass_after(_IntoLinkedLibrary, NoPythonSupportedFeatureValidation)
        passes.finalize()
        return [passes]
