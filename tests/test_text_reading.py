"""What people have of text: read to the last byte, or refused with the place and what to do."""

import gzip

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from variate.errors import DataError, DataWarning
from variate.kinds import kind_of
from variate.text.reading import expect_labels, is_text, read


def write(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_a_line_is_an_item(tmp_path):
    path = write(tmp_path / "a.txt", "One.\r\n\nTwo\x0b\u2028still two. \n   \nThree.")
    texts = read(path)
    assert texts.items == ["One.", "Two\x0b\u2028still two. ", "Three."]
    assert texts.notes == {"empty_lines": 2}
    assert texts.place(1) == f"{path}, line 3"
    assert texts.part([2]).place(0) == f"{path}, line 5"


def test_packed_marked_and_utf16(tmp_path):
    assert read(write(tmp_path / "a.txt.gz", gzip.compress("één\ntwee".encode()))).items[0] == "één"
    assert read(write(tmp_path / "b.txt", "\ufeffone\ntwo".encode())).items == ["one", "two"]
    assert read(write(tmp_path / "c.txt", "één\ntwee".encode("utf-16"))).items == ["één", "twee"]


def test_a_folder_is_its_files(tmp_path):
    write(tmp_path / "b.txt", "three\n")
    (tmp_path / "a").mkdir()
    write(tmp_path / "a" / "x.txt", "one\ntwo\n")
    texts = read(tmp_path)
    assert texts.items == ["one", "two", "three"]
    assert texts.notes == {"files": 2}
    assert texts.place(2).endswith("b.txt, line 1")
    write(tmp_path / "C.TXT", "four")
    write(tmp_path / "d.txt.gz", gzip.compress(b"five"))
    assert sorted(read(tmp_path).items) == ["five", "four", "one", "three", "two"]


@pytest.mark.filterwarnings("ignore:.*have no text")
@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_a_column_of_a_table(tmp_path, suffix):
    frame = pd.DataFrame({"n": ["1", "2", "3"], "said": ["Yes, I do.", None, "No."]})
    path = tmp_path / f"a{suffix}"
    if suffix == ".csv":
        frame.to_csv(path, index=False)
    elif suffix == ".jsonl":
        frame.to_json(path, orient="records", lines=True)
    else:
        frame.to_parquet(path)
    for column in ("said", None):  # the other one is of numbers
        texts = read(path, column)
        assert list(texts.items) == ["Yes, I do.", "No."]
        assert texts.notes == {"empty_lines": 1}
        assert texts.place(1).endswith("row 3")
    with pytest.raises(DataError, match=r"there is no column 'text'.*There is: 'n', 'said'"):
        read(path, "text")


def test_which_column_must_be_said(tmp_path):
    path = write(tmp_path / "a.csv", "title,review\nGood,Very good\nBad,Very bad\n")
    with pytest.raises(
        DataError, match=r"which column holds the text must be said.*'title', 'review'"
    ):
        read(path)
    numbers = write(tmp_path / "b.jsonl", '{"a": 1, "b": "x"}\n{"a": 2, "b": "y"}\n')
    with pytest.raises(DataError, match="row 1: 'a' is 1, and not text"):
        read(numbers, "a")


@pytest.mark.parametrize("make", [list, tuple, np.array, pd.Series])
def test_what_is_in_memory(make):
    assert list(read(make(["one", "two"])).items) == ["one", "two"]
    assert is_text(make(["one", "two"]))


@pytest.mark.parametrize("make", [pa.array, lambda x: pa.chunked_array([x]), pl.Series])
def test_columns_of_other_libraries(make):
    assert list(read(make(["one", "two"])).items) == ["one", "two"]


@pytest.mark.filterwarnings("ignore:.*have no text")
@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, pl.LazyFrame, pa.table])
def test_a_frame_is_no_list_of_its_columns(make):
    columns = {"said": ["Yes.", None, "No."], "sort": ["a", "b", None], "n": [1, 2, 3]}
    texts = read(make(columns), "said", "sort")
    assert list(texts.items) == ["Yes.", "No."]
    assert list(texts.labels) == ["a", None]
    assert texts.place(1) == "the frame, row 3"
    with pytest.raises(DataError, match="the frame: which column holds the text must be said"):
        read(make(columns))
    with pytest.raises(DataError, match="a mapping is no list of sentences"):
        read(columns)


def test_labels_that_are_asked_for_must_be_there(tmp_path):
    path = write(tmp_path / "a.csv", "said,sort\nYes.,a\nNo.,\n")
    assert list(read(path, "said", "sort").labels) == ["a", None]
    with pytest.raises(DataError, match=r"a.csv: there is no column 'stars' of labels"):
        expect_labels(read(path, "said", "stars"), "stars")
    with pytest.raises(DataError, match=r"the list: there is no column 'stars'.*fit\(X, labels"):
        expect_labels(read(["Yes.", "No."]), "stars")


