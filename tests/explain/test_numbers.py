"""Each language writes numbers in its own way, and JSON that passed through it is recognised."""

from __future__ import annotations

import json

import pytest

from frappe_hooksig.explain import explain
from tests.explain.mistakes import SECRET, frappe

NUMBERS = [
    *(1500.0, -0.0, 1e-5, 0.00012, 0.001, 1.234e-5, 9999999.0, 1e7, 12345678.9, 1e15, 1e16, 1e17),
    *(123456789012345678.0, 1e21, 1.5e300, -1.5e-300, 0.1, 123456.789, 12345678901234567890),
]

# What Node 20, PHP 8.2 and Java 17 write. Those of .NET, Ruby and Rust follow their documentation.
WRITTEN = {
    "JavaScript": "1500,0,0.00001,0.00012,0.001,0.00001234,9999999,10000000,12345678.9,"
    "1000000000000000,10000000000000000,100000000000000000,123456789012345680,1e+21,1.5e+300,"
    "-1.5e-300,0.1,123456.789,12345678901234567000",
    "PHP": "1500,-0,1.0e-5,0.00012,0.001,1.234e-5,9999999,10000000,12345678.9,1000000000000000,"
    "10000000000000000,1.0e+17,1.2345678901234568e+17,1.0e+21,1.5e+300,-1.5e-300,0.1,123456.789,"
    "1.2345678901234567e+19",
    ".NET": "1500,-0,1E-05,0.00012,0.001,1.234E-05,9999999,10000000,12345678.9,1E+15,1E+16,1E+17,"
    "1.2345678901234568E+17,1E+21,1.5E+300,-1.5E-300,0.1,123456.789,12345678901234567890",
    "Java": "1500.0,-0.0,1.0E-5,1.2E-4,0.001,1.234E-5,9999999.0,1.0E7,1.23456789E7,1.0E15,1.0E16,"
    "1.0E17,1.2345678901234568E17,1.0E21,1.5E300,-1.5E-300,0.1,123456.789,12345678901234567890",
    "Ruby": "1500.0,-0.0,1.0e-05,0.00012,0.001,1.234e-05,9999999.0,10000000.0,12345678.9,"
    "1000000000000000.0,1.0e+16,1.0e+17,1.2345678901234568e+17,1.0e+21,1.5e+300,-1.5e-300,0.1,"
    "123456.789,12345678901234567890",
    "Rust": "1500.0,-0.0,0.00001,0.00012,0.001,0.00001234,9999999.0,10000000.0,12345678.9,"
    "1000000000000000.0,1e16,1e17,1.2345678901234568e17,1e21,1.5e300,-1.5e-300,0.1,123456.789,"
    "12345678901234567890",
}


@pytest.mark.parametrize("language", WRITTEN)
def test_numbers_of_language(language: str) -> None:
    """JSON that a language parsed and wrote anew is recognised by its numbers."""
    signed = f'{{"a":[{WRITTEN[language]}]}}'.encode()

    (finding,) = explain(json.dumps({"a": NUMBERS}).encode(), frappe(signed), SECRET).findings
    assert finding.code == "body-reserialised"
    assert f"{language}'s numbers" in finding.evidence


@pytest.mark.parametrize("language", ["Java", ".NET"])
def test_many_numbers(language: str) -> None:
    """With more than 1000 different numbers, the less usual languages are left out."""
    some = ",".join(f"0.{number}1" for number in range(1001))
    signed = f'{{"a":[{WRITTEN[language]},{some}]}}'.encode()
    body = f'{{"a":[{",".join(map(repr, NUMBERS))},{some}]}}'.encode()

    assert explain(body, frappe(signed), SECRET).verdict == "unexplained"


def test_many_numbers_of_javascript() -> None:
    """JavaScript's spelling is tried for any number of numbers."""
    many = [number + 0.0 for number in range(1001)]
    signed = json.dumps([*range(1001)], separators=(",", ":")).encode()

    assert explain(json.dumps(many).encode(), frappe(signed), SECRET).verdict == "explained"
