"""A small real picture and a small real film, each made one of a kind by a name in it.

The picture is a PNG of 64 by 64 pixels. The film is two seconds of H.264 in an MP4, 32 by 32
pixels. Players and decoders take both; a name goes where they do not look.
"""

from __future__ import annotations

import base64
import struct
import zlib
from typing import Final

FILM_BYTES: Final = 19_301
"""Size of a film, so that a download can be cut in many places."""

# In the code, and no files beside it: programs that pack others, such as PyInstaller, miss those.
_PNG: Final = zlib.decompress(
    base64.b64decode(
        "eNoBigF1/olQTkcNChoKAAAADUlIRFIAAABAAAAAQAgCAAAAJQvmiQAAAVFJREFUeNrVwusqAwAAhuHvkpRSStFC"
        "Cy0ktNBsDDMzp2FmzMxphjnNNnNISAgttBAppZRSSimllFJ+uATX8T49yrLcoSu78QZdOdYrdOXaMujKa7pEV37z"
        "OboM9jS6ilrO0GVsPUFXadsxukyOQ3RVtB+gq8q5j66ajl10mV076Krv3EaXxb2JLltXCl327iS62nri6HL2xtDl"
        "7ltBV49nCV2e/ii6Bgfm0eUbjKBrxBtG19jQNLpCvkl0TQ2H0BX2B9E1NxJAV3TUj67lgA9dsTEvuhLBAXSlxj3o"
        "2gr1omtnohtde5NudB1MudB1NO1E1+mMA13pcCu6Lmbt6MpEmtB1PWdF1+28BV33Cw3oeojWoetx0Yyup6VadD0v"
        "V6PrZaUKXa+rleh6i5Wj633NhK6PeBm6PhMl6PpKGtH1vV6Mrp9UIbp+Nwzo+tsqQP8HXXPqaQNDOdgAAAAASUVO"
        "RK5CYIInxrYp"
    )
)
_MP4: Final = zlib.decompress(
    base64.b64decode(
        "eNpjYGBQSCupLMgszs9lYGBiANFAbJRYlmyYW2BiyMDALJmbn1/GwMCQk1uWkcKAAphfMDCwX2BgZAAhBGBEVYXO"
        "d2DAC5iAKKOkKDEbyI4pyQbbyYxpGtBeBvz2YLVXAYoZGFRSU0qKgbRMak5xCUIH1FywXsYHuSmZiSAduSnofjcA"
        "4gSG0CNgjm5GSk4RTKYsMyUVWWUYkJ/vkZiXkpMKUsPYnZuZlwZkiJTlgg1FdqZKCkROJqUoNQ3JGzylRTkKEDaj"
        "d3FJUg6Qvb24pDgFSc1yUKThCAqQpxUYPIC0B0wFjw9QvUJOZlKFkZkJtoiQ+P8f5DWgKmdGpwNc/x8yiKYD6TvT"
        "DriAYoQFRBjYeMxjZGDNOMcsdAKoWKAgsbgAaj0IiySVFEHDlj0EZmxxCTjc4V5jYOAAsWWA3klGEofKgWkXoFwV"
        "ktNA4mpArIqEtYFYExoxGkAsD8TqSFikuCQ5H2E+syeQti1NKQHFr2luKpgGAUXkuATGf1FiQUEOcrhwZEISDEda"
        "USowohnv5qYkgvhKqR0t9oKNpY3X2B0CIs43B0zgZJeS3JAlrKhw4cJClRWPZR6AjE/taGL9KMQIUyYgrsHSZ3K2"
        "9bSi4sKFTh5XyuwhilrEj7iyvChtfABU036o4YDEZUFHK62DIEWefYY/4CYJOsQeXsPP1HSsRi+Ah7HXUEK8aI0Q"
        "Ly+XkA/YJHWQSccCxMWY1/As4JLum5W5/HlAlgqT47G2jIYsNSe3tlZOVffkD6BABJs3Q1yM8RpbACvvcV+Ty5+X"
        "8Lo0eBQuy3DQi+SUkgqYVFMHVKgDNjMhJoI9QtJBxFzW5LL/uQW7NBwmPPYJY/dhSlFkXCigArTokWec5QFwTuto"
        "Yvk4qaFcnjtCoiAjzypz2fy5PMKP2czNeF1OeGRkQM2VBporfMSd/eAEGxGx82mPZU0aiyDSybuB0soQ9/HNY55g"
        "cGDCnZLLvvZWTv4SPHlQ14moTP0GUQZ0nSvjOkvmg24rQW5b9rR34QypRxM8LnR4AvlHJufATZvCvLx5gjGji6/a"
        "rMyfV+4ky5soiOu09AKDz1H7+AMAGNsOeQ=="
    )
)
_PNG_HEADER: Final = 33
"""Size of the signature and the first chunk, which other chunks may follow."""


def png(name: str) -> bytes:
    """Return a PNG with the name in a `tEXt` chunk (PNG specification, 11.3.3)."""
    text = b"tEXtTitle\0" + name.encode("latin-1", "replace")
    chunk = struct.pack(">I", len(text) - 4) + text + struct.pack(">I", zlib.crc32(text))
    return _PNG[:_PNG_HEADER] + chunk + _PNG[_PNG_HEADER:]


def mp4(name: str) -> bytes:
    """Return an MP4 with the name in a `free` box at its end (ISO/IEC 14496-12, 8.1.2)."""
    size = FILM_BYTES - len(_MP4)
    return _MP4 + struct.pack(">I4s", size, b"free") + name.encode().ljust(size - 8, b"\0")
