"""Verdicts as a JSON list and as tables in an answer page."""

import json
import os
from dataclasses import replace
from math import inf, nan
from pathlib import Path

import pytest

from sweep.base.errors import SweepError
from sweep.claims import verdict_tables
from sweep.claims.verdicts import Verdict

VERDICT = Verdict(
    id="C2", source="001", text="Sine | cosine.", value=0.12345, low=0.1, high=inf, seeds=16, criterion="at most 0.3",
    verdict="undecided", figure="figures/questions/xor/accuracy.png",
)  # fmt: skip
PAGE = """# Answers

<!-- claims 001 -->
old
<!-- end of claims -->

In words.
<!-- claims 002 --><!-- end of claims --> The end."""


def test_json_is_plain_and_comes_back_as_it_was(tmp_path):
    some = [VERDICT, replace(VERDICT, id="C3", value=nan, low=-inf, unknown=2)]
    file = tmp_path / "claims.json"
    file.write_text(verdict_tables.as_json(some), encoding="utf-8")

    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    first, second = json.loads(file.read_text(encoding="utf-8"), parse_constant=refuse)
    assert set(first) == {
        "id", "source", "text", "value", "low", "high", "seeds", "criterion", "verdict", "figure",
    }  # fmt: skip
    assert (first["value"], first["high"], second["value"], second["low"]) == (0.12345, "inf", "nan", "-inf")
    assert second["unknown"] == 2
    assert repr(verdict_tables.load(file)) == repr(some)  # as NaN is no equal of its own
    assert verdict_tables.load(tmp_path / "none.json") == []


@pytest.mark.parametrize("text", ["", "{}", "[1]", '[{"id": "C1"}]', '[{"value": 1, "low": 0, "high": 1}]', "\xff"])
def test_a_file_that_is_no_list_of_verdicts_is_refused(tmp_path, text):
    file = tmp_path / "claims.json"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(SweepError, match=r"claims.json is not a list of verdicts \(.*\): mend it"):
        verdict_tables.load(file)


def test_new_verdicts_replace_those_of_their_id_and_the_order_is_that_of_people():
    def named(id, source="001", **more):
        return replace(VERDICT, id=id, source=source, **more)

    kept = [named("C10"), named("A1", "002"), named("C2")]
    merged = verdict_tables.merge(
        kept, [named("C2", verdict="confirmed"), named("C1"), named("C2b"), named("B9", "001a")]
    )
    assert [verdict.id for verdict in merged] == ["C1", "C2", "C2b", "C10", "B9", "A1"]
    assert merged[1].verdict == "confirmed"


def test_a_block_is_replaced_and_the_rest_stays():
    text = verdict_tables.fill(PAGE, [VERDICT], Path("docs"))
    table = (
        "| claim | said by | criterion | measured, 95% interval | seeds | verdict | figure |\n"
        "| --- | --- | --- | --- | --- | --- | --- |\n"
        "| C2: Sine \\| cosine. | 001 | at most 0.3 | 0.123 [0.1, ∞] | 16 | **undecided** "
        "| [accuracy](../figures/questions/xor/accuracy.png) |\n"
    )
    none = "\nNo claim of this source has been decided yet.\n"
    assert text == PAGE.replace("old\n", table).replace("002 -->", f"002 -->{none}")
    assert verdict_tables.fill(text, [VERDICT], Path("docs")) == text


def test_a_claim_stands_in_the_block_that_its_source_begins_with_the_longest_if_there_are_two():
    some = [replace(VERDICT, id=f"of {source}", source=source) for source in ("001", "001a", "001b")]
    page = "<!-- claims 001 -->\n<!-- end of claims -->\n<!-- claims 001a -->\n<!-- end of claims -->"
    first, second = verdict_tables.fill(page, some, Path()).split("<!-- claims 001a -->")
    assert [name in first for name in ("of 001:", "of 001a:", "of 001b:")] == [True, False, True]
    assert [name in second for name in ("of 001:", "of 001a:", "of 001b:")] == [False, True, False]


@pytest.mark.parametrize(
    ("page", "message"),
    [
        ("", "the answer page has no block for claim 'C2' of '001': write <!-- claims 001 -->"),
        ("<!-- claims 002 --><!-- end of claims -->", "no block for claim 'C2'"),
        ("<!-- claims 0011 --><!-- end of claims -->", "no block for claim 'C2'"),
        ("<!-- claims 001 -->\n", "block of claims 001 has no end"),
        ("<!-- claims 001 -->\n<!-- claims 002 -->\n<!-- end of claims -->", "block of claims 001 has no end"),
        ("<!-- end of claims -->\n", "without a beginning"),
        ("<!-- claims 001 --><!-- end of claims --><!-- end of claims -->", "without a beginning"),
    ],
)
def test_a_page_without_whole_blocks_is_refused(page, message):
    with pytest.raises(SweepError) as refused:
        verdict_tables.fill(page, [VERDICT], Path())
    assert message in str(refused.value)


def test_seeds_that_could_not_tell_are_told():
    assert "14 (+2 unknown)" in verdict_tables.table([replace(VERDICT, seeds=14, unknown=2)], Path())


def test_files_are_replaced_all_or_none(tmp_path):
    there = tmp_path / "answers.md"
    there.write_text("old")
    with pytest.raises(SweepError, match=r"can't write .*nowhere/claims.json: No such file"):
        verdict_tables.replace_files({there: "new", tmp_path / "nowhere/claims.json": "[]"})
    assert there.read_text() == "old"
    assert os.listdir(tmp_path) == ["answers.md"]
    verdict_tables.replace_files({there: "new", tmp_path / "claims.json": "[]"})
    assert there.read_text() == "new"
    assert sorted(os.listdir(tmp_path)) == ["answers.md", "claims.json"]


def test_the_interval_of_a_mean_of_few_seeds_says_what_it_holds_in():
    few = replace(VERDICT, criterion="mean at least 0.5", seeds=8)
    assert verdict_tables.verdict_words(few)[3].endswith("if values are skewed)")
    for other in (replace(few, seeds=512), replace(few, criterion="median at least 0.5")):
        assert "skewed" not in verdict_tables.verdict_words(other)[3]
