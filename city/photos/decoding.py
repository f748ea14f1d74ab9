"""Decoding: strangers' bytes verified, turned upright and made into clean JPEGs.

No other file opens a picture, and only decoder.py calls this, in a process of its own.
"""

import hashlib
import io
import logging
import zlib
from collections.abc import Callable, Iterator, Sequence
from itertools import islice

from PIL import AvifImagePlugin, Image, ImageChops, ImageCms, ImageDraw
from PIL.AvifImagePlugin import AvifImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile
from pillow_heif import options as heif_options
from pillow_heif.as_plugin import HeifImageFile

from city.photos import isobmff
from city.photos.processing import SIZES, BadPhoto, Box, ProcessedPhoto

# 8160 × 6120 is the largest that phones take by themselves. A JPEG shrinks while it is read; the others
# unpack whole, HEIC and AVIF at 7 to 9 bytes a pixel, PNG and WebP at up to 20 with their transparency.
MAX_PIXELS: dict[type[ImageFile], int] = {
    JpegImageFile: 50_000_000,
    HeifImageFile: 50_000_000,
    AvifImageFile: 40_000_000,
    PngImageFile: 20_000_000,
    WebPImageFile: 20_000_000,
}
MAX_EDGE = 20_000  # px; a picture one pixel wide and millions long is none
MAX_SCANS = 100  # a progressive JPEG has about ten; thousands of empty ones would take minutes to unpack
MAX_RESTARTS = 1_000_000  # in a JPEG; one a block of 8 × 8 would be more than anybody writes
MAX_PARTS = 20_000  # before the picture of a JPEG, and in a PNG; a photo has a few hundred
MOST = 0.5  # of a damaged picture: what somebody took a photo of is seldom in its lowest part alone
QUALITY = 82
# Longest edge in px and quality of what small() tries, one after the other.
ENCLOSED = ((560, 75), (560, 60), (480, 55), (400, 50), (320, 45), (240, 40), (160, 30))
PAINT = "#20242b"  # what covers a part of a photo
GAP = "#b8bcc4"  # what stands where a part is missing
# How green a missing tile of a HEIC is: 77 and more by the colours of BT.709, 89 by BT.2020's, 136 by
# BT.601's. A night sky is darker.
GREEN = range(60, 256)

# What the first box of a HEIF file says it can be read as; "mif1" alone means no coding at all.
HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis"}
AVIF_BRANDS = {b"avif", b"avis"}


def _longer(data: bytes, fill: int) -> bytes:
    """A file that ends too early with as much again behind it: zeros or, for 255, bytes like a picture's."""
    return data + (data[::-1] if fill else bytes(len(data)))


def _longer_webp(data: bytes, fill: int) -> bytes:
    """The same of a WebP, whose last chunk says how long it is."""
    at = 12
    while at + 8 <= len(data) and at + 8 + (size := int.from_bytes(data[at + 4 : at + 8], "little")) <= len(
        data
    ):
        at += 8 + size + size % 2
    longer = bytearray(_longer(data[: len(data) - len(data) % 2], fill))
    longer[4:8] = (len(longer) - 8).to_bytes(4, "little")
    longer[at + 4 : at + 8] = (len(longer) - at - 8).to_bytes(4, "little")
    return bytes(longer)


# Decoders that want a whole file: where two different ends are unpacked alike, what came before counts.
LENGTHENED: dict[type[ImageFile], Callable[[bytes, int], bytes]] = {
    AvifImageFile: _longer,
    WebPImageFile: _longer_webp,
}

# A second fence, for whoever opens an image elsewhere; develop() looks at the size itself.
Image.MAX_IMAGE_PIXELS = max(MAX_PIXELS.values())
# Neither is looked at, and a stranger's file may name a thousand of them.
heif_options.DEPTH_IMAGES = heif_options.AUX_IMAGES = False
heif_options.DECODE_THREADS = AvifImagePlugin.DEFAULT_MAX_THREADS = 2
Image.preinit()  # what Pillow would load with the first picture, and that is each one here

