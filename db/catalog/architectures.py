"""The network architectures: what each is, and which options its published system has.

Also what a card is: the facts on one set of weights. The cards themselves are in ``db.catalog.weights``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from db.catalog.entry_points import Catalog, with_outside

GROUP = "reelwright.models"
"""Entry points of this group name an ``ArchitectureSpec``; its ``module`` holds the code."""


@dataclass(frozen=True)
class WeightsFile:
    """One published file."""

    name: str
    """As published; for a folder (TensorFlow) its name."""
    networks: tuple[str, ...] = ()
    """The system's networks that it holds; empty for a system of one network."""
    sha256_prefix: str = ""
    """What its digest begins with, where the authors say so."""
    megabytes: int = 0
    """About how large."""
    optional: bool = False


@dataclass(frozen=True)
class Card:
    """Facts on one set of weights."""

    name: str
    """Name in recipes (``weights:``) and in ``reelwright models``."""
    architecture: str
    build: str
    """What ``workers.models.build`` calls the network."""
    summary: str
    files: tuple[WeightsFile, ...]
    published: str
    """Where the authors publish them."""
    license: str
    """The terms, as far as they are stated."""
    accept: str = ""
    """Why a person must accept the terms before the weights are registered; empty where nothing stands against use."""
    defaults: tuple[tuple[str, Any], ...] = ()
    """Options that its authors give other values for these weights than for the others of the architecture."""
    scale: int = 1
    """Factor on width and height; 1 unless it enlarges."""
    chroma_smoothing: int = 0
    """What ``colorize`` takes where a recipe gives none; 0 leaves the network's colour as it is."""
    chroma_limit: float = 0
    """The same."""
    shipped: bool = False
    """Whether the file comes with Reelwright, so that nobody need register it; see ``db.catalog.shipped``."""

    @property
    def megabytes(self) -> int:
        """Size of all files that are needed."""
        return sum(file.megabytes for file in self.files if not file.optional)


@dataclass(frozen=True)
class ArchitectureSpec:
    """What validation and the documentation must know about an architecture."""

    name: str
    """Name in recipes (``model:``)."""
    task: Literal["colorizer", "denoiser", "upscaler", "face restorer", "inpainter", "detector", "judge"]
    """``colorizer``: grey in, colour out; ``denoiser``: noise out; ``upscaler``: more pixels out, all by the card's
    scale; ``face restorer``: a face, cut out and upright, made anew; ``inpainter``: fills what a mask marks;
    ``detector``: finds the objects that a colorizer wants to know of;
    ``judge``: what ``reelwright evaluate`` asks about finished pictures."""
    title: str
    """What the field calls it."""
    reference: str
    """The paper that it follows: title, authors, year."""
    idea: str
    """How it works, in a sentence or two."""
    choose: str
    """When to choose it, and what it is bad at."""
    default: str
    """The card that stands for the architecture where a recipe names no weights; empty where all weights have labels
    that people gave them."""
    size: str
    """What the network sees of a picture."""
    cost: str = ""
    """Seconds a picture and memory of the process, measured on one core of a shared server without a GPU."""
    options: tuple[str, ...] = ()
    """Parameters of its stage (``colorize``, ``denoise``) that the system really has."""
    reach_px: int = 0
    """How far to each side of its place a pixel of the result looks, in pixels of the source; 0 means over the whole
    picture. What has a reach is given large pictures in tiles."""
    channels_last: bool = False
    """Whether its convolutions run faster with channels innermost; measured by ``benchmarks/models.py``."""
    autocast: bool = False
    """Whether half precision on a GPU changes results by less than a level of 8 bits; tried on none yet."""
    cards: tuple[Card, ...] = ()
    """Its weights, where an outside package brings them; those of the shipped ones are in ``db.catalog.weights``."""
    module: str = ""
    """Where the code is; empty means ``workers.models.<name>``."""

    @property
    def module_name(self) -> str:
        """The module that holds the network."""
        return self.module or f"workers.models.{self.name}"

    @property
    def takes_boxes(self) -> bool:
        """Whether it wants to know where the objects are."""
        return "boxes" in self.options

    @property
    def outside(self) -> bool:
        """Whether another package brings it."""
        return not self.module_name.startswith("workers.models.")


