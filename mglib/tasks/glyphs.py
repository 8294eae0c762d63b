"""The embedded federation: writers of fifteen scripts, drawn from the typefaces that ship with matplotlib."""

import hashlib
import json
import unicodedata
import zlib
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from mglib.config import Config
from mglib.params import cache_folder, load, save
from mglib.tasks import fonts
from mglib.tasks.episodes import ClassImages
from mglib.tasks.federations import LEAST_CLASSES, Federation, Names, assemble, check_names, choose_held_out
from mglib.tasks.images import check_shape

ALIKE = 0.90  # correlation of clean renderings above which two characters count as one
_CHUNK = 1024  # examples drawn at once, which bounds memory


def _letters(*ranges: tuple[int, int]) -> str:
    """The characters of these inclusive code point ranges; combining marks and unassigned ones left out."""
    every = (chr(code) for first, last in ranges for code in range(first, last + 1))
    return "".join(character for character in every if unicodedata.category(character)[0] in "LNSP")


# Every script is covered by DejaVu Sans, several by further faces. Characters that look alike are dropped later.
SCRIPTS: dict[str, str] = {
    "Latin": _letters((0x41, 0x5A), (0x61, 0x7A), (0x30, 0x39)),
    "Greek": _letters((0x391, 0x3A1), (0x3A3, 0x3A9), (0x3B1, 0x3C9)),
    "Cyrillic": _letters((0x410, 0x44F)),
    "Arabic": _letters((0x621, 0x63A), (0x641, 0x64A)),
    "Syllabics": "ᐁᐃᐅᐊᐯᐱᐳᐸᑌᑎᑐᑕᑫᑭᑯᑲᒉᒋᒍᒐᒣᒥᒧᒪᓀᓂᓄᓇᓓᓕᓗᓚᓭᓯᓱᓴᔐᔑᔓᔕᔦᔨᔪᔭᕂᕆᕈᕋᕓᕕᕗᕙᕞᕠᕤᕦ",
    "Lisu": _letters((0xA4D0, 0xA4F7)),
    "Old Italic": _letters((0x10300, 0x1031E)),
    "Ogham": _letters((0x1681, 0x169A)),
    "Mathematics": "∀∁∂∃∄∅∆∇∈∉∏∑∓∗∘√∛∝∞∟∠∡∤∥∧∩∪∫∬∮∴∵∶∷∺∻∾∿≀≁≃≄≅≉≋≍≎≏≐≓≔≗≙≛≟"
    "≠≡≤≥≨≪≬≮≰≶≺≼⊀⊂⊄⊆⊉⊏⊑⊓⊕⊗⊛⊞⊠⊢⊤⊨⊩⊲⊴⊸⊻⊾⊿⋄⋇⋈⋋⋎⋐⋔⋕⋖⋚⋮⋱",
    "Armenian": _letters((0x531, 0x556), (0x561, 0x587)),
    "N'Ko": _letters((0x7C0, 0x7E7)),
    "Georgian": _letters((0x10D0, 0x10F6)),
    "Tifinagh": _letters((0x2D30, 0x2D65)),
    "Hebrew": _letters((0x5D0, 0x5EA)),
    "Lao": "ກຂຄງຈຊຍດຕຖທນບປຜຝພຟມຢຣລວສຫອຮຯະາຽເແໂໃໄໆ໐໑໒໓໔໕໖໗໘໙ໜໝ",
}

# Chosen for being unlike each other, before anything was measured on them.
VALIDATION = ("Armenian", "N'Ko")
TEST = ("Georgian", "Tifinagh", "Hebrew", "Lao")


@dataclass(frozen=True)
class GlyphSettings(Config):
    """How many examples there are and how much they vary; `warp` scales every variation at once.

    Strengths are standard deviations of one example around its writer; a writer deviates from the typeface
    by `style` times as much. Lengths are shares of the image side.

    Raises ValueError if a count is below 1 or a strength negative.
    """

    image_size: int = 28  # pixels a side
    channels: int = 1  # 3 repeats the grey image, for networks that expect colour
    examples: int = 20  # of each character by each writer
    writers: int = 4  # of each training script
    held_out_writers: int = 2  # of each validation and test script
    warp: float = 1.0  # 0 draws clean type, 1 is the default difficulty
    rotation: float = 7.2  # degrees
    shear: float = 0.128  # sideways shift per unit of height
    scale: float = 0.08  # of log size, width and height on their own
    shift: float = 0.024  # image sides
    elastic: float = 0.028  # image sides, length of the smooth displacement
    stroke: float = 0.0096  # image sides, change of the distance from the stroke's middle to its edge
    blur: float = 0.4  # width of the edge ramp beyond one pixel, in pixels
    noise: float = 0.032  # of the ink's brightness
    style: float = 0.7  # writer's own deviation over that of an example
    seed: int = 0

    def check(self) -> None:
        """Raise ValueError for counts and strengths that mean nothing."""
        check_shape(self.image_size, self.channels)
        self.check_counts("examples", "writers", "held_out_writers")
        for field in fields(self):
            self.refuse_unless(getattr(self, field.name) >= 0, field.name, "must not be negative")