ORIENTATION = 0x0112
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

log = logging.getLogger(__name__)


def develop(data: bytes) -> ProcessedPhoto:
    """What processing.process() promises. Raises BadPhoto."""
    picture, cut = _unpacked(data)
    return _sized(picture, hashlib.sha256(data).hexdigest(), cut)


def cover(jpeg: bytes, boxes: Sequence[Box], upload_sha256: str) -> ProcessedPhoto:
    """What processing.redact_areas() promises. Raises BadPhoto."""
    picture = _ours(jpeg)
    pen = ImageDraw.Draw(picture)
    for box in boxes:
        pen.rectangle(box.pixels(picture.width, picture.height), fill=PAINT)
    return _sized(picture, upload_sha256, cut=False)


def small(jpeg: bytes, most: int) -> bytes:
    """What processing.small() promises. Raises BadPhoto."""
    picture = _ours(jpeg)
    packed = b""
    for edge, quality in ENCLOSED:
        _shrink(picture, edge)
        packed = _jpeg(picture, quality)
        if len(packed) <= most:
            break
    return packed


def _ours(jpeg: bytes) -> Image.Image:
    """A JPEG that we made ourselves; it may have been damaged where it was kept."""
    try:
        with Image.open(io.BytesIO(jpeg), formats=["JPEG"]) as file:
            return file.convert("RGB")
    except (OSError, ValueError, Image.DecompressionBombError) as fault:
        raise BadPhoto("broken") from fault


def _sized(picture: Image.Image, sha256: str, cut: bool) -> ProcessedPhoto:
    jpegs = {}
    for size, edge in SIZES.items():
        # Out of what is small by now, the plainer filter looks the same and takes half the time.
        _shrink(picture, edge, Image.Resampling.HAMMING)
        jpegs[size] = _jpeg(picture)
        if size == "full":
            width, height = picture.size
    return ProcessedPhoto(sha256, width, height, jpegs, cut)


def _unpacked(data: bytes) -> tuple[Image.Image, bool]:
    """An upright sRGB picture no larger than the full size, and whether a damaged part was cut off."""
    kind = _kind(data)
    try:
        try:
            file = _opened(kind, data)
            file.load()
            if kind is HeifImageFile and _lacks_tiles(data):
                return _without_green(_upright(file)), True
            return _upright(file), False
        except (OSError, SyntaxError):  # the latter where an AVIF is opened
            if kind is HeifImageFile:  # which leaves out tiles by itself; without any, all is lost
                raise
        file, rows = _rest(kind, data)
        return _upright(file, rows), True
    except BadPhoto:
        raise
    # WebP is measured by Pillow, before it reserves the canvas; of room there is so much, as decoder.py says.
    except (Image.DecompressionBombError, MemoryError):
        raise BadPhoto("too_many_pixels") from None
    except Exception as fault:  # a decoder fed by strangers may raise anything
        raise BadPhoto("broken") from fault


def _kind(data: bytes) -> type[ImageFile]:
    # The plugins themselves, not Image.open: nothing but these is tried, and an MPO is its first JPEG.
    if data.startswith(b"\xff\xd8\xff"):
        if (
            data.count(b"\xff\xda") > MAX_SCANS
            or _restarts(data) > MAX_RESTARTS
            or _has_many(_segments(data))
        ):
            raise BadPhoto("broken")
        return JpegImageFile
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        if _has_many(_chunks(data)):
            raise BadPhoto("broken")
        return PngImageFile
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return WebPImageFile
    if data[4:8] == b"ftyp":
        box = data[8 : min(int.from_bytes(data[:4], "big"), 400)]
        brands = {box[at : at + 4] for at in range(0, len(box), 4)}
        if brands & AVIF_BRANDS:
            return AvifImageFile
        if brands & HEIC_BRANDS:
            return HeifImageFile
    raise BadPhoto("not_a_photo")


