"""Coverage-guided fuzzing of what reads a peer's bytes, with atheris (pip install atheris; CPython up to 3.13).

    python tests/fuzz/fuzz_readers.py frames   -atheris_runs=1000000 -rss_limit_mb=1024 CORPUS_DIR
    python tests/fuzz/fuzz_readers.py snapshot -atheris_runs=1000000 -rss_limit_mb=1024 CORPUS_DIR

An input is a failure if anything but the errors that are meant for a peer comes out, if a byte of memory outside the
pages named changes, or if libFuzzer finds it slow or hungry. Inputs that were found stand in tests/fuzz/found/, and
tests/fuzz/test_found.py reads them again.
"""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["livemig"]):
    from readers import READERS, seeds


def main() -> None:
    """Fuzz the reader named first; the rest is libFuzzer's."""
    name = sys.argv.pop(1)
    corpus = [argument for argument in sys.argv[1:] if not argument.startswith("-")]
    for number, seed in enumerate(seeds(name)):
        with open(f"{corpus[0]}/seed{number}", "wb") as file:
            file.write(seed)
    atheris.Setup(sys.argv, READERS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
