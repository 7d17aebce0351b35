"""Small sources that take the place of the real ones: an operator that is compiled in a third of a second."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import NamedTuple

import tensorflow as tf

from rethink_fr.files.ownership import make_private_folder
from rethink_fr.ops.compiler import UNIT, find_compiler
from rethink_fr.ops.library import build_library, cached_name, workspace
from rethink_fr.ops.native import LoadedLibrary

# TensorFlow takes an operator once in a process: each test has one of its own.
_numbers = itertools.count()

# TensorFlow's C interface compiles fast. Like the real unit, this one includes and embeds its neighbour.
_UNIT = """
#include "answer.h"
#include "tensorflow/c/kernels.h"
#include "tensorflow/c/ops.h"
#include "tensorflow/c/tf_tensor.h"

asm(".pushsection .rodata\\nembedded:\\n.incbin \\"answer.h\\"\\n.byte 0\\n.popsection");
extern "C" const char embedded[] __attribute__((visibility("hidden")));

static const char* in_use = embedded[0] == '#' ? "baseline" : "nothing";
extern "C" const char* rethink_fr_instruction_set() { return in_use; }
extern "C" int rethink_fr_use_instruction_set(const char* name) {
  if (name[0] != 'a') return 0;
  in_use = "avx2";
  return 1;
}

static void compute(void*, TF_OpKernelContext* context) {
  TF_Status* status = TF_NewStatus();
  TF_Tensor* answer = TF_AllocateOutput(context, 0, TF_INT32, nullptr, 0, sizeof(int), status);
  *static_cast<int*>(TF_TensorData(answer)) = ANSWER;
  TF_DeleteTensor(answer);
  TF_DeleteStatus(status);
}

static const bool registered = [] {
  TF_Status* status = TF_NewStatus();
  TF_OpDefinitionBuilder* definition = TF_NewOpDefinitionBuilder("StandInNUMBER");
  TF_OpDefinitionBuilderAddOutput(definition, "answer: int32");
  TF_RegisterOpDefinition(definition, status);
  TF_RegisterKernelBuilder("", TF_NewKernelBuilder("StandInNUMBER", "CPU", nullptr, compute, nullptr), status);
  TF_DeleteStatus(status);
  return true;
}();
"""


class StandIn(NamedTuple):
    """A folder of sources, and the number of the operator in it."""

    sources: Path
    number: int

    def works(self, loaded: LoadedLibrary) -> bool:
        """Whether the operator in the library gives its answer."""
        return bool(getattr(loaded.module, f"stand_in{self.number}")() == tf.constant(42))

    def build(self, cache: Path) -> Path:
        """The library as an earlier process would have left it in `cache`."""
        make_private_folder(cache)
        compiler = find_compiler()
        with workspace(cache) as work:
            name = cached_name(self.sources, compiler)
            return build_library(compiler, self.sources, work, cache, name, cache / "build.log")


def write_stand_in(folder: Path) -> StandIn:
    """Write sources with a new operator into a new folder."""
    number = next(_numbers)
    folder.mkdir(parents=True)
    (folder / UNIT).write_text(_UNIT.replace("NUMBER", str(number)), encoding="utf-8")
    (folder / "answer.h").write_text("#define ANSWER 42\n", encoding="utf-8")
    return StandIn(folder, number)
