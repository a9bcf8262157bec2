import pytest

from adql.config import ReplayServerSettings
from adql.errors import InputError
from adql_services.runtime.tokens import Tokens


@pytest.fixture
def file(tmp_path):
    return tmp_path / "token"


def test_every_line_is_accepted_and_the_first_is_sent(file):
    file.write_text("new\nold\n\n")
    tokens = Tokens(file)
    assert tokens.all()[0] == "new" and tokens.accepts("new") and tokens.accepts(b"old")


@pytest.mark.parametrize("presented", ["", "ne", "new ", "NEW", "new\nold", "nåw", "\udcff", b"\xff\xfe"])
def test_anything_else_is_not(file, presented):
    file.write_text("new\nold\n")
    assert not Tokens(file).accepts(presented)


def test_a_changed_file_counts_from_the_next_request_on(file, tmp_path):
    file.write_text("one\n")
    tokens = Tokens(file)
    (tmp_path / "next").write_text("two\n")
    (tmp_path / "next").rename(file)
    assert tokens.accepts("two") and not tokens.accepts("one")


@pytest.mark.parametrize("rotate", [lambda file: file.unlink(), lambda file: file.write_text("")])
def test_a_file_that_is_gone_or_empty_for_a_moment_changes_nothing(file, rotate):
    file.write_text("one\n")
    tokens = Tokens(file)
    rotate(file)
    assert tokens.accepts("one") and not tokens.accepts("")


@pytest.mark.parametrize("content", [None, "", "\n\n", "with space\n", "ümlaut\n"])
def test_a_file_without_a_token_is_refused_at_start(file, content):
    if content is not None:
        file.write_text(content)
    with pytest.raises(InputError, match="token file"):
        Tokens(file)


def test_authentication_is_on_unless_it_is_switched_off(file):
    file.write_text("one\n")
    assert Tokens.of(ReplayServerSettings(token_file=file)).all()[0] == "one"
    assert Tokens.of(ReplayServerSettings(auth=False)) is None
    with pytest.raises(InputError, match="ADQL_AUTH=false"):
        Tokens.of(ReplayServerSettings())
