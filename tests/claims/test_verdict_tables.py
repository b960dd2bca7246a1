"""Verdicts as a JSON list and as tables in an answers file."""

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
ANSWERS = """# Answers

<!-- claims 001 -->
old
<!-- end of claims -->

In words.
<!-- claims 002 --><!-- end of claims --> The end."""


def test_json_is_standard_and_reads_back_unchanged(tmp_path):
    verdicts = [VERDICT, replace(VERDICT, id="C3", value=nan, low=-inf, unknown=2)]
    file = tmp_path / "claims.json"
    file.write_text(verdict_tables.format_json(verdicts), encoding="utf-8")

    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    first, second = json.loads(file.read_text(encoding="utf-8"), parse_constant=refuse)
    assert set(first) == {
        "id", "source", "text", "value", "low", "high", "seeds", "criterion", "verdict", "figure",
    }  # fmt: skip
    assert (first["value"], first["high"], second["value"], second["low"]) == (0.12345, "inf", "nan", "-inf")
    assert second["unknown"] == 2
    assert repr(verdict_tables.load(file)) == repr(verdicts)  # since NaN differs from itself
    assert verdict_tables.load(tmp_path / "none.json") == []


@pytest.mark.parametrize("text", ["", "{}", "[1]", '[{"id": "C1"}]', '[{"value": 1, "low": 0, "high": 1}]', "\xff"])
def test_a_file_that_is_no_list_of_verdicts_is_refused(tmp_path, text):
    file = tmp_path / "claims.json"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(SweepError, match=r"claims.json is not a list of verdicts \(.*\): repair it"):
        verdict_tables.load(file)


def test_new_verdicts_replace_those_of_the_same_id_in_natural_order():
    def named(id, source="001", **more):
        return replace(VERDICT, id=id, source=source, **more)

    kept = [named("C10"), named("A1", "002"), named("C2")]
    merged = verdict_tables.merge(
        kept, [named("C2", verdict="confirmed"), named("C1"), named("C2b"), named("B9", "001a")]
    )
    assert [verdict.id for verdict in merged] == ["C1", "C2", "C2b", "C10", "B9", "A1"]
    assert merged[1].verdict == "confirmed"


def test_a_block_is_replaced_and_the_rest_is_not_changed():
    text = verdict_tables.fill_tables(ANSWERS, [VERDICT], Path("docs"))
    table = (
        "| claim | said by | criterion | measured, 95% interval | seeds | verdict | figure |\n"
        "| --- | --- | --- | --- | --- | --- | --- |\n"
        "| C2: Sine \\| cosine. | 001 | at most 0.3 | 0.123 [0.1, ∞] | 16 | **undecided** "
        "| [accuracy](../figures/questions/xor/accuracy.png) |\n"
    )
    none = "\nNo claim of this source has been decided yet.\n"
    assert text == ANSWERS.replace("old\n", table).replace("002 -->", f"002 -->{none}")
    assert verdict_tables.fill_tables(text, [VERDICT], Path("docs")) == text


def test_a_claim_is_in_the_block_of_the_longest_name_that_its_source_begins_with():
    verdicts = [replace(VERDICT, id=f"of {source}", source=source) for source in ("001", "001a", "001b")]
    text = "<!-- claims 001 -->\n<!-- end of claims -->\n<!-- claims 001a -->\n<!-- end of claims -->"
    first, second = verdict_tables.fill_tables(text, verdicts, Path()).split("<!-- claims 001a -->")
    assert [name in first for name in ("of 001:", "of 001a:", "of 001b:")] == [True, False, True]
    assert [name in second for name in ("of 001:", "of 001a:", "of 001b:")] == [False, True, False]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the answers file has no block for claim 'C2' of '001': write <!-- claims 001 -->"),
        ("<!-- claims 002 --><!-- end of claims -->", "no block for claim 'C2'"),
        ("<!-- claims 0011 --><!-- end of claims -->", "no block for claim 'C2'"),
        ("<!-- claims 001 -->\n", "block of claims 001 has no end"),
        ("<!-- claims 001 -->\n<!-- claims 002 -->\n<!-- end of claims -->", "block of claims 001 has no end"),
        ("<!-- end of claims -->\n", "without a beginning"),
        ("<!-- claims 001 --><!-- end of claims --><!-- end of claims -->", "without a beginning"),
    ],
)
def test_a_text_with_incomplete_blocks_is_refused(text, message):
    with pytest.raises(SweepError) as refused:
        verdict_tables.fill_tables(text, [VERDICT], Path())
    assert message in str(refused.value)


def test_unknown_seeds_are_shown():
    assert "14 (+2 unknown)" in verdict_tables.table([replace(VERDICT, seeds=14, unknown=2)], Path())


def test_files_are_replaced_all_or_none(tmp_path):
    existing = tmp_path / "answers.md"
    existing.write_text("old")
    with pytest.raises(SweepError, match=r"can't write .*nowhere/claims.json: No such file"):
        verdict_tables.replace_files({existing: "new", tmp_path / "nowhere/claims.json": "[]"})
    assert existing.read_text() == "old"
    assert os.listdir(tmp_path) == ["answers.md"]
    verdict_tables.replace_files({existing: "new", tmp_path / "claims.json": "[]"})
    assert existing.read_text() == "new"
    assert sorted(os.listdir(tmp_path)) == ["answers.md", "claims.json"]


def test_the_interval_of_a_mean_of_few_seeds_shows_its_coverage():
    few = replace(VERDICT, criterion="mean at least 0.5", seeds=8)
    assert verdict_tables.verdict_words(few)[3].endswith("if values are skewed)")
    for other in (replace(few, seeds=512), replace(few, criterion="median at least 0.5")):
        assert "skewed" not in verdict_tables.verdict_words(other)[3]
