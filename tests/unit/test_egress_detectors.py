"""What the detectors see and, as important, what they leave alone. Every secret here is made up."""

from __future__ import annotations

import subprocess
import sys
import unicodedata
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.egress.detectors.structural import detect

MIB = 1024 * 1024

KEYS = [
    "AKIAIOSFODNN7EXAMPLE", "ASIAY34FZKBOKMUTVV7A", "AIzaSyA1234567890abcdefghijklmnopqrstuv",
    "ghp_abcdefghijklmnopqrstuvwxyz0123456789", "gho_16C7e42F292c6912E7710c838347Ae178B4a",
    "github_pat_11ABCDEFG0abcdefghijkl_mnopqrstuvwxyz", "glpat-abcdefghijklmnopqrst",
    "xoxb-123456789012-abcdefGHIJKL", "sk_live_abcdefghijklmnop1234", "sk-abcdefghijklmnop1234",
    "sk-egqyiidbZlKczddtZgmFieyf",
    "sk-proj-Ab1cdefghijklmnopqrstuvwx", "sk-ant-api03-abcdefghijklmnop", "npm_abcdefghijklmnopqrstuvwxyz0123456789",
    "hf_abcdefghijklmnopqrstuvwxyzABCDEFGH", "SG.abcdefghijklmnopqrstuv.abcdefghijklmnopqrstuvwxyz",
    "110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw_", "dop_v1_" + "0123456789abcdef" * 4,
    "shpat_" + "0123456789abcdef" * 2, "LTAI4FoDtCgQwExample12",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
    "https://hooks.slack.com/services/T0000AAAA/B0000BBBB/abcdefghijklmnopqrstuvwx",
    "postgresql://ada:hunter2@db.example.com/main", "AccountKey=" + "Ab1/" * 22, "-----BEGIN RSA PRIVATE KEY-----",
    "-----BEGIN PRIVATE KEY-----", "-----BEGIN OPENSSH PRIVATE KEY-----", "-----BEGIN PGP PRIVATE KEY BLOCK-----",
    "Bearer abcdef0123456789abcdef0123", "password: hunter2", "PASSWORD=hunter2", "the password is hunter2",
    "passwd = s3cr3t!x", "pwd: Tr0ub4dor&3", "passphrase: purple horse",
    'api_key = "a8f5f167f44f4964e6c998dee827110c"', "secret_key: 9fK2pQx7LmN4vB8s", '"token": "Zx81kQ0aVt55Lw2pRr"',
    "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "client-secret=7Fh3kd93jDk20sLqP",
]  # fmt: skip
CARDS = [
    "4111111111111111", "4111 1111 1111 1111", "4111-1111-1111-1111", "4111.1111.1111.1111", "5500 0000 0000 0004",
    "378282246310005", "3782 822463 10005", "6011111111111117", "6011 1111 1111 1117", "30569309025904",
    "3056 930902 5904", "3530111333300000", "4222222222222", "2223003122003222", "6221 2600 0000 0000",
    "5105105105105100", "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1",
]  # fmt: skip
IBANS = [
    "DE89370400440532013000", "DE89 3704 0044 0532 0130 00", "de89 3704 0044 0532 0130 00",
    "GB29 NWBK 6016 1331 9268 19", "FR14 2004 1010 0505 0001 3M02 606", "NL91ABNA0417164300",
    "CH93 0076 2011 6238 5295 7", "ES91 2100 0418 4502 0005 1332", "NO93 8601 1117 947", "BE68-5390-0754-7034",
    "IT60 X054 2811 1010 0000 0123 456", "SA03 8000 0000 6080 1016 7519",
]  # fmt: skip
PERSONS = [
    "11010519491231002X", "110105 19491231 002X", "11010519491231002x", "440524188001010014", "536-90-4399",
    "078-05-1120", "AB 12 34 56 C", "QQ123456C".replace("QQ", "AA"), "86 095 742 719", "65929970489",
    "1 84 12 76 451 089 46", "12345678Z", "X1234567L", "RSSMRA85T10A562S", "111.444.777-35", "2341 2341 2346",
    "ABCPE1234F", "A123456(3)", "A123456789", "900101-1234568", "811218-9876", "S1234567D",
]  # fmt: skip
PHONES = [
    "+1 202-555-0143", "+442079460958", "+44 20 7946 0958", "+49 30 901820", "+86 138 0013 8000", "+33 1 42 68 53 00",
    "(202) 555-0143", "202-555-0143", "415.555.2671", "1-800-356-9377", "13800138000", "138-0013-8000",
    "186 1234 5678", "020 7946 0958", "030 901820 12", "call me on 02079460958", "my number is 415 555 2671",
    "我的电话是01062795001", "手机:13912345678",
]  # fmt: skip
ADDRESSES = [
    "anna.b+x@example.co.uk", "li@example.cn", "root@db-1.internal.example.com", "o_o@x.io", "3c:22:fb:01:9a:7e",
    "3C-22-FB-01-9A-7E",
]  # fmt: skip
WORDS = [
    "My password is correcthorsebatterystaple", "our wifi password is swordfish", "his PIN is 4821",
    "the door code is 4711", "my passport number is L8988901", "Passport No: 123456789",
    "driver's license number D1234567", "my SSN is 536 90 4399", "bank account number 12345678",
    "My bank balance is 312 euros", "my salary is 4,300 a month", "I earn $92,000 a year",
    "I was diagnosed with type 2 diabetes, what should I eat?", "What does my biopsy mean?",
    "Is my prescription too strong?", "I'm pregnant, may I fly?", "My husband is an alcoholic, what can I do?",
    "my date of birth is 3 May 1985", "DOB: 03/05/1985", "I was born on 3 May 1985 in Leeds",
    "I live at 12 Harbour Road, is that flood land?", "my home address is 4 Elm Street",
    "Summarise this: STRICTLY CONFIDENTIAL. Our offer", "for internal use only: the roadmap",
    "credit card ending in 4242", "my seed phrase is legal winner thank year wave sausage worth",
    "Can my doctor see my medical records abroad?", "我的密码是abc12345", "密码:hunter2",
    "银行卡号6222021234567890123", "我的身份证丢了怎么办", "身份证号码:110105194912310", "我的病历说明了什么?",
    "他的工资是多少", "我去年被诊断为糖尿病", "护照号E12345678", "我妈妈的体检报告怎么看", "住址是朝阳区建国路1号",
    "本人的银行卡被盗刷", "验证码是 482913", "内部资料,请勿外传", "我的月薪是两万", "我怀孕了吃什么好",
    "他得了癌症怎么办",
]  # fmt: skip
SECRETS = [*KEYS, *CARDS, *IBANS, *PERSONS, *PHONES, *ADDRESSES, *WORDS]
AROUND = ["{}", "Please remember {} for me.", "请记住 {} 谢谢", "Is this right?\n{}\nThank you"]

