"""The cards of published weights: whose they are, under which terms, and how to know them.

A card describes; the weights themselves are registered by a person (``reelwright models add``) or ship with Reelwright,
and are pinned by their digest. A card's ``files`` say which file holds which network of a system.

``BASE:LABEL`` (``ddcolor-tiny:birds``) is the card of weights that somebody trained for the network of ``BASE``. No
list has such cards: the name says all that a recipe must know, and whether they are registered is another question.
A base is a card or one of the families, whose networks are so many that all their weights have labels
(``spandrel-x4:real-esrgan``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from db.catalog.architectures import ARCHITECTURES, Card, WeightsFile
from db.catalog.entry_points import Catalog
from db.errors import InputError, nearest

_UNSTATED = "no separate terms are stated for the weights"
_CIC = "the authors' own bucket, named in richzhang/colorization"
_DEOLDIFY = "data.deepai.org/deoldify, named in jantic/DeOldify"
_DDCOLOR = "piddnad/DDColor-models on Hugging Face, and ModelScope"


LABEL_CHARACTERS = 40
_TAG = re.compile(rf"(?P<base>[^:]{{1,60}}):(?P<label>[a-z0-9][a-z0-9-]{{0,{LABEL_CHARACTERS - 1}}})")


def _ours(name: str, architecture: str, build: str, summary: str, megabytes: int, **more: Any) -> Card:
    files = (WeightsFile(f"{name}.safetensors", megabytes=megabytes),)
    return Card(name, architecture, build, summary, files, "with Reelwright", "Apache-2.0", shipped=True, **more)


def _dctlsa(scale: int, sha256_prefix: str) -> Card:
    name, files = f"dctlsa-x{scale}", (WeightsFile(f"dctlsa_x{scale}.pt", sha256_prefix=sha256_prefix, megabytes=4),)
    summary, origin = f"{scale} times as large; the authors' own.", "zengkun301/DCTLSA on GitHub, folder pretrained"
    return Card(name, "dctlsa", name, summary, files, origin, f"Apache-2.0; {_UNSTATED}", scale=scale)


def _deoldify(name: str, build: str, summary: str, file: str, megabytes: int, factor: int = 35) -> Card:
    files, defaults = (WeightsFile(file, megabytes=megabytes),), (("render_factor", factor),)
    return Card(name, "deoldify", build, summary, files, _DEOLDIFY, f"MIT; {_UNSTATED}", defaults=defaults)


def _ddcolor(name: str, build: str, summary: str, file: str, megabytes: int) -> Card:
    files = (WeightsFile(file, megabytes=megabytes),)
    return Card(name, "ddcolor", build, summary, files, _DDCOLOR, f"Apache-2.0; {_UNSTATED}")


_SHIPPED = (
    _ours(
        "reelwright-color", "lite_unet", "lite-unet", "Colours photos; trained by this project.", 22,
        chroma_smoothing=8, chroma_limit=36,
    ),
    _ours("reelwright-denoise", "folded_cnn", "folded-cnn", "Takes noise out; trained by this project.", 1),
    _ours(
        "reelwright-upscale-x2", "subpixel_cnn", "subpixel-cnn", "Doubles a picture; trained by this project.", 1,
        scale=2,
    ),
    Card(
        "eccv16", "eccv16", "eccv16", "CIC as its authors released it for PyTorch.",
        (WeightsFile("colorization_release_v2-9b330a0b.pth", sha256_prefix="9b330a0bae53f4de", megabytes=129),),
        _CIC, f"BSD-2-Clause; {_UNSTATED}",
    ),
    Card(
        "siggraph17", "siggraph17", "siggraph17", "The interactive network.",
        (WeightsFile("siggraph17-df00044c.pth", sha256_prefix="df00044c0a4d7c3e", megabytes=137),),
        _CIC, f"BSD-2-Clause; {_UNSTATED}",
    ),
    Card(
        "instcolorization", "instcolorization", "instcolorization",
        "Three networks finetuned on COCO-Stuff (folder coco_finetuned_mask_256_ffs).",
        (
            WeightsFile("latest_net_G.pth", ("G",), megabytes=137),
            WeightsFile("latest_net_GF.pth", ("GF",), megabytes=141),
            WeightsFile("latest_net_GComp.pth", ("GComp",), megabytes=137),
        ),
        "one archive on Google Drive, named in ericsujw/InstColorization", f"MIT; {_UNSTATED}",
    ),
    _deoldify("deoldify-artistic", "deoldify-artistic", "Vivid; for single photos.", "ColorizeArtistic_gen.pth", 255),
    _deoldify("deoldify-stable", "deoldify-stable", "Safe; for single photos.", "ColorizeStable_gen.pth", 874),
    _deoldify("deoldify-video", "deoldify-stable", "Steady; for film.", "ColorizeVideo_gen.pth", 874, 21),
    Card(
        "gcp", "gcp", "gcp", "The system for ImageNet's thousand classes.",
        (
            WeightsFile("biggan_E.pth", ("biggan_E",), megabytes=181),
            WeightsFile("biggan_G_ema_256.pth", ("biggan_G",), megabytes=282),
            WeightsFile("biggan_D_256.pth", ("biggan_D",), megabytes=352),
            WeightsFile("colorization_model.pth", ("net_corr", "net_gen"), megabytes=430),
            WeightsFile("deformator_for_biggan.pt", ("deformator",), megabytes=1, optional=True),
        ),
        "a Google Drive folder, named in ToTheBeginning/GCP-Colorization", f"Apache-2.0; {_UNSTATED}",
    ),
    Card(
        "coltran", "coltran", "coltran", "The three networks of the paper, as TensorFlow checkpoints.",
        (
            WeightsFile("colorizer", ("colorizer",), megabytes=556),
            WeightsFile("color_upsampler", ("color_upsampler",), megabytes=162),
            WeightsFile("spatial_upsampler", ("spatial_upsampler",), megabytes=131),
        ),
        "coltran.zip in the bucket gresearch, named in google-research/google-research", f"Apache-2.0; {_UNSTATED}",
    ),
    Card(
        "ct2", "ct2", "ct2", "ViT-L/16 with 313 colour tokens; its luminance table is registered with it.",
        (
            WeightsFile("checkpoint.pth", megabytes=1852),
            WeightsFile("luminance.json", ("luminance_table",), megabytes=1),
        ),
        "Baidu and Google Drive, named in shuchenweng/CT2",
        "CC BY-NC 4.0, code, weights and table", "The licence (CC BY-NC 4.0) allows non-commercial use only.",
    ),
    Card(
        "colorformer", "colorformer", "colorformer", "The model of the paper, 200,000 steps.",
        (WeightsFile("net_g_200000.pth", megabytes=180),),
        "a Google Drive folder, named in jixiaozhong/ColorFormer",
        f"Terms of THL A29 Limited (Tencent) in the style of BSD-3-Clause; {_UNSTATED}",
    ),
    _ddcolor("ddcolor-large", "ddcolor-large", "The default of its authors.", "ddcolor_modelscope.pth", 912),
    _ddcolor("ddcolor-paper", "ddcolor-large", "The model of the paper's tables.", "ddcolor_paper.pth", 912),
    _ddcolor("ddcolor-artistic", "ddcolor-large", "Without the colourfulness loss.", "ddcolor_artistic.pth", 912),
    _ddcolor("ddcolor-tiny", "ddcolor-tiny", "The paper's recipe on ConvNeXt-T.", "ddcolor_paper_tiny.pth", 220),
    Card(
        "dncnn-25", "dncnn", "dncnn", "Grey, for noise of sigma 25 of 255 only.",
        (WeightsFile("dncnn_25.pth", sha256_prefix="0451a70de9b672ae", megabytes=2),),
        "releases of cszn/KAIR (model zoo)", f"MIT; {_UNSTATED}",
    ),
    _dctlsa(2, "df08c0b6dc0a034c"),
    _dctlsa(4, "58d822beb3a1bf1d"),
    Card(
        "mask-rcnn", "mask_rcnn", "mask-rcnn", "ResNet-50-FPN on COCO, of torchvision.",
        (WeightsFile("maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth", sha256_prefix="bf2d0c1e", megabytes=178),),
        "PyTorch's own server, named in torchvision", f"BSD-3-Clause; {_UNSTATED}",
    ),
    Card(
        "squeezenet", "squeezenet", "squeezenet", "ImageNet's thousand classes, with torchvision's names.",
        (WeightsFile("squeezenet1_0.safetensors", megabytes=5),),
        "songhan/SqueezeNet-Deep-Compression, decoded (torchvision's own file wants another input)",
        f"BSD-2-Clause; {_UNSTATED}",
    ),
    Card(
        "inception-fid", "inception_fid", "inception-fid", "The network of FID, as converted from TensorFlow.",
        (WeightsFile("pt_inception-2015-12-05-6726825d.pth", sha256_prefix="6726825d", megabytes=96),),
        "releases of mseitzer/pytorch-fid, and of toshas/torch-fidelity as "
        "weights-inception-2015-12-05-6726825d.pth", f"Apache-2.0; {_UNSTATED}",
    ),
    Card(
        "inception-imagenet", "inception_imagenet", "inception-imagenet", "ImageNet, ported from TensorFlow.",
        (WeightsFile("inception_v3_google-1a9a5a14.pth", sha256_prefix="1a9a5a14", megabytes=109),),
        "PyTorch's own server, named in older releases of torchvision", f"BSD-3-Clause; {_UNSTATED}",
    ),
    Card(
        "lpips-alex", "lpips", "lpips-alex", "AlexNet as its backbone, the paper's default.",
        (WeightsFile("alexnet-owt-7be5be79.pth", sha256_prefix="7be5be79", megabytes=244),),
        "PyTorch's own server, named in torchvision", f"BSD-3-Clause; {_UNSTATED}",
    ),
    Card(
        "lpips-vgg", "lpips", "lpips-vgg", "VGG-16 as its backbone.",
        (WeightsFile("vgg16-397923af.pth", sha256_prefix="397923af", megabytes=553),),
        "PyTorch's own server, named in torchvision", f"BSD-3-Clause; {_UNSTATED}",
    ),
    Card(
        "niqe", "niqe", "niqe", "The statistics of 125 pristine photographs.",
        (WeightsFile("niqe_pris_params.npz", ("pristine",), megabytes=1),),
        "basicsr/metrics of XPixelGroup/BasicSR", f"Apache-2.0; {_UNSTATED}",
    ),
)  # fmt: skip

CARDS: Mapping[str, Card] = Catalog(
    lambda: [*(card for spec in ARCHITECTURES.values() for card in spec.cards), *_SHIPPED]
)
"""All cards by name: the shipped ones and those that outside architectures bring along."""


def _family(name: str, architecture: str, summary: str, scale: int = 1) -> Card:
    files, origin = (WeightsFile("a file that spandrel reads"),), "by their authors"
    return Card(name, architecture, name, summary, files, origin, "as their authors state", scale=scale)


FAMILIES: Mapping[str, Card] = {
    each.name: each
    for each in (
        _family("spandrel", "spandrel_restorer", "Mends a picture at its own size."),
        _family("spandrel-face", "spandrel_face_restorer", "Makes faces anew."),
        _family("spandrel-inpaint", "spandrel_inpainter", "Fills in what a mask marks."),
        *(_family(f"spandrel-x{scale}", "spandrel_upscaler", f"{scale} times as large.", scale) for scale in (2, 3, 4)),
    )
}
"""Bases of labels that are no weights themselves: what size their networks have stands in the files alone."""

__all__ = [
    "CARDS", "FAMILIES", "LABEL_CHARACTERS", "Card", "WeightsFile", "card", "find", "is_tag", "of_build", "resolve",
]  # fmt: skip


def find(name: str) -> Card | None:
    """Return the card of a name, or none: one that is listed, or one that a ``BASE:LABEL`` means."""
    if name in CARDS:
        return CARDS[name]
    tag = _TAG.fullmatch(name)
    if tag and tag["base"] in FAMILIES:
        return replace(FAMILIES[tag["base"]], name=name)
    base = tag and (CARDS.get(tag["base"]) or of_build(tag["base"]))
    return _card_for_label(name, base) if base else None


def of_build(build: str) -> Card | None:
    """Return the first card whose network is built under a name."""
    return FAMILIES.get(build) or next((each for each in CARDS.values() if each.build == build), None)


def is_tag(name: str) -> bool:
    """Whether a name is spelled ``BASE:LABEL``, so that no published weights can be meant."""
    return _TAG.fullmatch(name) is not None


def card(name: str) -> Card:
    """Return the card of a name.

    Raises:
        InputError: ``UNKNOWN_MODEL``, with the nearest name.
    """
    weights_card = find(name)
    if weights_card is None:
        base, colon, _ = name.partition(":")
        # Of a tag, the base is what is misspelled.
        builds = [*FAMILIES, *(each.build for each in CARDS.values())] if colon else []
        near = nearest(base, [*CARDS, *builds])
        remedy = f"A label has small letters, digits and hyphens, {LABEL_CHARACTERS} at most." if colon else None
        if base in FAMILIES and not colon:
            remedy = f"Weights of this family have a label: {base}:LABEL. `reelwright models list` shows them."
        raise InputError(f"No weights are called {name!r:.110}.{near}", code="UNKNOWN_MODEL", remedy=remedy)
    return weights_card


def _card_for_label(name: str, base: Card) -> Card:
    """Return the card of weights that somebody trained for the network of ``base``."""
    stem = name.replace(":", ".")
    files = tuple(
        WeightsFile(f"{'-'.join([stem, *file.networks])}.safetensors", file.networks, megabytes=file.megabytes,
                    optional=file.optional)
        for file in base.files
    )  # fmt: skip
    return replace(
        base, name=name, files=files, shipped=False, published="by whoever trained them", license="as registered",
        summary=f"Somebody's own weights for the network of {base.name}.",
    )  # fmt: skip


def resolve(model: str | None, weights: str | None) -> Card:
    """Return the card that a step means: its ``weights``, else those that stand for its ``model``.

    ``model`` may name a card as well, as the field's tutorials do.

    Raises:
        InputError: ``UNKNOWN_MODEL``; ``BAD_PARAMETER`` when the weights are of another architecture.
    """
    if model is None and weights is None:
        raise InputError("Name a model", code="BAD_PARAMETER")
    if weights is None:
        assert model is not None
        spec = ARCHITECTURES.get(model)
        return card(spec.default if spec else model)
    weights_card = card(weights)
    if model not in (None, weights_card.architecture, weights):
        raise InputError(f"The weights {weights} are not of model {model!r:.60}", code="BAD_PARAMETER")
    return weights_card
