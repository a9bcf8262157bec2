"""A bundle is whole or refused, and never writes out of its folder."""

import io
import tarfile

import pytest

from adql.bundle import MANIFEST, Part, read_bundle, write_bundle
from adql.errors import MalformedBodyError

CONTENT = {"run.yaml": b"run: {}\n", "checkpoints/1.2.3.safetensors": bytes(range(256)) * 5_000, "empty.csv": b""}


def bundle(content=None):
    out = io.BytesIO()
    write_bundle(out, [Part.of(name, text) for name, text in (content or CONTENT).items()])
    return out.getvalue()


def members(data):
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return [(member, tar.extractfile(member).read()) for member in tar]


def packed(found):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w|") as tar:
        for member, content in found:
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return out.getvalue()


def test_files_come_as_they_were(tmp_path):
    read_bundle(io.BytesIO(bundle()), tmp_path)
    assert {name: (tmp_path / name).read_bytes() for name in CONTENT} == CONTENT
    assert not (tmp_path / MANIFEST).exists()


def test_file_that_grows_meanwhile_is_cut_where_it_was(tmp_path):
    out = io.BytesIO()
    write_bundle(out, [Part("episodes.csv", io.BytesIO(b"a\nb\ntorn"), 4)])
    read_bundle(io.BytesIO(out.getvalue()), tmp_path)
    assert (tmp_path / "episodes.csv").read_bytes() == b"a\nb\n"


def test_stream_that_ends_anywhere_is_refused(tmp_path):
    whole = bundle()
    last = max(end for end in range(0, len(whole), 512) if whole[end : end + 512].strip(b"\0"))
    for number, end in enumerate([*range(0, last + 512, 51_200), last, last + 10]):
        (folder := tmp_path / str(number)).mkdir()
        with pytest.raises(MalformedBodyError, match="not whole"):
            read_bundle(io.BytesIO(whole[:end]), folder)


def test_changed_byte_and_changed_set_of_files_are_refused_by_name(tmp_path):
    found = members(bundle())
    flipped = [(m, c.replace(b"\x07", b"\x08") if m.name.startswith("check") else c) for m, c in found]
    with pytest.raises(MalformedBodyError, match=r"not whole: checkpoints/1\.2\.3\.safetensors; try again"):
        read_bundle(io.BytesIO(packed(flipped)), tmp_path)
    (tmp_path / "two").mkdir()
    with pytest.raises(MalformedBodyError, match=r"not whole: run\.yaml; try again"):
        read_bundle(io.BytesIO(packed(found[1:])), tmp_path / "two")


@pytest.mark.parametrize("name", ["../out", "/etc/passwd", "a/b/c", ".hidden", "x/../../y", "", "a/.."])
def test_name_that_leads_out_of_the_folder_is_refused(tmp_path, name):
    member = tarfile.TarInfo(name)
    with pytest.raises(MalformedBodyError):
        read_bundle(io.BytesIO(packed([(member, b"x")])), tmp_path)
    assert not list(tmp_path.parent.glob("out")) and not list(tmp_path.iterdir())


def test_link_is_no_file_of_a_run(tmp_path):
    member = tarfile.TarInfo("run.yaml")
    member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
    with pytest.raises(MalformedBodyError, match="is no file of a run"):
        read_bundle(io.BytesIO(packed([(member, b"")])), tmp_path)