@pytest.mark.parametrize("none", [None, float("nan"), np.float32("nan"), pd.NA, pd.NaT])
def test_what_is_no_label(none):
    assert read(["one", "two", "three"]).labelled(["a", none, ""]).labels == ["a", None, ""]


def test_an_empty_file(tmp_path):
    for content in ("", "\n\n  \n"):
        with pytest.raises(DataError, match=r"a.txt is empty: there is no sentence"):
            read(write(tmp_path / "a.txt", content))
    with pytest.raises(DataError, match="the list is empty"):
        read([])
    (tmp_path / "folder").mkdir()
    with pytest.raises(DataError, match=r"holds no \.txt files"):
        read(tmp_path / "folder")


def test_a_sentence_in_place_of_a_path():
    """A long one cannot be a path at all, and an empty one is no folder."""
    for sentence in ("so it goes " * 40, ""):
        with pytest.raises(
            DataError, match=r"does not exist\. A path is wanted here; sentences go"
        ):
            read(sentence)
        assert not is_text(sentence)
        with pytest.raises(DataError, match=r"does not exist"):
            kind_of(sentence)


def test_a_folder_of_mixed_files(tmp_path):
    write(tmp_path / "a.txt", "one\ntwo")
    write(tmp_path / "._a.txt", b"\x00\x05\x16\x07")
    write(tmp_path / "notes.md", "not this")
    (tmp_path / ".kept").mkdir()
    write(tmp_path / ".kept" / "a.txt", "one\ntwo")
    texts = read(tmp_path)
    assert texts.items == ["one", "two"]
    assert texts.notes == {"files": 1, "other_files": 1}


def test_rows_without_text_are_told():
    frame = pd.DataFrame({"said": ["one two", None, "three", " "], "n": [1, 2, 3, 4]})
    with pytest.warns(DataWarning, match=r"the frame: 2 of 4 rows have no text in 'said'"):
        found = read(frame)
    assert found.items == ["one two", "three"]
    assert found.rows() == [0, 2]


def test_a_whole_number_is_the_same_label_with_gaps_beside_it():
    assert read(["a", "b"]).labelled([5.0, None]).labels == ["5", None]
    assert read(["a", "b"]).labelled([5, 0.5]).labels == ["5", "0.5"]


def test_binary_junk(tmp_path):
    junk = write(tmp_path / "a.txt", b"fine\nab\x00\x01\xff\n")
    with pytest.raises(DataError, match=r"a.txt, line 2, byte 3: there is a zero byte.*binary"):
        read(junk)
    damaged = gzip.compress(b"fine\n" * 1000)
    write(tmp_path / "b.txt.gz", damaged[:20] + b"\xff" * 8 + damaged[28:])
    with pytest.raises(DataError, match=r"b.txt.gz cannot be read"):
        read(tmp_path / "b.txt.gz")
    cut = "één\ntwee".encode("utf-16")[:-1]
    with pytest.raises(DataError, match=r"c.txt: its mark says UTF-16.*cut short"):
        read(write(tmp_path / "c.txt", cut))
    assert read(write(tmp_path / "d.txt", "één\ntwee".encode("utf-32"))).items == ["één", "twee"]


def test_invalid_utf8_and_where(tmp_path):
    latin = write(tmp_path / "a.txt", b"fine\nstill fine\ncaf\xe9 noir\n")
    with pytest.raises(DataError, match=r"line 3, byte 4: the byte 0xE9 is not UTF-8.*iconv"):
        read(latin)


def test_what_is_no_text(tmp_path):
    with pytest.raises(DataError, match=r"item 1 \(counted from 0\) is None, and not text"):
        read(["one", None])
    with pytest.raises(DataError, match=r"does not exist\. A path is wanted here; sentences go in"):
        read("What is this?")
    for nothing in (None, 3):
        with pytest.raises(DataError, match="text is a path, or a list of str, got"):
            read(nothing)
    with pytest.raises(DataError, match="half of a surrogate pair"):
        read(["one", "t\udc80wo"])
    with pytest.raises(DataError, match="the ending does not say how the text is written"):
        read(write(tmp_path / "a.docx", "one"))
    with pytest.raises(DataError, match=r"cannot be read"):
        read(write(tmp_path / "a.txt.gz", b"not packed"))


def test_which_data_are_text(tmp_path):
    text = write(tmp_path / "a.txt", "one\ntwo")
    assert kind_of(text) == kind_of(tmp_path) == kind_of(["one", "two"]) == "text"
    assert kind_of(pd.Series(["one", "two"])) == "text"
    assert kind_of(np.zeros((3, 2))) == "table"
    assert kind_of(pd.DataFrame({"a": ["one"]})) == "table"
    write(tmp_path / "rows.csv", "a,b\n1,2\n")
    assert not is_text(tmp_path)  # a folder of tables, with a note
