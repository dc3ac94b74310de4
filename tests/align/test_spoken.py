"""What is said for a word, by a table of what people say, and for any word at all."""

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sadgr.align.spoken import plain_letters, spoken_forms

SAID = {
    # whole numbers; grouped by commas only where the groups are thousands
    "0": "zero",
    "7": "seven",
    "42": "forty two",
    "911": "nine hundred eleven",
    "1,000": "one thousand",
    "1,234,567": "one million two hundred thirty four thousand five hundred sixty seven",
    "1,5": "one five",
    "1,,2": "one two",
    "007": "zero zero seven",
    "-5": "five",
    "+1": "plus one",
    "#1": "number one",
    "1234567890123456": "one two three four five six seven eight nine zero one two three four five six",
    "１２": "twelve",
    # decimals, digit by digit after the point
    "3.14": "three point one four",
    "1.0": "one point zero",
    "2.10": "two point one zero",
    ".5": "point five",
    "(.5)": "point five",
    "...5": "five",
    "1,000.5": "one thousand point five",
    "1.2.3": "one point two three",
    "50%": "fifty percent",
    "10%-20%": "ten percent twenty percent",
    "½": "half",
    "1½": "one half",
    # money
    "$5": "five dollars",
    "$1": "one dollar",
    "$5.": "five dollars",
    "$5.00": "five dollars",
    "$1.01": "one dollar and one cent",
    "$5,000.50": "five thousand dollars and fifty cents",
    "$.99": "ninety nine cents",
    "$0.99": "ninety nine cents",
    "$0": "zero dollars",
    "$0.00": "zero dollars",
    "£2.50": "two pounds and fifty pence",
    "€20": "twenty euros",
    "¥1": "one yen",
    "$1.5M": "one point five million dollars",
    "$10K": "ten thousand dollars",
    "$3million": "three million dollars",
    "$1.5": "one point five dollars",
    "'$5.'": "five dollars",
    "$5-$10": "five dollars ten dollars",
    "$": "",
    # years, decades, ordinals
    "1984": "nineteen eighty four",
    "1900": "nineteen hundred",
    "1905": "nineteen oh five",
    "2000": "two thousand",
    "2005": "two thousand five",
    "2019": "twenty nineteen",
    "1984.": "nineteen eighty four",
    "1980s": "nineteen eighties",
    "1990's": "nineteen nineties",
    "'80s": "eighties",
    "’80s": "eighties",
    "60S": "sixties",
    "1800s": "eighteen hundreds",
    "1980's-style": "nineteen eighties style",
    "6s": "sixes",
    "747s": "seven hundred forty sevens",
    "1st": "first",
    "2ND": "second",
    "3rd,": "third",
    "21st": "twenty first",
    "111th": "one hundred eleventh",
    "10,000th": "ten thousandth",
    "2nd-hand": "second hand",
    "20th-century": "twentieth century",
    # the clock and other ratios
    "12:30": "twelve thirty",
    "12:05": "twelve oh five",
    "3:00": "three",
    "3:00pm": "three p m",
    "10am": "ten a m",
    "8pm.": "eight p m",
    "24/7": "twenty four seven",
    "9/11": "nine eleven",
    "9-11": "nine eleven",
    # initials, letters and titles
    "U.S.": "u s",
    "U.S.A.'s": "u s a's",
    "(J.K.)": "j k",
    "a.m.,": "a m",
    "U.S.-based": "u s based",
    "Ph.D.": "ph d",
    "A's": "a's",
    "Mr.": "mr",
    "St.": "st",
    "C++": "c plus plus",
    "AT&T": "at and t",
    "4K": "four k",
    "MP3": "mp three",
    "4x4": "four x four",
    "@home": "at home",
    "1+1=2": "one plus one equals two",
    # clitics and apostrophes that are quotation marks
    "I'm": "i'm",
    "don’t": "don't",
    "don`t": "don't",
    "wouldn't've": "wouldn't've",
    "rock'n'roll": "rock'n'roll",
    "o'clock": "o'clock",
    "dogs'": "dogs",
    "James's": "james's",
    "'quoted'": "quoted",
    "“quoted,”": "quoted",
    "'em": "'em",
    "’cause": "'cause",
    "'TIL": "'til",
    "rock-'n'-roll": "rock 'n roll",
    "IT'S": "it's",
    # hesitations, brackets, compounds
    "(umm)": "umm",
    "(UHH)": "uhh",
    "hmmmmm": "hmm",
    "Soooo": "soo",
    "www": "www",
    "VIII": "viii",
    "mm-hmm": "mm hmm",
    "well-known": "well known",
    "and/or": "and or",
    "wait...what?!": "wait what",
    "wait…what": "wait what",
    "this—that": "this that",
    "_so_": "so",
    "foo_bar": "foo bar",
    # accents, ligatures, other scripts
    "café": "cafe",
    "Zoë": "zoe",
    "Straße": "strasse",
    "Ørsted": "orsted",
    "Æsop": "aesop",
    "İstanbul": "istanbul",
    "ﬁsh": "fish",
    "Kleenex™": "kleenex",
    "情感": "情感",
    "Москва": "москва",
    # nothing to say
    "--": "",
    "...": "",
    "♪": "",
    "'": "",
    "(?)": "",
}