QUIET = [
    "", "Who wrote Hamlet?", "2 + 2 = 4", "What is 123456789 * 987654321?", "What is 17.5 % of 8400?",
    "Compute 3.14159265358979 * 2.718281828459045", "Is 2147483647 prime?",
    "What is 2^64 = 18446744073709551616 good for?", "What comes next: 4 8 15 16 23 42 108 216 432?",
    "Sum of 100 200 300 400 500 600", "1 1 2 3 5 8 13 21 34 55 89 144", "Solve 0.4111111111111111 x = 3",
    "Is 6.02214076 x 10^23 exact?", "Convert 1000000000000000 bytes to TB", "call 4111 1111 1111 1112",
    "the order 1234567890123 is late", "4111-1111-1111-1111-1111-1111", "1701234567890 in UTC?",
    "What happened between 1914-1918?", "From 2001-2010 what was it called?", "What happened on 1969-07-20?",
    "20 July 1969", "Did it ship on 03/05/1985 or 04.06.1990?", "2026-11-30T14:26:11.100+00:00 is which day?",
    "What is new in Python 3.11.7 and 3.12.0rc1?", "Upgrade from 10.15.7 to 13.4.1", "libfoo.so.1.2.3.4.5.6.7.8",
    "ISBN 978-3-16-148410-0", "ISBN-10: 0-306-40615-2", "9780306406157", "ISSN 2049-3630", "doi 10.1000/182",
    "part number 0012-34567-890", "RFC 7231 section 6.5.1", "model 1234-5678-AB", "SKU: 123-456-7890",
    "How far is 384,400 km?", "The budget is $1,250,000.00", "prices from 1.250.000 to 2.500.000 euros",
    "£12 345 678", "population 1 400 000 000", "12:30:45", "ratio 16:9 or 4:3", "latitude 51.5074, longitude -0.1278",
    "40.7128 N 74.0060 W", "What is 192.168.1.1?", "ping 8.8.8.8", "::1 and fe80::1", "10.0.0.0/8", "port 8080",
    "HTTP 404", "chapter 12 verse 34", "what does @ mean in a@b", "Explain @property and @app.route",
    "git@github.com:python/cpython.git", "root@localhost", "matrix product A@B.T", "@alice mentioned you",
    "is a password better than a passkey?", "How long should a password be?", "Why is my password not accepted?",
    "My password is not working", "The password is incorrect, what now?", "password: must be at least 8 characters",
    "def login(user: str, password: str) -> bool:", "password = input('Password: ')",
    "password = os.environ['PASSWORD']", "What is the difference between a token and a session?",
    "token = tokenizer(text)", "How does a JWT work?", "What is an API key?", "secret = None",
    "SECRET_KEY = <your key>", "the secret is to keep stirring", "What is a private key?", "sk-short",
    "sk-learn-compatible-estimators-in-python", "pk-fire is a move in a game",
    "commit 3f786850e387550fdab836ed7e6dc881de23001b", "md5 d41d8cd98f00b204e9800998ecf8427e",
    "uuid 123e4567-e89b-12d3-a456-426614174000", "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAA",
    "https://example.com/a/b?c=d", "What is an IBAN?", "GB is the code of which country?", "DE89 is no account",
    "AB12 CD34", "What does SSN mean?", "How do I apply for a passport?", "What is the passport number format?",
    "Which countries need 6 months on a passport?", "How does a credit card number work?", "What is a CVV?",
    "What is HIV?", "Symptoms of diabetes", "How is cancer diagnosed?", "What does a therapist do?",
    "How much does a nurse earn?", "What is the average salary in Spain?", "Who was born in 1985?",
    "When was Einstein born?", "She was born on 3 May 1985 in Leeds", "What is pregnancy?",
    "What is confidential computing?", "what is attorney-client privilege?", "Where do penguins live?",
    "Where is the address bar?", "How do I call a function?", "Call me Ishmael. Who wrote that?",
    "Who invented the telephone in 1876?", "The mobile phone of 1973 weighed 1100 g",
    "emergency numbers are 112 and 911", "dial 999", "What is a phone book?", "Fax machines sold 1980-1990",
    "身份证是什么时候开始使用的?", "如何办理护照?", "病历怎么写?", "密码学是什么?", "密码是什么意思?",
    "什么是验证码?", "银行卡和信用卡有什么区别?", "1949年10月1日发生了什么?", "圆周率是3.14159265358979",
    "中国人口是1400000000吗?", "手机是谁发明的?", "一公里等于1000米", "2008年奥运会", "工资税怎么算?",
    "怀孕的症状有哪些?", "糖尿病如何确诊?", "地址栏在哪里?", "什么是账号?", "GB/T 2312-1980", "京沪高铁全长1318公里",
    "Natalia sold clips to 48 friends in April, and half as many in May. How many in all?",
    "If x = 12345 and y = 67890, x + y?", "A train leaves at 09:15 and arrives at 11:47", "Mix 250 ml with 125 ml",
    "RGB 255 255 255", "#ff8800", "0xDEADBEEF", "1e-9", "E = mc2", "H2SO4 + 2 NaOH", "ATGCGTACGTTAGCATGCAAGT",
    "8 bits 16 bits 32 bits 64 bits 128 bits", "AA BB CC DD", "Formula 1 1996-2006", "B-52, F-16, Boeing 747-400",
    "Windows 95, 98, 2000", "Apollo 11", "Area 51", "Catch-22",
]  # fmt: skip


