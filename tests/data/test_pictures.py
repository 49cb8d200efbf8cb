from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image

from semblance.data.pictures import Bad, as_pictures, decode, header, quiet, resized, thumbnail
from semblance.errors import SemblanceError

RAMP = np.linspace(0, 255, 32).round().astype(np.uint8)[None].repeat(24, 0)  # [24, 32], black to white


def saved(image, form="PNG", **options):
    held = io.BytesIO()
    image.save(held, form, **options)
    return held.getvalue()


def colours():
    """[24, 32, 3]: red grows to the right, green downwards."""
    x = np.zeros((24, 32, 3), np.uint8)
    x[:, :, 0], x[:, :, 1], x[:, :, 2] = RAMP, np.linspace(0, 255, 24)[:, None], 40
    return x


GREY = {
    "L": lambda: Image.fromarray(RAMP),
    "1": lambda: Image.fromarray(RAMP).convert("1", dither=Image.Dither.NONE),
    "I;16": lambda: Image.fromarray(RAMP.astype(np.uint16) * 257),
    "I;16B": lambda: Image.fromarray((RAMP.astype(np.uint16) * 257).astype(">u2")),
    "I to 255": lambda: Image.fromarray(RAMP.astype(np.int32)),
    "I to 65535": lambda: Image.fromarray(RAMP.astype(np.int32) * 257),
    "I beyond": lambda: Image.fromarray(RAMP.astype(np.int32) * 1000 - 5),
    "F to 1": lambda: Image.fromarray(RAMP.astype(np.float32) / 255),
    "F to 255": lambda: Image.fromarray(RAMP.astype(np.float32)),
    "F below 0": lambda: Image.fromarray(RAMP.astype(np.float32) * 3 - 300),
    "LA": lambda: Image.merge("LA", [Image.fromarray(RAMP), Image.new("L", (32, 24), 255)]),
    "P, grey palette": lambda: Image.fromarray(RAMP).quantize(32),
}


@pytest.mark.parametrize("mode", GREY)
def test_every_grey_mode_shows_the_same_ramp(mode):
    content = saved(GREY[mode](), "TIFF" if mode[0] in "IF" else "PNG")
    x = decode(content, channels=1)
    assert x.shape == (1, 24, 32) and x.dtype == np.uint8 and header(content).grey
    if mode == "1":
        assert set(np.unique(x)) == {0, 255}
    else:
        assert np.abs(x[0].astype(int) - RAMP).max() <= (8 if mode[0] == "P" else 1)


@pytest.mark.parametrize(
    ("mode", "form", "loose"),
    [
        ("RGB", "PNG", 0),
        ("RGBA", "PNG", 0),
        ("CMYK", "TIFF", 1),
        ("CMYK", "JPEG", 40),
        ("YCbCr", "TIFF", 3),
        ("LAB", "TIFF", 30),
        ("P", "GIF", 50),
        ("RGB", "JPEG", 40),
        ("RGB", "WEBP", 40),
        ("RGB", "BMP", 0),
        ("RGB", "PPM", 0),
    ],
)
def test_every_colour_mode_shows_the_same_colours(mode, form, loose):
    image = Image.fromarray(colours())
    if mode == "LAB":
        from PIL import ImageCms

        srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
        image = ImageCms.profileToProfile(image, srgb, lab, outputMode="LAB")
    else:
        image = image.convert(mode)
    content = saved(image, form)
    x = decode(content)
    assert x.shape == (3, 24, 32) and not header(content).grey
    assert np.abs(np.moveaxis(x, 0, 2).astype(int) - colours()).max() <= loose


def test_what_is_transparent_lies_on_white():
    clear = Image.new("RGBA", (4, 4), (200, 0, 0, 0))
    half = Image.new("LA", (4, 4), (0, 128))
    palette = Image.new("P", (4, 4), 0)
    palette.putpalette([10, 20, 30] + [0] * 765)
    key = Image.new("RGB", (4, 4), (1, 2, 3))
    assert (decode(saved(clear)) == 255).all()
    assert (decode(saved(half), channels=1) == 127).all()
    assert (decode(saved(palette, transparency=0)) == 255).all()
    assert (decode(saved(key, transparency=(1, 2, 3))) == 255).all()


def test_the_first_frame_of_an_animation_or_a_stack_is_shown():
    frames = [Image.new("L", (5, 5), v) for v in (50, 200)]
    for form in ("GIF", "TIFF", "WEBP", "PNG"):
        x = decode(
            saved(
                frames[0],
                form,
                save_all=True,
                append_images=frames[1:],
                **({} if form != "WEBP" else {"lossless": True}),
            )
        )
        assert np.abs(x.astype(int) - 50).max() <= 1, form


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("size", [None, (12, 8)])
def test_orientation_is_honoured_whatever_the_size(turn, size):
    upright = np.zeros((24, 16), np.uint8)
    upright[:12, :8] = 255  # white in the upper left
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.T,
        6: np.rot90(upright, 1),
        7: upright[::-1, ::-1].T,
        8: np.rot90(upright, -1),
    }[turn]
    exif = Image.Exif()
    exif[0x0112] = turn
    content = saved(Image.fromarray(np.ascontiguousarray(stored)), exif=exif)
    x = decode(content, size, channels=1)[0]
    assert (header(content).height, header(content).width) == (24, 16)
    assert x.shape == (size or (24, 16))
    h, w = x.shape[0] // 2, x.shape[1] // 2
    assert x[:h, :w].mean() > 200 and x[h:].mean() < 40 and x[:, w:].mean() < 40