@pytest.mark.parametrize(("word", "said"), SAID.items())
def test_words_are_said_as_people_say_them(word, said):
    assert " ".join(spoken_forms(word)) == said


@pytest.mark.parametrize("word", [word for word in SAID if word.isascii()])
def test_upper_case_transcripts_are_said_alike(word):
    """CMU-MOSI's transcripts are all upper case."""
    assert spoken_forms(word.upper()) == spoken_forms(word) == spoken_forms(word.lower())


@pytest.mark.parametrize("digits", [15, 16, 309, 5000])
@pytest.mark.parametrize("pattern", ["{}", "${}", "{}th", "{}s", "{}%", "0.{}", "${}.99", "${}k", "x{}"])
def test_numbers_of_any_length_are_said(digits, pattern):
    """num2words gives up at 10**306, and Python's int() at 4300 digits."""
    said = spoken_forms(pattern.format("9" * digits))
    assert "nine" in " ".join(said)
    if digits > 15:
        assert said.count("nine") >= digits - 1


# Characters of the rules' own alphabet meet far more of their seams than characters of all Unicode would.
words = st.text("0123456789.,:$£%'’-/#&+@()½ \taAmMpPsStThHkKnNdDrRéßæ情٣²™…", max_size=14) | st.text(max_size=8)


@settings(deadline=None)  # a busy machine is no failure
@given(words)
@example("٣٤")
@example("፩")
@example("ŉ")
@example("´")
@example("¨")
@example("$٠.٠٠")
@example("0" * 20 + "s")
def test_any_word_is_said_in_clean_words(word):
    for form in spoken_forms(word):
        assert re.fullmatch(r"[a-z]+('[a-z]+)*|'[a-z]+", form) or re.search(r"[^\W\d_a-z]", form)
        assert not re.search(r"[\s0-9.,()$£%/-]", form)
        assert form == form.casefold()


@settings(deadline=None)  # a busy machine is no failure
@given(words)
def test_letters_that_english_lacks_stay_and_no_letter_is_invented(word):
    """Without digits and signs, the forms hold the word's own letters in order."""
    if word.isascii() and not re.search(r"[0-9$&+@%=#]|(.)\1\1", word.lower()):
        letters = re.sub("[^a-z]", "", word.lower())
        assert "".join(spoken_forms(word)).replace("'", "") == letters


@settings(deadline=None)  # a busy machine is no failure
@given(st.integers(0, 10**15 - 1))
def test_a_number_sounds_the_same_with_and_without_commas(number):
    if not 1100 <= number < 2100:  # a year, without the comma
        assert spoken_forms(f"{number:,}") == spoken_forms(str(number))


@settings(deadline=None)  # a busy machine is no failure
@given(st.lists(words, max_size=3))
def test_quotation_marks_and_brackets_say_nothing(parts):
    word = "".join(parts).replace("'", "").replace("’", "")
    for left, right in (("(", ")"), ("“", "”"), ("[", "],"), ("<", ">")):
        assert spoken_forms(f"{left}{word}{right}") == spoken_forms(word)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("don't", "dont"),
        ("cannot", "can-not"),
        ("1984", "nineteen-eighty-four"),
        ("NASA’s", "nasa's"),
        ("café", "CAFE"),
    ],
)
def test_spellings_of_one_word_share_their_letters(one, other):
    assert plain_letters(one) == plain_letters(other) != ""