@pytest.mark.parametrize("around", AROUND)
@pytest.mark.parametrize("secret", SECRETS)
def test_seen(secret: str, around: str) -> None:
    said = detect(around.format(secret))
    assert said
    assert secret not in said


@pytest.mark.parametrize("text", QUIET)
def test_left_alone(text: str) -> None:
    assert detect(text) is None


def full_width(text: str) -> str:
    return "".join(chr(ord(one) + 0xFEE0) if "!" <= one <= "~" else one for one in text)


def arabic(text: str) -> str:
    return text.translate({ord(digit): chr(0x0660 + int(digit)) for digit in "0123456789"})


def with_unseen(text: str) -> str:
    return "\u200b".join(text)


def struck_through(text: str) -> str:
    return "".join(one + ("\u0336" if one.isalnum() else "") for one in text)


def look_alike(text: str) -> str:
    return text.translate(str.maketrans("aeopcxsABEHKMOPCTX", "аеорсхѕАВЕНКМОРСТХ"))


NUMBERS = [*CARDS[:8], *IBANS[:4], *PERSONS[:5], *PHONES[:4], *PHONES[6:9]]
Disguise = Callable[[str], str]
DISGUISED: list[tuple[Disguise, str]] = [
    *((full_width, one) for one in (*KEYS, *NUMBERS)),
    *((arabic, one) for one in NUMBERS),
    *((with_unseen, one) for one in (*KEYS, *NUMBERS)),
    *((struck_through, one) for one in NUMBERS),
    *((look_alike, one) for one in KEYS),
]


