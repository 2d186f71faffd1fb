import pytest

from edgewise.scripts import mostly_latin, share_outside_latin


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("", 0.0),
        ("12 + 30 = 42 €, 👍", 0.0),
        ("Straße, naïve, e\u0301cole, Łódź, İstanbul, Việt", 0.0),
        ("ＦＵＬＬ ﬁrst 𝐛𝐨𝐥𝐝 ª", 0.0),
        ("abc где", 0.5),
        ("水泵的保修期有多长？", 1.0),
        ("Πόσο", 1.0),
        ("ab ไทย c", 0.5),
        ("한국어 abc", 0.5),
    ],
)
def test_the_share_of_letters_outside_latin(text: str, share: float) -> None:
    assert share_outside_latin(text) == share


@pytest.mark.parametrize(
    ("text", "latin"),
    [
        ("What does 知识 mean in Chinese?", True),
        ("abcdefg где", True),  # 3 of 10
        ("abcdef гдеж", False),  # 4 of 10
        ("iPhone 15 Pro Max 的价格是多少？", False),
        ("Где находится музей?", False),
        ("1492", True),
    ],
)
def test_a_text_is_latin_if_most_letters_are(text: str, latin: bool) -> None:
    assert mostly_latin(text) is latin
