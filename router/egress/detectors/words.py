"""What people say before they tell something private, in English and Chinese.

A question about passports, passwords or an illness is a question; `my passport number is` is not.
"""

from __future__ import annotations

import re

_SOMEBODY = r"(?:patient|client|customer|employee|user)'s"
_OWN = rf"\b(?:my|our|his|her|their|{_SOMEBODY})\s+(?:\w{{1,20}}\s+){{0,2}}?"
_MY = r"\b(?:my|our)\s+(?:(?:wife|husband|son|daughter|mother|father|partner|child)'s\s+)?(?:\w{1,20}\s+){0,2}?"
_RELATIVE = r"\b(?:my|his|her) (?:wife|husband|son|daughter|mother|father|mom|dad|partner|child|brother|sister)"
_ILL = r"(?:hiv[ -]positive|pregnant|suicidal|an alcoholic|bipolar|undocumented)\b"
_NUMBER = r"\s{0,3}(?:number|no\.?|num|#|code)?\s{0,3}(?:is|was|:|=|#)?\s{0,3}"
_IS = r"\s{0,3}(?:is|are|was|were|:|=)\s{0,3}"
_MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)"
_GOES_ON = (
    r"(?!not\b|wrong|lost|hacked|stolen|weak|strong|too\b|incorrect|expired|invalid|compromised|leaked|safe|secure"
    r"|stored|saved|hashed|encrypted|required|the same|being|never|in\b|on\b|at\b)"
)

