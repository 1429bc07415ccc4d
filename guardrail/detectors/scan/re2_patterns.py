"""The phrases and markers by which a text imitates an instruction, as patterns of google-re2.

The patterns are compiled on first use. All have a maximum length, so that a stream knows when no
match can begin any more. Python's `re` is not used for them: its time on a hostile text is not
bounded.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final, cast

#: The library for patterns. Its time is linear in the text, for any text.
ENGINE: Final = "re2"
#: No match of a pattern here is longer.
LIMIT_MATCH: Final = 320

_S = r"[\s_*\"'.,;:-]{1,4}"
_GAP = rf"(?:[\w'-]{{1,14}}{_S}){{0,4}}?"

#: Words for "previous", for instructions, and for ignoring them, by language. Texts are folded
#: before they are matched: no accents, and sharp s is ss.
_OVERRIDES: Final = (
    # English
    rf"(?:ignore|disregard|forget|override|overrule|bypass|neglect|dismiss|skip){_S}{_GAP}"
    rf"(?:previous|prior|preceding|above|earlier|foregoing|former|original|initial|existing|"
    rf"current|system|your|all|any|these|those|safety){_S}{_GAP}"
    rf"(?:instructions?|prompts?|rules|guidelines|directives?|commands?|constraints|"
    rf"restrictions|programming|training|context|polic(?:y|ies)|guardrails|orders)",
    rf"(?:ignore|disregard|forget){_S}(?:everything|anything|all|what){_S}{_GAP}"
    rf"(?:above|before|previously|said|told|earlier|so{_S}far|until{_S}now|up{_S}to{_S}now)",
    rf"(?:do{_S}not|don'?t|never|stop){_S}(?:follow(?:ing)?|obey(?:ing)?|adher(?:e|ing){_S}to)"
    rf"{_S}{_GAP}(?:instructions|rules|guidelines|system{_S}prompt|restrictions|constraints)",
    rf"(?:reveal|show|print|repeat|output|display|disclose|leak|tell{_S}me|give{_S}me|"
    rf"what{_S}(?:is|are|was)){_S}{_GAP}"
    rf"(?:your|the|this){_S}(?:\w{{1,12}}{_S}){{0,2}}?(?:system{_S}prompt|hidden{_S}prompt|"
    rf"initial{_S}(?:prompt|instructions)|secret{_S}(?:prompt|instructions)|"
    rf"original{_S}(?:prompt|instructions)|hidden{_S}instructions|system{_S}message)",
    rf"you{_S}(?:are|will{_S}be){_S}(?:now{_S}{_GAP}(?:in{_S})?(?:dan|developer{_S}mode|jailbroken|unrestricted|"
    rf"unfiltered|uncensored|free{_S}from|no{_S}longer{_S}bound)|"
    rf"no{_S}longer{_S}(?:bound|restricted|limited|an?{_S}ai))",
    rf"(?:enable|enter|activate|switch{_S}to|engage){_S}{_GAP}(?:developer|dan|jailbreak|god|"
    rf"debug|unrestricted|admin){_S}mode",
    rf"(?:act|behave|respond|answer|pretend|roleplay){_S}{_GAP}(?:as{_S}if|like|as|that|to{_S}be){_S}{_GAP}"
    rf"(?:no|without{_S}any|without|dan|jailbroken|unrestricted|unfiltered){_S}"
    rf"(?:restrictions|rules|limits|limitations|filters?|guidelines|ai|model|assistant|"
    rf"ethical|moral|content|safety)",
    rf"(?:your|the){_S}(?:new|real|true|actual|updated){_S}(?:instructions?|task|rules|orders|"
    rf"objective|system{_S}prompt){_S}(?:is|are|follow|now)",
    # German
    rf"(?:ignorier(?:e|en{_S}sie)?|vergi(?:ss|sst)|vergessen{_S}sie|missachte(?:n{_S}sie)?|"
    rf"uebergehe|ubergehe|umgehe){_S}{_GAP}"
    rf"(?:vorherigen?|vorigen?|bisherigen?|fruheren?|frueheren?|obigen?|vorangegangenen?|alle|"
    rf"alles|deine|ihre|saemtliche|samtliche|systemanweisungen){_S}{_GAP}"
    rf"(?:anweisungen?|instruktionen|befehle|regeln|vorgaben|anleitungen|richtlinien|prompts?|"
    rf"was|bisher|oben|zuvor|gesagte)",
    rf"(?:zeig(?:e)?|nenn(?:e)?|verrate|gib|wiederhole){_S}{_GAP}(?:deinen?|den|deine|die){_S}{_GAP}"
    rf"(?:system-?{_S}?prompt|systemprompt|systemanweisung(?:en)?|geheimen{_S}anweisungen)",
    rf"(?:befolge|folge){_S}{_GAP}(?:keine[nr]?|nicht){_S}{_GAP}(?:anweisungen|regeln|richtlinien)",
    # French
    rf"(?:ignore[zr]?|oublie[zr]?|neglige[zr]?|contourne[zr]?|ne{_S}tiens?{_S}pas{_S}compte){_S}{_GAP}"
    rf"(?:toutes|tous|tout|les|tes|vos|ces|des|aux){_S}{_GAP}"
    rf"(?:instructions?|consignes?|directives?|regles|ordres|commandes|invites?)",
    rf"(?:oublie[zr]?|ignore[zr]?){_S}(?:tout|ce){_S}{_GAP}(?:precede|avant|dit|ci-dessus|precedemment)",
    rf"(?:revele[zr]?|montre[zr]?|affiche[zr]?|donne[zr]?|repete[zr]?){_S}{_GAP}(?:ton|votre|le|tes|vos|les){_S}"
    rf"{_GAP}(?:invite|prompt|message|instructions){_S}(?:systeme|system|secretes?|cachees?|initiales?)",
    # Spanish
    rf"(?:ignor(?:a|e|ar|en|ad)|olvid(?:a|e|ar|en|ad)|descart(?:a|e|ar)|omit(?:e|a|ir)|"
    rf"haz{_S}caso{_S}omiso){_S}{_GAP}"
    rf"(?:todas|todos|todo|las|los|tus|sus|cualquier|de){_S}{_GAP}"
    rf"(?:instruccion(?:es)?|ordenes|reglas|directrices|indicaciones|comandos|restricciones)",
    rf"(?:olvida|ignora|olvide|ignore){_S}(?:todo){_S}{_GAP}(?:anterior|antes|dicho|dije|previo)",
    rf"(?:muestra(?:me)?|revela(?:me)?|dime|repite|ensena(?:me)?|imprime){_S}{_GAP}(?:tu|el|su|tus|las){_S}{_GAP}"
    rf"(?:prompt|mensaje|instrucciones|indicaciones){_S}(?:del?{_S})?(?:sistema|secretas?|iniciales?|ocultas?)",
    # Italian, Portuguese
    rf"(?:ignora|dimentica|ignorate|ignore|esqueca){_S}{_GAP}(?:tutte|tutti|le|todas|todos|as|suas){_S}{_GAP}"
    rf"(?:istruzioni|regole|direttive|instrucoes|regras|ordens)",
)

#: A role marker that ends with a colon.
_ANNOUNCED: Final = (
    rf"(?:new|updated|real){_S}(?:system{_S})?(?:instructions|directive|prompt)\s{{0,2}}:"
)

_ROLES: Final = (
    r"<\|[ \t]{0,2}(?:im_start|im_end|system|user|assistant|endoftext|end_of_text|begin_of_text|"
    r"eot_id|start_header_id|end_header_id|eom_id|fim_prefix|fim_suffix|channel|message|return|"
    r"start|end|call|constrain|python_tag)[ \t]{0,2}\|>",
    r"\[/?(?:INST|SYS|SYSTEM|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS)\]",
    r"<</?SYS>>",
    r"<(?:start|end)_of_turn>",
    r"</?(?:system|assistant|developer)(?:[ _-](?:prompt|message|instructions?))?>",
    r"(?m:^)[ \t>*-]{0,4}#{1,6}[ \t]{0,2}(?:system|assistant|human|user|instructions?|"
    r"response|developer)(?:[ \t](?:prompt|message|instructions?|note|override))?[ \t]{0,2}:",
    r"(?m:^)[ \t>*\[(-]{0,4}(?:system|assistant|developer|human)"
    r"(?:[ \t](?:prompt|message|instructions?|note|override))?[\])*]{0,2}[ \t]{0,2}:",
    r"(?m:^)-{2,8}[ \t]?(?:begin|end|start)(?:[ \t]of)?[ \t](?:new[ \t])?(?:system|admin|"
    r"developer)?[ \t]?(?:prompt|instructions?|message)[ \t]?-{2,8}",
)

_STYLES: Final = (
    r"<[a-z][a-z0-9]{0,15}\s[^<>]{0,120}?style\s{0,2}=\s{0,2}[\"'][^\"'<>]{0,120}?"
    r"(?:display\s{0,2}:\s{0,2}none\b|visibility\s{0,2}:\s{0,2}hidden\b|font-size\s{0,2}:\s{0,2}0(?:px|pt|em|%)?[\s;\"']|"
    r"opacity\s{0,2}:\s{0,2}0(?:\.0{1,3})?\s{0,2}[;\"'])",
    r"<[a-z][a-z0-9]{0,15}\s[^<>]{0,120}?(?:\bhidden\b|aria-hidden\s?=\s?[\"']true)[^<>]{0,60}?>",
)


@lru_cache(maxsize=64)
def override() -> Any:
    """Return the compiled phrases that ask to forget instructions; for bytes."""
    return compiled(rf"\b_{{0,2}}(?:(?:{'|'.join(_OVERRIDES)})_{{0,2}}\b|{_ANNOUNCED})")


@lru_cache(maxsize=64)
def pattern(kind: str) -> Any:
    """Return the compiled pattern of ``override``, ``role_marker`` or ``hidden_text``."""
    if kind == "override":
        return override()
    return compiled("|".join(_ROLES if kind == "role_marker" else _STYLES))


def matches(kind: str, plain: bytes, begin: int = 0) -> Iterator[tuple[int, int]]:
    """Yield the matches of a kind's pattern in a plain view, from left to right.

    A double colon does not end a marker: it belongs to an address, or to code.
    """
    search = pattern(kind).search
    while (match := search(plain, begin)) is not None:
        start, end = match.span()
        if plain[end - 1 : end + 1] == b"::":
            begin = start + 1
        else:
            yield start, end
            begin = end


def compiled(pattern: str, *, is_folding_case: bool = True, has_groups: bool = False) -> Any:
    """Return a pattern compiled for bytes; each byte is one character.

    Arguments:
        pattern: in RE2's syntax.
        is_folding_case: whether case is ignored.
        has_groups: whether its groups are reported; otherwise only the whole match.
    """
    import re2

    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.case_sensitive = not is_folding_case
    options.never_capture = not has_groups
    options.log_errors = False
    options.max_mem = 64 << 20
    return re2.compile(pattern.encode(), options)


def error() -> type[Exception]:
    """Return the exception of RE2 for an invalid pattern."""
    import re2

    return cast("type[Exception]", re2.error)
