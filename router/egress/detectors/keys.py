"""Keys, tokens and passwords: by the forms that their issuers give them, or by the word before them."""

from __future__ import annotations

import math
import re
from collections import Counter

# Each ends where its characters end; all repetitions are bounded, so that no text makes them slow.
_ISSUED = re.compile(
    r"-----BEGIN (?:[A-Z]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----"
    r"|PuTTY-User-Key-File-\d"
    r"|AGE-SECRET-KEY-1[A-Z0-9]{50}"
    r"|\b(?:"
    r"(?:AKIA|ASIA|AROA|AIDA|AGPA|ANPA|ANVA|AIPA)[A-Z0-9]{16}\b"  # Amazon
    r"|AIza[\w-]{35}|GOCSPX-[\w-]{28}|ya29\.[\w-]{20}"  # Google
    r"|gh[pousr]_[A-Za-z0-9]{30}|github_pat_\w{22}|gl(?:pat|dt|rt|ptt|soat|cbt)-[\w-]{20}"  # GitHub, GitLab
    r"|xox[abeoprs]-[\w-]{10}|xapp-\d-[\w-]{10}"  # Slack
    r"|[srp]k_(?:live|test)_[A-Za-z0-9]{16}|whsec_[A-Za-z0-9]{24}"  # Stripe
    r"|npm_[A-Za-z0-9]{36}|pypi-AgE[\w-]{20}|hf_[A-Za-z]{30}|r8_[A-Za-z0-9]{30}"
    r"|SG\.[\w-]{16,32}\.[\w-]{16}|key-[0-9a-f]{32}\b|(?:AC|SK)[0-9a-f]{32}\b"  # SendGrid, Mailgun, Twilio
    r"|\d{8,10}:AA[\w-]{32}"  # Telegram
    r"|do[opr]_v1_[a-f0-9]{64}|shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}|sq0[a-z]{3}-[\w-]{22}|dapi[a-f0-9]{32}\b"
    r"|hv[sb]\.[\w-]{20}|lin_api_[A-Za-z0-9]{32}|ntn_[A-Za-z0-9]{40}|gsk_[A-Za-z0-9]{40}|xai-[A-Za-z0-9]{40}"
    r"|pplx-[A-Za-z0-9]{40}|LTAI[A-Za-z0-9]{12,20}\b|AKID[A-Za-z0-9]{32}\b|dckr_pat_[\w-]{20}|sntrys_[\w-]{20}"
    r"|eyJ[\w-]{8,4000}\.eyJ[\w-]{8,4000}\.[\w-]{8}"  # JWT
    r")"
    r"|hooks\.slack\.com/services/T\w{6,12}/B\w{6,12}/\w{16}"
    r"|(?:AccountKey|SharedAccessKey)=[A-Za-z0-9+/]{40}"  # Azure
    r"|\b[a-z][a-z0-9+.-]{1,20}://[^\s:/@]{1,100}:[^\s:/@]{3,100}@[\w.-]{1,100}",  # a password in a URL
    re.ASCII,
)
# A form that many issuers share; with a digit in it or in one piece, or it may be a name with hyphens.
_PREFIXED = re.compile(r"\b(?:sk|pk|rk)-(?:(?=[A-Za-z_-]{0,40}\d)[\w-]{16}|[A-Za-z0-9]{24})", re.ASCII)
_BEARER = re.compile(
    r"\b(?:bearer|basic|authorization:)\s{1,3}(?=[\w.~+/-]{0,40}\d)[\w.~+/-]{20}", re.IGNORECASE | re.ASCII
)
_ASSIGNED = re.compile(
    r"(?<![A-Za-z])(?P<what>api[ _-]?key|apikey"
    r"|(?:client|app|aws|shared|signing|webhook)?[ _-]?secret(?:[ _-]access)?(?:[ _-]?key)?"
    r"|(?:access|auth|refresh|bearer|id|session|api|deploy)[ _-]?token|token|access[ _-]?key(?:[ _-]?id)?"
    r"|private[ _-]?key|encryption[ _-]?key|credentials?|passwd|password|pass[ _-]?phrase|passcode|pwd)"
    r"[\"'`\]]{0,2}\s{0,3}(?:is set to|is|was|=>|:=|==?|:)\s{0,3}[\"'`]?(?P<value>[^\s\"'`,;]{3,200})",
    re.IGNORECASE | re.ASCII,
)
_PASSWORDS = frozenset({"passwd", "password", "passphrase", "passcode", "pwd"})
# What follows such a word without being its value: a sentence that goes on, a type, a placeholder.
_GOES_ON = (
    "not|wrong|correct|incorrect|invalid|valid|too|require|required|optional|needed|expire|expired|weak|"
    "strong|secure|insecure|stored|saved|hashed|encrypted|plain|the|a|an|in|on|by|to|for|of|from|with|as|at|"
    "it|that|this|what|which|how|why|when|if|or|and|but|never|always|only|just|really|still|being|used|"
    "called|known|set|reset|sent|lost|leaked|hacked|compromised|stolen|unique|long|short|enough|usually|"
    "often|easy|hard|better|worse|more|less|good|bad|must|should|can|may|will|least|case|empty|blank|str|"
    "string|text|int|bool|none|null|nil|true|false|undefined|varchar|char|field|value|input|os|env|self|"
    "process|config|settings|your|my|our|changeme|example|there|something|anything|no|yes|also|so|very|about|"
    "based|part|one|two"
)
_NO_VALUE = re.compile(
    rf"[<{{$(\[*%]|.{{0,60}}[(\[]|(?:{_GOES_ON}|x{{3,}}|\.{{3}})(?:[\s.,;:!?)]|$)", re.IGNORECASE | re.ASCII
)
_LEAST_BITS = 3.0


_LONG = re.compile(r"[A-Za-z0-9_\-+/=.:~]{16}")
_HINTS = ("key", "secret", "token", "credential", "pass", "pwd")


def has_key(text: str) -> bool:
    may_be_issued = "-----BEGIN " in text or "PuTTY" in text or _LONG.search(text)
    if may_be_issued and (_ISSUED.search(text) or _PREFIXED.search(text) or _BEARER.search(text)):
        return True
    low = text.lower()
    return any(hint in low for hint in _HINTS) and any(map(_is_assigned, _ASSIGNED.finditer(text)))


def _is_assigned(found: re.Match[str]) -> bool:
    value = found["value"].rstrip(".,;:!?)")
    if len(value) < 3 or _NO_VALUE.match(value):
        return False
    if re.sub(r"[ _-]", "", found["what"].casefold()) in _PASSWORDS:
        return True
    return len(value) >= 12 and any(map(str.isdigit, value)) and _bits(value) >= _LEAST_BITS


def _bits(value: str) -> float:
    """Shannon's entropy of its characters, in bits a character: of 0 and 1 it is 1, of random base64 nearly 6."""
    counts = Counter(value).values()
    return -sum(count / len(value) * math.log2(count / len(value)) for count in counts)
