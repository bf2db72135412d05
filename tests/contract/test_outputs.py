"""What stands where the address of a file belongs."""

from __future__ import annotations

import base64
from urllib.parse import quote

import pytest

from aitoearn_async.contract.outputs import Result, result_at

CONTENT = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(range(256))
DATA = base64.b64encode(CONTENT).decode()
WITH_BASE64 = {
    "plain": f"data:image/png;base64,{DATA}",
    "no type": f"data:;base64,{DATA}",
    "capitals": f" DATA:IMAGE/PNG;BASE64,{DATA}",
    "blanks": f"data: image/png ; base64 ,{DATA}",
    "parameters": f"data:image/png;charset=utf-8;name=a%2Cb;base64,{DATA}",
    "a comma in quotes": f'data:image/png;name="a,b";base64,{DATA}',
    "commas without quotes": f"data:video/webm;codecs=vp8,opus;base64,{DATA}",
    "commas and blanks": f"data:video/mp4; codecs=avc1.42E01E, mp4a.40.2; base64,{DATA}",
    "a parameter after it": f"data:image/png;base64;name=a,{DATA}",
    "no blank before it": f"data:base64,{DATA}",
    "percent-encoded": f"data:image/png;base64,{quote(DATA, safe='')}",
    "a fragment": f"data:image/png;base64,{DATA}#t=1",
    "twice": f"data:image/png;base64,data:image/png;base64,{DATA}",
    "nothing around it": DATA,
}


@pytest.mark.parametrize("address", WITH_BASE64.values(), ids=WITH_BASE64)
def test_a_file_in_the_place_of_its_address(address: str) -> None:
    """However a gateway writes it: it is paid for, and stands nowhere else."""
    assert result_at("image", 1, address) == Result("image", 1, None, DATA)


@pytest.mark.parametrize(
    "address",
    [
        "data:image/svg+xml,<a href='data:x;base64,AA'>",
        "data:image/svg+xml,<svg/>;base64,AA",
        "data:,base64,",
        "data:" + ",a;" * 100_000,
        "data:" + "," * 100_000,
        "data:" + ";" * 100_000,
        "data:" + '"' * 100_000,
        "data:" + "a;base64" * 100_000,
    ],
)
def test_what_is_not_said_to_be_base64_is_none(address: str) -> None:
    """It is read in no time, however it begins."""
    assert not result_at("image", 1, address).is_base64


@pytest.mark.parametrize("address", ["/9j/4AAQ" + "a" * 50, "a/" * 200, "https://a.example/x"])
def test_any_other_text_is_an_address(address: str) -> None:
    assert result_at("image", 1, address) == Result("image", 1, address)