@pytest.mark.parametrize(("disguise", "secret"), DISGUISED)
def test_seen_in_disguise(disguise: Disguise, secret: str) -> None:
    assert detect(f"It is {disguise(secret)} as I said")


@given(st.text(alphabet="0123456789", min_size=14, max_size=14))
def test_of_ten_last_digits_exactly_one_makes_a_card_number(digits: str) -> None:
    assert sum(detect(f"4{digits}{last}") == "a card number" for last in range(10)) == 1


@given(st.text(max_size=300))
def test_no_text_breaks_them(text: str) -> None:
    detect(text)
    detect(unicodedata.normalize("NFD", text))


HOSTILE = [
    "a", "1", "1 ", "1-", "a@", "@a.", "eyJ", "my ", "my password ", "password is the ", "999-999-9999 ", "+1", "(1",
    "GB00 ", "00:", "密码", "我的", "ﷺ", "4\u200b", "://a:", "sk-", "4444 ", " ", "\n", "secret ", "bearer ",
    "i was diagno ", "A1-", "(", "token=", "-----BEGIN ", "passport ", "phone 1999-2000 ", "1985-03-05 ", "\u0336",
    "account number ", "T1/B1/",
]  # fmt: skip


@pytest.mark.timeout(100)
@pytest.mark.parametrize("piece", HOSTILE)
def test_a_hostile_text_takes_as_long_as_it_is(piece: str) -> None:
    """What took the square of its length would run for hours."""
    detect((piece * (MIB // len(piece.encode())))[: MIB // 4])


def test_a_secret_at_the_end_of_a_long_text_is_seen() -> None:
    for length in (19_980, 19_999, 20_000, 39_000, 100_003):
        assert detect("word " * (length // 5) + CARDS[1])


def test_phonenumbers_is_imported_for_numbers_only() -> None:
    program = "import sys; from router.egress import Policy; from router.egress.detectors.structural import detect; "
    program += "detect('Who wrote Hamlet in 1601?'); assert 'phonenumbers' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)
