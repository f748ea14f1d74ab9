"""Developing: which bytes become photos, what is left of them, and what is refused before it is unpacked."""

import hashlib
import io
import os
import struct
import subprocess
import sys
import threading
import time
import tomllib
import tracemalloc
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import pillow_heif
import pytest
from pictures import (
    BLUE,
    RED,
    SPOIL,
    WHITE,
    about,
    assert_clean,
    encoded,
    exif,
    full,
    is_upright,
    opened,
    plain,
    png,
    quarters,
    wide_gamut,
)
from PIL import Image, ImageChops, ImageColor, ImageStat
from PIL.Image import Transpose
from pillow_heif import options as heif_options

from city.photos import decoding, processing
from city.photos.processing import MOST_SECONDS, SIZES, BadPhoto, ProcessedPhoto

REAL = Path(os.environ.get("CITYLINE_BENCH_DATA", "nowhere")) / "photos"
FATES = tomllib.loads((Path(__file__).parents[3] / "bench" / "photos.toml").read_text())
needs_real_photos = pytest.mark.skipif(
    not REAL.is_dir(), reason="CITYLINE_BENCH_DATA names no folder with real data"
)


@pytest.mark.parametrize("orientation", SPOIL)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "HEIF", "AVIF"])
def test_every_orientation_comes_out_upright(kind: str, orientation: int) -> None:
    turn = SPOIL[orientation]
    spoiled = quarters() if turn is None else quarters().transpose(turn)
    new = decoding.develop(encoded(spoiled, kind, exif=exif(orientation).tobytes()))
    assert (new.width, new.height) == (600, 400)
    for jpeg in new.jpegs.values():
        assert is_upright(opened(jpeg))
        assert_clean(jpeg)


def xmp(orientation: int) -> bytes:
    return (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        b'<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="%d"/>'
        b"</rdf:RDF></x:xmpmeta>" % orientation
    )


def test_xmp_turns_a_photo_only_where_exif_says_nothing_of_it() -> None:
    spoiled = quarters().transpose(Transpose.ROTATE_90)
    assert is_upright(full(encoded(spoiled, xmp=xmp(6))))
    assert is_upright(full(encoded(spoiled, exif=exif(6), xmp=xmp(3))))


def test_a_photo_with_gps_held_sideways_is_upright_and_tells_nothing() -> None:
    spoiled = quarters((3000, 2000)).transpose(Transpose.ROTATE_90)
    sent = encoded(spoiled, exif=exif(6), xmp=xmp(6), comment=b"by Tansy Street", icc_profile=wide_gamut())
    assert b"Exif" in sent
    assert b"Larkhaven Cameras" in sent
    new = decoding.develop(sent)
    for size, jpeg in new.jpegs.items():
        assert opened(jpeg).size == (SIZES[size], round(SIZES[size] * 2 / 3))
        assert b"Larkhaven" not in jpeg
        assert b"Tansy" not in jpeg
        assert_clean(jpeg)


def test_a_comment_is_not_carried_over() -> None:
    sent = encoded(quarters(), comment=b"by Tansy Street")
    assert b"Tansy" in sent
    for jpeg in decoding.develop(sent).jpegs.values():
        assert b"Tansy" not in jpeg
        assert_clean(jpeg)


def test_a_small_photo_is_never_enlarged() -> None:
    new = decoding.develop(plain(size=(300, 100)))
    assert [opened(jpeg).size for jpeg in new.jpegs.values()] == [(300, 100), (300, 100), (240, 80)]


def test_a_strip_one_pixel_wide_survives() -> None:
    assert full(encoded(Image.new("RGB", (1, 9000), RED), "PNG")).size == (1, 2048)