def _has_many(parts: Iterator[int]) -> bool:
    """Whether a file has so many parts that Pillow, which goes through them one by one, takes seconds."""
    return sum(1 for _ in islice(parts, MAX_PARTS + 1)) > MAX_PARTS


def _restarts(jpeg: bytes) -> int:
    """At most how many markers stand in the picture from which its decoder might go on."""
    marks = jpeg.count(b"\xff")
    if marks <= MAX_RESTARTS:  # as in every photo; what follows takes eight times as long
        return marks
    return sum(jpeg.count(bytes((0xFF, kind))) for kind in range(0xD0, 0xD8))


def _segments(jpeg: bytes) -> Iterator[int]:
    """Where each segment before the picture begins, and each byte that only fills."""
    at = 2
    while at + 4 <= len(jpeg) and jpeg[at] == 0xFF and (kind := jpeg[at + 1]) != 0xDA:
        yield at
        if kind in (0x00, 0xFF):
            at += 1 if kind else 2
        else:
            is_bare = kind == 0x01 or 0xD0 <= kind <= 0xD9
            at += 2 if is_bare else 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")


def _chunks(png: bytes) -> Iterator[int]:
    """Where each chunk begins."""
    at = 8
    while at + 8 <= len(png):
        yield at
        at += 12 + int.from_bytes(png[at : at + 4], "big")


def _opened(kind: type[ImageFile], data: bytes) -> ImageFile:
    """The picture with its size looked at and nothing unpacked. Raises BadPhoto.

    A HEIC or AVIF may hold a picture far larger than it says, and crop or shrink it afterwards. What that
    takes of memory and time is bounded in decoder.py.
    """
    file = kind(io.BytesIO(data))
    if file.width * file.height > MAX_PIXELS[kind] or max(file.size) > MAX_EDGE:
        raise BadPhoto("too_many_pixels")
    # Where the picture that a HEIC calls its main one cannot be found, the only other one must be meant.
    if kind is HeifImageFile and not file.info["primary"] and getattr(file, "n_frames", 1) > 1:
        raise BadPhoto("broken")
    if kind is JpegImageFile:
        _skip_detail(file)
    return file


def _lacks_tiles(data: bytes) -> bool:
    """Whether tiles of a HEIC are not there, which its decoder passes over. Raises BadPhoto."""
    lacking = isobmff.lacking(data)
    if lacking >= MOST:
        raise BadPhoto("broken")
    return lacking > 0


def _without_green(picture: Image.Image) -> Image.Image:
    """Grey where tiles were missing: neither light nor colour in YCbCr, which is one dark green in RGB."""
    red, green, blue = picture.split()
    bare = ImageChops.lighter(red, blue).point(lambda value: 255 if value < 3 else 0)
    gap = max(GREEN, key=green.histogram(bare).__getitem__)
    alike = green.point(lambda value: 255 if abs(value - gap) < 3 else 0)
    picture.paste(GAP, mask=ImageChops.darker(bare, alike))
    return picture


def _skip_detail(file: ImageFile) -> None:
    """Lets the JPEG decoder leave out detail that the full size cannot show."""
    # The box has the photo's own aspect: of a square one only the shorter edge would decide.
    scale = SIZES["full"] / max(file.size)
    if scale < 1:
        file.draft("RGB", (int(file.width * scale), int(file.height * scale)))


def _rest(kind: type[ImageFile], data: bytes) -> tuple[ImageFile, int]:
    """Of a picture that ends too early: what its decoder had until then, and how many rows that are."""
    if kind is JpegImageFile and _is_coarse_but_whole(data):
        file = _opened(kind, data + b"\xff\xd9")  # the marker that ends a JPEG
        file.load()
        return file, file.height
    light = _row_marks(_until_the_fault(kind, data, 255))  # of it no more is kept: it may weigh 200 MB
    file = _until_the_fault(kind, data, 0)
    pairs = enumerate(zip(light, _row_marks(file), strict=True))
    rows = next((row for row, (one, other) in pairs if one != other), file.height)
    if rows <= file.height * MOST:
        raise BadPhoto("broken")
    return file, rows


