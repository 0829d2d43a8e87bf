"""Lists of clips: csv, UCF101's, HMDB51's, one's own; with every oddity of spreadsheets, editors and other systems."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from tests.folders import labels, parts, read, refused, tree
from train.formats.split_file import split_list

Change: TypeAlias = Callable[[str], str]
CLIPS = ("train/a1.avi", "train/a2.avi", "train/b1.avi", "test/a3.avi", "test/b2.avi")
ROWS = {"train.csv": "a1.avi,wave\na2.avi,wave\nb1.avi,clap\n", "test.csv": "a3.avi,wave\nb2.avi,clap\n"}


def csv_set(root: Path, header: str = "video_name,tag\n") -> Path:
    tree(root, CLIPS)
    for name, rows in ROWS.items():
        (root / name).write_text(header + rows)
    return root


def ucf101(root: Path) -> Path:
    """Two classes in two official splits, the lists in a folder of their own."""
    names = [f"UCF-101/{c}/v_{c}_g{g:02d}_c01.avi" for c in ("Archery", "Biking") for g in range(1, 5)]
    tree(root, names)
    lists = root / "ucfTrainTestlist"
    lists.mkdir()
    (lists / "classInd.txt").write_text("1 Archery\n2 Biking\n")
    for split, tested in ((1, "1"), (2, "4")):
        short = [name.removeprefix("UCF-101/") for name in names]
        numbers = {"Archery": 1, "Biking": 2}
        train = [f"{name} {numbers[name.split('/')[0]]}" for name in short if f"_g0{tested}_" not in name]
        test = [name for name in short if f"_g0{tested}_" in name]
        (lists / f"trainlist0{split}.txt").write_text("\n".join(train) + "\n")
        (lists / f"testlist0{split}.txt").write_text("\n".join(test) + "\n")
    return root


def hmdb51(root: Path) -> Path:
    clips = {
        "wave": ["Film_A_wave_u_cm_np1_fr_med_0", "Film_A_wave_u_cm_np1_fr_med_1", "Film_B_wave_f_cm_np1_fr_med_0"],
        "clap": ["Film_C_clap_u_nm_np1_fr_goo_0", "Film_D_clap_u_nm_np1_fr_goo_0", "Film_E_clap_u_nm_np1_fr_goo_0"],
    }
    for label, names in clips.items():
        tree(root, [f"{label}/{name}.avi" for name in names])
        uses = {1: (1, 1, 2), 2: (2, 2, 1)} if label == "wave" else {1: (1, 2, 0), 2: (2, 1, 1)}
        for split, use in uses.items():
            lines = [f"{name}.avi {number} " for name, number in zip(names, use, strict=True)]
            (root / f"{label}_test_split{split}.txt").write_text("\n".join(lines) + "\n")
    return root


def test_csv_lists_name_clips_and_their_part(tmp_path: Path) -> None:
    dataset = read(csv_set(tmp_path))
    assert dataset.format == "train.csv and test.csv of video_name,tag"
    assert dataset.labels == ("none", "clap", "wave")
    assert labels(dataset) == {
        "test/a3.avi": "wave",
        "test/b2.avi": "clap",
        "train/a1.avi": "wave",
        "train/a2.avi": "wave",
        "train/b1.avi": "clap",
    }
    assert parts(dataset)["test/a3.avi"] == "test" and parts(dataset)["train/a1.avi"] == "training"
    assert dataset.remarks == ()


@pytest.mark.parametrize(
    ("header", "change"),
    [
        ("", lambda rows: rows),
        ("tag,video_name\n", lambda rows: "".join(f"{','.join(row.split(',')[::-1])}\n" for row in rows.split())),
        (",video_name,tag\n", lambda rows: "".join(f"{i},{row}\n" for i, row in enumerate(rows.split()))),
        ("video_name;tag\n", lambda rows: rows.replace(",", ";")),
        ("video_name\ttag\r\n", lambda rows: rows.replace(",", "\t").replace("\n", "\r\n")),
        ("video_name,tag\n", lambda rows: f"\n,\n{rows}\n\n  \n"),
        ("Video_Name, Tag\n", lambda rows: rows.replace(",", ' , "').replace("\n", ' "\n')),
        ("video_name,tag\n", lambda rows: "".join(f"C:\\clips\\{row}\n" for row in rows.split())),
        ("video_name,tag\n", lambda rows: rows.replace(".avi", "")),
    ],
    ids=["no header", "turned", "index", "semicolons", "tabs, CRLF", "blank", "quotes", "Windows", "no suffix"],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_the_same_list_in_other_hands(tmp_path: Path, header: str, change: Change, encoding: str) -> None:
    expected = labels(read(csv_set(tmp_path / "plain")))
    if "C:" in change("x"):  # names with folders that are not there: the files then lie free
        tree(tmp_path / "other", [Path(name).name for name in CLIPS])
        expected = {Path(name).name: label for name, label in expected.items()}
    else:
        tree(tmp_path / "other", CLIPS)
    for name, rows in ROWS.items():
        (tmp_path / "other" / name).write_text(header + change(rows), encoding=encoding, newline="")
    dataset = read(tmp_path / "other")
    assert labels(dataset) == expected
    assert dataset.remarks == ()


def test_names_with_spaces_commas_and_quotes(tmp_path: Path) -> None:
    tree(tmp_path, ["a, b.mp4", "it's 'so'.mp4", "c d.mp4", "e.mp4"])
    rows = 'video_name,tag\n"a, b.mp4",wave\n"it\'s \'so\'.mp4",wave\nc d.mp4,clap\n"e.mp4","clap"\n'
    (tmp_path / "train.csv").write_text(rows)
    found = labels(read(tmp_path))
    assert found == {"a, b.mp4": "wave", "c d.mp4": "clap", "e.mp4": "clap", "it's 'so'.mp4": "wave"}


def test_what_is_missing_or_listed_twice_is_told_with_its_line(tmp_path: Path) -> None:
    csv_set(tmp_path)
    with (tmp_path / "train.csv").open("a") as file:
        file.write("gone.avi,wave\na1.avi,wave\na3.avi,wave\n")
    dataset = read(tmp_path)
    missing, twice, both = dataset.remarks[0], dataset.remarks[1], dataset.remarks[2]
    assert missing.endswith("train.csv, line 5: left out: no such recording: gone.avi")
    assert twice.endswith("train.csv, line 6: listed twice: a1.avi, as in train.csv, line 2")
    # test.csv is read before train.csv.
    assert both.endswith("train.csv, line 7: in both test and training: a3.avi; it counts as test alone")
    assert parts(dataset)["test/a3.avi"] == "test"
    assert len(dataset.recordings) == 5


def test_a_clip_with_two_labels_is_refused(tmp_path: Path) -> None:
    csv_set(tmp_path)
    with (tmp_path / "train.csv").open("a") as file:
        file.write("a1.avi,clap\n")
    assert "train.csv, line 5: a1.avi is 'clap' here and 'wave' in" in refused(tmp_path)


def test_bad_lists_get_one_line(tmp_path: Path) -> None:
    csv_set(tmp_path)
    train = tmp_path / "train.csv"
    whole = train.read_bytes()

    train.write_bytes(whole + b"caf\xe9.avi,wave\n")
    assert "train.csv, line 5: expected text in UTF-8, got byte 0xe9" in refused(tmp_path)
    train.write_bytes(whole + b"a2.avi\n")
    assert "train.csv, line 5: expected a video's name and its label, got 'a2.avi'" in refused(tmp_path)
    train.write_bytes(whole + b'"a2.avi,wave\n')
    assert "train.csv, line 5: expected cells with ',' between them" in refused(tmp_path)
    train.write_bytes(b"\xef\xbb\xbf\r\n ;;; \r\n")
    assert "train.csv is an empty list" in refused(tmp_path)
    train.write_text("video_name,tag\nx.avi,wave\ny.avi,clap\n")
    (tmp_path / "test.csv").unlink()
    line = refused(tmp_path)
    assert (
        "not one of the 2 recordings that the lists name" in line
        and "line 2: left out: no such recording: x.avi" in line
    )
    train.write_text("video_name,tag\na1.avi,wave\nb1.avi,Wave\n")
    assert "label 'wave' differs from 'Wave', that of" in refused(tmp_path)
    train.write_text("video_name,tag\na1.avi,wave\nb1.avi,None\n")
    assert "label 'None' differs from 'none', the label of nothing, only in case" in refused(tmp_path)


def test_class_folders_that_differ_in_case_are_refused(tmp_path: Path) -> None:
    assert "only in case or spaces" in refused(tree(tmp_path, ["Wave/1.mp4", "wave/2.mp4", "clap/1.mp4"]))


def test_ucf101_has_numbered_splits_whose_test_lists_have_no_label(tmp_path: Path) -> None:
    root = ucf101(tmp_path)
    dataset = read(root)
    assert dataset.format.startswith("UCF101")
    assert dataset.labels == ("none", "Archery", "Biking")
    assert len(dataset.recordings) == 8
    assert {each.group for each in dataset.recordings if each.part == "test"} == {"g01"}
    assert {each.group for each in dataset.recordings if each.part == "training"} == {"g02", "g03", "g04"}
    assert labels(dataset)["UCF-101/Biking/v_Biking_g01_c01.avi"] == "Biking"
    second = read(root, split="2")
    assert {each.group for each in second.recordings if each.part == "test"} == {"g04"}
    assert "no trainlist of split 3: expected one of 1, 2" in refused(root, split="3")


def test_ucf101_classes_are_counted_from_one(tmp_path: Path) -> None:
    root = ucf101(tmp_path)
    train = root / "ucfTrainTestlist/trainlist01.txt"
    train.write_text(train.read_text().replace("Biking/v_Biking_g02_c01.avi 2", "Biking/v_Biking_g02_c01.avi 1"))
    assert "trainlist01.txt, line 4: class 1 is 'Archery' in classind.txt, but the clip lies in 'Biking'" in refused(
        root
    )
    train.write_text(train.read_text().replace("g02_c01.avi 1", "g02_c01.avi 0"))
    assert "line 1: there is no class 0: classind.txt has 1 to 2" in refused(root)
    (root / "ucfTrainTestlist/classInd.txt").write_text("1 Archery\n1 Biking\n")
    assert "classInd.txt, line 2: class 1 is 'Archery' already" in refused(root)


def test_ucf101_lists_from_windows_beside_the_clips(tmp_path: Path) -> None:
    root = ucf101(tmp_path)
    for file in (root / "ucfTrainTestlist").iterdir():
        text = file.read_text().replace("/", "\\").replace("\n", "\r\n")
        (root / file.name).write_text(text, encoding="utf-8-sig", newline="")
        file.unlink()
    assert len(read(root).recordings) == 8
    assert read(root).remarks == ()


def test_lists_with_tabs(tmp_path: Path) -> None:
    for root in (ucf101(tmp_path / "ucf"), hmdb51(tmp_path / "hmdb")):
        expected = parts(read(root))
        for file in root.rglob("*.txt"):
            file.write_text(file.read_text().replace(" ", "\t"))
        assert parts(read(root)) == expected


def test_accents_and_links(tmp_path: Path) -> None:
    """An é is two letters on a Mac and one elsewhere; folders of large sets are often links, and some lead back."""
    tree(tmp_path / "disk", ["cafe\u0301.mp4", "plain.mp4"])
    (tmp_path / "set").mkdir()
    (tmp_path / "set/videos").symlink_to(tmp_path / "disk")
    (tmp_path / "disk/back").symlink_to(tmp_path / "set")
    (tmp_path / "set/train.csv").write_text("video_name,tag\ncaf\u00e9.mp4,wave\nplain.mp4,clap\n")
    assert [each.label for each in read(tmp_path / "set").recordings] == ["wave", "clap"]


def test_hmdb51_uses_one_two_and_zero(tmp_path: Path) -> None:
    dataset = read(hmdb51(tmp_path))
    assert dataset.format == "HMDB51's split files"
    found = parts(dataset)
    assert found["wave/Film_A_wave_u_cm_np1_fr_med_0.avi"] == "training"
    assert found["wave/Film_B_wave_f_cm_np1_fr_med_0.avi"] == "test"
    assert "clap/Film_E_clap_u_nm_np1_fr_goo_0.avi" not in found
    assert {each.group for each in dataset.recordings} == {"Film_A", "Film_B", "Film_C", "Film_D"}
    (remark,) = dataset.remarks
    assert remark.endswith("left out: clips marked 0, which neither train nor test, in split 1: 1")
    assert len(read(tmp_path, split="2").recordings) == 6
    (tmp_path / "wave_test_split1.txt").write_text("Film_A_wave_u_cm_np1_fr_med_0.avi 3\n")
    assert "wave_test_split1.txt, line 1: expected a clip's name and 1, 2 or 0" in refused(tmp_path)


def test_a_list_of_ones_own_divides_any_format(tmp_path: Path) -> None:
    root = tree(tmp_path / "clips", ["wave/1.mp4", "wave/2.mp4", "wave/x.mp4", "clap/1.mp4", "clap/3.mp4"])
    file = tmp_path / "mine.txt"
    file.write_text("wave/1.mp4:training\nwave\\2:test\nclap/1:validation\n\n3.mp4 : train\n5.mp4:test\n")
    dataset = read(root, split=str(file))
    found = parts(dataset)
    assert found == {
        "clap/1.mp4": "validation",
        "clap/3.mp4": "training",
        "wave/1.mp4": "training",
        "wave/2.mp4": "test",
    }
    assert any("line 6: no such recording: 5.mp4" in remark for remark in dataset.remarks)
    assert any("left out, since it is not listed" in remark and "x.mp4" in remark for remark in dataset.remarks)

    file.write_text("wave/2.mp4\nclap/3.mp4\n")
    found = parts(read(root, split=f"{file}:test"))
    assert [name for name, part in found.items() if part == "test"] == ["clap/3.mp4", "wave/2.mp4"]
    assert list(found.values()).count("training") == 3
    assert "expected filename:training" in refused(root, split=str(file))
    file.write_text("1.mp4:test\n")
    assert "line 1: 1.mp4 may be any of 2 recordings" in refused(root, split=str(file))
    file.write_text("wave/1.mp4:test\nwave/1.mp4:training\n")
    assert "wave/1.mp4 is for training here and for test in line 1" in refused(root, split=str(file))
    assert "no list absent.txt" in refused(root, split="absent.txt")
    assert "has no split 2" in refused(root, split="2")


def test_a_list_of_ones_own_tells_clips_apart_by_all_of_their_folders(tmp_path: Path) -> None:
    """As the list does that a run keeps; two of them may be called alike, but for the folder of their part."""
    names = [f"{part}/{label}/1.mp4" for part in ("test", "train") for label in ("clap", "wave")]
    root, file = tree(tmp_path / "clips", names), tmp_path / "mine.txt"
    file.write_text("".join(f"{name}:{'training' if 'clap' in name else 'test'}\n" for name in names))
    dataset = read(root, split=str(file))
    assert list(parts(dataset).items()) == [(n, "training" if "clap" in n else "test") for n in names]
    file.write_text(split_list(dataset.root, dataset.recordings))
    assert read(root, split=str(file)).recordings == dataset.recordings
    file.write_text("clap/1.mp4:test\n")
    assert "clap/1.mp4 may be any of 2 recordings: give its folders too, as in test/clap/1.mp4" in refused(
        root, split=str(file)
    )


def test_a_list_of_ones_own_must_not_divide_a_group(tmp_path: Path) -> None:
    root = tree(tmp_path / "clips", ["wave/g01_a.mp4", "wave/g01_b.mp4", "clap/g02.mp4"])
    (tmp_path / "mine.txt").write_text("wave/g01_a.mp4:training\nwave/g01_b.mp4:test\nclap/g02.mp4:training\n")
    assert "groups in several parts of the split: 1, the first: g01 in test and training" in refused(
        root, split=str(tmp_path / "mine.txt")
    )


def test_folders_may_say_the_part(tmp_path: Path) -> None:
    root = tree(
        tmp_path, ["train/wave/g1.mp4", "Test/wave/g2.mp4", "train/clap/g3.mp4", "Test/clap/g4.mp4", "val/clap/5.avi"]
    )
    dataset = read(root)
    assert dataset.format == "train and test folders of class folders"
    assert parts(dataset) == {
        "Test/clap/g4.mp4": "test",
        "Test/wave/g2.mp4": "test",
        "train/clap/g3.mp4": "training",
        "train/wave/g1.mp4": "training",
        "val/clap/5.avi": "validation",
    }
    assert dataset.labels == ("none", "clap", "wave")
    assert [each.group for each in dataset.recordings] == ["g4", "g2", "g3", "g1", "val/clap/5.avi"]
    # A class may be called train: where one holds clips itself, these are classes.
    classes = read(tree(tmp_path / "vehicles", ["train/1.mp4", "bus/1.mp4"]))
    assert classes.labels == ("none", "bus", "train")


@pytest.mark.parametrize("listed", [False, True])
def test_clips_of_two_parts_that_are_called_alike_are_no_group(tmp_path: Path, listed: bool) -> None:
    """Who numbers the clips of each folder from 1 has not put one sequence on both sides."""
    names = [f"{part}/{label}/1.mp4" for part in ("test", "train") for label in ("clap", "wave")]
    if listed:
        for part in ("test", "train"):
            rows = "".join(f"{name},{name.split('/')[1]}\n" for name in names if name.startswith(part))
            (tmp_path / f"{part}.csv").write_text(rows)
        names = [f"videos/{name}" for name in names]
    dataset = read(tree(tmp_path, names))
    assert [each.group for each in dataset.recordings] == names
    assert [each.part for each in dataset.recordings] == ["test"] * 2 + ["training"] * 2
    assert not dataset.remarks


def test_a_file_of_no_format_is_refused(tmp_path: Path) -> None:
    tree(tmp_path, ["notes.doc"])
    assert "notes.doc is a file of no format that is known" in refused(tmp_path / "notes.doc")