def test_an_embedded_profile_is_converted_to_srgb() -> None:
    colour = (180, 120, 90)
    sent = encoded(Image.new("RGB", (64, 64), colour), quality=95, icc_profile=wide_gamut())
    seen = full(sent).getpixel((30, 30))
    # By hand: (c/255)^2.2 through the matrix above, the inverse of sRGB's at D50, and sRGB's curve.
    assert about(seen, (190, 118, 86), 3), seen
    assert about(full(encoded(Image.new("RGB", (64, 64), colour), quality=95)).getpixel((30, 30)), colour, 3)


def test_a_profile_that_is_no_profile_does_not_cost_the_photo() -> None:
    sent = encoded(Image.new("RGB", (64, 64), RED), icc_profile=b"not a profile" * 20)
    assert about(full(sent).getpixel((30, 30)), RED)


def test_a_profile_for_other_channels_does_not_cost_the_photo() -> None:
    assert about(
        full(encoded(Image.new("L", (64, 64), 90), icc_profile=wide_gamut())).getpixel((9, 9)), (90,) * 3
    )
    cmyk = Image.new("CMYK", (64, 64), (0, 255, 255, 0))
    assert about(full(encoded(cmyk, icc_profile=wide_gamut())).getpixel((9, 9)), (255, 0, 0))


def test_cmyk_becomes_srgb() -> None:
    assert about(full(encoded(Image.new("CMYK", (64, 64), (255, 0, 255, 0)))).getpixel((9, 9)), (0, 255, 0))


def test_sixteen_bits_are_scaled_and_not_clipped() -> None:
    grey = png(64, 64, 16, 0, zlib.compress((b"\0" + b"\x80\x00" * 64) * 64))
    assert about(full(grey).getpixel((9, 9)), (128, 128, 128))
    colour = png(64, 64, 16, 2, zlib.compress((b"\0" + b"\xe6\x00\x14\x00\x14\x00" * 64) * 64))
    assert about(full(colour).getpixel((9, 9)), RED)


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "HEIF", "AVIF"])
def test_transparency_is_laid_on_white(kind: str) -> None:
    picture = Image.new("RGBA", (64, 64), (0, 0, 0, 0))
    picture.paste((*RED, 255), (32, 0, 64, 64))
    seen = full(encoded(picture, kind))
    assert about(seen.getpixel((8, 30)), WHITE)
    assert about(seen.getpixel((52, 30)), RED)


def test_grey_palette_and_line_art_become_rgb() -> None:
    assert about(full(encoded(Image.new("L", (64, 64), 77))).getpixel((9, 9)), (77, 77, 77))
    assert about(full(encoded(Image.new("LA", (64, 64), (77, 0)), "PNG")).getpixel((9, 9)), WHITE)
    assert about(full(encoded(Image.new("1", (64, 64), 1), "PNG")).getpixel((9, 9)), WHITE)
    palette = quarters((64, 64)).quantize(4)
    assert about(full(encoded(palette, "PNG")).getpixel((9, 9)), RED)
    clear = palette.copy()
    red = cast("int", clear.getpixel((0, 0)))
    assert about(full(encoded(clear, "PNG", transparency=red)).getpixel((9, 9)), WHITE)


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "AVIF", "HEIF", "MPO"])
def test_of_several_pictures_the_first_is_taken(kind: str) -> None:
    first, second = (Image.new("RGB", (64, 64), colour) for colour in (RED, BLUE))
    new = decoding.develop(encoded(first, kind, save_all=True, append_images=[second]))
    assert about(opened(new.jpegs["full"]).getpixel((9, 9)), RED)
    assert_clean(new.jpegs["full"])