def _row_marks(file: ImageFile) -> list[int]:
    """By which rows are told apart."""
    return [zlib.crc32(file.crop((0, row, file.width, row + 1)).tobytes()) for row in range(file.height)]


def _is_coarse_but_whole(data: bytes) -> bool:
    """Whether a progressive JPEG came as far as its second scan: the first shows all of it coarsely."""
    frame = data.rfind(b"\xff\xc2")  # where its scans begin; an EXIF thumbnail lies before
    return frame >= 0 and data.count(b"\xff\xda", frame) > 1


def _until_the_fault(kind: type[ImageFile], data: bytes, fill: int) -> ImageFile:
    """The picture as far as it can be unpacked. The rest holds `fill`: two of them show where it begins."""
    if kind in LENGTHENED:
        file = _opened(kind, LENGTHENED[kind](data, fill))
        file.load()
        return file
    file = _opened(kind, data)
    file.load_prepare()
    bands = len(file.getbands())
    file.im.paste((fill,) * bands if bands > 1 else fill, (0, 0, *file.size))
    try:
        file.load()
    except OSError:
        file.tile = []  # what Pillow takes for loaded
    return file


def _upright(file: ImageFile, rows: int | None = None) -> Image.Image:
    """A loaded picture, or its first `rows`, as upright sRGB no larger than the full size."""
    orientation, profile = _orientation(file), file.info.get("icc_profile")
    picture = _flat(file if rows in (None, file.height) else file.crop((0, 0, file.width, rows)))
    _shrink(picture, SIZES["full"])
    picture = _srgb(picture, profile)
    return picture.transpose(TURNS[orientation]) if orientation in TURNS else picture


def _orientation(file: ImageFile) -> int:
    """The orientation 1 to 8; 1 where it cannot be read: the photo matters more.

    EXIF's, which cameras write and viewers obey; XMP's where EXIF is silent. HEIC and AVIF have a turn of
    their own, which their decoders make or say here; EXIF beside it only repeats it.
    """
    try:
        return int(file.getexif().get(ORIENTATION, 1))
    except Exception:  # malformed EXIF raises half a dozen different errors
        return 1


def _flat(file: Image.Image) -> Image.Image:
    """The picture as L, RGB or CMYK with 8 bits, transparency laid on white; itself where it is that."""
    if file.mode.startswith("I"):  # 16-bit grey, which convert() would clip instead of scale
        return file.point(lambda grey: grey * (1 / 256)).convert("L")
    if file.has_transparency_data:
        clear = file if file.mode == "RGBA" else file.convert("RGBA")  # a copy may weigh 160 MB
        picture = Image.new("RGB", clear.size, "white")
        picture.paste(clear, mask=clear)
        return picture
    mode = {"1": "L", "L": "L", "CMYK": "CMYK"}.get(file.mode, "RGB")
    return file if file.mode == mode else file.convert(mode)


def _shrink(picture: Image.Image, edge: int, how: Image.Resampling = Image.Resampling.BICUBIC) -> None:
    picture.thumbnail((edge, edge), how, reducing_gap=2.0)


def _srgb(picture: Image.Image, profile: bytes | None) -> Image.Image:
    if profile:
        try:
            return (
                ImageCms.profileToProfile(
                    picture,
                    ImageCms.ImageCmsProfile(io.BytesIO(profile)),
                    ImageCms.createProfile("sRGB"),
                    outputMode="RGB",
                )
                or picture
            )
        except Exception:
            log.info("A color profile couldn't be used, so the colors stay as they are")
    return picture.convert("RGB")


def _jpeg(picture: Image.Image, quality: int = QUALITY) -> bytes:
    picture.info = {}  # Pillow would write a comment that it finds there
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=quality, progressive=True, optimize=True)
    return out.getvalue()