def glyph_federation(
    settings: GlyphSettings | None = None,
    *,
    held_out: Names = (),
    validation: Names = (),
    scripts: Names = tuple(SCRIPTS),
    rotate: bool = False,
    cache: Path | None = None,
) -> Federation:
    """Return the federation whose nodes are writers, whose classes are characters.

    A writer ("Greek/writer1") keeps to one typeface, slant, pen and warp; all writers of a script share its
    classes ("Greek/α"). Scripts are held out for test and for validation: where none are named, TEST and VALIDATION.
    They lose the characters that look like a trained one, turned or not.
    Pixels depend on `settings`, `scripts` and the splits only, and are kept in the folder `cache`.

    Raises ValueError for a script that does not exist, or one held out that has hardly a shape of its own.
    """
    settings = settings or GlyphSettings()
    check_names("scripts", scripts, SCRIPTS)
    test, checked = choose_held_out(scripts, (held_out, validation), (TEST, VALIDATION))
    held = {*test, *checked}
    choices = [asdict(settings), sorted(scripts), sorted(held), version("matplotlib"), torch.__version__]
    path = cached_path("glyphs", choices, (__file__, fonts.__file__), cache)
    nodes = read_or_make(path, lambda: _draw_all(settings, [s for s in SCRIPTS if s in scripts], held))
    return of_writers("glyphs", nodes, (test, checked), settings.channels, rotate=rotate)


def of_writers(
    name: str, nodes: Mapping[str, ClassImages], held_out: tuple[Names, Names], channels: int = 1, *, rotate: bool
) -> Federation:
    """Return the federation of writers ("Greek/writer1") by character, of which whole scripts are held out."""
    script_of = {node: node.partition("/")[0] for node in nodes}
    named = {
        node: {f"{script_of[node]}/{each}": images.expand(-1, channels, -1, -1) for each, images in classes.items()}
        for node, classes in nodes.items()
    }
    test, validation = ([node for node in nodes if script_of[node] in kept] for kept in held_out)
    return assemble(name, named, (test, validation), rotate=rotate)


def cached_path(name: str, choices: list, code: Collection[str], cache: Path | None = None) -> Path:
    """Return the file named after all that decides the pixels: the choices, and the files of code that draw."""
    mark = hashlib.sha256(json.dumps(choices).encode() + b"".join(Path(file).read_bytes() for file in code))
    return (cache or cache_folder()) / f"{name}-{mark.hexdigest()[:16]}.safetensors"


def read_or_make(path: Path, make: Callable[[], dict[str, dict[str, Tensor]]]) -> dict[str, dict[str, Tensor]]:
    """Return the images, {node: {class: (example, channel, height, width)}}, that lie at `path`, or make them.

    What is made is left there, all classes of a node as one tensor. A file that is damaged, or a folder that cannot
    be written to, only costs time.
    """
    try:
        tensors, metadata = load(path)
        index = json.loads(metadata["nodes"])  # [node, its classes] pairs, in order
        return {node: dict(zip(classes, tensors[node], strict=True)) for node, classes in index}
    except (KeyError, TypeError, ValueError):
        nodes = make()
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        index = json.dumps([[node, list(classes)] for node, classes in nodes.items()])
        save(path, {node: torch.stack(list(classes.values())) for node, classes in nodes.items()}, {"nodes": index})
    return nodes


def kept_characters(scripts: Collection[str], held_out: Names) -> dict[str, str]:
    """Return, for each script, its characters that can be told apart and, if held out, were never trained on."""
    kept = {script: fonts.distinct(SCRIPTS[script], ALIKE) for script in scripts}
    trained = "".join(characters for script, characters in kept.items() if script not in held_out)
    return {
        script: fonts.unlike(characters, trained, ALIKE) if script in held_out and trained else characters
        for script, characters in kept.items()
    }


