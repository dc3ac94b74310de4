import pytest
from hypothesis import given
from hypothesis import strategies as st

from sadgr.cache import escape, normalise_id, unescape

# Part of the format: these names stand in files that exist.
VECTORS = {
    "03bSnISJMiM$_$1": "03bSnISJMiM$_$1",
    "-rf": "%2Drf",
    "..": "%2E%2E",
    ".hidden": "%2Ehidden",
    "a/b": "a%2Fb",
    "100%": "100%25",
    "with space": "with space",
    " edge ": "%20edge%20",
    "Zoë": "Zo%C3%AB",
    "Zoe\u0308": "Zo%C3%AB",
    "情感": "%E6%83%85%E6%84%9F",
    "tab\there": "tab%09here",
    "end.": "end%2E",
}


@pytest.mark.parametrize(("clip_id", "name"), VECTORS.items())
def test_vectors_of_the_format(clip_id, name):
    assert escape(clip_id) == name
    assert unescape(name) == normalise_id(clip_id)


@given(st.text(min_size=1).filter(lambda text: ("\0" not in text and text.isprintable()) or len(text) > 3))
def test_escaping_is_reversible_and_harmless(text):
    try:
        clip_id = normalise_id(text)
    except ValueError:
        return
    name = escape(clip_id)
    assert unescape(name) == clip_id
    assert name.isascii() and name.isprintable()
    assert "/" not in name and not name.startswith((".", "-", " "))


@pytest.mark.parametrize("name", ["a/b", "%2f", "%41", "-a", "%", "%FF", "é", ""])
def test_names_that_no_id_has_are_refused(name):
    with pytest.raises(ValueError):
        unescape(name)


@pytest.mark.parametrize("clip_id", ["", "a\0b", "\ud800"])
def test_ids_that_cannot_be_stored_are_refused(clip_id):
    with pytest.raises(ValueError):
        escape(clip_id)
