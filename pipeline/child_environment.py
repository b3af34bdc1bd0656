"""The part of the environment that a child process gets: what programs run on, and no secret of another part.

It is a list of what passes, since nobody can list what is secret.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable
from fnmatch import fnmatchcase

# The interpreter needs these to find its libraries.
LOADER = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "PYTHONHOME")
PROGRAM = (
    *LOADER,
    *("PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "LC_*", "TZ", "TMPDIR", "XDG_CACHE_HOME"),
    *("JAVA_HOME", "JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "GODEBUG", "GOGC", "GOMAXPROCS", "GOMEMLIMIT"),
)
PYTHON = (*PROGRAM, "PYTHON*", "VIRTUAL_ENV", "CONDA_PREFIX")
# What torch, its kernels and its loaders are tuned with.
ENGINE = (
    *PYTHON,
    *("BNB_*", "CUBLAS_*", "CUDA_*", "CUDNN_*", "GOMP_*", "HF_*", "KMP_*", "MKL_*", "NCCL_*", "NVIDIA_*", "OMP_*"),
    *("OPENBLAS_*", "PYTORCH_*", "RAYON_*", "TOKENIZERS_PARALLELISM", "TORCH*", "TRANSFORMERS_*", "TRITON_*"),
    *("CC", "CXX", "GLIBC_TUNABLES", "LD_PRELOAD", "MALLOC_*", "SSL_CERT_DIR", "SSL_CERT_FILE"),
)

_SECRET = re.compile(r"AUTH|CREDENTIAL|KEY|PASSW|SECRET|TOKEN(?!IZERS)")


def child_environment(passed: Iterable[str]) -> dict[str, str]:
    """Return this process's variables whose names match one of the patterns and do not sound secret."""
    patterns = tuple(passed)
    return {
        name: value
        for name, value in os.environ.items()
        if any(fnmatchcase(name, pattern) for pattern in patterns) and not _SECRET.search(name)
    }


def module_environment(passed: Iterable[str]) -> dict[str, str]:
    """Return the environment of a child that runs one of our modules, which it finds where this process does."""
    # What is not absolute is a mark of an editable install. With one, no interpreter starts where the folder is gone.
    path = os.pathsep.join(path for path in sys.path if os.path.isabs(path))
    return child_environment(passed) | {"PYTHONPATH": path, "PYTHONSAFEPATH": "1"}