def _draw_all(settings: GlyphSettings, scripts: Collection[str], held: set[str]) -> dict[str, dict[str, Tensor]]:
    """Images of every character by every writer of every script."""
    nodes = {}
    for script, characters in kept_characters(scripts, held).items():
        if len(characters) < LEAST_CLASSES:
            raise ValueError(
                f"script {script} cannot be held out: {len(characters)} of its characters look unlike those trained "
                f"on, at least {LEAST_CLASSES} are needed; hold out the scripts it resembles too"
            )
        faces = fonts.covering_faces(characters)
        for writer in range(settings.held_out_writers if script in held else settings.writers):
            generator = np.random.default_rng([settings.seed, zlib.crc32(script.encode()), writer])
            clean = torch.from_numpy(fonts.render(characters, faces[writer % len(faces)]))
            images = draw(clean, settings, generator)
            nodes[f"{script}/writer{writer + 1}"] = dict(zip(characters, images, strict=True))
    return nodes


def draw(clean: Tensor, settings: GlyphSettings, generator: np.random.Generator) -> Tensor:
    """Return one writer's examples of each character.

    clean: (character, side, side), signed distances to the outline in image sides, negative inside.
    Returns (character, example, 1, image_size, image_size), uint8, background 0 and ink 255.
    """
    count = len(clean) * settings.examples
    size, strength = settings.image_size, settings.warp
    style = _variation(1, generator)
    own = _variation(count, generator)
    affine, elastic, stroke, blur = (
        torch.from_numpy((each + settings.style * common) * strength).float()
        for each, common in zip(own, style, strict=True)
    )
    noise = torch.from_numpy(generator.standard_normal((count, 1, size, size), dtype=np.float32))
    source = clean.repeat_interleave(settings.examples, dim=0)[:, None]
    pieces = []
    for start in range(0, count, _CHUNK):
        part = slice(start, start + _CHUNK)
        grid, enlargement = _grid(affine[part], elastic[part], settings)
        distance = functional.grid_sample(source[part], grid, padding_mode="border", align_corners=False)
        pen = settings.stroke * stroke[part, :, None, None].clamp(-1, 3)
        ramp = 1 + settings.blur * blur[part, :, None, None].abs()  # pixels over which ink fades out
        ink = (0.5 - (distance * enlargement - pen) * size / ramp).clamp(0, 1)
        pieces.append((ink + settings.noise * strength * noise[part]).clamp(0, 1))
    drawn = torch.cat(pieces).mul(255).round().to(torch.uint8)
    return drawn.view(len(clean), settings.examples, 1, size, size)


def _variation(count: int, generator: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Standard normal numbers for: 6 of the affine map, 2 x 5 x 5 displacements, the stroke, the blur."""
    return tuple(generator.standard_normal((count, *shape)) for shape in ((6,), (2, 5, 5), (1,), (1,)))


def _grid(affine: Tensor, elastic: Tensor, settings: GlyphSettings) -> tuple[Tensor, Tensor]:
    """Where each output pixel is read from, and by how much each example is enlarged.

    affine: (example, 6): rotation, shear, log width, log height, shift right, shift down, in strengths.
    elastic: (example, 2, 5, 5), displacements at 25 points of the image, in strengths.
    Returns (example, image_size, image_size, 2) in the units of grid_sample, and (example, 1, 1, 1).
    """
    angle = torch.deg2rad(affine[:, 0] * settings.rotation)
    shear, shift = affine[:, 1] * settings.shear, affine[:, 4:] * settings.shift * 2  # the grid is 2 wide
    width, height = torch.exp(-affine[:, 2:4].clamp(-2.5, 2.5) * settings.scale).unbind(1)
    cos, sin = torch.cos(angle), torch.sin(angle)
    rows = torch.stack([width * cos + shear * sin, -width * sin + shear * cos, height * sin, height * cos], dim=1).view(
        -1, 2, 2
    )
    offset = -(rows @ shift[:, :, None])
    grid = functional.affine_grid(
        torch.cat([rows, offset], dim=2),
        (len(affine), 1, settings.image_size, settings.image_size),
        align_corners=False,
    )
    smooth = functional.interpolate(elastic, size=settings.image_size, mode="bicubic", align_corners=True)
    return grid + 2 * settings.elastic * smooth.permute(0, 2, 3, 1), (width * height).rsqrt()[:, None, None, None]