_ENGLISH = (
    # what opens something
    (
        rf"{_OWN}(?:password|passcode|passphrase|pin(?: code)?|seed phrase|recovery phrase|(?:private|secret|api) key"
        rf"|login|credentials|security answer)\s{{0,3}}(?:is|are|was|were|:|=)\s{{1,3}}{_GOES_ON}\S"
    ),
    r"\b(?:seed|recovery) phrase(?:\s+is)?\s{0,3}[:=]?\s{1,3}(?:[a-z]{3,8}\s+){5}",
    (
        r"\b(?:pin|pin code|cvv2?|cvc|otp|one[- ]time (?:code|password)"
        rf"|(?:verification|security|access|door|alarm|gate) code){_IS}\d{{3,8}}\b"
    ),
    # papers, accounts, contracts
    rf"\bpassport{_NUMBER}[A-Z]{{0,2}}\d{{6,9}}\b",
    rf"\bdriv(?:er'?s?|ing) licen[cs]e{_NUMBER}[A-Z]{{0,2}}\d[A-Z0-9 -]{{4,16}}",
    (
        r"\b(?:ssn|social (?:security|insurance)|national insurance|bsn|tfn|nhs)\b[^\d\n]{0,25}"
        r"\d{2,4}[ -]?\d{2,4}[ -]?\d\d"
    ),
    (
        r"\b(?:bank account|account|acct|sort code|routing|medicare|policy|member(?:ship)?|insurance|tax|employee"
        r"|student)\s{0,3}(?:number|no\.|num|#|id)\s{0,3}(?:is|was|:|=|#)?\s{0,3}[A-Z]{0,3}-?\d[\d -]{4,18}\d\b"
    ),
    r"\b(?:credit|debit|bank) card(?: number)?\s{0,3}(?:is|:|=|ends in|ending in|#)\s{0,3}\d{3,}",
    # persons
    rf"{_MY}(?:date of birth|dob|birthday){_IS}\S|\b(?:dob|date of birth){_IS}\d",
    rf"\bi was born (?:on|in) (?:the )?(?:\d{{1,2}}[\s./-]|{_MONTH})",
    r"\bi live (?:at|in) (?:number )?\d+\s+\w|\b(?:my|our|his|her) (?:home |street )?address is\b",
    # health
    (
        rf"{_MY}(?:diagnosis|(?:medical|health) (?:records?|history|file)|prescriptions?|biopsy|blood (?:test|work)"
        r"|lab results|test results|hiv (?:status|test)|psychiatrist|therapist|chemo(?:therapy)?|miscarriage|abortion"
        r"|antidepressants?|mri|x-ray)\b"
    ),
    r"\bi (?:was|am|have been|got|just got|was just) (?:recently |just )?diagnosed\b",
    rf"{_RELATIVE} (?:was|is|has been|has) (?:recently |just )?(?:diagnosed|addicted|{_ILL})|\bi(?:'m| am) {_ILL}",
    # money
    (
        rf"{_MY}(?:salary|net worth|bank (?:account|balance|statement)|tax return|payslip|paycheck|credit score"
        r"|home address)\s{0,3}(?:is|was|are|were|:|=|says|shows)\s"
    ),
    r"\bi (?:earn|make) [$€£¥]?\s?\d[\d.,]{0,12}\s?(?:k\b|[$€£¥]|dollars|euros|pounds|(?:a|per) (?:year|month))",
    # papers that say so themselves
    (
        r"\b(?:strictly|company|highly) confidential\b|\binternal use only\b"
        r"|\bdo not (?:distribute|forward|redistribute)\b|\battorney[- ]client privileged\b|\bunder (?:an? )?nda\b"
    ),
)
_WHOSE = r"(?:我们?|咱|本人|俺|他|她|爸爸?|妈妈?|老公|老婆|丈夫|妻子|孩子|儿子|女儿|父亲|母亲|同事|朋友)的?"
_CHINESE = (
    (
        rf"{_WHOSE}[^\s,。?!,;]{{0,4}}(?:身份证|病历|护照|银行卡|信用卡|社保|住址|家庭地址|工资|薪水|月薪|年薪|存款|密码"
        r"|验证码|诊断|处方|化验单|检查报告|体检报告|手机号|车牌号|征信|账号|病情)"
    ),
    (
        r"(?:身份证|护照|银行卡|信用卡|社保卡?|医保卡?|驾驶证|驾照|账号|账户|卡号|学号|工号|车牌|病历号|港澳通行证)(?:号码|号)?"
        r"\s{0,3}(?:是|为|:|=)?\s{0,3}[A-Za-z]{0,3}\d[A-Za-z0-9]{4,}"
    ),
    r"(?:密码|口令|验证码|密钥)\s{0,3}(?:是|为|:|=)\s{0,3}[\"'“”]?[A-Za-z0-9!@#$%^&*_.\-]{3,}",
    r"(?:我|本人|他|她|患者).{0,8}(?:确诊|被诊断|查出|怀孕了|感染了|得了癌)|患者.{0,10}[男女].{0,6}\d{1,3}岁",
    r"病历(?:号|摘要|如下|:)|(?:住址|家庭地址|收货地址)\s{0,3}(?:是|为|:|=)|(?:我|他|她)(?:出生于|的生日是|的出生日期)",
    r"内部资料|机密文件|严禁外传|请勿外传",
)
_ENGLISH_WORDS = re.compile("|".join(_ENGLISH), re.IGNORECASE | re.ASCII)
_CHINESE_WORDS = re.compile("|".join(_CHINESE))
# Each match has one of these in it; finding out that none is there takes far less time.
_HINTS = (
    *("pass", "phrase", "pin", "key", "login", "credential", "answer", "cvv", "cvc", "otp", "code", "licen"),
    *("ssn", "social", "insurance", "bsn", "tfn", "nhs", "account", "acct", "routing", "medicare", "policy", "member"),
    *("tax", "employee", "student", "card", "birth", "dob", "born", "live", "address", "diagnos", "medical", "health"),
    *("prescription", "biopsy", "blood", "results", "hiv", "psychiat", "therap", "chemo", "miscarriage", "abortion"),
    *("antidepress", "mri", "x-ray", "pregnant", "suicid", "alcoholic", "bipolar", "undocumented", "addicted"),
    *("salary", "worth", "bank", "pay", "credit", "earn", "make", "confidential", "internal use", "distribute"),
    *("forward", "privilege", "nda", "sort code"),
)


def has_private_words(text: str) -> bool:
    if not text.isascii() and _CHINESE_WORDS.search(text):
        return True
    low = text.lower()
    return any(hint in low for hint in _HINTS) and bool(_ENGLISH_WORDS.search(text.replace("’", "'")))