_SHIPPED = (
    ArchitectureSpec(
        name="lite_unet",
        task="colorizer",
        title="Lite U-Net",
        reference="A network of this project, on EfficientNet-Lite (Tan and Le, 2019), the colour bins of CIC (Zhang, "
        "Isola, Efros 2016) and RAFT's way of enlarging (Teed and Deng 2020)",
        idea="A classifier's light encoder, a light decoder with short cuts, and for every place how likely each bin "
        "of colours is; an annealed mean makes one colour of them, which ends where the picture's edges are.",
        choose="The default, because it comes with Reelwright: quick and small. The published systems, once "
        "registered, see more and dare more.",
        default="reelwright-color",
        channels_last=True,
        size="about 224 x 224, proportions kept up to 1 to 4",
    ),
    ArchitectureSpec(
        name="eccv16",
        task="colorizer",
        title="CIC",
        reference="Colorful Image Colorization (Zhang, Isola, Efros; ECCV 2016)",
        idea="A plain convolutional network says for every place how likely each of 313 colours is; the colours are "
        "then mixed by their likelihood. Rare colours count more in training, so it dares to be vivid.",
        choose="The quickest of all, and the yardstick that every later paper compares with. Colours are lively but "
        "blotchy, and bleed over edges.",
        default="eccv16",
        cost="0.8 s, 0.8 GB",
        channels_last=True,
        size="256 x 256, stretched",
    ),
    ArchitectureSpec(
        name="siggraph17",
        task="colorizer",
        title="Interactive CIC (siggraph17)",
        reference="Real-Time User-Guided Image Colorization with Learned Deep Priors (Zhang, Zhu, Isola and others, "
        "2017)",
        idea="A network with short cuts between its two halves, trained with a few true colours given at random "
        "places, so it also takes colours that a person gives.",
        choose="Whenever somebody knows what colour a thing had: it alone takes `hints`. Without them it is calm and "
        "a little brown.",
        default="siggraph17",
        cost="1.4 s, 1.0 GB",
        channels_last=True,
        size="256 x 256, stretched",
        options=("hints",),
    ),
    ArchitectureSpec(
        name="instcolorization",
        task="colorizer",
        title="InstColorization",
        reference="Instance-aware Image Colorization (Su, Chu, Huang; CVPR 2020)",
        idea="One network colours the whole picture, one each object cut out of it, and a third weighs the two at "
        "every place.",
        choose="Groups of people or animals whose boxes are known, or found by a registered Mask R-CNN. Without boxes "
        "it is another siggraph17.",
        default="instcolorization",
        cost="1.4 s without boxes, 13 s with eight; 1.3 to 3.2 GB",
        channels_last=True,
        size="256 x 256, stretched; as much again for each box, of which eight at most",
        options=("boxes", "detector"),
    ),
    ArchitectureSpec(
        name="deoldify",
        task="colorizer",
        title="DeOldify",
        reference="DeOldify (Antic, 2018 to 2019; no paper)",
        idea="A U-Net with self-attention on a ResNet, trained against a critic for short spells only (NoGAN), which "
        "keeps it from flickering.",
        choose="Film: the `deoldify-video` weights are the steadiest of the eight. `deoldify-artistic` is the most "
        "vivid, `deoldify-stable` the safest for landscapes and portraits. Skin and uniforms tend to orange and blue.",
        default="deoldify-stable",
        cost="18 to 24 s and 3.7 GB at 35, 7 s and 2.3 GB at 21",
        size="a square of 16 times `render_factor`, stretched",
        options=("render_factor",),
    ),
    ArchitectureSpec(
        name="gcp",
        task="colorizer",
        title="GCP",
        reference="Towards Vivid and Diverse Image Colorization with Generative Color Prior (Wu and others; ICCV 2021)",
        idea="A generator that knows ImageNet's classes paints a colour picture of the same kind; its features are "
        "laid over the grey picture by likeness and lend it their colour.",
        choose="One clear object of an ImageNet class (bird, car, fruit) and several versions of it. The class must be "
        "given; a wrong one gives wrong colours.",
        default="gcp",
        cost="17 s, 3.0 GB",
        size="256 x 256, stretched",
        options=("imagenet_class", "direction", "amount", "seed"),
    ),
    ArchitectureSpec(
        name="coltran",
        task="colorizer",
        title="ColTran",
        reference="Colorization Transformer (Kumar, Weissenborn, Kalchbrenner; ICLR 2021)",
        idea="An axial transformer draws a coarse 64 x 64 colour picture, one place after the other; two more networks "
        "refine its colours and its size.",
        choose="Several honest guesses of one photo: each `seed` gives another. By far the slowest; not for reels.",
        default="coltran",
        cost="68 s, 2.8 GB",
        size="64 x 64, then 256 x 256, stretched",
        options=("sampling", "seed"),
    ),
    ArchitectureSpec(
        name="ct2",
        task="colorizer",
        title="CT2",
        reference="CT2: Colorization Transformer via Color Tokens (Weng and others; ECCV 2022)",
        idea="A vision transformer compares every patch with 313 colour tokens; a table of which colours occur at "
        "which lightness keeps it from impossible ones.",
        choose="Rich yet even colours where a licence for non-commercial use only is no obstacle.",
        default="ct2",
        cost="16 s, 4.0 GB",
        size="256 x 256, stretched",
    ),
    ArchitectureSpec(
        name="colorformer",
        task="colorizer",
        title="ColorFormer",
        reference="ColorFormer: Image Colorization via Color Memory Assisted Hybrid-Attention Transformer (Ji and "
        "others; ECCV 2022)",
        idea="Attention in windows and over the whole picture at once, and a memory that ties what is seen to typical "
        "colours.",
        choose="Natural, balanced colours at moderate cost: close to DDColor, calmer.",
        default="colorformer",
        cost="3.1 s, 1.3 GB",
        size="256 x 256, stretched",
    ),
    ArchitectureSpec(
        name="ddcolor",
        task="colorizer",
        title="DDColor",
        reference="DDColor: Towards Photo-Realistic Image Colorization via Dual Decoders (Kang and others; ICCV 2023)",
        idea="One decoder rebuilds the picture, another asks it with a hundred learned colour queries; together they "
        "say where which colour goes.",
        choose="The first choice for photos. `ddcolor-artistic` avoids the red spots of the others; `ddcolor-tiny` "
        "costs less than half. Vivid on film too, but follow it with `stabilize_color`.",
        default="ddcolor-large",
        cost="6 s and 2.8 GB, tiny 2.5 s and 2.0 GB",
        size="a square of `input_size`, 512 as published, stretched",
        options=("input_size",),
    ),
    ArchitectureSpec(
        name="folded_cnn",
        task="denoiser",
        title="Folded CNN",
        reference="A network of this project, folded and told the noise level as FFDNet is (Zhang, Zuo, Zhang 2018)",
        idea="Convolutions on the picture folded to half its size, with the noise level as one more plane: one "
        "network for all levels.",
        choose="The default for photos. It takes `sigma` from the recipe or from the picture itself.",
        default="reelwright-denoise",
        size="the picture's own, in tiles",
        options=("sigma",),
        channels_last=True,
        reach_px=24,
    ),
    ArchitectureSpec(
        name="subpixel_cnn",
        task="upscaler",
        title="Subpixel CNN",
        reference="A network of this project, with the last layer of ESPCN (Shi and others, 2016)",
        idea="Convolutions at the small size say what bicubic enlarging lacks; channels become pixels at the end.",
        choose="To double a picture with edges clearer than Lanczos makes them, at little cost.",
        default="reelwright-upscale-x2",
        size="the picture's own, in tiles",
        channels_last=True,
        reach_px=16,
    ),
    ArchitectureSpec(
        name="dncnn",
        task="denoiser",
        title="DnCNN",
        reference="Beyond a Gaussian Denoiser: Residual Learning of Deep CNN for Image Denoising (Zhang, Zuo, Chen, "
        "Meng, Zhang; IEEE TIP 2017)",
        idea="Seventeen convolutions say what is noise; it is taken off.",
        choose="The yardstick of denoising, for grey pictures with noise of sigma 25 of 255 and no other.",
        default="dncnn-25",
        size="the picture's own, in tiles; colour channel by channel",
        channels_last=True,
        reach_px=17,
    ),
    ArchitectureSpec(
        name="dctlsa",
        task="upscaler",
        title="DCTLSA",
        reference="Densely Connected Transformer With Linear Self-Attention for Lightweight Image Super-Resolution "
        "(Zeng and others, 2023)",
        idea="Attention within windows, dense short cuts between its blocks, and pixels out of channels at the end.",
        choose="Sharper than `subpixel_cnn` and by far slower, two or four times as large.",
        default="dctlsa-x2",
        size="the picture's own, in tiles; what lies further than 64 pixels changes no level of 8 bits",
        reach_px=64,
    ),
    ArchitectureSpec(
        name="spandrel_restorer",
        task="denoiser",
        title="Networks that spandrel reads, size kept",
        reference="Several dozen, each with a paper of its own: DRUNet, SCUNet, SwinIR, NAFNet, FBCNN, Uformer and "
        "others",
        idea="spandrel knows a network by the keys of its file and builds it as large as the file's numbers are.",
        choose="To take out noise, blur or JPEG's blocks with weights that you know and trust. They do what they were "
        "trained for, and take no `sigma`.",
        default="",
        size="the picture's own, in tiles that fade into each other",
    ),
    ArchitectureSpec(
        name="spandrel_upscaler",
        task="upscaler",
        title="Networks that spandrel reads, enlarging",
        reference="Several dozen, each with a paper of its own: ESRGAN and Real-ESRGAN, SwinIR, HAT, DAT, SPAN, RCAN "
        "and others",
        idea="spandrel knows a network by the keys of its file and builds it as large as the file's numbers are.",
        choose="To enlarge two, three or four times with weights that you know and trust. Those that were trained "
        "against a critic invent detail: fine for viewing copies, no evidence of what was there.",
        default="",
        size="the picture's own, in tiles that fade into each other",
    ),
    ArchitectureSpec(
        name="spandrel_face_restorer",
        task="face restorer",
        title="Networks that spandrel reads, for faces",
        reference="GFPGAN (Wang, Li, Zhang, Shan; CVPR 2021), RestoreFormer (Wang and others; CVPR 2022)",
        idea="Each face is cut out, turned upright and made anew by a network that has seen many faces.",
        choose="For viewing copies alone. What such a network draws is likely, not true: eyes and features change, and "
        "relatives may not know the person. Keep `strength` low, and mark the result.",
        default="",
        size="512 x 512, a face at a time",
    ),
    ArchitectureSpec(
        name="spandrel_inpainter",
        task="inpainter",
        title="Networks that spandrel reads, for holes",
        reference="Resolution-robust Large Mask Inpainting with Fourier Convolutions (LaMa; Suvorov and others; WACV "
        "2022)",
        idea="Convolutions over all frequencies of the picture carry its structure into the hole.",
        choose="For large holes with structure around them: lines and walls go on better than with patches. What it "
        "fills in is softer than the picture, and invented.",
        default="",
        size="the hole and as much again around it, 768 pixels at most",
    ),
    ArchitectureSpec(
        name="mask_rcnn",
        task="detector",
        title="Mask R-CNN",
        reference="Mask R-CNN (He, Gkioxari, Dollar, Girshick; ICCV 2017), as built by torchvision",
        idea="Proposes regions and says what is in each.",
        choose="To give InstColorization its boxes.",
        default="mask-rcnn",
        size="800 pixels on the short side, 1333 at most on the long one",
    ),
    ArchitectureSpec(
        name="squeezenet",
        task="judge",
        title="SqueezeNet 1.0",
        reference="SqueezeNet: AlexNet-level accuracy with 50x fewer parameters (Iandola and others, 2016)",
        idea="A small network that says which of ImageNet's thousand things a picture shows.",
        choose="To ask whether a colorized photo is still seen as what it is: `evaluate --metrics semantic`.",
        default="squeezenet",
        size="227 x 227, stretched",
    ),
    ArchitectureSpec(
        name="inception_fid",
        task="judge",
        title="Inception of 2015-12-05",
        reference="GANs Trained by a Two Time-Scale Update Rule (Heusel and others, 2017), on the network of Szegedy "
        "and others, 2015",
        idea="A classifier whose 2048 features are compared as two clouds.",
        choose="For FID, and for nothing else under that name: `evaluate --metrics fid_torch_fidelity`.",
        default="inception-fid",
        size="299 x 299, stretched",
    ),
    ArchitectureSpec(
        name="inception_imagenet",
        task="judge",
        title="Inception v3 of torchvision",
        reference="Rethinking the Inception Architecture for Computer Vision (Szegedy and others, 2015)",
        idea="The classifier in whose features several papers of colorization measure what they call FID.",
        choose="Only to compare with those papers: `evaluate --metrics fid_imagenet_01,fid_imagenet_11`.",
        default="inception-imagenet",
        size="299 x 299, stretched",
    ),
    ArchitectureSpec(
        name="lpips",
        task="judge",
        title="LPIPS",
        reference="The Unreasonable Effectiveness of Deep Features as a Perceptual Metric (Zhang and others, 2018)",
        idea="Compares what a classifier's layers see at each place, weighted as people judged.",
        choose="Where PSNR punishes what no eye sees: `evaluate --metrics lpips_alex`.",
        default="lpips-alex",
        size="the picture's own",
    ),
    ArchitectureSpec(
        name="niqe",
        task="judge",
        title="NIQE",
        reference="Making a Completely Blind Image Quality Analyzer (Mittal, Soundararajan, Bovik; 2013)",
        idea="Compares a picture's statistics with those of pristine photographs, without a reference.",
        choose="As a trend where there is no reference: `evaluate --metrics niqe`. It takes grain for a fault.",
        default="niqe",
        size="blocks of 96 x 96",
    ),
)


ARCHITECTURES: Mapping[str, ArchitectureSpec] = Catalog(lambda: with_outside(GROUP, ArchitectureSpec, _SHIPPED))
"""All architectures by name: the shipped ones and those of outside packages."""