def test_the_time_of_the_photograph_is_read_and_a_wrong_one_is_none():
    exif = Image.Exif()
    exif[0x0132] = "2021:05:03 10:11:12"
    assert header(saved(Image.new("L", (2, 2)), exif=exif)).taken.isoformat() == "2021-05-03T10:11:12"
    exif[0x0132] = "yesterday"
    assert header(saved(Image.new("L", (2, 2)), exif=exif)).taken is None


def test_the_middle_is_kept_and_nothing_is_distorted():
    wide = np.zeros((20, 60), np.uint8)
    wide[:, 20:40] = 255
    assert (decode(wide, 20, 1) == 255).all()
    assert (decode(wide.T.copy(), 20, 1) == 255).all()
    assert (decode(wide, (5, 15), 1)[0, :, 6:9] == 255).all() and (decode(wide, (5, 15), 1)[0, :, :4] == 0).all()


@given(arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=9)), st.integers(1, 7), st.integers(1, 7))
def test_any_picture_reaches_any_size_and_a_plain_one_stays_plain(x, height, width):
    assert decode(x, (height, width), 3).shape == (3, height, width)
    assert (decode(np.full_like(x, 77), (height, width), 1) == 77).all()


def test_a_large_jpeg_is_read_small_and_looks_the_same():
    big = np.kron(RAMP, np.ones((40, 40), np.uint8))  # 960 x 1280
    content = saved(Image.fromarray(big), "JPEG", quality=95)
    assert np.abs(decode(content, (24, 32), 1)[0].astype(int) - RAMP).max() <= 3


def test_one_pixel_is_a_picture():
    assert (decode(saved(Image.new("RGB", (1, 1), (9, 8, 7))), 8)[:, 3, 3] == (9, 8, 7)).all()


def test_thumbnails_are_small_pngs_of_the_same_picture():
    back = np.asarray(Image.open(io.BytesIO(thumbnail(np.moveaxis(colours(), 2, 0)))))
    np.testing.assert_array_equal(back, colours())
    assert Image.open(io.BytesIO(thumbnail(np.zeros((1, 300, 200), np.uint8)))).size == (64, 96)


def bomb():
    """A PNG that says it has 20,000 x 10,000 pixels and holds next to none."""
    import struct
    import zlib

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", 20_000, 10_000, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize("limit", [Image.MAX_IMAGE_PIXELS, None])
def test_pictures_over_179_megapixels_are_refused_before_they_are_decoded(monkeypatch, limit):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    for read in (header, decode):
        with pytest.raises(Bad, match="179 megapixels"):
            read(bomb())


def test_a_broken_file_is_one_kind_of_error():
    whole = saved(Image.fromarray(colours()))
    noise = np.random.default_rng(0)
    for content in (b"", b"GIF89a", whole[: len(whole) // 2], b"\x89PNG\r\n\x1a\n" + noise.bytes(200)):
        with pytest.raises(Bad):
            decode(content)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF", "TIFF", "BMP", "WEBP", "PPM", "TGA"])
def test_flipped_bytes_give_a_picture_or_the_one_error(form):
    whole, chance = saved(Image.fromarray(colours()), form), np.random.default_rng(1)
    for _ in range(60):
        content = bytearray(whole)
        for place in chance.integers(0, len(whole), 4):
            content[place] = chance.integers(256)
        try:
            with quiet():
                header(bytes(content))
                x = decode(bytes(content), 8)
        except Bad:
            continue
        assert x.shape == (3, 8, 8)


@pytest.mark.parametrize(
    ("shape", "wanted"),
    [
        ((5, 6, 7), (5, 1, 6, 7)),
        ((5, 6, 7, 3), (5, 3, 6, 7)),
        ((5, 6, 7, 1), (5, 1, 6, 7)),
        ((5, 3, 6, 7), (5, 3, 6, 7)),
        ((5, 1, 6, 7), (5, 1, 6, 7)),
        ((5, 1, 1, 3), (5, 3, 1, 1)),
        ((5, 3, 1, 1), (5, 3, 1, 1)),
    ],
)
def test_arrays_of_pictures_have_their_channels_second(shape, wanted):
    assert as_pictures(np.zeros(shape, np.uint8)).shape == wanted


@pytest.mark.parametrize(
    ("x", "told"),
    [
        (np.zeros((2, 4, 4), np.float32), "multiply by 255"),
        (np.zeros((2, 4, 4), np.int64), "astype"),
        (np.zeros((2, 4, 4, 5), np.uint8), "1 or 3 channels"),
        (np.zeros((2, 4), np.uint8), r"shape \[2, 4\]"),
        (np.zeros((0, 4, 4), np.uint8), "empty"),
    ],
)
def test_arrays_that_are_no_pictures_are_refused(x, told):
    with pytest.raises(SemblanceError, match=told):
        as_pictures(x)


@pytest.mark.parametrize("size", [0, -3, (4,), "big", (2, 0)])
def test_a_size_that_is_none_is_refused(size):
    with pytest.raises(SemblanceError, match="size is"):
        resized(np.zeros((1, 1, 4, 4), np.uint8), size)