def test_a_stream_that_gives_a_little_at_a_time_is_read_whole() -> None:
    class Trickle(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            return super().read(min(size or 0, 100))

    data = plain()
    assert processing.process(Trickle(data)).upload_sha256 == hashlib.sha256(data).hexdigest()


def refused(source: Any, develop: Callable[[Any], ProcessedPhoto] = decoding.develop) -> str:
    with pytest.raises(BadPhoto) as caught:
        develop(source)
    return caught.value.code


def ending(source: bytes, develop: Callable[[bytes], ProcessedPhoto] = decoding.develop) -> str:
    try:
        develop(source)
    except BadPhoto as bad:
        return bad.code
    return "taken"


def test_the_name_proves_nothing() -> None:
    text = io.BytesIO(b"This is no photo of Pell Street")
    text.name = "lamp.jpg"
    assert refused(text, processing.process) == "not_a_photo"
    png_named_jpg = io.BytesIO(encoded(quarters(), "PNG"))
    png_named_jpg.name = "lamp.jpg"
    assert is_upright(full(png_named_jpg))


@pytest.mark.parametrize("kind", ["GIF", "BMP", "TIFF", "ICO", "PDF"])
def test_other_formats_are_no_photos(kind: str) -> None:
    assert refused(encoded(quarters(), kind)) == "not_a_photo"


NO_PHOTOS = (
    b"", b"\xff", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"RIFF\0\0\0\0WAVE", b"%PDF-1.7",
    b"\0\0\0\x18ftypisom\0\0\0\0isommp42", b"\0\0\0\x18ftypmif1\0\0\0\0mif1miaf", b"\xff\xff\xff\xffftyp",
)  # fmt: skip


@pytest.mark.parametrize("data", NO_PHOTOS)
def test_nothing_and_markup_are_no_photos(data: bytes) -> None:
    assert refused(data) == "not_a_photo"


NOISE = Image.effect_noise((200, 200), 60).convert("RGB")


def test_a_heic_without_tiles_is_broken_wherever_it_ends() -> None:
    whole = encoded(NOISE, "HEIF")
    for part in (0.001, 0.01, 0.1, 0.5, 0.9):
        assert refused(whole[: max(int(len(whole) * part), 32)]) == "broken"


@pytest.mark.slow
def test_of_a_heic_the_tiles_that_are_there_are_kept_if_they_are_most_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(heif_options, "GRID_TILE_SIZE", 256)
    whole = encoded(Image.effect_noise((1024, 768), 60).convert("RGB"), "HEIF")
    assert whole.count(b"hvc1") >= 12
    assert not decoding.develop(whole).cut
    for part in (0.1, 0.3, 0.45):
        assert refused(whole[: int(len(whole) * part)]) == "broken"
    new = decoding.develop(whole[: int(len(whole) * 0.8)])
    assert new.cut
    assert (new.width, new.height) == (1024, 768)
    kept, grey = opened(new.jpegs["full"]), ImageColor.getrgb(decoding.GAP)
    assert about(kept.getpixel((1000, 750)), grey, 12)  # not the green that the decoder leaves there
    before = opened(decoding.develop(whole).jpegs["full"])
    above = (0, 0, 1024, 500)
    assert max(ImageStat.Stat(ImageChops.difference(kept.crop(above), before.crop(above))).mean) < 1


@pytest.mark.parametrize("matrix", [1, 6, 9])  # by which colours are coded: BT.709, BT.601, BT.2020
@pytest.mark.slow
def test_a_black_sky_stays_black_where_tiles_of_a_heic_are_missing(
    monkeypatch: pytest.MonkeyPatch, matrix: int
) -> None:
    monkeypatch.setattr(heif_options, "GRID_TILE_SIZE", 256)
    night = Image.effect_noise((1024, 1024), 60).convert("RGB")
    night.paste((0, 0, 0), (0, 0, 1024, 512))
    whole = encoded(night, "HEIF", matrix_coefficients=matrix)
    new = decoding.develop(whole[: int(len(whole) * 0.7)])
    assert new.cut
    seen = opened(new.jpegs["full"])
    assert about(seen.getpixel((500, 200)), (0, 0, 0), 12)
    assert about(seen.getpixel((1000, 1000)), ImageColor.getrgb(decoding.GAP), 12)


@pytest.mark.parametrize("kind", ["WEBP", "AVIF"])
@pytest.mark.parametrize("lost", [0.1, 0.05])
def test_a_decoder_that_wants_all_gives_the_rows_above_too(kind: str, lost: float) -> None:
    picture = Image.effect_noise((400, 900), 60).convert("RGB")
    picture.paste(RED, (0, 0, 20, 900))
    whole = encoded(picture, kind)
    assert not decoding.develop(whole).cut
    for part in (0.001, 0.01, 0.1, 0.3):
        assert refused(whole[: max(int(len(whole) * part), 32)]) == "broken"
    new = decoding.develop(whole[: int(len(whole) * (1 - lost))])
    assert new.cut
    assert (new.width, 450 < new.height < 900) == (400, True)
    kept = opened(new.jpegs["full"])
    before = opened(decoding.develop(whole).jpegs["full"]).crop((0, 0, *kept.size))
    assert max(ImageStat.Stat(ImageChops.difference(kept, before)).mean) < 3
    assert_clean(new.jpegs["full"])


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_of_a_photo_that_ends_too_early_the_rows_above_are_kept_if_they_are_most_of_it(kind: str) -> None:
    picture = Image.new("RGB", (200, 200), RED)
    picture.paste(NOISE.crop((0, 0, 190, 200)), (10, 0))
    whole = encoded(picture, kind)
    for part in (0.001, 0.01, 0.1, 0.4):
        assert refused(whole[: max(int(len(whole) * part), 12)]) == "broken"
    new = decoding.develop(whole[: int(len(whole) * 0.8)])
    assert new.cut
    assert 130 < new.height < 165
    kept = opened(new.jpegs["full"])
    # To the last row it is the picture: nothing grey or black was made up below.
    for row in (0, new.height // 2, new.height - 1):
        assert about(kept.getpixel((3, row)), RED, 12)
    assert_clean(new.jpegs["full"])
    assert not decoding.develop(whole).cut


def test_a_photo_held_sideways_that_ends_too_early_is_upright() -> None:
    spoiled = quarters((800, 600)).transpose(Transpose.ROTATE_90)
    spoiled.paste(Image.effect_noise((600, 30), 60), (0, 770))  # so that its end has bytes to lose
    whole = encoded(spoiled, exif=exif(6))
    new = decoding.develop(whole[:-500])
    assert new.cut
    assert new.width > 700
    assert new.height == 600
    assert about(opened(new.jpegs["full"]).getpixel((20, 20)), RED)


def test_a_progressive_photo_is_kept_from_its_second_scan_on() -> None:
    whole = encoded(quarters(), progressive=True, exif=exif(1))
    second = whole.index(b"\xff\xda", whole.index(b"\xff\xda") + 1)
    assert refused(whole[: second - 4]) == "broken"
    new = decoding.develop(whole[: second + 40])
    assert new.cut
    assert is_upright(opened(new.jpegs["full"]))


def test_a_bomb_is_refused_before_it_is_unpacked() -> None:
    packed = zlib.compress(bytes(1000))
    for width, height in ((60_000, 60_000), (8_001, 5_000), (2**31 - 1, 2**31 - 1)):
        assert refused(png(width, height, 8, 2, packed)) == "too_many_pixels"
    canvas = b"VP8X" + struct.pack("<I", 10) + bytes(4) + (16_000).to_bytes(3, "little") * 2
    webp = b"RIFF" + struct.pack("<I", len(canvas) + 4) + b"WEBP" + canvas
    assert refused(webp) == "too_many_pixels"


def test_a_heic_or_avif_that_says_it_is_a_bomb_is_refused_before_it_is_unpacked() -> None:
    for kind, side in (("HEIF", 7072), ("AVIF", 6325), ("HEIF", 2**31 - 1), ("AVIF", 2**31 - 1)):
        small = encoded(Image.new("RGB", (96, 96), RED), kind)
        huge = small.replace(struct.pack(">II", 96, 96), struct.pack(">II", side, side))
        assert huge != small
        assert refused(huge) in ("too_many_pixels", "broken")
        assert side > 10_000 or refused(huge) == "too_many_pixels"


def test_a_heic_that_is_larger_than_it_says_is_broken() -> None:
    large = encoded(Image.new("RGB", (1600, 1600), RED), "HEIF", quality=1)
    assert refused(large.replace(struct.pack(">II", 1600, 1600), struct.pack(">II", 96, 96))) == "broken"


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["HEIF", "AVIF"])
def test_a_bomb_that_calls_itself_a_stamp_costs_a_second_and_its_own_process(kind: str) -> None:
    side, profile = 6000, b"prof".ljust(32, b"x")  # as long as a "clap", which takes its place
    large = encoded(Image.new("RGB", (side, side), RED), kind, quality=1, icc_profile=profile[4:])
    clap = b"clap" + struct.pack(">8I", 64, 1, 64, 1, 0, 1, 0, 1)
    stamp = large.replace(b"colr" + profile, clap)
    if kind == "AVIF":
        stamp = large.replace(struct.pack(">II", side, side), struct.pack(">II", 64, 64))
    assert stamp != large
    began = time.monotonic()
    with suppress(BadPhoto):
        assert processing.process(io.BytesIO(stamp)).width == 64
    assert time.monotonic() - began < MOST_SECONDS
    assert processing.process(io.BytesIO(encoded(quarters()))).width


def test_an_avif_that_names_its_parts_a_thousand_million_times_is_broken_at_once() -> None:
    whole = encoded(quarters(), "AVIF")
    at = whole.index(b"iloc") + 8  # no offsets, no lengths, as many items as can be, each of as many pieces
    assert refused(whole[:at] + b"\0\0\xff\xff" + b"\0\x01\0\0\xff\xff" * 70_000) == "broken"


def test_an_avif_without_its_stream_is_broken() -> None:
    whole = encoded(quarters(), "AVIF")
    assert refused(whole.replace(b"\x12\0\x0a", b"\x12\0\x32")) == "broken"
    assert refused(whole.replace(b"iloc", b"ilog")) == "broken"


def test_a_heic_made_of_tiles_is_one_picture_and_without_its_tiles_is_none() -> None:
    tiled = encoded(quarters((1000, 600)), "HEIF", tile_size=256)
    assert is_upright(full(tiled))
    assert refused(tiled.replace(struct.pack(">II", 256, 256), struct.pack(">II", 64, 64))) == "broken"


def test_ten_bits_a_channel_become_eight() -> None:
    deep = png(64, 64, 16, 2, zlib.compress((b"\0" + b"\xe6\x00\x14\x00\x14\x00" * 64) * 64))
    ten = pillow_heif.from_bytes(mode="RGB;16", size=(64, 64), data=b"\x00\xe6\x00\x14\x00\x14" * 64 * 64)
    out = io.BytesIO()
    ten.save(out, quality=90)
    assert about(full(out.getvalue()).getpixel((9, 9)), RED, 12)
    assert about(full(deep).getpixel((9, 9)), RED)


def test_a_wide_gamut_heic_is_converted_to_srgb() -> None:
    colour = (180, 120, 90)
    sent = encoded(Image.new("RGB", (64, 64), colour), "HEIF", quality=95, icc_profile=wide_gamut())
    assert about(full(sent).getpixel((30, 30)), (190, 118, 86), 5)


def test_a_bomb_inside_a_harmless_photo_goes_off_nowhere() -> None:
    """A megabyte of zeros is a kilobyte deflated, in texts and profiles that nobody needs."""
    packed = zlib.compress(bytes(300_000_000), 9)
    for chunk in (b"zTXtComment\0\0" + packed, b"iCCPprofile\0\0" + packed):
        small = encoded(quarters((64, 48)), "PNG")
        body = struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
        tracemalloc.start()
        outcome = ending(small[:33] + body + small[33:])
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert outcome in ("taken", "broken")
        assert peak < 30_000_000


def test_fifty_megapixels_are_enough_and_one_more_is_too_many() -> None:
    assert full(encoded(Image.new("L", (8160, 6120), 90))).size == (2048, 1536)
    assert refused(encoded(Image.new("L", (8160, 6130), 90))) == "too_many_pixels"


def test_a_jpeg_of_a_thousand_scans_is_refused_unread() -> None:
    whole = encoded(Image.new("L", (800, 500), 90), progressive=True)
    last_scan = whole[whole.rfind(b"\xff\xda") : -2]
    assert refused(whole[:-2] + last_scan * 1000 + b"\xff\xd9") == "broken"


def test_an_upload_too_large_is_not_read_to_its_end() -> None:
    class Endless(io.RawIOBase):
        given = 0

        def read(self, size: int = -1, /) -> bytes:
            self.given += size
            return bytes(size)

    endless = Endless()
    assert refused(endless, processing.process) == "too_large"
    assert endless.given == processing.MAX_UPLOAD + 1
    # Exactly the most is read; that it is no photo is then found out.
    assert refused(bytes(processing.MAX_UPLOAD), processing.process) == "not_a_photo"


@pytest.mark.slow
@pytest.mark.full
def test_the_largest_pictures_take_a_bounded_memory() -> None:
    program = """
import resource, sys, zlib
sys.path.insert(0, "tests")
from PIL import Image
from city.photos.decoding import develop
from pictures import encoded, png
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
deflate = zlib.compressobj(1)
row = b"\\0" + bytes(range(250)) * 128
packed = b"".join(deflate.compress(row) for _ in range(2500)) + deflate.flush()
before = peak()
develop(png(8000, 2500, 8, 6, packed))
print(peak() - before)
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[3],
    )
    assert int(done.stdout) < 450, f"{done.stdout} MB"


@needs_real_photos
@pytest.mark.parametrize("name", ["Landscape", "Portrait"])
def test_real_photos_of_all_orientations_look_the_same(name: str) -> None:
    thumbs = [
        opened(decoding.develop((REAL / "exif_orientation" / f"{name}_{n}.jpg").read_bytes()).jpegs["thumb"])
        for n in SPOIL
    ]
    for thumb in thumbs[1:]:
        assert thumb.size == thumbs[0].size
        difference = ImageStat.Stat(ImageChops.difference(thumb, thumbs[0]))
        assert max(difference.mean) < 4


@needs_real_photos
def test_real_gps_is_gone() -> None:
    for path in sorted((REAL / "gps").glob("*.jpg")):
        sent = path.read_bytes()
        assert Image.open(io.BytesIO(sent)).getexif().get_ifd(0x8825)
        for jpeg in decoding.develop(sent).jpegs.values():
            assert_clean(jpeg)
            assert not opened(jpeg).getexif()


@needs_real_photos
@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow speaks up about damaged EXIF
@pytest.mark.parametrize("name", FATES)
def test_every_real_file_meets_the_fate_that_the_manifest_names(name: str) -> None:
    fate, data = FATES[name], (REAL / name).read_bytes()
    assert ending(data, processing.process) == fate.get("refused", "taken")
    if "refused" not in fate:
        new = processing.process(data)
        assert new.cut == fate.get("cut", False)
        assert [new.width, new.height] == fate["size"]
        for jpeg in new.jpegs.values():
            assert_clean(jpeg)


def test_who_would_wait_behind_many_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each that waits holds a thread of the web server: strangers' pictures could hold all of them."""
    monkeypatch.setattr(processing, "_room", threading.BoundedSemaphore(1))
    with processing._room, pytest.raises(processing.Busy):
        processing.process(encoded(quarters(), "JPEG"))
    assert processing.process(encoded(quarters(), "JPEG")).jpegs
