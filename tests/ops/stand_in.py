"""Small sources that take the place of the real ones: an operator that compiles in a third of a second."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import NamedTuple

import tensorflow as tf

from rethink_fr.files.ownership import make_private_folder
from rethink_fr.ops.native import LoadedLibrary
from rethink_fr.ops.native.building import build_library, workspace
from rethink_fr.ops.native.compiler import UNIT, find_compiler
from rethink_fr.ops.native.files import cached_name, carried_name

# A process can register an operator only once, so each test has one of its own.
_numbers = itertools.count()

# TensorFlow's C interface compiles fast. Like the real sources, these include and embed a file of a folder beside them.
_HEADER = "parts/answer.h"
_UNIT = """
#include "parts/answer.h"
#include "tensorflow/c/kernels.h"
#include "tensorflow/c/ops.h"
#include "tensorflow/c/tf_tensor.h"

asm(".pushsection .rodata\\nembedded:\\n.incbin \\"parts/answer.h\\"\\n.byte 0\\n.popsection");
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
    """A folder of sources, and the number of the operator in them."""

    sources: Path
    number: int

    @property
    def header(self) -> Path:
        """The file that the operator includes."""
        return self.sources / _HEADER

    def works(self, loaded: LoadedLibrary) -> bool:
        """Whether the operator in the library gives the right answer."""
        return bool(getattr(loaded.module, f"stand_in{self.number}")() == tf.constant(42))

    def build(self, cache: Path) -> Path:
        """Build the library into `cache`, as an earlier process would have done."""
        make_private_folder(cache)
        compiler = find_compiler()
        with workspace(cache) as work:
            name = cached_name(self.sources, compiler)
            return build_library(compiler, self.sources, work, cache, name, cache / "build.log")

    def carry(self, installation: Path) -> Path:
        """Build the library into the installation, as a wheel does."""
        name = carried_name(self.sources)
        return build_library(find_compiler(), self.sources, installation, installation, name, installation / "log")


def write_stand_in(folder: Path) -> StandIn:
    """Write sources with a new operator into a new folder."""
    stand_in = StandIn(folder, next(_numbers))
    stand_in.header.parent.mkdir(parents=True)
    stand_in.header.write_text("#define ANSWER 42\n", encoding="utf-8")
    (folder / UNIT).write_text(_UNIT.replace("NUMBER", str(stand_in.number)), encoding="utf-8")
    return stand_in
